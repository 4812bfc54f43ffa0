"""Runs the same work on each of some shards, where the flags say."""

import typing

from beam_jobs.runners.run_graph import run_graph
from beam_jobs.runners.runner_flags import RunnerConfig
from transforms.stores.output import Output

if typing.TYPE_CHECKING:
    import apache_beam as beam


def run_each_shard(
    name: str, work: typing.Callable[[int], int], shards: typing.Sequence[int], runner: RunnerConfig, output: Output
) -> None:
    """Does something with each shard, in child processes unless one is enough; nothing where there is no shard.

    Args:
        name: of the step.
        work: as of :class:`transforms.workers.each_shard.ShardWork`.
        shards: their numbers.
        runner: where it runs.
        output: that is written to.

    Raises:
        UsageError: the runner cannot be reached, or lacks something.
        JobError: it failed for a reason that the operator can mend.
    """
    if not shards:
        return
    from transforms.workers.each_shard import EachShard, ShardWork

    children = runner.children if min(runner.children, len(shards)) > 1 else 0
    job = ShardWork(name=name, work=work, shards=tuple(shards), children=children)

    def build(pipeline: "beam.Pipeline") -> None:
        _ = pipeline | name >> EachShard(job)

    run_graph(build, runner, output)
