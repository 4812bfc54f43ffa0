"""Writes many small files, each whole or not at all."""

import concurrent.futures
import functools
import os
import pathlib
import typing
import uuid

from schemas import layout
from transforms.export.export_format import File
from transforms.stores.output import LocalOutput, Output

_AT_ONCE = 16
"""Files on their way to a store."""


def write_files(output: Output, files: typing.Sequence[File], keep: bool = False) -> int:
    """Writes files, replacing older ones; local ones reach the disk when the system likes, or with :func:`flush`.

    Args:
        output: where.
        files: name and content of each.
        keep: leave files as they are that are there already and not empty.

    Returns:
        How many were written.

    Raises:
        LeaseLostError: another run holds the output.
        OSError: the place refuses.
    """
    if isinstance(output, LocalOutput):
        output.check_held()
        return sum(_write_local(output, keep, file) for file in files)
    with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as threads:
        return sum(threads.map(functools.partial(_write, output, keep), files))


def link_file(output: LocalOutput, first: str, name: str) -> None:
    """Gives a file that is there one more name, replacing what has it.

    Raises:
        OSError: the file system has no hard links.
    """
    staged = _staged(output.path)
    os.link(output.path / first, staged)
    try:
        _folder(output.path / name)
        os.replace(staged, output.path / name)
    finally:
        staged.unlink(missing_ok=True)


def flush(output: Output) -> None:
    """Has the system bring all that was written to the disk; a store has it already."""
    if isinstance(output, LocalOutput):
        os.sync()


def _write_local(output: LocalOutput, keep: bool, file: File) -> bool:
    name, data = file
    path = output.path / name
    if keep and path.exists() and path.stat().st_size:
        return False
    staged = _staged(output.path)
    staged.write_bytes(data)
    _folder(path)
    os.replace(staged, path)
    return True


def _write(output: Output, keep: bool, file: File) -> bool:
    name, data = file
    if keep and output.size(name):
        return False
    output.write(name, data)
    return True


def _folder(path: pathlib.Path) -> None:
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)


def _staged(root: pathlib.Path) -> pathlib.Path:
    staged = root / layout.TMP / uuid.uuid4().hex
    _folder(staged)
    return staged
