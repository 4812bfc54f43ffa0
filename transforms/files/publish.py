"""Local files get their final name only when they are whole."""

import contextlib
import os
import pathlib
import shutil
import tempfile
import typing
import uuid


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


@contextlib.contextmanager
def staged_as(folder: pathlib.Path | None, name: str) -> typing.Iterator[pathlib.Path]:
    """Gives a path for a file on its way to its final name that nobody else has; what is left of it goes.

    Args:
        folder: need not exist yet; None for one among this machine's temporary files.
        name: what the path ends with.
    """
    folder = folder or own_temporary_folder()
    folder.mkdir(parents=True, exist_ok=True)
    staged = folder / f"{uuid.uuid4().hex}.{name}"
    try:
        yield staged
    finally:
        staged.unlink(missing_ok=True)


@contextlib.contextmanager
def staging_in(folder: pathlib.Path | None, prefix: str) -> typing.Iterator[pathlib.Path]:
    """Gives an empty folder that nobody else has, and that goes with all that is in it.

    Args:
        folder: as of :func:`staged_as`.
        prefix: what its name begins with.
    """
    folder = folder or own_temporary_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=folder, ignore_cleanup_errors=True) as staging:
        yield pathlib.Path(staging)


def own_temporary_folder() -> pathlib.Path:
    """Returns a folder among this machine's temporary files that this user alone can read.

    Raises:
        OutputError: another user has taken the name.
    """
    folder = pathlib.Path(tempfile.gettempdir(), f"photobeam-{os.getuid()}")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise OutputError(f"{folder} is not ours; set TMPDIR to another folder")
    return folder


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
