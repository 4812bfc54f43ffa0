"""Local files get their final name only when they are whole."""

import os
import pathlib
import shutil


class OutputError(OSError):
    """The output cannot be written; the message names the file and the remedy."""


def publish(staged: pathlib.Path, final: pathlib.Path) -> None:
    """Gives a finished file its final name, replacing an older one; durable when it returns.

    Raises:
        OSError: the file system refuses.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    _sync(staged)
    os.replace(staged, final)
    _sync(final.parent)


def check_space(folder: pathlib.Path, needed_bytes: int) -> None:
    """Checks before any work that there is room in a local folder.

    Raises:
        OutputError: there is not.
    """
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < needed_bytes:
        raise OutputError(
            f"{folder}: about {needed_bytes / 1e9:.1f} GB are needed for rows and spool, "
            f"{free_bytes / 1e9:.1f} GB are free; make room or choose another place"
        )


def _sync(path: pathlib.Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
