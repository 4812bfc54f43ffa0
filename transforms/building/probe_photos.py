"""A few photos from all over the rows, fetched before the first shard: is there any use in beginning?"""

import collections
import typing

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas import layout
from schemas.failures import FailureReason
from transforms.building.fetch_loop import run_in_loop, shared_fetching
from transforms.building.shard_config import ShardConfig
from transforms.fetch.fetch_error import FetchError
from transforms.files.read_parquet import read_parquet
from transforms.places.image_places import fetch_image
from transforms.places.photo_refs import FETCH_COLUMNS, PhotoRef, photo_ref
from transforms.workers.failure_share import check_sample
from transforms.workers.for_each import for_each

PHOTOS = 64
SHARDS = 8
"""Rows files that they are taken from."""


def probe_photos(shards: typing.Sequence[int], config: ShardConfig) -> None:
    """Fetches some photos of these shards and throws them away. Runs in a worker process.

    Raises:
        TooManyFailuresError: so many fail that ``--max_failure_ratio`` cannot be kept.
    """
    chosen = _spread(sorted(shards), SHARDS)
    photos = [photo for shard in chosen for photo in _photos_of(shard, config, PHOTOS // len(chosen))]
    reasons = run_in_loop(_fetch(photos, config))
    check_sample(reasons, len(photos), config.max_failure_ratio)


def _photos_of(shard: int, config: ShardConfig, wanted: int) -> list[PhotoRef]:
    with config.output.open(layout.rows_file(shard)) as file:
        table = read_parquet(file, [*FETCH_COLUMNS])
    table = table.filter(pc.invert(table["is_video"].fill_null(False)))
    rows = pa.array(_spread(range(table.num_rows), wanted), pa.int64())
    return [photo_ref(row) for row in table.take(rows).to_pylist()]


def _spread(things: typing.Sequence[int], wanted: int) -> list[int]:
    """Returns so many of the things, evenly spread over all.

    Example:
        >>> _spread(range(10), 4), _spread([5, 7], 4)
        ([0, 3, 6, 9], [5, 7])
    """
    return [things[i] for i in np.unique(np.linspace(0, len(things) - 1, min(wanted, len(things))).astype(int))]


async def _fetch(photos: list[PhotoRef], config: ShardConfig) -> "collections.Counter[FailureReason]":
    reasons: collections.Counter[FailureReason] = collections.Counter()
    places = shared_fetching(config.fetch, config.places).places

    async def fetch(photo: PhotoRef) -> None:
        try:
            async with fetch_image(places, photo):
                pass
        except FetchError as error:
            reasons[error.reason] += 1

    await for_each(photos, fetch, PHOTOS)
    return reasons
