"""A damaged shard is written again: from what is whole of it, and from its photos where that is not enough."""

import collections
import logging
import pathlib
import time

from schemas import layout
from schemas.failures import FailureReason
from schemas.records import CommitRecord
from schemas.videos import takes_videos
from transforms.building.build_shard import ShardImages, build_images, read_planned_rows, staging_of, write_log
from transforms.building.fetch_loop import run_in_loop
from transforms.building.shard_config import ShardConfig
from transforms.building.shard_remains import Remains
from transforms.shards.image_spool import ImageSpool
from transforms.shards.read_shard import failures_of, read_failures, spool_samples
from transforms.shards.write_shard import ShardRows, write_shard
from transforms.shards.write_videos import SpooledVideo
from transforms.stores.intents import replace_shard
from transforms.videos.spool_videos import spool_videos
from transforms.workers.failure_share import too_many

_log = logging.getLogger("photobeam")


def restore_shard(shard: int, digest: str, config: ShardConfig) -> CommitRecord:
    """Writes the damaged files of a shard again. Runs in a worker process.

    Samples, videos and failures whose files are whole are kept; other photos and videos are fetched. Files that would
    get the bytes that they have are not touched. If too many would be lost, since they cannot be fetched any more or
    not now, nothing is written. That is about photos: videos that do not come are failures of the new shard. Members
    that were added to its samples are kept if no sample is new.

    Args:
        shard: its number.
        digest: SHA-256 of its rows, hex.
        config: how; ``remains`` says what is left.

    Returns:
        The shard's commit record, be it written or not.

    Raises:
        OutputError: a file changed under way.
    """
    started = time.time()
    remains = (config.remains or {}).get(shard)
    rows = read_planned_rows(shard, digest, config.output)
    with staging_of(shard, config) as staging:
        with ImageSpool(staging / "images") as spool:
            new, images = _write(rows, remains, config, spool, staging)
        if not _loses_too_much(new, remains, images, config):
            whole = {n for n in remains.whole if new.files.get(n) == remains.commit.files.get(n)} if remains else set()
            names = [name for name in layout.shard_files(shard, videos=1) if name in new.files and name not in whole]
            replace_shard(new, names, staging, config.output, takes_videos(config.format))
            if images:
                write_log(shard, started, images, config.output)
    return new


def _write(
    rows: ShardRows, remains: Remains | None, config: ShardConfig, spool: ImageSpool, staging: pathlib.Path
) -> tuple[CommitRecord, ShardImages | None]:
    """Writes all files of the shard into a staging folder; returns what was fetched too, None if nothing was."""
    samples, failures = [], []
    if remains and remains.has_samples:
        samples = spool_samples(config.output, remains.commit, rows.table, config.format, spool)
    videos = list[SpooledVideo]()
    if remains and remains.has_videos:
        videos = spool_videos(config.output, remains.commit, rows.table, staging)
    if remains and remains.has_failures:
        failures = failures_of(read_failures(config.output, remains.commit))
    kept = {sample.row for sample in samples} | {video.row for video in videos}
    failed = {failure.photo_id for failure in failures}
    photo_ids = rows.table["photo_id"].to_pylist()
    wanted = [row for row, photo_id in enumerate(photo_ids) if row not in kept and photo_id not in failed]
    images = run_in_loop(build_images(rows.table, wanted, config, spool, staging)) if wanted else None
    if images:
        samples, failures = [*samples, *images.images], [*failures, *images.failures.final]
        videos = [*videos, *images.found_videos]
    added = remains.commit.added if remains and not (images and images.images) else None
    return write_shard(rows, samples, failures, spool, staging, config.format, videos, added), images


def _loses_too_much(
    new: CommitRecord, remains: Remains | None, images: ShardImages | None, config: ShardConfig
) -> bool:
    """Tells, and warns, whether more of the photos that the shard had fail now than the configuration permits."""
    failed_videos = new.failed_videos + new.failures_by_reason.get(FailureReason.IS_VIDEO.value, 0)
    had = remains.commit.samples if remains else new.rows - new.videos - failed_videos
    lost = had - new.samples
    if not images or lost <= config.max_failure_ratio * had:
        return False
    videos = images.videos.photo_ids if images.videos else frozenset()
    reasons = collections.Counter(f.reason for f in images.failures.final if f.photo_id not in videos)
    why = too_many(lost, had, config.max_failure_ratio, reasons)
    _log.warning("shard %s is left as it is: %s", layout.shard_name(new.shard), why)
    return True
