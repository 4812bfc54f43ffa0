"""Whole lines by ranges: every line once, at the same place, however a file is cut."""

import bz2
import itertools
import random
import threading
import typing

import bz2_writer
import fsspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.sources import line_ranges
from transforms.sources.bz2_blocks import read_block
from transforms.sources.line_ranges import (
    CorruptInputError,
    LineBlock,
    is_bz2,
    open_reader,
    places,
    read_line_blocks,
    split_ranges,
)

NAME = "packs/places.txt"


class Line(typing.NamedTuple):
    text: bytes
    place: tuple[int, int]
    too_long: bool


def reader(data: bytes):
    return lambda offset, length: data[offset : offset + length]


def lines_of(block: LineBlock) -> list[Line]:
    assert block.data.endswith(b"\n")
    texts = block.data.split(b"\n")[:-1]
    starts = np.cumsum([0, *(len(text) + 1 for text in texts[:-1])])
    offsets, inner = places(block, starts)
    assert offsets.dtype == inner.dtype == np.int64
    assert set(block.too_long) <= set(starts.tolist())
    found = zip(texts, starts.tolist(), offsets.tolist(), inner.tolist(), strict=True)
    return [Line(text, (offset, place), start in block.too_long) for text, start, offset, place in found]


def read(data: bytes, start: int, stop: int, **limits: int) -> list[Line]:
    blocks = read_line_blocks(reader(data), len(data), start, stop, compressed=is_bz2(data[:16]), name=NAME, **limits)
    return [line for block in blocks for line in lines_of(block)]


def read_parts(data: bytes, cuts: typing.Iterable[int], **limits: int) -> list[Line]:
    borders = [0, *sorted({cut for cut in cuts if 0 < cut < len(data)}), len(data)]
    return [line for start, stop in itertools.pairwise(borders) for line in read(data, start, stop, **limits)]


def texts_of(lines: list[Line]) -> list[bytes]:
    return [line.text for line in lines]


def expected(text: bytes, limit: int) -> list[tuple[bytes, bool]]:
    lines = text.split(b"\n")
    return [(line[:limit], len(line) > limit) for line in (lines if lines[-1] else lines[:-1])]


def compress(text: bytes, streams: list[int], blocks: list[int], level: int) -> bytes:
    """Cuts a text into streams and these into blocks at given places."""
    borders = sorted({0, len(text), *(cut for cut in streams if cut < len(text))})
    files = []
    for start, stop in itertools.pairwise(borders):
        inner = [start, *sorted({cut for cut in blocks if start < cut < stop}), stop]
        files.append(bz2_writer.stream((bz2_writer.block_of(text[a:b]) for a, b in itertools.pairwise(inner)), level))
    return b"".join(files) or bz2.compress(b"", level)


LINES = st.lists(
    st.one_of(st.just(b""), st.just(b"\r"), st.binary(max_size=12), st.binary(min_size=20, max_size=90)).map(
        lambda line: line.replace(b"\n", b" ")
    ),
    max_size=25,
)
CUTS = st.lists(st.integers(1, 900), max_size=6)


@settings(max_examples=150, deadline=None)
@given(
    lines=LINES,
    ending=st.sampled_from([b"", b"\n", b"\r\n"]),
    limit=st.integers(1, 100),
    room=st.integers(1, 300),
    streams=CUTS,
    blocks=CUTS,
    level=st.integers(1, 9),
    cuts=st.lists(st.integers(1, 2_000), max_size=9),
)
def test_any_partition_gives_every_line_once(lines, ending, limit, room, streams, blocks, level, cuts):
    text = b"\n".join(lines) + ending
    limits = {"max_line_bytes": limit, "max_block_bytes": room}
    plain = read_parts(text, cuts, **limits)
    assert [(line.text, line.too_long) for line in plain] == expected(text, limit)
    assert plain == read(text, 0, len(text), max_line_bytes=limit)
    packed = compress(text, streams, blocks, level)
    assert bz2.decompress(packed) == text
    parts = read_parts(packed, cuts, **limits)
    assert [(line.text, line.too_long) for line in parts] == expected(text, limit)
    assert parts == read(packed, 0, len(packed), max_line_bytes=limit)


@settings(max_examples=40, deadline=None)
@given(lines=LINES, blocks=CUTS)
def test_a_place_leads_back_to_its_line(lines, blocks):
    text = b"\n".join(lines) + b"\nthe end"
    for line in read(text, 0, len(text)):
        offset, inner = line.place
        assert inner == -1
        assert (text + b"\n")[offset:].startswith(line.text + b"\n")
    packed = compress(text, [], blocks, 9)
    for line in read(packed, 0, len(packed)):
        bit, inner = line.place
        data = read_block(reader(packed), len(packed), bit, name=NAME)
        assert inner < len(data)
        assert (line.text + b"\n").startswith(data[inner:][: len(line.text) + 1])


