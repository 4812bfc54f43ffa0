"""Whole lines of a byte range of a plain or bzip2 file, and the place of each.

A range owns the lines whose preceding newline lies in it, and the range at 0 the file's first line: a reader drops up
to the first newline and reads on past its end to finish its last line. In a bzip2 file a newline lies where the block
that holds it begins. So any partition of a file into ranges gives every line once, and a plain file and its bzip2 form
give the same lines.
"""

import contextlib
import errno
import os
import threading
import typing

import fsspec
import numpy as np
import numpy.typing as npt
from fsspec.implementations.local import LocalFileSystem

from transforms.sources.bz2_bits import CorruptInputError, ReadAt
from transforms.sources.bz2_blocks import is_bz2, read_blocks

__all__ = [
    "CorruptInputError",
    "LineBlock",
    "ReadAt",
    "is_bz2",
    "open_reader",
    "places",
    "read_line_blocks",
    "split_ranges",
]

_PLAIN_CHUNK_BYTES = 4 << 20
_PLAIN_TAIL_BYTES = 64 << 10
_REMOTE_CACHE_BYTES = 4 << 20


class LineBlock(typing.NamedTuple):
    """Whole lines of a range.

    Attributes:
        data: The lines, each ended by a newline, one given to a last line that has none.
        origins: Where byte 0 of each source block lies in `data`, in order. It may lie outside: before, at a
            negative position, or behind. A plain file is a single source block.
        block_bits: The bit offset in the file of each source block of bzip2; empty for a plain file.
        too_long: The positions in `data` of the lines that were longer than the limit and are cut to it.
    """

    data: bytes
    origins: tuple[int, ...]
    block_bits: tuple[int, ...]
    too_long: tuple[int, ...]


class _Piece(typing.NamedTuple):
    """Bytes of one source block that follow the previous piece's: `start` is the place of the first in the block."""

    data: bytes
    start: int
    block_bit: int | None
    owned: bool


def read_line_blocks(
    read_at: ReadAt,
    size: int,
    start: int,
    stop: int,
    *,
    compressed: bool,
    name: str,
    max_block_bytes: int = 32 << 20,
    max_line_bytes: int = 1 << 20,
) -> typing.Iterator[LineBlock]:
    r"""Reads the lines that the bytes `[start, stop)` of a file own, in order, in bounded memory.

    A line longer than `max_line_bytes` is cut to that length, named in its block's `too_long`, and its rest skipped. A
    `\r` before the newline is part of the line.

    Args:
        read_at: Reads the file's bytes, compressed as they are.
        size: The file's length in bytes.
        start: First byte of the range.
        stop: End of the range, in bytes.
        compressed: Whether the file is bzip2.
        name: The file's name for messages.
        max_block_bytes: Limit of a block's `data`; never less than one line of the longest kind.
        max_line_bytes: Limit of a line, its newline not counted.

    Raises:
        CorruptInputError: The file is truncated or damaged, or has other bytes after its last bzip2 stream.
    """
    if compressed:
        pieces = _bz2_pieces(read_at, size, start, stop, name)
    else:
        pieces = _plain_pieces(read_at, size, start, stop, name)
    room = max(max_block_bytes, max_line_bytes + 1)
    return _line_blocks(_whole_lines(pieces, start == 0), room, max_line_bytes)


