"""The graph of a dataset that is made from another one: both phases, or what is left of them."""

import apache_beam as beam

from beam_jobs.building.graph import list_rows
from beam_jobs.runners.run_graph import run_graph
from beam_jobs.runners.runner_flags import RunnerConfig
from schemas.records import Plan
from transforms.building.build_shards import BuildShards, ShardsConfig
from transforms.building.shard_config import ShardConfig
from transforms.reprocess.derive_rows import DeriveRows
from transforms.reprocess.rows_wanted import DeriveConfig


def derive_rows(config: DeriveConfig, runner: RunnerConfig) -> None:
    """Runs phase 1: writes the rows and completes the plan.

    Raises:
        JobError: a step failed for a reason that the operator can mend.
    """

    def build(pipeline: beam.Pipeline) -> None:
        _ = pipeline | "DeriveRows" >> DeriveRows(config)

    run_graph(build, runner, config.output)


def build_shards(plan: Plan, shard: ShardConfig, committed: dict[int, str], runner: RunnerConfig) -> None:
    """Runs phase 2: builds the open shards of a plan whose rows are complete; writes no manifest.

    Args:
        plan: of the output.
        shard: how a shard is built.
        committed: shards that stand, with the digest of their rows.
        runner: where.

    Raises:
        JobError: as :func:`derive_rows`.
    """
    config = ShardsConfig(shard=shard, finish=None, committed=committed, workers=runner.children)

    def build(pipeline: beam.Pipeline) -> None:
        _ = list_rows(pipeline, plan) | "BuildShards" >> BuildShards(config)

    run_graph(build, runner, shard.output)
