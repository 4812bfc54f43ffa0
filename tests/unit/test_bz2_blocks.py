"""Blocks of bzip2 files: ranges, magics that are data, truncation, damage."""

import bz2
import functools
import itertools
import random
import re

import bz2_writer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.sources import bz2_bits
from transforms.sources.bz2_blocks import Block, CorruptInputError, is_bz2, read_block, read_blocks

NAME = "packs/autotags.bz2"


def reader(data: bytes):
    return lambda offset, length: data[offset : offset + length]


def owned_blocks(data: bytes, start: int, stop: int) -> list[Block]:
    blocks = read_blocks(reader(data), len(data), start, stop, name=NAME)
    return list(itertools.takewhile(lambda block: block.bit_offset // 8 < stop, blocks))


def whole(data: bytes) -> list[Block]:
    return owned_blocks(data, 0, len(data))


def by_ranges(data: bytes, cuts: list[int]) -> list[Block]:
    borders = [0, *sorted({cut for cut in cuts if 0 < cut < len(data)}), len(data)]
    return [block for start, stop in itertools.pairwise(borders) for block in owned_blocks(data, start, stop)]


def text_of(blocks: list[Block]) -> bytes:
    return b"".join(block.data for block in blocks)


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(bz2_bits, "_CHUNK_BYTES", 64)


@functools.cache
def large_file(level: int) -> tuple[bytes, bytes]:
    """About 400 kB of text: five blocks at level 1."""
    rng = random.Random(level)
    text = b"".join(b"%d\t%x\n" % (i, rng.getrandbits(64)) for i in range(19_000))
    return text, bz2.compress(text, level)


@pytest.mark.parametrize("level", [1, 2, 9])
def test_real_files_by_ranges(level):
    text, data = large_file(level)
    blocks = whole(data)
    assert text_of(blocks) == text
    assert len(blocks) == -(-len(text) // (level * 100_000 - 19))
    for count in (2, 3, 7, 40):
        assert by_ranges(data, [len(data) * i // count for i in range(count)]) == blocks
    borders = [block.bit_offset // 8 for block in blocks]
    assert by_ranges(data, [*borders, *(border + 1 for border in borders)]) == blocks


@settings(max_examples=60, deadline=None)
@given(
    streams=st.lists(st.lists(st.binary(min_size=1, max_size=60), max_size=4), min_size=1, max_size=4),
    level=st.integers(1, 9),
    cuts=st.lists(st.integers(1, 900), max_size=8),
)
def test_any_partition_gives_every_block_once(streams, level, cuts):
    data = b"".join(bz2_writer.stream(map(bz2_writer.block_of, parts), level) for parts in streams)
    assert bz2.decompress(data) == b"".join(itertools.chain(*streams))
    blocks = whole(data)
    assert [block.data for block in blocks] == [part for parts in streams for part in parts]
    assert by_ranges(data, cuts) == blocks


def test_ranges_of_one_byte(small_chunks):
    parts = [b"one\n" * 30, b"two", b"\n", random.Random(1).randbytes(100)]
    data = bz2_writer.stream(map(bz2_writer.block_of, parts)) + bz2.compress(b"") + bz2.compress(b"last", 1)
    blocks = by_ranges(data, list(range(len(data))))
    assert [block.data for block in blocks] == [*parts, b"last"]
    assert {block.bit_offset % 8 for block in blocks} != {0}


def test_a_block_is_found_again_by_its_place():
    _, data = large_file(1)
    for block in whole(data):
        assert read_block(reader(data), len(data), block.bit_offset, name=NAME) == block.data
    with pytest.raises(CorruptInputError, match="no bzip2 block begins at bit 33 "):
        read_block(reader(data), len(data), 33, name=NAME)


def test_a_file_of_empty_streams_has_no_blocks():
    assert whole(bz2.compress(b"") * 3) == []


BLOCK_MAGIC = bz2_writer.bits_of(bz2_bits.BLOCK_MAGIC, 48)
END_MAGIC = bz2_writer.bits_of(bz2_bits.END_MAGIC, 48)


def with_planted(planted: str) -> tuple[bytes, list[bytes]]:
    """A stream of three blocks, the second of which holds these bits as data."""
    parts = [b"before\n" * 4, b"the middle\nline\n", b"after\n" * 9]
    middle = bz2_writer.encode_block(parts[1], planted)
    assert planted in middle
    return bz2_writer.stream([bz2_writer.block_of(parts[0]), middle, bz2_writer.block_of(parts[2])]), parts


@pytest.mark.parametrize("lead", range(8))
@pytest.mark.parametrize("magic", [BLOCK_MAGIC, END_MAGIC, END_MAGIC + "00" + BLOCK_MAGIC, BLOCK_MAGIC * 20])
def test_a_planted_magic_is_data(magic, lead):
    data, parts = with_planted("0" * lead + magic)
    assert bz2.decompress(data) == b"".join(parts)
    found = [bit for bit, _ in bz2_bits._find_magics(data, 0)]
    assert len(found) > 4
    blocks = whole(data)
    assert [block.data for block in blocks] == parts
    assert by_ranges(data, list(range(len(data)))) == blocks
    for bit in found:
        assert by_ranges(data, [bit // 8]) == blocks


def test_a_planted_block_that_decodes_is_data():
    inner = next(
        block
        for block in (bz2_writer.block_of(b"decoy %d\n" % i) for i in itertools.count())
        if "1" * 6 not in block and block.count("1" * 5) == 0
    )
    data, parts = with_planted(inner + END_MAGIC)
    assert bz2.decompress(data) == b"".join(parts)
    place = next(bit for bit, _ in bz2_bits._find_magics(data, 0)[2:])
    assert read_block(reader(data), len(data), place, name=NAME).startswith(b"decoy")
    assert [block.data for block in by_ranges(data, list(range(len(data))))] == parts


def test_many_planted_magics_cost_no_more_than_the_block():
    data, parts = with_planted(BLOCK_MAGIC * 350)
    assert [block.data for block in by_ranges(data, [len(data) // 2])] == parts


def read_all_ranges(data: bytes, range_bytes: int) -> list[Block]:
    return by_ranges(data, list(range(0, len(data), range_bytes)))


@pytest.mark.parametrize("range_bytes", [1, 50, 10_000])
def test_truncation_is_an_error_at_every_byte(range_bytes):
    data = bz2_writer.stream([bz2_writer.block_of(b"a\n" * 9), bz2_writer.block_of(b"b\n")]) + bz2.compress(b"c\n")
    ends = {len(data) - len(bz2.compress(b"c\n")), len(data)}
    for length in range(4, len(data)):
        if length in ends:
            continue
        with pytest.raises(CorruptInputError, match=re.escape(NAME) + r".*truncated.* at bit \d+ .*download"):
            read_all_ranges(data[:length], range_bytes)


def test_truncation_of_a_real_file_is_an_error():
    _, data = large_file(1)
    for length in range(5, len(data), 9_973):
        with pytest.raises(CorruptInputError, match="truncated"):
            read_all_ranges(data[:length], 50_000)
    for missing in range(1, 12):
        with pytest.raises(CorruptInputError, match="truncated"):
            read_all_ranges(data[:-missing], 50_000)


def read_or_error(data: bytes, range_bytes: int) -> bytes | CorruptInputError:
    try:
        return text_of(read_all_ranges(data, range_bytes))
    except CorruptInputError as error:
        return error


def stdlib_reads(data: bytes) -> bool:
    try:
        bz2.decompress(data)
    except OSError:
        return False
    return True


def test_a_flipped_bit_is_an_error_that_names_the_place_or_without_effect():
    parts = [part * 5 for part in (b"first\n", b"second\n", b"third\n")]
    data = bz2_writer.stream(map(bz2_writer.block_of, parts))
    *borders, end = [bit for bit, _ in bz2_bits._find_magics(data, 0)]
    for bit in range(32, len(data) * 8 - 7):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 128 >> bit % 8
        answers = [read_or_error(bytes(damaged), range_bytes) for range_bytes in (30, 10_000)]
        for answer in answers:
            if isinstance(answer, bytes):
                assert answer == b"".join(parts)
                continue
            place = int(
                re.fullmatch(NAME + r": .* at bit (\d+) \(byte \d+\); download the file again", str(answer)).group(1)
            )
            assert place <= bit
            assert place in (0, *borders, end)
        assert isinstance(answers[1], bytes) == stdlib_reads(bytes(damaged))
        # A reader that did not begin at the stream's start cannot verify the checksum behind its end marker.
        assert type(answers[0]) is type(answers[1]) or bit >= end + 48


def test_damage_in_a_real_file_is_an_error():
    _, data = large_file(1)
    rng = random.Random(5)
    for _ in range(30):
        damaged = bytearray(data)
        damaged[rng.randrange(4, len(data) - 4)] ^= 1 << rng.randrange(8)
        with pytest.raises(CorruptInputError, match=re.escape(NAME) + ".* at bit "):
            read_all_ranges(bytes(damaged), 60_000)


def test_a_run_whose_length_overflows_is_an_error():
    blocks = [bz2_writer.block_of(b"before\n"), bz2_writer.overlong_run(), bz2_writer.block_of(b"after\n")]
    place = 32 + len(blocks[0])
    with pytest.raises(CorruptInputError, match=f"damaged data .* at bit {place} "):
        whole(bz2_writer.stream(blocks))


@pytest.mark.parametrize("garbage", [b"\0", b"x" * 500, b"BZh", b"BZh0123456789", b"BZh91AY&SX" + b"0" * 20])
@pytest.mark.parametrize("range_bytes", [7, 10_000])
def test_other_bytes_after_the_last_stream_are_an_error(garbage, range_bytes):
    data = bz2.compress(b"line\n" * 50)
    with pytest.raises(CorruptInputError, match=rf"{NAME}: .* at bit {len(data) * 8} "):
        read_all_ranges(data + garbage, range_bytes)


def test_a_gap_of_zeros_between_blocks_is_an_error_in_bounded_memory(monkeypatch):
    monkeypatch.setattr(bz2_bits, "_CHUNKS_KEPT", 2)
    lengths = []

    def read_at(offset, length):
        lengths.append(length)
        return data[offset : offset + length]

    data = bytes(bz2.compress(b"line\n" * 50)[:30]) + bytes(8_000_000)
    with pytest.raises(CorruptInputError, match="damaged"):
        list(read_blocks(read_at, len(data), 0, len(data), name=NAME))
    assert sum(lengths) < 8_000_000


def test_a_file_that_shrank_is_an_error():
    _, data = large_file(1)
    with pytest.raises(CorruptInputError, match="replaced"):
        list(read_blocks(reader(data[:-5]), len(data), 0, len(data), name=NAME))


def test_bz2_is_told_by_content():
    assert is_bz2(bz2.compress(b"x")[:10])
    assert is_bz2(bz2.compress(b"", 1))
    assert is_bz2(b"BZh9")
    assert is_bz2(b"BZh91AY")
    assert not is_bz2(b"BZh0" + bz2.compress(b"x")[4:])
    assert not is_bz2(b"BZh91AYxSY")
    assert not is_bz2(b"BZh")
    assert not is_bz2(b"")