@pytest.mark.parametrize("text", [b"", b"\n", b"one", b"one\n", b"\n\none", b"a\r\nb\r\n", b"x" * 40 + b"\ny"])
def test_ranges_of_one_byte(text):
    for data in (text, bz2.compress(text), compress(text, [3], [1, 2, 5], 1)):
        assert texts_of(read_parts(data, range(len(data)))) == [line for line, _ in expected(text, 100)]


def test_a_range_without_a_newline_owns_nothing():
    assert read(b"one long line\nnext", 3, 8) == []
    assert texts_of(read(b"one long line\nnext", 0, 1)) == [b"one long line"]
    assert texts_of(read(b"one long line\nnext", 13, 14)) == [b"next"]
    assert read(b"one\n", 3, 4) == []


def test_a_real_file_plain_and_compressed():
    rng = random.Random(2)
    lines = [b"%d\t%s" % (i, b"%x" % rng.getrandbits(8 * rng.choice((1, 50, 300)))) for i in range(4_000)]
    lines[1_000] = b"w" * 27_000 + b"\r"
    lines[2_500] = b""
    lines[3_000] = b"z" * (2 << 20)
    text = b"\n".join(lines)
    for data in (text, bz2.compress(text, 1), bz2.compress(text[:600_000]) + bz2.compress(text[600_000:])):
        parts = read_parts(data, range(0, len(data), 40_000))
        assert [(line.text, line.too_long) for line in parts] == expected(text, 1 << 20)
        assert parts == read(data, 0, len(data), max_block_bytes=1 << 20)


def test_blocks_keep_to_their_limit_whatever_the_lines():
    text = b"\n".join(b"x" * (i * 7 % 400) for i in range(3_000))
    for data in (text, bz2.compress(text)):
        blocks = list(
            read_line_blocks(
                reader(data),
                len(data),
                0,
                len(data),
                compressed=data != text,
                name=NAME,
                max_block_bytes=2_000,
                max_line_bytes=300,
            )
        )
        assert max(len(block.data) for block in blocks) <= 2_001
        assert b"".join(block.data for block in blocks).count(b"\n") == 3_000


def test_a_line_of_many_megabytes_is_read_in_bounded_memory():
    held = []

    def read_at(offset, length):
        held.append(length)
        return b"a" * length

    blocks = read_line_blocks(read_at, 300 << 20, 0, 300 << 20, compressed=False, name=NAME)
    first = next(blocks)
    assert (len(first.data), first.too_long) == ((1 << 20) + 1, (0,))
    assert next(blocks, None) is None
    assert max(held) <= 4 << 20


def test_a_file_that_shrank_is_an_error():
    blocks = read_line_blocks(reader(b"one\ntwo"), 20, 0, 20, compressed=False, name=NAME)
    with pytest.raises(CorruptInputError, match=f"{NAME}.*byte 20"):
        list(blocks)


def test_damage_past_a_range_is_found_by_who_needs_it():
    packed = bytearray(compress(b"one\ntwo\nthree\n" * 3, [], [12, 25], 9))
    packed[-20] ^= 1
    with pytest.raises(CorruptInputError, match=NAME):
        read_parts(bytes(packed), [20, 60])


def test_ranges_cover_a_file():
    assert split_ranges(0, 5) == []
    assert split_ranges(5, 5) == [(0, 5)]
    assert split_ranges(11, 5) == [(0, 5), (5, 10), (10, 11)]


def test_readers_of_local_and_other_files(tmp_path):
    data = random.Random(3).randbytes(100_000)
    (tmp_path / "a file").write_bytes(data)
    memory = fsspec.filesystem("memory")
    memory.pipe("/packs/file", data)
    for url in (str(tmp_path / "a file"), f"file://{tmp_path}/a file", "memory://packs/file"):
        with open_reader(url) as (read_at, size):
            assert size == len(data)
            assert read_at(90_000, 5) == data[90_000:90_005]
            assert read_at(99_990, 50) == data[-10:]
            assert read_at(0, size) == data
    with pytest.raises(FileNotFoundError, match="missing"), open_reader(str(tmp_path / "missing")):
        pass


@pytest.mark.parametrize("url", ["{folder}/file", "memory://shared/file"])
def test_threads_share_a_reader(tmp_path, url):
    data = random.Random(4).randbytes(200_000)
    url = url.format(folder=tmp_path)
    with fsspec.open(url, "wb") as file:
        file.write(data)
    wrong = []

    def check(read_at, seed):
        rng = random.Random(seed)
        for _ in range(300):
            start = rng.randrange(len(data) - 100)
            if read_at(start, 100) != data[start : start + 100]:
                wrong.append(start)

    with open_reader(url) as (read_at, _):
        threads = [threading.Thread(target=check, args=(read_at, seed)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_small_reads_of_a_plain_file(monkeypatch):
    monkeypatch.setattr(line_ranges, "_PLAIN_CHUNK_BYTES", 3)
    monkeypatch.setattr(line_ranges, "_PLAIN_TAIL_BYTES", 2)
    text = b"one\n\ntwo three four\nfive"
    whole = read(text, 0, len(text))
    assert texts_of(whole) == text.split(b"\n")
    assert read_parts(text, [2, 7, 9, 20]) == whole
