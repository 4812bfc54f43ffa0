"""Shards checked in child processes: the same faults in the same order, and what becomes of a child that dies."""

import pathlib
import signal
import subprocess
import sys
import time
import typing

import psutil
import pytest

from beam_jobs import check_dataset
from schemas import layout
from schemas.records import PlanRows
from tests import crashing, factories
from tests.worker_processes import worker_processes
from transforms.stores.dataset_files import Fault
from transforms.verify import verify_dataset, verify_shards
from transforms.verify.verify_dataset import verify
from transforms.workers import progress
from transforms.workers.worker_pool import PoolStoppedError, WorkerPool

_ROOT = pathlib.Path(__file__).resolve().parents[2]
STATED = [PlanRows(shard, 1, "") for shard in range(3)]


@pytest.fixture(autouse=True)
def children_for_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_shards, "_BYTES_A_CHILD", 1)
    progress.reset()


def test_children_find_what_one_process_finds(tmp_path: pathlib.Path) -> None:
    root = factories.make_dataset(tmp_path / "out")
    assert verify(str(root), children=3).faults == []
    assert progress.counts() | {"rows": 23, "samples": 23} == progress.counts()
    (root / layout.rows_file(2)).unlink()
    for name in (layout.tar_file(0), layout.sidecar_file(1), layout.tar_file(1)):
        data = (root / name).read_bytes()
        (root / name).write_bytes(data[:50] + b"?" + data[51:])
    alone = verify(str(root))
    assert verify(str(root), children=3) == alone
    assert {fault.file for fault in alone.faults} >= {
        *(layout.rows_file(2), layout.tar_file(0), layout.sidecar_file(1), layout.tar_file(1))
    }


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_child_that_dies_ends_the_check(number: signal.Signals) -> None:
    with pytest.raises(PoolStoppedError, match=f"{number.name}.* at work on shard 000001"):
        verify_shards.verify_shards(_Dies(1, number), STATED, 2)


def test_the_command_takes_as_many_children_as_it_is_told(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = list[int]()

    class Pool(WorkerPool):
        def __init__(self, processes: int):
            asked.append(processes)
            super().__init__(processes)

    monkeypatch.setattr(verify_shards, "WorkerPool", Pool)
    root = str(factories.make_dataset(tmp_path / "out"))
    for workers in ("1", "2", "9"):
        assert check_dataset.main([root, "--workers", workers]) == 0
    assert asked == [2, 3]
    assert capsys.readouterr().out.startswith("no fault in 3 shards")


def test_the_command_says_which_child_died(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verify_dataset, "ShardCheck", lambda *_: _Dies(1, signal.SIGKILL))
    root = factories.make_dataset(tmp_path / "out")
    assert check_dataset.main([str(root), "--workers=2", "--progress=none"]) == 1
    assert "was ended by SIGKILL at work on shard 000001" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_command_and_its_children(number: signal.Signals, code: int, tmp_path: pathlib.Path) -> None:
    root = factories.make_dataset(tmp_path / "out")
    command = [sys.executable, "-m", "tests.hanging_verify", str(root), "--workers=2"]
    with subprocess.Popen(command, cwd=_ROOT, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while len(children := worker_processes(process.pid)) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(number)
        assert process.wait(20) == code
        assert process.stderr
        assert "interrupted" in process.stderr.read()
    assert len(children) == 2
    assert not psutil.wait_procs(children, timeout=5)[1]


class _Dies(typing.NamedTuple):
    shard: int
    signal: signal.Signals

    def __call__(self, stated: verify_shards.StatedShard) -> list[Fault]:
        if stated.shard == self.shard:
            crashing.end_by(self.signal)
        return []
