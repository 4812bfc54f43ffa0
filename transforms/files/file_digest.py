"""Size and SHA-256 of a file: on disk, in memory, or while it is read."""

import hashlib
import pathlib
import typing

from schemas.records import FileDigest

READ_BYTES = 1 << 20


class DigestingReader:
    """A file that is hashed while it is read.

    Args:
        file: open for reading at its begin.
    """

    def __init__(self, file: typing.BinaryIO):
        self._file = file
        self._bytes = 0
        self._sha256 = hashlib.sha256()

    def read(self, size: int) -> bytes:
        """Reads ``size`` bytes; fewer at the end of the file alone."""
        data = self._file.read(size)
        self._bytes += len(data)
        self._sha256.update(data)
        return data

    def finish(self) -> FileDigest:
        """Reads the rest and returns size and SHA-256 of the whole file."""
        while self.read(READ_BYTES):
            pass
        return FileDigest(self._bytes, self._sha256.hexdigest())


def file_digest(path: pathlib.Path) -> FileDigest:
    """Reads a local file and returns its size and SHA-256."""
    with open(path, "rb") as file:
        return DigestingReader(file).finish()


def bytes_digest(data: bytes) -> FileDigest:
    """Returns size and SHA-256 of bytes in memory."""
    return FileDigest(len(data), hashlib.sha256(data).hexdigest())
