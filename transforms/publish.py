"""Files get their final name only when they are whole.

Everything is written under `_tmp` first, on the same file system, and renamed.
"""

import os
import pathlib
import shutil
import uuid

from schemas.layout import TMP


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


def write_file(output: pathlib.Path, name: str, data: bytes) -> None:
    """Writes a small file of a dataset under its final name, whole or not at all."""
    staged = output / TMP / uuid.uuid4().hex
    staged.parent.mkdir(parents=True, exist_ok=True)
    try:
        staged.write_bytes(data)
        publish(staged, output / name)
    finally:
        staged.unlink(missing_ok=True)


def check_writable(output: pathlib.Path) -> None:
    """Checks before any work that the output can be written.

    Raises:
        OutputError: it cannot.
    """
    probe = f"{TMP}/probe-{uuid.uuid4().hex}"
    try:
        write_file(output, probe, b"photobeam")
        (output / probe).unlink()
    except OSError as error:
        raise OutputError(f"--output {output}: cannot be written ({error.strerror}); choose another place") from error


def check_space(output: pathlib.Path, needed_bytes: int) -> None:
    """Checks before any work that there is room.

    Raises:
        OutputError: there is not.
    """
    free_bytes = shutil.disk_usage(output).free
    if free_bytes < needed_bytes:
        raise OutputError(
            f"--output {output}: about {needed_bytes / 1e9:.1f} GB are needed for rows and spool, "
            f"{free_bytes / 1e9:.1f} GB are free; make room or choose another place"
        )


def _sync(path: pathlib.Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
