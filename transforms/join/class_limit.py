"""`--per_class_limit`: of each class the photos with the smallest salted hashes, over all buckets together.

A bucket keeps those that are among its own smallest, with the classes that they have. The largest hash
that a class has left over all buckets then decides, so that neither buckets nor their order matter.
"""

import typing

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.list_columns import list_column
from schemas.photo_ids import CLASS_SALT, Hashes, hash64

CLASSES_COLUMN = "requested_classes"
"""Of joined buckets: positions of the classes that a photo has among those asked for."""

_ALL = 2**64 - 1

Mask = npt.NDArray[np.bool_]


def nearest_of_classes(rows: pa.Table, having: Mask, limit: int) -> pa.Table:
    """Keeps the rows that are among the smallest of a class, and adds which classes they have.

    Args:
        rows: with ``photo_id``.
        having: which rows have which classes, shape (classes, rows).
        limit: rows for each class.
    """
    salted = hash64(rows["photo_id"].to_numpy(), CLASS_SALT)
    kept = np.zeros(rows.num_rows, np.bool_)
    for mask in having:
        own = np.flatnonzero(mask)
        kept[own if len(own) <= limit else own[np.argpartition(salted[own], limit)[:limit]]] = True
    return rows.filter(pa.array(kept)).append_column(CLASSES_COLUMN, _positions(having[:, kept]))


def max_class_hashes(batches: typing.Iterable[pa.RecordBatch], classes: int, limit: int) -> tuple[int, ...]:
    """Finds for each class the largest salted hash among the ``limit`` smallest of all rows that have it.

    Args:
        batches: of all buckets, with ``photo_id`` and the classes.
        classes: how many were asked for.
        limit: rows for each; up to twice as many hashes are held in memory.
    """
    smallest = [_Smallest(limit) for _ in range(classes)]
    for batch in batches:
        _, positions, salted = _class_hashes(batch)
        for i in np.unique(positions).tolist():
            smallest[i].add(salted[positions == i])
    return tuple(found.largest() for found in smallest)


class _Smallest:
    """The smallest of any number of hashes; sorted out only when there are twice as many, for speed."""

    def __init__(self, number: int):
        self._number = number
        self._found: list[Hashes] = []
        self._count, self._largest = 0, _ALL

    def add(self, hashes: Hashes) -> None:
        self._found.append(hashes[hashes <= np.uint64(self._largest)])
        self._count += len(self._found[-1])
        if self._count > 2 * self._number:
            self._sort_out()

    def largest(self) -> int:
        """Returns the largest that is left, and of all numbers if there are too few."""
        self._sort_out()
        return self._largest

    def _sort_out(self) -> None:
        found = np.concatenate([np.empty(0, np.uint64), *self._found])
        if len(found) > self._number:
            found = np.partition(found, self._number - 1)[: self._number]
        self._found, self._count = [found], len(found)
        if len(found) == self._number:
            self._largest = int(found.max())


def left_by_classes(batch: pa.RecordBatch, max_hashes: typing.Sequence[int]) -> Mask:
    """Tells which rows are among the smallest of a class.

    Args:
        batch: with ``photo_id`` and the classes.
        max_hashes: of :func:`max_class_hashes`.
    """
    rows, positions, salted = _class_hashes(batch)
    left = np.zeros(batch.num_rows, np.bool_)
    left[rows[salted <= np.array(max_hashes, np.uint64)[positions]]] = True
    return left


def _class_hashes(batch: pa.RecordBatch) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], Hashes]:
    """Returns for every row and each class that it has: the row, the class, the row's salted hash."""
    lists = batch[CLASSES_COLUMN]
    rows = pc.list_parent_indices(lists).to_numpy()
    return rows, lists.flatten().to_numpy(), hash64(batch["photo_id"].to_numpy(), CLASS_SALT)[rows]


def _positions(having: Mask) -> pa.ListArray:
    rows, positions = np.nonzero(having.T)
    return list_column(rows, pa.array(positions, pa.int32()), having.shape[1])
