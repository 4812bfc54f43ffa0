"""Compares two finished datasets photo by photo, whatever their numbers of shards.

A shard is a range of hashes, so both are walked by the ranges that one shard of each has in common. Memory holds one
shard of each; every table is read once, every tar once, and again where images differ. Where the shards are the same
ranges, those of which all files have the same SHA-256 are not read at all.
"""

import collections
import functools
import typing

import numpy as np
import pyarrow as pa

from schemas import layout
from schemas.photo_ids import shard_bounds, within_hashes
from schemas.sample_members import extensions_of
from schemas.videos import with_videos_stated
from transforms.compare.compare_images import (
    Digests,
    ImageChange,
    ImageDifference,
    TarImages,
    differing_images,
    read_digests,
)
from transforms.compare.compare_photos import Change, PhotoDifference, compare_photos
from transforms.datasets.finished_dataset import FinishedDataset, ShardTables, read_shard


class HashRange(typing.NamedTuple):
    """A half-open range of hashes, and the shards of both datasets that it is in."""

    shard_a: int
    shard_b: int
    begin: int
    end: int


class Counts:
    """How many photos differ, and in what.

    Attributes:
        photos: by what became of them.
        columns: changed photos by table and column.
        states: changed photos by their two states.
        images: images by further size (None is the first) and how they differ.
    """

    def __init__(self) -> None:
        self.photos: collections.Counter[Change] = collections.Counter()
        self.columns: collections.Counter[tuple[str, str]] = collections.Counter()
        self.states: collections.Counter[tuple[str, str]] = collections.Counter()
        self.images: collections.Counter[tuple[int | None, ImageChange]] = collections.Counter()

    def count(self, photo: PhotoDifference) -> PhotoDifference:
        """Counts a photo, and returns it."""
        self.photos[photo.change] += 1
        self.columns.update((table, name) for table, names in photo.columns.items() for name in names)
        self.states.update([photo.states] if photo.states else [])
        self.images.update((image.size, image.change) for image in photo.images)
        return photo


def differing_settings(a: FinishedDataset, b: FinishedDataset) -> dict[str, tuple[typing.Any, typing.Any]]:
    """Returns what decides how rows become samples and differs: format flags that both state, and added members."""
    of_a, of_b = ({**with_videos_stated(d.format), **_members(d)} for d in (a, b))
    both = sorted(of_a.keys() & of_b.keys())
    return {name: (of_a[name], of_b[name]) for name in both if of_a[name] != of_b[name]}


def _members(dataset: FinishedDataset) -> dict[str, list[str] | str]:
    names = {name for added in dataset.added for name in extensions_of(added)}
    return {"into_shards": sorted(names) or "nothing"} if dataset.has_images else {}


def compare_datasets(a: FinishedDataset, b: FinishedDataset) -> typing.Iterator[PhotoDifference]:
    """Yields every photo that is not the same in both; if one was made without images, by their rows alone.

    In order of the ranges of hashes, and in each of the photo ids.

    Raises:
        DamagedDatasetError: a file is missing, or not what was written.
    """
    with_images = a.has_images and b.has_images
    read_a, read_b = (functools.lru_cache(1)(functools.partial(read_shard, d, images=with_images)) for d in (a, b))
    digests_of = [functools.lru_cache(1)(functools.partial(read_digests, dataset)) for dataset in (a, b)]
    for part in hash_ranges(len(a.sha256), len(b.sha256)):
        same = _same_files(a, b, part.shard_a, with_images)
        if same and all(same.values()):
            continue
        photos_a, photos_b = _within(read_a(part.shard_a), part), _within(read_b(part.shard_b), part)
        same_images = same.get(layout.tar_file(part.shard_a), False)
        compare_images = _no_images if same_images else functools.partial(_compare_images, a, b, part, digests_of)
        yield from compare_photos(photos_a, photos_b, compare_images)


def hash_ranges(shards_a: int, shards_b: int) -> typing.Iterator[HashRange]:
    """Yields the ranges that the borders of both numbers of shards cut all hashes into; no shard counts as one.

    Example:
        >>> [(r.shard_a, r.shard_b, r.begin >> 60, r.end >> 60) for r in hash_ranges(2, 4)]
        [(0, 0, 0, 4), (0, 1, 4, 8), (1, 2, 8, 12), (1, 3, 12, 16)]
    """
    a = b = begin = 0
    while begin < 2**64:
        end_a, end_b = shard_bounds(a, max(shards_a, 1))[1], shard_bounds(b, max(shards_b, 1))[1]
        end = min(end_a, end_b)
        yield HashRange(a, b, begin, end)
        a, b, begin = a + (end == end_a), b + (end == end_b), end


def _same_files(a: FinishedDataset, b: FinishedDataset, shard: int, with_images: bool) -> dict[str, bool]:
    """Tells of each file that counts of a shard whether it has the same SHA-256 in both; none if shards are others."""
    if len(a.sha256) != len(b.sha256) or shard >= len(a.sha256):
        return {}
    of_a, of_b = a.sha256[shard], b.sha256[shard]
    names = of_a.keys() | of_b.keys() if with_images else [layout.rows_file(shard)]
    return {name: of_a.get(name) == of_b.get(name) for name in names}


def _no_images(*_: pa.Table) -> tuple[()]:
    return ()


def _compare_images(
    a: FinishedDataset,
    b: FinishedDataset,
    part: HashRange,
    digests_of: typing.Sequence[typing.Callable[[int], Digests]],
    samples_a: pa.Table,
    samples_b: pa.Table,
) -> typing.Iterable[tuple[int, ImageDifference]]:
    if not samples_a.num_rows:
        return ()
    of_a, of_b = (read(shard) for read, shard in zip(digests_of, (part.shard_a, part.shard_b), strict=True))
    return differing_images(TarImages(a, part.shard_a, samples_a, of_a), TarImages(b, part.shard_b, samples_b, of_b))


def _within(tables: ShardTables, part: HashRange) -> ShardTables:
    return ShardTables(*(_filtered(table, part) for table in tables))


def _filtered(table: pa.Table, part: HashRange) -> pa.Table:
    photo_ids = table["photo_id"].to_numpy().astype(np.int64)
    return table.filter(pa.array(within_hashes(photo_ids, part.begin, part.end)))
