"""The graph of a dataset that is made from another one: both phases, or what is left of them."""

import apache_beam as beam

from beam_jobs.graph import list_rows
from beam_jobs.local_runner import run_locally
from schemas.records import Plan
from transforms.build_shard import ShardConfig
from transforms.build_shards import BuildShards, ShardsConfig
from transforms.derive_rows import DeriveRows
from transforms.rows_wanted import DeriveConfig


def derive_rows(config: DeriveConfig, threads: int) -> None:
    """Runs phase 1: writes the rows and completes the plan.

    Raises:
        JobError: a step failed for a reason that the operator can mend.
    """

    def build(pipeline: beam.Pipeline) -> None:
        _ = pipeline | "DeriveRows" >> DeriveRows(config)

    run_locally(build, threads)


def build_shards(plan: Plan, shard: ShardConfig, committed: dict[int, str], workers: int) -> None:
    """Runs phase 2: builds the open shards of a plan whose rows are complete; writes no manifest.

    Args:
        plan: of the output.
        shard: how a shard is built.
        committed: shards that stand, with the digest of their rows.
        workers: child processes.

    Raises:
        JobError: as :func:`derive_rows`.
    """
    config = ShardsConfig(shard=shard, finish=None, committed=committed, workers=workers)

    def build(pipeline: beam.Pipeline) -> None:
        _ = list_rows(pipeline, plan) | "BuildShards" >> BuildShards(config)

    run_locally(build, workers)
