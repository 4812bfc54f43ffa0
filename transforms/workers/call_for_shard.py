"""One call in a child process for the sake of a shard."""

import typing

from schemas import layout
from transforms.workers import progress
from transforms.workers.worker_pool import WorkerPool, died_at, stopping_at_errors
from transforms.workers.worker_process import WorkerDiedError

R = typing.TypeVar("R")


def call_for_shard(pool: WorkerPool, shard: int, function: typing.Callable[..., R], *arguments: typing.Any) -> R:
    """Calls an importable function in a child, whose counts are counted here; an error stops the pool for all.

    Raises:
        PoolStoppedError: a child died; says how, and at which shard.
        Exception: what the function raises.
    """
    with stopping_at_errors(pool), progress.lent_slot() as slot:
        try:
            return pool.call(progress.counted_in, slot, function, *arguments)
        except WorkerDiedError as error:
            raise died_at(error, f"shard {layout.shard_name(shard)}") from error
