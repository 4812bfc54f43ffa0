"""Fixtures of whole jobs: a mirror that serves pictures, and a corpus of lines."""

import importlib
import importlib.util
import inspect
import io
import pathlib
import random
import sys
import types
import typing

import pytest
from PIL import Image

from tests.fault_server import Answer, FaultServer
from tests.yfcc_corpus import dataset_line, mirror_path


@pytest.fixture(scope="session", autouse=True)
def quick_graphs() -> typing.Iterator[None]:
    """Has Beam read each method's signature once: a graph has thousands, a third of a small build."""
    from apache_beam.transforms import core

    read, known = core.get_signature, {}

    def read_once(function: typing.Any) -> inspect.Signature:
        if not inspect.ismethod(function):
            return read(function)
        if function.__func__ not in known:
            known[function.__func__] = read(function)
        return known[function.__func__]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core, "get_signature", read_once)
        yield


def picture(number: int) -> bytes:
    """A small JPEG that differs from number to number."""
    data = io.BytesIO()
    colour = (number * 37 % 256, number * 91 % 256, number * 13 % 256)
    Image.new("RGB", (40 + number % 30, 30 + number % 20), colour).save(data, "JPEG")
    return data.getvalue()


@pytest.fixture
def mirror() -> typing.Iterator[FaultServer]:
    """An empty mirror."""
    with FaultServer() as server:
        yield server


@pytest.fixture
def lines(mirror: FaultServer) -> list[str]:
    """Sixty dataset lines; the mirror has every photo but each tenth."""
    rnd = random.Random(5)
    made = [dataset_line(i, 10_000 + 7 * i, rnd) for i in range(60)]
    for i, line in enumerate(made):
        if i % 10:
            mirror.answers[mirror_path(line)] = Answer(picture(i))
    return made


_T = typing.TypeVar("_T")


class _Generic(typing.Generic[_T]):
    """Stands for torch's Dataset and Sampler, which add nothing to iteration."""


@pytest.fixture
def wids(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """The reader of shard indexes. It imports torch, but for its distributed samplers and base classes only."""
    if importlib.util.find_spec("torch"):
        return importlib.import_module("wids")
    with monkeypatch.context() as patch:
        for name in ("torch", "torch.distributed", "torch.utils", "torch.utils.data"):
            patch.setitem(sys.modules, name, types.ModuleType(name))
        vars(sys.modules["torch"])["distributed"] = sys.modules["torch.distributed"]
        vars(sys.modules["torch.utils.data"]).update(Dataset=_Generic, Sampler=_Generic)
        return importlib.import_module("wids")


def write_lines(path: pathlib.Path, lines: typing.Iterable[str]) -> pathlib.Path:
    """Writes lines, each with its newline."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(line + "\n" for line in lines).encode())
    return path
