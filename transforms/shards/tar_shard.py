"""The tar of one shard, and the two indexes that readers want beside it.

Plain USTAR (POSIX.1-1988, https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html):
no PAX or GNU headers, modification time 0, one owner, mode 0444. So the bytes depend on the samples
alone, and the data of a member always begins 512 bytes after its header.
"""

import hashlib
import json
import pathlib
import struct
import typing

from schemas import layout
from schemas.records import CommitRecord

BLOCK_BYTES = 512
RECORD_BYTES = 20 * BLOCK_BYTES
OWNER = "photobeam"
MAX_NAME_CHARS = 100
MAX_MEMBER_BYTES = 8**11 - 1
COPY_BYTES = 1 << 20
SHARD_INDEX_NAME = "photobeam"

_HEADER = struct.Struct("100s 8s 8s 8s 12s 12s 8s 1s 100s 6s 2s 32s 32s 183x")
"""Name, mode, user id, group id, size, time, checksum, type, link name, magic, version, user, group."""

_MODE_AND_IDS = (b"0000444", b"0000000", b"0000000")
_TIME_TO_GROUP = (b"%011o" % 0, b" " * 8, b"0", b"", b"ustar", b"00", OWNER.encode("ascii"), OWNER.encode("ascii"))
_SUM_OF_FIXED = sum(_HEADER.pack(b"", *_MODE_AND_IDS, b"", *_TIME_TO_GROUP))


class Member(typing.NamedTuple):
    """Where one member of a sample lies in the tar.

    Attributes:
        extension: its name after the key, without the dot.
        offset: first byte of its data.
        size: of its data, bytes.
    """

    extension: str
    offset: int
    size: int


class PlacedSample(typing.NamedTuple):
    """A sample's key and its members, in order."""

    key: str
    members: tuple[Member, ...]


class WrittenTar(typing.NamedTuple):
    """What is known of a tar once it is written; the digest is hex."""

    bytes: int
    sha256: str
    samples: list[PlacedSample]


class TarMember(typing.NamedTuple):
    """One member as read back: where its data begins, and the data."""

    name: str
    offset: int
    data: bytes


class TarDamageError(ValueError):
    """A tar is not what :func:`write_tar` writes; says where and how."""


class TarEntry:
    """One member while its tar is read.

    Attributes:
        name: of it.
        offset: first byte of its data.
        size: of its data, bytes.
    """

    def __init__(self, file: typing.BinaryIO, name: str, offset: int, size: int):
        self.name, self.offset, self.size = name, offset, size
        self._file, self._left_bytes = file, size

    def read(self, max_bytes: int = MAX_MEMBER_BYTES) -> bytes:
        """Reads so many of the bytes that are left, or all of these.

        Raises:
            TarDamageError: the file ends before.
        """
        wanted_bytes = min(max_bytes, self._left_bytes)
        data = self._file.read(wanted_bytes)
        if len(data) != wanted_bytes:
            raise _cut_short(self.name, self.offset)
        self._left_bytes -= wanted_bytes
        return data

    def chunks(self) -> typing.Iterator[bytes]:
        """Reads what is left piece by piece."""
        while data := self.read(COPY_BYTES):
            yield data


class IndexedTar(typing.NamedTuple):
    """What the shard index says of one tar: its file name, samples, and size in bytes."""

    name: str
    samples: int
    bytes: int


def ustar_header(name: str, size_bytes: int) -> bytes:
    """Returns the 512-byte header of one member.

    Raises:
        ValueError: the name or the size does not fit into a USTAR header.
    """
    if not name or len(name) > MAX_NAME_CHARS or not name.isascii() or not 0 <= size_bytes <= MAX_MEMBER_BYTES:
        raise ValueError(f"a USTAR header cannot hold {name!r} of {size_bytes:,} bytes")
    name_field, size_field = name.encode("ascii"), b"%011o" % size_bytes
    header = _HEADER.pack(name_field, *_MODE_AND_IDS, size_field, *_TIME_TO_GROUP)
    return header[:148] + b"%06o\0 " % (_SUM_OF_FIXED + sum(name_field) + sum(size_field)) + header[156:]


Data = bytes | pathlib.Path
"""Of a member: in memory, or a local file."""

Sample = tuple[str, typing.Iterable[tuple[str, Data]]]


