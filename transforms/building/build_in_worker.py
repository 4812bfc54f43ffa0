"""One shard in a child process, whatever becomes of that: a decoder that crashes costs its photo, not the run."""

import dataclasses
import logging
import typing

from schemas.elements import RowsFile
from schemas.records import CommitRecord
from transforms.building.build_shard import build_shard
from transforms.building.done_shards import done_before, note_done
from transforms.building.probe_photos import probe_photos
from transforms.building.restore_shard import restore_shard
from transforms.building.retry_shard import retry_shard
from transforms.building.shard_config import ShardConfig
from transforms.workers import progress
from transforms.workers.worker_pool import WorkerPool, died_at, stopping_at_errors
from transforms.workers.worker_process import WorkerDiedError

_log = logging.getLogger("photobeam")


def build_in_worker(pool: WorkerPool, rows: RowsFile, config: ShardConfig) -> CommitRecord:
    """Builds, retries or restores a shard in a child process, unless an earlier attempt of this run has.

    If that crashes, it is done once more with every image in a process of its own.

    Raises:
        PoolStoppedError: a child was killed, or has crashed even so.
        Exception: as :func:`transforms.building.build_shard.build_shard`; each of these stops the pool for all.
    """
    built = done_before(rows.shard, config.done, config.output)
    if built:
        return built
    commit = _build(pool, rows, config)
    note_done(commit, config.done)
    return commit


def _build(pool: WorkerPool, rows: RowsFile, config: ShardConfig) -> CommitRecord:
    build = _work_of(config)
    with stopping_at_errors(pool), progress.lent_slot() as slot:
        try:
            return pool.call(progress.counted_in, slot, build, rows.shard, rows.digest, config)
        except WorkerDiedError as error:
            if not error.crashed:
                raise died_at(error, f"shard {rows.shard:06d}") from error
            _log.warning("%s; shard %06d is built again, each photo in a process of its own", error, rows.shard)
        progress.take_back(slot)
        isolated = dataclasses.replace(config, isolated=True)
        try:
            return pool.call_alone(progress.counted_in, slot, build, rows.shard, rows.digest, isolated)
        except WorkerDiedError as error:
            raise died_at(error, f"shard {rows.shard:06d}") from error


def probe_in_worker(pool: WorkerPool, shards: typing.Sequence[int], config: ShardConfig) -> None:
    """Probes photos in a child process. If that crashes, nothing is known of them, and the run goes on.

    Raises:
        TooManyFailuresError: as :func:`transforms.building.probe_photos.probe_photos`.
        PoolStoppedError: the child was killed.
    """
    with stopping_at_errors(pool):
        try:
            pool.call(probe_photos, shards, config)
        except WorkerDiedError as error:
            if not error.crashed:
                raise died_at(error, "the first photos") from error
            _log.warning("%s while it tried the first photos", error)


def _work_of(config: ShardConfig) -> typing.Callable[[int, str, ShardConfig], CommitRecord]:
    if config.remains is not None:
        return restore_shard
    return retry_shard if config.retry else build_shard
