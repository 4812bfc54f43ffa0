"""Encoded images, and their annotations, wait in one local file, in order of arrival, until their shard is written."""

import os
import pathlib
import threading
import types
import typing


class SpoolPlace(typing.NamedTuple):
    """Where the bytes of one image lie in the spool."""

    offset: int
    length: int


class ImageSpool:
    """A local file that images are appended to and read back from; deleted on exit.

    Safe to use from several threads. Only one image at a time is in memory.

    Example:
        >>> import tempfile
        >>> with ImageSpool(pathlib.Path(tempfile.mkdtemp()) / "spool") as spool:
        ...     first, second = spool.append(b"one"), spool.append(b"second")
        ...     spool.read(second), first
        (b'second', SpoolPlace(offset=0, length=3))
    """

    def __init__(self, path: pathlib.Path):
        self._path = path
        self._file = open(path, "w+b", buffering=0)  # noqa: SIM115 - closed by close()
        self._end = 0
        self._lock = threading.Lock()

    def append(self, image: bytes) -> SpoolPlace:
        """Appends one image and returns where it lies.

        Raises:
            OSError: the disk is full. The spool stays usable: the place is written again.
        """
        with self._lock:
            place = SpoolPlace(self._end, len(image))
            written = 0
            while written < place.length:
                written += os.pwrite(self._file.fileno(), image[written:], place.offset + written)
            self._end += place.length
            return place

    def read(self, place: SpoolPlace) -> bytes:
        """Reads one image back.

        Raises:
            EOFError: the file is shorter than what was appended.
        """
        image = os.pread(self._file.fileno(), place.length, place.offset)
        if len(image) != place.length:
            raise EOFError(f"{self._path}: {place.length} bytes expected at {place.offset}, {len(image)} found")
        return image

    def close(self) -> None:
        """Closes and deletes the file."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def __enter__(self) -> "ImageSpool":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self.close()
