"""Which joined rows are kept: by split, by `--where`, by class, and by number."""

import dataclasses
import typing

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.classes import ChosenClass
from schemas.photo_ids import LIMIT_SALT, hash64
from schemas.splits import split_pattern
from transforms.join.class_evidence import Evidence, evidence, only_classes
from transforms.join.class_limit import nearest_of_classes
from transforms.join.where_condition import matching_rows

MIN_CONFIDENCE = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowSelection:
    """Which joined rows are kept, in the order in which that is decided.

    Attributes:
        split: of :func:`schemas.splits.read_split`: photos that any source has in it; '' for all.
        where: SQL condition, '' for all.
        classes: names or ids of classes, of which a photo has at least one; () for all.
        class_evidence: what shows that a photo has a class.
        min_confidence: 0 to 1, of evidence by machines.
        per_class_limit: number of photos for each class, None for all.
        only_these_classes: whether annotations of other classes are removed.
        limit: number of photos, None for all.
    """

    split: str = ""
    where: str = ""
    classes: tuple[str, ...] = ()
    class_evidence: tuple[str, ...] = (Evidence.BOXES.value, Evidence.HUMAN.value)
    min_confidence: float = MIN_CONFIDENCE
    per_class_limit: int | None = None
    only_these_classes: bool = False
    limit: int | None = None

    def as_json(self) -> dict[str, typing.Any]:
        """Returns the selection as a plan records it: with lists in place of tuples."""
        values = dataclasses.asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def select_rows(rows: pa.Table, selection: RowSelection, classes: typing.Sequence[ChosenClass] = ()) -> pa.Table:
    """Keeps the rows that match, and of those only as many as limits could ever take from here.

    Args:
        rows: of ROW_SCHEMA.
        selection: which are kept.
        classes: those of the selection.

    Returns:
        Rows of ROW_SCHEMA; with ``per_class_limit`` they also have the column that
        :func:`transforms.join.class_limit.left_by_classes` needs.
    """
    if selection.split:
        rows = rows.filter(pa.array(in_split(rows, selection.split)))
    if selection.where:
        rows = rows.filter(matching_rows(rows, selection.where))
    if classes:
        return _select_classes(rows, selection, classes)
    return _nearest(rows, selection.limit)


def in_split(rows: pa.Table, split: str = "") -> npt.NDArray[np.bool_]:
    """Tells which rows have a copy in a split, whatever their source; '' for any split."""
    copies = rows["copies"].combine_chunks()
    matching = pc.match_substring_regex(copies.flatten().field("split"), split_pattern(split)).fill_null(False)
    owners = pc.list_parent_indices(copies).to_numpy()
    found = np.zeros(rows.num_rows, np.bool_)
    found[owners[matching.to_numpy(zero_copy_only=False)]] = True
    return found


def _select_classes(rows: pa.Table, selection: RowSelection, classes: typing.Sequence[ChosenClass]) -> pa.Table:
    kinds = [Evidence(kind) for kind in selection.class_evidence]
    having = evidence(rows, classes, kinds, selection.min_confidence)
    if selection.per_class_limit:
        rows = nearest_of_classes(rows, having, selection.per_class_limit)
    else:
        rows = _nearest(rows.filter(pa.array(having.any(axis=0))), selection.limit)
    return only_classes(rows, classes) if selection.only_these_classes else rows


def _nearest(rows: pa.Table, limit: int | None) -> pa.Table:
    if limit is None or rows.num_rows <= limit:
        return rows
    salted = hash64(rows["photo_id"].to_numpy(), LIMIT_SALT)
    return rows.take(np.sort(np.argpartition(salted, limit)[:limit]))