def write_tar(path: pathlib.Path, samples: typing.Iterable[Sample]) -> WrittenTar:
    """Writes a tar in one pass; only one sample at a time is in memory, and of local files a piece.

    Args:
        path: local file to write.
        samples: per sample its key and its members as (extension, data), in the order wanted.

    Returns:
        Size, digests and the places of all members, without reading the file again.
    """
    placed: list[PlacedSample] = []
    with open(path, "wb") as file:
        tar = _DigestingWriter(file)
        for key, members in samples:
            placed.append(_write_sample(tar, key, members))
        tar.write(bytes(-(-(tar.bytes + 2 * BLOCK_BYTES) // RECORD_BYTES) * RECORD_BYTES - tar.bytes))
    return WrittenTar(tar.bytes, tar.sha256.hexdigest(), placed)


def read_tar(file: typing.BinaryIO) -> typing.Iterator[TarMember]:
    """Reads a tar from begin to end, and checks every byte that is not a member's data.

    Raises:
        TarDamageError: the file is not what :func:`write_tar` writes.
    """
    for entry in tar_entries(file):
        yield TarMember(entry.name, entry.offset, entry.read())


def tar_entries(file: typing.BinaryIO) -> typing.Iterator[TarEntry]:
    """Reads a tar as :func:`read_tar` does, but leaves the reading of data to the caller; what is unread is skipped."""
    offset = 0
    while header := file.read(BLOCK_BYTES):
        if not any(header):
            break
        name, size = _read_header(header, offset)
        offset += BLOCK_BYTES
        entry = TarEntry(file, name, offset, size)
        yield entry
        for _ in entry.chunks():
            pass
        padding = file.read(-size % BLOCK_BYTES)
        if padding != bytes(-size % BLOCK_BYTES):
            raise _cut_short(name, offset)
        offset += size + len(padding)
    end = -(-(offset + 2 * BLOCK_BYTES) // RECORD_BYTES) * RECORD_BYTES - offset
    if header + file.read(end - len(header) + 1) != bytes(end):
        raise TarDamageError(f"the end marker at byte {offset} is missing, cut short, or followed by something else")


def dali_index(samples: typing.Sequence[PlacedSample]) -> bytes:
    """Returns the text of DALI's index v1.2, byte for byte what ``wds2idx`` makes of the tar.

    A line with the number of samples, then one line per sample: ``extension offset size name`` of each
    member (https://github.com/NVIDIA/DALI/blob/main/tools/wds2idx.py).
    """
    lines = [f"v1.2 {len(samples)}"]
    lines += [" ".join(f"{m.extension} {m.offset} {m.size} {key}.{m.extension}" for m in ms) for key, ms in samples]
    return "".join(line + "\n" for line in lines).encode("ascii")


def indexed_tar(commit: CommitRecord) -> IndexedTar:
    """Returns what the shard index says of the tar of a committed shard that has one."""
    return _indexed(layout.tar_file(commit.shard), commit.samples, commit)


def indexed_video_tar(commit: CommitRecord) -> IndexedTar:
    """Returns what the index of videos says of the tar of a committed shard that has some."""
    return _indexed(layout.video_tar_file(commit.shard), commit.videos, commit)


def _indexed(name: str, samples: int, commit: CommitRecord) -> IndexedTar:
    return IndexedTar(name.rpartition("/")[2], samples, commit.files[name].bytes)


def wids_index(tars: typing.Iterable[IndexedTar]) -> bytes:
    """Returns ``index.json`` of a folder of tars: those that hold samples, sorted, with URLs relative to itself.

    Layout: https://github.com/webdataset/webdataset/blob/main/wids/wids_specs.py
    """
    shards = [{"url": tar.name, "nsamples": tar.samples, "filesize": tar.bytes} for tar in sorted(tars) if tar.samples]
    index = {"__kind__": "wids-shard-index-v1", "wids_version": 1, "name": SHARD_INDEX_NAME, "shardlist": shards}
    return json.dumps(index, indent=1).encode("ascii") + b"\n"


class _DigestingWriter:
    """Counts and hashes what it writes."""

    def __init__(self, file: typing.BinaryIO):
        self._file = file
        self.bytes = 0
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self.bytes += len(data)
        self.sha256.update(data)


def _write_sample(tar: _DigestingWriter, key: str, members: typing.Iterable[tuple[str, Data]]) -> PlacedSample:
    places, parts, offset = [], list[bytes](), tar.bytes
    for extension, data in members:
        size = len(data) if isinstance(data, bytes) else data.stat().st_size
        padding = bytes(-size % BLOCK_BYTES)
        parts.append(ustar_header(f"{key}.{extension}", size))
        if isinstance(data, bytes):
            parts.append(data)
        else:
            tar.write(b"".join(parts))
            _copy(data, tar)
            parts = []
        parts.append(padding)
        places.append(Member(extension, offset + BLOCK_BYTES, size))
        offset += BLOCK_BYTES + size + len(padding)
    tar.write(b"".join(parts))
    return PlacedSample(key, tuple(places))


def _copy(path: pathlib.Path, tar: _DigestingWriter) -> None:
    with open(path, "rb") as file:
        while data := file.read(COPY_BYTES):
            tar.write(data)


def _cut_short(name: str, offset: int) -> TarDamageError:
    return TarDamageError(f"member {name} at byte {offset} is cut short, or followed by something else")


def _read_header(header: bytes, offset: int) -> tuple[str, int]:
    """Returns name and size if the header is exactly the one that they give."""
    try:
        name, size = header[:MAX_NAME_CHARS].rstrip(b"\0").decode("ascii"), int(header[124:135], 8)
        if header == ustar_header(name, size):
            return name, size
    except ValueError as error:
        raise TarDamageError(f"the header at byte {offset} is damaged") from error
    raise TarDamageError(
        f"the header of {name!r} at byte {offset} is not plain USTAR with time 0, owner {OWNER}, mode 0444"
    )