def places(block: LineBlock, line_starts: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The places in the file of the lines that begin at these positions in `block.data`.

    Returns:
        Of a plain file: byte offsets in the file, and -1. Of bzip2: the bit offsets of the blocks in which the lines
        begin, and the byte offsets in these blocks once decoded. They do not depend on how a file was cut into ranges.
    """
    starts = np.asarray(line_starts, np.int64)
    origins = np.array(block.origins, np.int64)
    if not block.block_bits:
        return starts - origins[0], np.full(len(starts), -1, np.int64)
    source = np.searchsorted(origins, starts, side="right") - 1
    return np.array(block.block_bits, np.int64)[source], starts - origins[source]


def split_ranges(size: int, range_bytes: int) -> list[tuple[int, int]]:
    """Cuts `size` bytes into ranges of `range_bytes`, the last one shorter.

    >>> split_ranges(10, 4)
    [(0, 4), (4, 8), (8, 10)]
    """
    return [(start, min(start + range_bytes, size)) for start in range(0, size, range_bytes)]


@contextlib.contextmanager
def open_reader(url: str) -> typing.Iterator[tuple[ReadAt, int]]:
    """Opens a path or an fsspec URL for reading at any offset; gives `read_at` and the file's size in bytes.

    Threads may share `read_at`: reads of a local file run side by side, those of a remote one in turn.

    Raises:
        OSError: The file is missing or cannot be read, or its server does not tell its size.
    """
    fs, path = fsspec.core.url_to_fs(url)
    if isinstance(fs, LocalFileSystem):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield _local_reader(descriptor), os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)
        return
    with fs.open(path, "rb", block_size=_REMOTE_CACHE_BYTES) as file:
        size = getattr(file, "size", None)
        if size is None:
            size = fs.size(path)
        if size is None:
            raise OSError(f"{url}: the server does not tell the file's size; copy the file to local disk first")
        yield _remote_reader(file, url), size


def _local_reader(descriptor: int) -> ReadAt:
    def read_at(offset: int, length: int) -> bytes:
        data = os.pread(descriptor, length, offset)
        while len(data) < length:
            more = os.pread(descriptor, length - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data

    return read_at


def _remote_reader(file: typing.BinaryIO, url: str) -> ReadAt:
    lock = threading.Lock()

    def read_at(offset: int, length: int) -> bytes:
        try:
            with lock:
                file.seek(offset)
                return file.read(length)
        except Exception as error:  # noqa: BLE001  each file system raises errors of its own library
            raise OSError(errno.EIO, f"cannot be read at byte {offset} ({error}); try again", url) from error

    return read_at


def _bz2_pieces(read_at: ReadAt, size: int, start: int, stop: int, name: str) -> typing.Iterator[_Piece]:
    for bit, data in read_blocks(read_at, size, start, stop, name=name):
        yield _Piece(data, 0, bit, bit // 8 < stop)


def _plain_pieces(read_at: ReadAt, size: int, start: int, stop: int, name: str) -> typing.Iterator[_Piece]:
    stop = min(stop, size)
    while start < size:
        owned = start < stop
        length = min(stop - start, _PLAIN_CHUNK_BYTES) if owned else min(size - start, _PLAIN_TAIL_BYTES)
        data = read_at(start, length)
        if len(data) != length:
            raise CorruptInputError(f"{name}: the file ends before byte {start + length}; was it replaced meanwhile?")
        yield _Piece(data, start, None, owned)
        start += length


def _whole_lines(pieces: typing.Iterable[_Piece], in_line: bool) -> typing.Iterator[_Piece]:
    """Drops what is before the first line that the range owns, and ends after its last."""
    for piece in pieces:
        if not piece.owned and not in_line:
            return
        if not piece.owned:
            end = piece.data.find(b"\n") + 1
            yield piece._replace(data=piece.data[:end]) if end else piece
            if end:
                return
        elif in_line:
            yield piece
        elif begin := piece.data.find(b"\n") + 1:
            in_line = True
            yield piece._replace(data=piece.data[begin:], start=piece.start + begin)


def _line_blocks(pieces: typing.Iterable[_Piece], room: int, max_line_bytes: int) -> typing.Iterator[LineBlock]:
    """Gathers pieces into blocks of at most `room` bytes, whole lines each."""
    pending = _Pending()
    skipping = False
    for piece in pieces:
        position = 0
        while position < len(piece.data):
            if skipping:
                end = piece.data.find(b"\n", position) + 1
                skipping, position = not end, end or len(piece.data)
                continue
            if len(pending.data) == room:
                yield pending.take()
            position += pending.append(piece, position, room)
            if excess := pending.over_long_by(max_line_bytes):
                skipping, position = True, position - excess
                yield pending.take_cut(excess)
    if pending.data:
        pending.end_line()
        yield pending.take()


class _Pending:
    """Bytes gathered for the next block: whole lines, then the beginning of one."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._whole = 0
        self._origins: list[int] = []
        self._bits: list[int | None] = []

    def append(self, piece: _Piece, position: int, room: int) -> int:
        """Takes what fits of a piece from `position` on; returns how many bytes."""
        if not self._bits or self._bits[-1] != piece.block_bit:
            self._origins.append(len(self.data) - piece.start - position)
            self._bits.append(piece.block_bit)
        taken = min(room - len(self.data), len(piece.data) - position)
        self.data += memoryview(piece.data)[position : position + taken]
        return taken

    def over_long_by(self, max_line_bytes: int) -> int:
        """Finds the ends of whole lines, up to a line over the limit; returns how many bytes to cut after the limit."""
        while (end := self.data.rfind(b"\n", self._whole, self._whole + max_line_bytes + 1)) >= 0:
            self._whole = end + 1
        return max(len(self.data) - self._whole - max_line_bytes, 0)

    def end_line(self) -> None:
        """Ends the last line, if nothing does."""
        if self._whole < len(self.data):
            self.data += b"\n"
            self._whole = len(self.data)

    def take_cut(self, excess: int) -> LineBlock:
        """Cuts the last line and takes all."""
        cut = self._whole
        del self.data[len(self.data) - excess :]
        self.end_line()
        return self.take()._replace(too_long=(cut,))

    def take(self) -> LineBlock:
        """Takes the whole lines and leaves the beginning of the next."""
        with memoryview(self.data) as view:
            data = bytes(view[: self._whole])
        bits = tuple(bit for bit in self._bits if bit is not None)
        block = LineBlock(data, tuple(self._origins), bits, ())
        del self.data[: self._whole]
        self._origins = [origin - self._whole for origin in self._origins]
        kept = max((i for i, origin in enumerate(self._origins) if origin <= 0), default=0)
        if not self.data:
            kept = len(self._origins)
        self._origins, self._bits = self._origins[kept:], self._bits[kept:]
        self._whole = 0
        return block
