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
        with_md5: whether the MD5 is wanted too.
    """

    def __init__(self, file: typing.BinaryIO, with_md5: bool = False):
        self._file = file
        self._bytes = 0
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False) if with_md5 else None

    def read(self, size: int) -> bytes:
        """Reads ``size`` bytes; fewer at the end of the file alone."""
        data = self._file.read(size)
        self._bytes += len(data)
        self._sha256.update(data)
        if self._md5:
            self._md5.update(data)
        return data

    def finish(self) -> FileDigest:
        """Reads the rest and returns size and SHA-256 of the whole file."""
        while self.read(READ_BYTES):
            pass
        return FileDigest(self._bytes, self._sha256.hexdigest())

    def md5(self) -> str:
        """Returns the MD5 of what has been read, hex; '' if it was not wanted."""
        return self._md5.hexdigest() if self._md5 else ""


def file_digest(path: pathlib.Path) -> FileDigest:
    """Reads a local file and returns its size and SHA-256."""
    with open(path, "rb") as file:
        return DigestingReader(file).finish()


def bytes_digest(data: bytes) -> FileDigest:
    """Returns size and SHA-256 of bytes in memory."""
    return FileDigest(len(data), hashlib.sha256(data).hexdigest())
