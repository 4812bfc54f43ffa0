"""A file system of fsspec's over a local folder, of which one write operation fails, is cut short or takes its time.

`faulty://` followed by the folder. What goes wrong stands in the environment, so that all processes of a run share it:
PHOTOBEAM_FAULT is ``KIND:N:FILE``, with KIND ``fail``, ``lose`` (done, but the answer is an error), ``cut`` (half of
the file, and no error), ``stop`` (half of the file, then an error) or ``slow``; N counts write operations of all
processes from 0; FILE counts them, a byte each.
"""

import os
import pathlib
import shutil
import time
import typing

import fsspec
from fsspec.implementations.local import LocalFileSystem

VARIABLE = "PHOTOBEAM_FAULT"
KINDS = ("fail", "lose", "cut", "stop", "slow")
SLOW_S = 0.3


class FaultFileSystem(fsspec.AbstractFileSystem):
    """A folder on a server, as programs see it: files are put, moved and removed; there is nothing conditional."""

    protocol = "faulty"
    cachable = False

    def __init__(self, **options: typing.Any):
        super().__init__(**options)
        self._local = LocalFileSystem()

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path.removeprefix("faulty://").rstrip("/") or "/"

    def info(self, path: str, **kwargs: typing.Any) -> dict[str, typing.Any]:
        return self._local.info(self._strip_protocol(path))

    def ls(self, path: str, detail: bool = True, **kwargs: typing.Any) -> list[typing.Any]:
        return self._local.ls(self._strip_protocol(path), detail=detail)

    def _open(self, path: str, mode: str = "rb", **kwargs: typing.Any) -> typing.Any:
        assert mode == "rb", "files are put whole"
        return open(path, "rb")  # noqa: SIM115

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        self._local.makedirs(self._strip_protocol(path), exist_ok=exist_ok)

    def put_file(self, lpath: str, rpath: str, **kwargs: typing.Any) -> None:
        kind = _fault()
        data = pathlib.Path(lpath).read_bytes()
        _before(kind)
        pathlib.Path(rpath).write_bytes(data[: len(data) // 2] if kind in ("cut", "stop") else data)
        _after("fail" if kind == "stop" else kind)

    def mv(self, path1: str, path2: str, **kwargs: typing.Any) -> None:
        kind = _fault()
        _before(kind)
        os.replace(path1, path2)
        _after(kind)

    def rm_file(self, path: str) -> None:
        kind = _fault()
        _before(kind)
        os.unlink(path)
        _after(kind)

    def rm(self, path: str, recursive: bool = False, maxdepth: int | None = None) -> None:
        shutil.rmtree(path)


fsspec.register_implementation("faulty", "tests.fault_fs.FaultFileSystem", clobber=True)
"""By name, since pytest also imports this as a module of another name, which no other process has."""


def _fault() -> str:
    """Counts a write operation of any process, and returns what is to happen to it."""
    kind, number, file = os.environ.get(VARIABLE, ":-1:").split(":", 2)
    if not file:
        return ""
    descriptor = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    try:
        os.write(descriptor, b".")
        count = os.lseek(descriptor, 0, os.SEEK_CUR)
    finally:
        os.close(descriptor)
    return kind if count == int(number) + 1 else ""


def _before(kind: str) -> None:
    if kind == "slow":
        time.sleep(SLOW_S)
    if kind == "fail":
        raise OSError(5, "the disk of the server is broken")


def _after(kind: str) -> None:
    if kind in ("lose", "fail"):
        raise OSError(104, "the connection was reset")
