"""The list of the images of a place on a server: made once, in a file that all processes look names up in."""

import contextlib
import pathlib
import sqlite3
import typing

from transforms.files.image_files import ImageFile, Packed, photo_names
from transforms.files.publish import OutputError

_NO_PACKED = (None,) * len(Packed._fields)


def write_listing(path: pathlib.Path, files: typing.Iterable[ImageFile]) -> None:
    """Writes which file has which name; holds no more than one of them in memory.

    Args:
        path: of a new file.
        files: of the place.

    Raises:
        OutputError: the file cannot be written.
    """
    try:
        _write(path, files)
    except sqlite3.Error as error:
        raise OutputError(
            f"{path}: the list of --images cannot be written ({error}); make room, or choose another --output"
        ) from error


def _write(path: pathlib.Path, files: typing.Iterable[ImageFile]) -> None:
    with contextlib.closing(sqlite3.connect(path)) as listing:
        listing.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
            "CREATE TABLE files"
            " (name BLOB, path BLOB, size INT, offset INT, record INT, packed INT, method INT, crc INT)"
        )
        listing.executemany("INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?)", _rows(files))
        listing.execute("CREATE INDEX by_name ON files (name)")
        listing.commit()


class ImageListing:
    """The named files of a place, on disk. For one thread.

    Args:
        path: of :func:`write_listing`.
    """

    def __init__(self, path: pathlib.Path):
        self._listing = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)

    def named(self, name: str) -> tuple[ImageFile, ...]:
        """Returns the files of that name, as :class:`transforms.files.image_files.NamedFiles` says."""
        rows = self._listing.execute(
            "SELECT path, size, offset, record, packed, method, crc FROM files WHERE name = ? ORDER BY rowid",
            (_blob(name),),
        )
        return tuple(_file(*row) for row in rows)

    def close(self) -> None:
        """Closes the file."""
        self._listing.close()


def _rows(files: typing.Iterable[ImageFile]) -> typing.Iterator[tuple[typing.Any, ...]]:
    for file in files:
        for name in photo_names(file.name):
            yield _blob(name), _blob(file.name), file.size_bytes, file.offset, *(file.packed or _NO_PACKED)


def _file(path: bytes, size: int, offset: int, record: int | None, *packed: int) -> ImageFile:
    name = path.decode("utf-8", "surrogateescape")
    return ImageFile(name, size, offset, None if record is None else Packed(record, *packed))


def _blob(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
