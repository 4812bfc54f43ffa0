"""Phase 2 for one shard: its rows → fetch → decode, resize, encode → its files and commit record."""

import asyncio
import collections
import contextlib
import dataclasses
import io
import json
import os
import pathlib
import pickle
import socket
import time
import typing

import pyarrow as pa
import pyarrow.parquet as pq

from schemas import layout
from schemas.failures import Failure, FailureReason, PhotoError, Stage
from schemas.records import CommitRecord
from transforms.decode_limit import DECODE_LIMIT_S, in_own_process, within_limit
from transforms.failure_share import check_share
from transforms.fetch_error import FetchError
from transforms.fetch_loop import run_in_loop, shared_codec, shared_fetching
from transforms.fetch_options import FetchOptions
from transforms.file_digest import bytes_digest
from transforms.for_each import for_each, while_it_helps
from transforms.image_places import PlacesConfig, fetch_image
from transforms.image_plan import ImageOptions
from transforms.image_spool import ImageSpool
from transforms.make_images import Made, make_again, make_images, options_again, take_over, usable_size
from transforms.old_dataset import OldDataset, OldPhotos
from transforms.output import Output
from transforms.photo_refs import FETCH_COLUMNS, PhotoRef, photo_ref
from transforms.progress import count
from transforms.publish import OutputError, staging_in
from transforms.remedies import REDO_ROWS
from transforms.remote_copies import default_mirror_url
from transforms.row_annotations import RowAnnotations
from transforms.scratch import Scratch
from transforms.shard_failures import ShardFailures
from transforms.shard_remains import Remains
from transforms.shards_under_way import is_oldest, ranked
from transforms.write_shard import ShardRows, SpooledImage, write_shard

PHOTOS_IN_HAND = 4_096
"""Photos begun at once, most of which wait for their turn: a host that is slow holds up none but its own."""

OLD_IN_HAND = 32
"""Images of an old dataset in memory at once."""

_Row = dict[str, typing.Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardConfig:
    """How shards are built.

    Attributes:
        output: the dataset.
        folder: local, for everything unfinished; need not exist. None for temporary files of each worker's machine.
        image: how images are written.
        fetch: how they are downloaded.
        places: where they are looked for, in order.
        format: the plan's format flags, part of the commit's digest.
        max_failure_ratio: the run ends when more than this share of its photos has failed.
        retry: SQL condition on the failures of shards that are built already: those photos are tried again, and the
            rest of the shard is kept; '' to build whole shards.
        remains: what is left of damaged shards, by shard; these are restored. None to build shards anew.
        decode_limit_s: the most processor time that one photo may take between its bytes and its image.
        old: dataset whose images and failures are taken where they will do; None if every photo is fetched.
        done: gets the commit record of each shard that this run has built, so that a repeated attempt does not build it
            again; None where nothing is repeated.
        isolated: make every image in a process of its own, since some photo of the shard ends the process it is in.
    """

    output: Output
    folder: pathlib.Path | None
    image: ImageOptions
    fetch: FetchOptions
    places: PlacesConfig
    format: dict[str, typing.Any]
    max_failure_ratio: float = 1.0
    retry: str = ""
    remains: typing.Mapping[int, Remains] | None = None
    decode_limit_s: float = DECODE_LIMIT_S
    old: OldDataset | None = None
    done: Scratch | None = None
    isolated: bool = False


class ShardImages:
    """The images of one shard: what they are made with, and what became of them in order of arrival."""

    def __init__(self, config: ShardConfig, annotations: RowAnnotations, spool: ImageSpool, old: OldPhotos | None):
        self._config, self._annotations, self._spool, self._old = config, annotations, spool, old
        self._old_in_hand = asyncio.Semaphore(OLD_IN_HAND)
        self.images: list[SpooledImage] = []
        self.failures = ShardFailures()
        self.attempts = 0
        self.geometry_dropped: collections.Counter[str] = collections.Counter()

    async def build(self, index: int, photo: _Row) -> None:
        """Makes one photo an image or a failure; defers it if it may yet become an image."""
        ref = photo_ref(photo)
        kept = self._old.failure(ref.photo_id) if self._old else None
        if kept:
            self.failures.keep(kept)
            return
        try:
            if photo["is_video"]:
                raise PhotoError(FailureReason.IS_VIDEO, Stage.FETCH, "the photo is a video")
            await self._make(index, photo, ref)
            self.failures.healed(index)
            count("samples")
        except PhotoError as error:
            self.attempts += error.attempts if isinstance(error, FetchError) else 0
            url = "" if photo["is_video"] else default_mirror_url(ref, self._config.places.base)
            failure = Failure(ref.photo_id, error.reason, error.stage, error.http_status, url, error.detail)
            is_own = not (isinstance(error, FetchError) and error.host_is_ailing)
            self.failures.add(index, failure, is_own)
            check_share(self._config.max_failure_ratio)

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
            images = run_in_loop(build_images(rows.table, range(rows.table.num_rows), config, spool))
            failures, sizes, extension = images.failures.final, config.image.further_sizes, config.image.format
            commit = write_shard(rows, images.images, failures, spool, staging, config.format, extension, sizes)
        _commit(commit, staging, config.output)
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
    return ShardRows(shard, pq.read_table(io.BytesIO(data)), file)


def staging_of(shard: int, config: ShardConfig) -> contextlib.AbstractContextManager[pathlib.Path]:
    """Gives one attempt at a shard an empty local folder of its own for what is unfinished."""
    return staging_in(config.folder, f"shard-{layout.shard_name(shard)}-")


async def build_images(
    table: pa.Table, wanted: typing.Iterable[int], config: ShardConfig, spool: ImageSpool
) -> ShardImages:
    """Tries every photo of some rows, then once more, with fresh connections, those whose failures may heal.

    Args:
        table: rows of a shard.
        wanted: numbers of those whose photos are tried.
        config: how.
        spool: takes the images.
    """
    photos: list[_Row] = table.select([*FETCH_COLUMNS, "sources"]).to_pylist()
    old = OldPhotos(config.old, table["photo_id"].to_numpy()) if config.old else None
    images = ShardImages(config, RowAnnotations(table), spool, old)

    def build(rows: typing.Iterable[int]) -> typing.Coroutine[typing.Any, typing.Any, None]:
        return for_each(rows, lambda row: images.build(row, photos[row]), PHOTOS_IN_HAND)

    with ranked():
        await build(wanted)
        if images.failures.deferred:
            await shared_fetching(config.fetch, config.places).client.renew()
            again = build(images.failures.rows_to_try())
            await while_it_helps(again, lambda: len(images.images), config.fetch.deadline_s, lambda: not is_oldest())
    images.failures.give_up()
    return images


def _commit(commit: CommitRecord, staging: pathlib.Path, output: Output) -> None:
    """Replaces the shard's files; an older commit record goes first, the new one comes last."""
    record = layout.commit_file(commit.shard)
    output.remove(record)
    for name in layout.shard_files(commit.shard):
        if name in commit.files:
            output.publish(staging / name, name)
        else:
            output.remove(name)
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
        "failed": len(images.failures.final),
        "attempts": images.attempts,
        "geometry_dropped": images.geometry_dropped,
    }
    output.write(layout.log_file(shard), json.dumps(log).encode() + b"\n")
