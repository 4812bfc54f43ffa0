"""Shards checked in child processes: the same faults in the same order, and what becomes of a child that dies."""

import pathlib
import signal
import typing

import pytest

from schemas import layout
from schemas.records import PlanRows
from tests import crashing, factories
from transforms.stores.dataset_files import Fault
from transforms.verify import verify_shards
from transforms.verify.verify_dataset import verify
from transforms.workers import progress
from transforms.workers.worker_pool import PoolStoppedError

STATED = [PlanRows(shard, 1, "") for shard in range(3)]


@pytest.fixture(autouse=True)
def children_for_every_photo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_shards, "_PHOTOS_A_CHILD", 1)
    progress.reset()


def test_children_find_what_one_process_finds(tmp_path: pathlib.Path) -> None:
    root = factories.make_dataset(tmp_path / "out")
    assert verify(str(root), children=3).faults == []
    assert progress.counts() | {"rows": 23, "samples": 13, "failed": 10} == progress.counts()
    (root / layout.rows_file(2)).unlink()
    for name in (layout.tar_file(0), layout.sidecar_file(1), layout.tar_file(1)):
        data = (root / name).read_bytes()
        (root / name).write_bytes(data[:50] + b"?" + data[51:])
    alone = verify(str(root))
    assert verify(str(root), children=3) == alone
    assert {fault.file for fault in alone.faults} >= {
        *(layout.rows_file(2), layout.tar_file(0), layout.sidecar_file(1), layout.tar_file(1))
    }


def test_a_shard_that_crashes_the_decoder_is_a_fault() -> None:
    (fault,) = verify_shards.verify_shards(_Dies(1, signal.SIGSEGV), STATED, 2)
    assert (fault.file, fault.problem) == (layout.tar_file(1), "it crashes the decoder")


def test_a_child_that_is_killed_ends_the_check() -> None:
    with pytest.raises(PoolStoppedError, match="SIGKILL.* at work on shard 000001"):
        verify_shards.verify_shards(_Dies(1, signal.SIGKILL), STATED, 2)


class _Dies(typing.NamedTuple):
    shard: int
    signal: signal.Signals

    def __call__(self, stated: verify_shards.StatedShard) -> list[Fault]:
        if stated.shard == self.shard:
            crashing.end_by(self.signal)
        return []
