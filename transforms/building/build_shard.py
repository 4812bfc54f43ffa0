"""Phase 2 for one shard: its rows → fetch → decode, resize, encode → its files and commit record."""

import asyncio
import collections
import contextlib
import json
import os
import pathlib
import pickle
import socket
import time
import typing

import pyarrow as pa

from schemas import layout
from schemas.failures import Failure, FailureReason, PhotoError, Stage
from schemas.records import CommitRecord
from schemas.videos import max_video_bytes, takes_videos
from transforms.building.done_shards import note_done
from transforms.building.fetch_loop import run_in_loop, shared_codec, shared_fetching
from transforms.building.make_images import Made, make_again, make_images, options_again, take_over, usable_size
from transforms.building.shard_config import ShardConfig
from transforms.building.shard_failures import ShardFailures
from transforms.datasets.old_dataset import OldDataset, OldPhotos
from transforms.datasets.remedies import REDO_ROWS
from transforms.fetch.fetch_error import FetchError
from transforms.files.file_digest import bytes_digest
from transforms.files.publish import OutputError, staging_in
from transforms.files.read_parquet import read_parquet
from transforms.places.image_places import fetch_image
from transforms.places.photo_refs import FETCH_COLUMNS, PhotoRef, photo_ref
from transforms.places.remote_copies import default_mirror_url, default_video_url
from transforms.shards.image_spool import ImageSpool
from transforms.shards.row_annotations import RowAnnotations
from transforms.shards.write_shard import ShardRows, SpooledImage, write_shard
from transforms.shards.write_videos import SpooledVideo
from transforms.stores.output import Output
from transforms.videos.take_videos import ShardVideos
from transforms.workers.decode_limit import in_own_process, within_limit
from transforms.workers.failure_share import check_share
from transforms.workers.for_each import for_each, while_it_helps
from transforms.workers.progress import count
from transforms.workers.shards_under_way import is_oldest, ranked

PHOTOS_IN_HAND = 4_096
"""Photos begun at once, most of which wait for their turn: a host that is slow holds up none but its own."""

OLD_IN_HAND = 32
"""Images of an old dataset in memory at once."""

_Row = dict[str, typing.Any]


class ShardImages:
    """The images of one shard: what they are made with, and what became of them in order of arrival.

    Attributes:
        images: in order of arrival.
        videos: those taken; None if videos are left out.
        failures: of photos and videos.
        attempts: requests made.
        geometry_dropped: annotations that could not be mapped, by column and cause.
    """

    def __init__(
        self,
        config: ShardConfig,
        annotations: RowAnnotations,
        spool: ImageSpool,
        old: OldPhotos | None,
        videos: ShardVideos | None = None,
    ):
        self._config, self._annotations, self._spool, self._old = config, annotations, spool, old
        self.videos = videos
        self._old_in_hand = asyncio.Semaphore(OLD_IN_HAND)
        self.images: list[SpooledImage] = []
        self.failures = ShardFailures(videos.photo_ids if videos else ())
        self.attempts = 0
        self.geometry_dropped: collections.Counter[str] = collections.Counter()

    @property
    def found_videos(self) -> list[SpooledVideo]:
        """The videos that were taken; none where they are left out."""
        return self.videos.found if self.videos else []

    def progress(self) -> int:
        """Returns a number that grows with each image, and each byte of a video."""
        return len(self.images) + (self.videos.received_bytes if self.videos else 0)

    async def build(self, index: int, photo: _Row) -> None:
        """Makes one photo an image or a failure; defers it if it may yet become an image."""
        ref = photo_ref(photo)
        kept = self._old.failure(ref.photo_id) if self._old else None
        if kept:
            self.failures.keep(kept)
            return
        try:
            if not photo["is_video"]:
                await self._make(index, photo, ref)
            elif self.videos:
                self.attempts += await self.videos.take(index, ref)
            else:
                raise PhotoError(FailureReason.IS_VIDEO, Stage.FETCH, "the photo is a video")
            self.failures.healed(index)
            count("videos" if photo["is_video"] else "samples")
        except PhotoError as error:
            self.attempts += error.attempts if isinstance(error, FetchError) else 0
            failure = Failure(
                ref.photo_id, error.reason, error.stage, error.http_status, self._url(photo, ref), error.detail
            )
            is_own = not (isinstance(error, FetchError) and error.host_is_ailing)
            self.failures.add(index, failure, is_own)
            check_share(self._config.max_failure_ratio)

    def _url(self, photo: _Row, ref: PhotoRef) -> str:
        """Returns the default mirror's URL of what is asked for."""
        if not photo["is_video"]:
            return default_mirror_url(ref, self._config.places.base)
        return default_video_url(ref) if self.videos else ""

    async def _make(self, index: int, photo: _Row, ref: PhotoRef) -> None:
        row = {**photo, **self._annotations[index]}
        made = await self._from_old(row) if self._old else None
        if made is None:
            places = shared_fetching(self._config.fetch, self._config.places).places
            async with fetch_image(places, ref) as fetched:
                self.attempts += fetched.attempts
                made = await self._encode(make_images, fetched, row, self._config.image)
        self.geometry_dropped += made.dropped
        places_of_images = [self._spool.append(image) for image in made.images]
        mapped = self._spool.append(pickle.dumps(made.mapped)) if made.mapped else None
        self.images.append(SpooledImage(index, made.columns, places_of_images, mapped))

    async def _from_old(self, row: _Row) -> Made | None:
        """Makes a photo of what the old dataset has of it; None if that will not do."""
        old, config = typing.cast(OldPhotos, self._old), typing.cast(OldDataset, self._config.old)
        sample = old.sample(row["photo_id"])
        async with self._old_in_hand:
            if config.image == self._config.image:
                images = [await asyncio.to_thread(old.image, sample, i) for i in range(len(config.image.sizes))]
                return take_over(images, sample, row)
            original = sample["original_width"], sample["original_height"]
            size = usable_size(original, sample["orientation"], config.image, self._config.image)
            if size is None:
                return None
            data = await asyncio.to_thread(old.image, sample, size)
            options = options_again(sample, config.image, self._config.image)
            try:
                return await self._encode(make_again, data, sample, row, options)
            except PhotoError as error:
                if error.stage is Stage.DECODE:
                    raise old.damaged_image(sample, error.detail) from error
                raise

    async def _encode(self, make: typing.Callable[..., Made], *arguments: typing.Any) -> Made:
        encode = in_own_process if self._config.isolated else within_limit
        return await shared_codec().call(encode, self._config.decode_limit_s, make, *arguments)


