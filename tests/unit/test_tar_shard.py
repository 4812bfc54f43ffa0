"""The tar is plain USTAR that other readers agree on; the indexes are those of their own tools."""

import hashlib
import io
import json
import pathlib
import subprocess
import tarfile

import pytest
import webdataset
from hypothesis import given
from hypothesis import strategies as st

from transforms.shards.tar_shard import (
    BLOCK_BYTES,
    IndexedTar,
    Member,
    PlacedSample,
    Sample,
    TarDamageError,
    TarMember,
    WrittenTar,
    dali_index,
    read_tar,
    ustar_header,
    wids_index,
    write_tar,
)

SAMPLES: list[Sample] = [
    ("000000000001", [("jpg", b"\xff" * 700), ("json", b"{}"), ("txt", b"")]),
    ("000000000002", [("jpg", b"x" * BLOCK_BYTES), ("json", b'{"a":1}'), ("txt", "Grüße".encode())]),
    ("4611686018427387904", [("jpg", b""), ("json", b"{}"), ("txt", b"t" * 1025)]),
]
GOLDEN_SHA256 = "2e7b1e3c6ddfeba0be277aeb3f63bed6913f4ac94b9d066b02025c5a52c7d9b7"


def _write(path: pathlib.Path, samples: list[Sample] = SAMPLES) -> WrittenTar:
    return write_tar(path, iter(samples))


def test_the_bytes_are_pinned(tmp_path: pathlib.Path) -> None:
    written = _write(tmp_path / "a.tar")
    assert written.sha256 == GOLDEN_SHA256


def test_digests_and_size_are_those_of_the_file(tmp_path: pathlib.Path) -> None:
    written, data = _write(tmp_path / "a.tar"), (tmp_path / "a.tar").read_bytes()
    assert written.bytes == len(data)
    assert written.sha256 == hashlib.sha256(data).hexdigest()
    assert len(data) % 10_240 == 0


def test_tarfile_reads_plain_ustar(tmp_path: pathlib.Path) -> None:
    _write(tmp_path / "a.tar")
    with tarfile.open(tmp_path / "a.tar") as tar:
        members = tar.getmembers()
        contents = [tar.extractfile(m).read() for m in members]  # type: ignore[union-attr]
    assert [m.name for m in members] == [f"{key}.{extension}" for key, ms in SAMPLES for extension, _ in ms]
    assert contents == [data for _, ms in SAMPLES for _, data in ms]
    assert {(m.uid, m.gid, m.uname, m.gname, m.mode, m.mtime, m.type) for m in members} == {
        (0, 0, "photobeam", "photobeam", 0o444, 0, tarfile.REGTYPE)
    }
    assert not any(m.pax_headers for m in members)
    assert members[1].offset == 512 + 1024


