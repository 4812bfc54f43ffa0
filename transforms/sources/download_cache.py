"""A cache of fetched files: where each lies by its URL, and what is known of it.

A file lies under the host and path of its URL, so that files of a mirror are never taken for the
published ones. Beside it, ``NAME.json`` says what it is: URL, size, ETag. What is not whole is
``NAME.part``.
"""

import contextlib
import dataclasses
import fcntl
import json
import logging
import pathlib
import typing
import urllib.parse

_log = logging.getLogger("photobeam")


@dataclasses.dataclass
class CacheRecord:
    """What is known of a file of the cache; of one that is not whole, what its beginning was part of.

    Attributes:
        url: where it is from.
        bytes: its size when whole; -1 if the server does not say.
        etag: of that answer, or ''.
        last_modified: likewise.
    """

    url: str
    bytes: int
    etag: str
    last_modified: str

    @property
    def validator(self) -> str:
        """What ``If-Range`` takes: a strong ETag, else the time of modification, else ''."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.last_modified


def cache_path(cache_dir: pathlib.Path, url: str) -> pathlib.Path:
    """Returns where the cache has the file of a URL.

    Example:
        >>> cache_path(pathlib.PurePosixPath("c"), "http://127.0.0.1:80/a/b.zip").as_posix()
        'c/127.0.0.1_80/a/b.zip'
    """
    parts = urllib.parse.urlsplit(url)
    names = [urllib.parse.quote(name, safe="") for name in parts.path.split("/") if name not in ("", ".", "..")]
    return cache_dir.joinpath((parts.netloc.rpartition("@")[2]).replace(":", "_"), *names)


def is_whole(path: pathlib.Path, url: str) -> bool:
    """Tells whether the cache has a file, whole and from this URL."""
    try:
        record = read_record(_record_path(path).read_bytes())
        return record is not None and record.url == url and path.stat().st_size == record.bytes
    except OSError:
        return False


@contextlib.contextmanager
def hold_record(path: pathlib.Path) -> typing.Iterator[typing.BinaryIO]:
    """Opens the record of a file, for one run at a time; the others wait."""
    with open(_record_path(path), "a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _log.info("waiting for another run that fetches %s", path)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def part_path(path: pathlib.Path) -> pathlib.Path:
    """Returns where a file is kept while it is not whole."""
    return path.with_name(path.name + ".part")


def size_on_disk(path: pathlib.Path) -> int:
    """Returns the size of a file, 0 if there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def read_record(data: bytes) -> CacheRecord | None:
    """Reads a record; one that is empty, damaged or foreign counts as none."""
    try:
        record = CacheRecord(**json.loads(data))
    except (ValueError, TypeError):
        return None
    texts = (record.url, record.etag, record.last_modified)
    return record if isinstance(record.bytes, int) and all(isinstance(t, str) for t in texts) else None


def _record_path(path: pathlib.Path) -> pathlib.Path:
    return path.with_name(path.name + ".json")
