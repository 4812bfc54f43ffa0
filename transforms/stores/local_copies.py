"""This machine's copies of files on a store that all its workers need again and again, each downloaded once."""

import contextlib
import hashlib
import os
import pathlib
import shutil
import threading
import time

from transforms.files.publish import own_temporary_folder, staged_as
from transforms.stores.dataset_files import DatasetFiles

STALE_S = 86_400
"""Copies that a dead run has left are removed when a later one makes its own here, if they are older, or dated so far
ahead, for then the clock was wrong."""

_PREFIX = "copies-"

_lock = threading.Lock()


def local_copy(files: DatasetFiles, name: str) -> pathlib.Path:
    """Returns a local file with the content of one on a store.

    Args:
        files: the place; it has one content of that name for good.
        name: of the file.

    Raises:
        OSError: it cannot be read, or there is no room.
    """
    path = _folder(files) / name
    with _lock:
        if not path.exists():
            _remove_stale()
            with staged_as(path.parent, path.name) as staged:
                files.download(name, staged)
                staged.replace(path)
        os.utime(_folder(files))
    return path


def drop_copies(files: DatasetFiles, folder: str = "") -> None:
    """Removes the copies of a place's files below a folder, of all by default."""
    shutil.rmtree(_folder(files) / folder, ignore_errors=True)


def _folder(files: DatasetFiles) -> pathlib.Path:
    place = hashlib.sha256(f"{files.s3.endpoint_url} {files.root}".encode()).hexdigest()[:16]
    return own_temporary_folder() / f"{_PREFIX}{place}"


def _remove_stale() -> None:
    for folder in own_temporary_folder().glob(f"{_PREFIX}*"):
        with contextlib.suppress(FileNotFoundError):
            if abs(time.time() - folder.stat().st_mtime) > STALE_S:
                shutil.rmtree(folder, ignore_errors=True)