@given(st.from_regex(r"[0-9]{12,19}\.[a-z0-9.]{1,10}", fullmatch=True), st.integers(0, 8**11 - 1))
def test_headers_are_those_of_the_standard_library(name: str, size_bytes: int) -> None:
    header = ustar_header(name, size_bytes)
    info = tarfile.TarInfo.frombuf(header, "ascii", "strict")
    assert (info.name, info.size) == (name, size_bytes)
    info.devmajor = info.devminor = 0
    again = bytearray(info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict"))
    assert again[:148] == header[:148]
    assert again[156:329] == header[156:329]


@pytest.mark.parametrize(("name", "size_bytes"), [("", 1), ("a" * 101, 1), ("ü.jpg", 1), ("a.jpg", 8**11), ("a", -1)])
def test_what_ustar_cannot_hold_is_refused(name: str, size_bytes: int) -> None:
    with pytest.raises(ValueError, match="cannot hold"):
        ustar_header(name, size_bytes)


def test_an_empty_tar_is_an_end_marker(tmp_path: pathlib.Path) -> None:
    assert _write(tmp_path / "a.tar", []).samples == []
    assert (tmp_path / "a.tar").read_bytes() == bytes(10_240)


@pytest.mark.parametrize("fill", [512, 10_240 - 1024 - 512, 10_240 - 1024, 10_240 - 512, 10_240])
def test_what_is_written_is_read_back(tmp_path: pathlib.Path, fill: int) -> None:
    written = _write(tmp_path / "a.tar", [("000000000001", [("jpg", b"y" * (fill - 512))])])
    with open(tmp_path / "a.tar", "rb") as file:
        assert list(read_tar(file)) == [TarMember("000000000001.jpg", 512, b"y" * (fill - 512))]
    with tarfile.open(tmp_path / "a.tar") as tar:
        assert len(tar.getmembers()) == 1
    assert written.bytes == (20_480 if fill > 10_240 - 1024 else 10_240)


def test_a_change_outside_the_data_is_seen(tmp_path: pathlib.Path) -> None:
    _write(tmp_path / "a.tar")
    good = (tmp_path / "a.tar").read_bytes()
    data = list(read_tar(io.BytesIO(good)))
    inside = {i for m in data for i in range(m.offset, m.offset + len(m.data))}
    for position in range(0, len(good), 7):
        if position in inside:
            continue
        damaged = bytearray(good)
        damaged[position] ^= 1
        with pytest.raises(TarDamageError):
            list(read_tar(io.BytesIO(damaged)))


@pytest.mark.parametrize("length", [0, 100, 512, 600, 512 + 1024, 9_000, 10_240, 20_479, 20_481, 30_720])
def test_another_length_is_seen(tmp_path: pathlib.Path, length: int) -> None:
    _write(tmp_path / "a.tar")
    good = (tmp_path / "a.tar").read_bytes()
    with pytest.raises(TarDamageError):
        list(read_tar(io.BytesIO(good[:length].ljust(length, b"\0"))))


def test_pax_headers_are_seen() -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("000000000001.jpg")
        info.mtime = 1.5  # type: ignore[assignment]
        tar.addfile(info)
    file.seek(0)
    with pytest.raises(TarDamageError, match="not plain USTAR"):
        list(read_tar(file))


def test_the_dali_index_points_to_the_data(tmp_path: pathlib.Path) -> None:
    written = _write(tmp_path / "a.tar")
    with tarfile.open(tmp_path / "a.tar") as tar:
        places = {m.name: (m.offset_data, m.size) for m in tar.getmembers()}
    lines = dali_index(written.samples).decode().split("\n")
    assert lines[0] == "v1.2 3"
    assert lines[-1] == ""
    for line, (key, members) in zip(lines[1:-1], SAMPLES, strict=True):
        names = [f"{key}.{extension}" for extension, _ in members]
        parts = [f"{name.partition('.')[2]} {places[name][0]} {places[name][1]} {name}" for name in names]
        assert line == " ".join(parts)


def test_gnu_tar_sees_the_same_blocks(tmp_path: pathlib.Path) -> None:
    written = _write(tmp_path / "a.tar")
    listed = subprocess.run(["tar", "-tRf", tmp_path / "a.tar"], capture_output=True, text=True, check=True).stdout
    blocks = [line for line in listed.splitlines() if "Block of NULs" not in line and "NUL" not in line]
    expected = [
        f"block {m.offset // 512 - 1}: {key}.{m.extension}" for key, members in written.samples for m in members
    ]
    assert blocks == expected


def test_the_dali_index_is_pinned() -> None:
    sample = PlacedSample("000000000001", (Member("jpg", 512, 700), Member("txt", 2048, 0)))
    assert dali_index([sample]) == b"v1.2 1\njpg 512 700 000000000001.jpg txt 2048 0 000000000001.txt\n"


def test_the_shard_index_lists_tars_with_samples_in_order() -> None:
    index = json.loads(
        wids_index(
            [
                IndexedTar("000002.tar", 7, 30_720),
                IndexedTar("000001.tar", 0, 10_240),
                IndexedTar("000000.tar", 5, 20_480),
            ]
        )
    )
    assert index == {
        "__kind__": "wids-shard-index-v1",
        "wids_version": 1,
        "name": "photobeam",
        "shardlist": [
            {"url": "000000.tar", "nsamples": 5, "filesize": 20_480},
            {"url": "000002.tar", "nsamples": 7, "filesize": 30_720},
        ],
    }


def test_webdataset_reads_every_sample(tmp_path: pathlib.Path) -> None:
    _write(tmp_path / "000000.tar")
    read = list(webdataset.WebDataset(str(tmp_path / "000000.tar"), shardshuffle=False))
    assert [s["__key__"] for s in read] == [key for key, _ in SAMPLES]
    assert [[s[e] for e in ("jpg", "json", "txt")] for s in read] == [[d for _, d in ms] for _, ms in SAMPLES]
