"""The same work on each shard, in the engine's threads and in child processes."""

import dataclasses
import os
import pathlib
import signal

import apache_beam as beam
import pytest

from beam_jobs.command.errors import JobError
from beam_jobs.runners.local_runner import run_locally
from transforms.workers import progress
from transforms.workers.each_shard import EachShard, ShardWork


@dataclasses.dataclass(frozen=True)
class WriteNumber:
    folder: pathlib.Path

    def __call__(self, shard: int) -> int:
        (self.folder / f"{shard}").write_text(str(os.getpid()))
        return shard


@dataclasses.dataclass(frozen=True)
class DieAt:
    shard: int

    def __call__(self, shard: int) -> int:
        if shard == self.shard:
            os.kill(os.getpid(), signal.SIGKILL)
        return 1


def count_rows(shard: int) -> int:
    for _ in range(30_000):
        progress.count("rows")
    return shard


def _run(work: ShardWork) -> None:
    def build(pipeline: beam.Pipeline) -> None:
        _ = pipeline | EachShard(work)

    run_locally(build, 2)


@pytest.mark.parametrize("children", [0, 2])
def test_each_shard_is_worked_on_here_or_in_children(tmp_path, children):
    _run(ShardWork(name="Write", work=WriteNumber(tmp_path), shards=(1, 5, 6), children=children))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "5", "6"]
    here = {path.read_text() for path in tmp_path.iterdir()} == {str(os.getpid())}
    assert here == (children == 0)


def test_no_count_of_a_child_is_lost():
    progress.reset()
    _run(ShardWork(name="Count", work=count_rows, shards=(1, 2, 3, 4), children=2))
    assert progress.counts()["rows"] == 120_000


def test_no_shard_is_no_work(tmp_path):
    _run(ShardWork(name="Write", work=WriteNumber(tmp_path), shards=(), children=0))
    assert list(tmp_path.iterdir()) == []


def test_a_killed_child_ends_the_run_and_names_the_shard():
    with pytest.raises(JobError, match=r"ended by SIGKILL at work on shard 000003"):
        _run(ShardWork(name="Die", work=DieAt(3), shards=(1, 2, 3), children=2))
