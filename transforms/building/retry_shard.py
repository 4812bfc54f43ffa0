"""Failed photos of a built shard are tried once more; if some become samples, the shard is written again."""

import time

import numpy as np

from schemas import layout
from schemas.records import CommitRecord
from schemas.videos import takes_videos
from transforms.building.build_shard import build_images, staging_of, write_log
from transforms.building.fetch_loop import run_in_loop
from transforms.building.shard_config import ShardConfig
from transforms.files.publish import OutputError
from transforms.join.where_condition import matching_rows
from transforms.shards.image_spool import ImageSpool
from transforms.shards.read_shard import failures_of, read_failures, read_rows, spool_samples
from transforms.shards.write_shard import write_shard
from transforms.stores.intents import replace_shard, roll_forward_shard
from transforms.stores.output import read_record
from transforms.videos.spool_videos import spool_videos

RETRY_FLAG = "--retry"


def retry_shard(shard: int, digest: str, config: ShardConfig) -> CommitRecord:
    """Tries the photos of some failures again. Runs in a worker process.

    The shard then has the bytes that it would have if it had been built so at once. If no photo became a
    sample and no video was taken, nothing is written.

    Args:
        shard: its number; it is committed.
        digest: SHA-256 of its rows, hex.
        config: how; ``retry`` says which failures.

    Returns:
        The shard's commit record, new or old.

    Raises:
        OutputError: a file of the shard is not the one that was committed.
        ConditionError: the condition fails on some failure.
    """
    started = time.time()
    roll_forward_shard(config.output, shard)
    old = read_record(config.output, layout.commit_file(shard), CommitRecord)
    rows, failures = read_rows(config.output, old), read_failures(config.output, old)
    if rows.file.sha256 != digest:
        raise OutputError(f"{config.output}: shard {layout.shard_name(shard)} was made from other rows; build it first")
    tried = matching_rows(failures, config.retry, RETRY_FLAG).to_numpy(zero_copy_only=False)
    wanted = np.flatnonzero(np.isin(rows.table["photo_id"].to_numpy(), failures["photo_id"].to_numpy()[tried]))
    with staging_of(shard, config) as staging:
        with ImageSpool(staging / "images") as spool:
            images = run_in_loop(build_images(rows.table, wanted.tolist(), config, spool, staging))
            if not images.images and not images.found_videos:
                return old
            kept = spool_samples(config.output, old, rows.table, config.format, spool)
            videos = [*spool_videos(config.output, old, rows.table, staging), *images.found_videos]
            left = [*failures_of(failures.filter(~tried)), *images.failures.final]
            added = None if images.images else old.added
            new = write_shard(rows, [*kept, *images.images], left, spool, staging, config.format, videos, added)
        names = layout.shard_files(shard, new.samples, new.videos)
        replace_shard(new, names, staging, config.output, takes_videos(config.format))
    write_log(shard, started, images, config.output)
    return new