def build_shard(shard: int, digest: str, config: ShardConfig) -> CommitRecord:
    """Builds and commits one shard. Runs in a worker process.

    Idempotent: its files depend on the rows, the responses and the format alone, each gets its name
    when it is whole, and the commit record comes last.

    Args:
        shard: its number; ``rows/NNNNNN.parquet`` exists.
        digest: SHA-256 of that file, hex.
        config: how.

    Raises:
        OutputError: the rows file is not the one that was planned.
    """
    started = time.time()
    rows = read_planned_rows(shard, digest, config.output)
    with staging_of(shard, config) as staging:
        with ImageSpool(staging / "images") as spool:
            images = run_in_loop(build_images(rows.table, range(rows.table.num_rows), config, spool, staging))
            failures, videos = images.failures.final, images.found_videos
            commit = write_shard(rows, images.images, failures, spool, staging, config.format, videos)
        _commit(commit, staging, config)
    write_log(shard, started, images, config.output)
    return commit


def read_planned_rows(shard: int, digest: str, output: Output) -> ShardRows:
    """Reads the rows that a shard is to be made from.

    Args:
        shard: its number.
        digest: SHA-256 of the file, hex.
        output: the dataset.

    Raises:
        OutputError: the rows file is not the one that was planned.
    """
    name = layout.rows_file(shard)
    data = output.read(name)
    file = bytes_digest(data)
    if file.sha256 != digest:
        raise OutputError(f"{output}/{name} is damaged or was replaced; {REDO_ROWS}")
    return ShardRows(shard, read_parquet(data), file)


def staging_of(shard: int, config: ShardConfig) -> contextlib.AbstractContextManager[pathlib.Path]:
    """Gives one attempt at a shard an empty local folder of its own for what is unfinished."""
    return staging_in(config.folder, f"shard-{layout.shard_name(shard)}-")


async def build_images(
    table: pa.Table, wanted: typing.Iterable[int], config: ShardConfig, spool: ImageSpool, staging: pathlib.Path
) -> ShardImages:
    """Tries every photo of some rows, then once more, with fresh connections, those whose failures may heal.

    So it does with their videos if these are taken.

    Args:
        table: rows of a shard.
        wanted: numbers of those whose photos are tried.
        config: how.
        spool: takes the images.
        staging: local folder that takes the videos.
    """
    photos: list[_Row] = table.select([*FETCH_COLUMNS, "sources"]).to_pylist()
    old = OldPhotos(config.old, table["photo_id"].to_numpy()) if config.old else None
    images = ShardImages(config, RowAnnotations(table), spool, old, _videos(table, config, staging))

    def build(rows: typing.Iterable[int]) -> typing.Coroutine[typing.Any, typing.Any, None]:
        return for_each(rows, lambda row: images.build(row, photos[row]), PHOTOS_IN_HAND)

    with ranked():
        await build(wanted)
        if images.failures.deferred:
            await shared_fetching(config.fetch, config.places).client.renew()
            again = build(images.failures.rows_to_try())
            await while_it_helps(again, images.progress, config.fetch.deadline_s, lambda: not is_oldest())
    images.failures.give_up()
    return images


def _videos(table: pa.Table, config: ShardConfig, staging: pathlib.Path) -> ShardVideos | None:
    max_bytes = max_video_bytes(config.format)
    if max_bytes is None:
        return None
    places = shared_fetching(config.fetch, config.places)
    ids = table.filter(table["is_video"])["photo_id"].to_numpy()
    return ShardVideos(ids, places.videos, config.old, max_bytes, staging)


def _commit(commit: CommitRecord, staging: pathlib.Path, config: ShardConfig) -> None:
    """Replaces the shard's files; an older commit record goes first, the new one comes last."""
    record, output = layout.commit_file(commit.shard), config.output
    output.remove(record)
    for name in layout.shard_files(commit.shard, videos=takes_videos(config.format)):
        if name in commit.files:
            output.publish(staging / name, name)
        else:
            output.remove(name)
    note_done(commit, config.done)
    output.write(record, commit.to_json())


def write_log(shard: int, started: float, images: ShardImages, output: Output) -> None:
    """Writes what may differ between runs.

    Args:
        shard: its number.
        started: when work on it began, seconds since 1970.
        images: what was tried.
        output: the dataset.
    """
    log = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "parent_pid": os.getppid(),
        "started": started,
        "seconds": time.time() - started,
        "samples": len(images.images),
        **({"videos": len(images.videos.found)} if images.videos else {}),
        "failed": len(images.failures.final),
        "attempts": images.attempts,
        "geometry_dropped": images.geometry_dropped,
    }
    output.write(layout.log_file(shard), json.dumps(log).encode() + b"\n")
