"""Compares photos of two datasets: which there are, in which columns they differ, and what became of their images."""

import collections
import enum
import typing

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.annotations import MAPPED_COLUMNS
from schemas.failures import FAILURE_SCHEMA
from schemas.rows import ROW_SCHEMA
from schemas.sample_members import ADDED_COLUMNS
from schemas.samples import IMAGE_COLUMNS
from schemas.videos import VIDEO_COLUMNS
from transforms.compare.compare_images import ImageDifference
from transforms.datasets.finished_dataset import ShardTables

SAMPLE, VIDEO = "sample", "video"
"""The state of a photo that is one; that of another is the reason of its failure."""

COMPARED_COLUMNS = {
    "rows": tuple(ROW_SCHEMA.names),
    "samples": (*MAPPED_COLUMNS, *(c.name for c in IMAGE_COLUMNS)),
    "failures": tuple(name for name in FAILURE_SCHEMA.names if name not in ("reason", "retryable")),
    "videos": tuple(c.name for c in VIDEO_COLUMNS),
}
"""By table. Samples repeat the other columns of their rows; where an image lies in its tar depends on its neighbours;
the reason of a failure is the photo's state; videos are the same if their SHA-256 is. Columns of added members are
compared where both have them."""

_SMALL_ROWS = 16

Ids = npt.NDArray[np.int64]
CompareImages = typing.Callable[[pa.Table, pa.Table], typing.Iterable[tuple[int, ImageDifference]]]


class Change(str, enum.Enum):
    """What became of a photo from the first dataset to the second."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class PhotoDifference(typing.NamedTuple):
    """A photo that is not the same in both datasets; all but the first two are empty unless it changed.

    Attributes:
        photo_id: of it.
        change: what became of it.
        columns: that differ, by table: ``rows``, ``samples``, ``failures``, ``videos``; of the latter three where it is
            one in both.
        states: in the first and the second, where they differ: ``sample``, ``video``, or the reason of the failure.
        images: that differ, where it is a sample in both.
    """

    photo_id: int
    change: Change
    columns: dict[str, list[str]]
    states: tuple[str, str] | None
    images: list[ImageDifference]


def compare_photos(a: ShardTables, b: ShardTables, compare_images: CompareImages) -> typing.Iterator[PhotoDifference]:
    """Yields the photos that differ, in order of their ids.

    Args:
        a: photos of the first dataset.
        b: of the second, of the same range of hashes.
        compare_images: is given the samples of both that are in both, in the same order, and yields what differs.
    """
    ids_a, ids_b = _ids(a.rows), _ids(b.rows)
    changes = dict.fromkeys(np.setdiff1d(ids_a, ids_b).tolist(), Change.REMOVED)
    changes |= dict.fromkeys(np.setdiff1d(ids_b, ids_a).tolist(), Change.ADDED)
    columns: dict[int, dict[str, list[str]]] = collections.defaultdict(dict)
    images: dict[int, list[ImageDifference]] = collections.defaultdict(list)
    for table, of_a, of_b in zip(COMPARED_COLUMNS, a, b, strict=True):
        of_a, of_b = aligned(of_a, of_b)
        both = {*of_a.column_names} & {*of_b.column_names}
        added = [name for name in ADDED_COLUMNS if name in both]
        for photo_id, name in _differing_columns(of_a, of_b, [*COMPARED_COLUMNS[table], *added]):
            columns[photo_id].setdefault(table, []).append(name)
        if table == "samples":
            for photo_id, difference in compare_images(of_a, of_b):
                images[photo_id].append(difference)
    states_a, states_b = _states(a), _states(b)
    states = {i: (states_a[i], s) for i, s in states_b.items() if i in states_a and states_a[i] != s}
    changes |= dict.fromkeys([*columns, *images, *states], Change.CHANGED)
    for i in sorted(changes):
        yield PhotoDifference(i, changes[i], columns.get(i, {}), states.get(i), images.get(i, []))


def aligned(a: pa.Table, b: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Returns the rows of photos that both tables have, in the same order."""
    ids_a, ids_b = _ids(a), _ids(b)
    if np.array_equal(ids_a, ids_b):
        return a, b
    _, places_a, places_b = np.intersect1d(ids_a, ids_b, assume_unique=True, return_indices=True)
    return a.take(places_a), b.take(places_b)


def differing_places(a: pa.ChunkedArray, b: pa.ChunkedArray) -> list[int]:
    """Returns where two columns of the same type and length differ; nulls are equal.

    Compares halves as long as they differ: Arrow compares nested values as a whole only.
    """
    if a.equals(b):
        return []
    if len(a) <= _SMALL_ROWS:
        return [i for i, (x, y) in enumerate(zip(a.to_pylist(), b.to_pylist(), strict=True)) if x != y]
    half = len(a) // 2
    later = differing_places(a.slice(half), b.slice(half))
    return [*differing_places(a.slice(0, half), b.slice(0, half)), *(half + i for i in later)]


def _differing_columns(a: pa.Table, b: pa.Table, names: typing.Iterable[str]) -> typing.Iterator[tuple[int, str]]:
    photo_ids = _ids(a)
    for name in names:
        for place in differing_places(a[name], b[name]):
            yield int(photo_ids[place]), name


def _states(photos: ShardTables) -> dict[int, str]:
    failures = zip(photos.failures["photo_id"].to_pylist(), photos.failures["reason"].to_pylist(), strict=True)
    found = ((photos.samples, SAMPLE), (photos.videos, VIDEO))
    return {i: state for table, state in found for i in table["photo_id"].to_pylist()} | dict(failures)


def _ids(table: pa.Table) -> Ids:
    return table["photo_id"].to_numpy().astype(np.int64)
