"""One list per photo out of the elements that several files gave it.

Files repeat each other: COCO's 2014 and 2017 files hold the same annotations, a keypoints file repeats
the box and the outline of its instances, Kaggle's captions repeat the token file. An element is kept
once per kind, id and content: elements of one column that agree in every field are one, areas up to
rounding. The same id with another content is another element; both stay.
"""

import itertools
import typing

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.annotations import AREA_TOLERANCE, ELEMENTS, ROUNDED_FIELD, SORT_FIELDS
from schemas.list_columns import list_column

Mask = npt.NDArray[np.bool_]
Positions = npt.NDArray[np.int64]


def merged_positions(photos: npt.NDArray[np.int64], elements: pa.StructArray, column: str) -> Positions:
    """Returns which elements to take, so that each photo's are unique and in their total order.

    Args:
        photos: the place of each element's photo among the rows.
        elements: of all photos, in any order.
        column: name of the list column; :data:`schemas.annotations.SORT_FIELDS` gives its order.

    Returns:
        Positions in ``elements``, by photo and then by the order of the column.
    """
    if not len(elements):
        return np.empty(0, np.int64)
    fields = dict(zip((f.name for f in elements.type), elements.flatten(), strict=True))
    names = [name for name in SORT_FIELDS[column] if name != ROUNDED_FIELD]
    lists = [fields[name] for name in names if pa.types.is_list(fields[name].type)]
    scalars = [fields[name] for name in names if not pa.types.is_list(fields[name].type)]
    areas = fields.get(ROUNDED_FIELD, pa.nulls(len(elements), pa.float64()))
    keys = [pa.array(photos), *(values for values in scalars if not _is_constant(values))]
    table = pa.table([*keys, areas], [str(i) for i in range(len(keys) + 1)])
    order = pc.sort_indices(table, [(name, "ascending") for name in table.column_names]).to_numpy().astype(np.int64)
    ordered = [values.take(pa.array(order)) for values in keys]
    ties = np.logical_and.reduce([_equal(values[1:], values[:-1]) for values in ordered])
    equal = _tied_and_equal(ties, lists, order)
    if (ties & ~equal).any():
        return _resolved(order, ties, lists, areas)
    before, after = order[:-1], order[1:]
    return order[np.concatenate(([True], ~(equal & _close(areas.take(pa.array(before)), areas.take(pa.array(after))))))]


def merge_elements(column: str, elements: typing.Iterable[dict[str, typing.Any]]) -> list[dict[str, typing.Any]]:
    """Merges the elements of one photo: unique, in the total order of the column.

    Example:
        >>> one = {"source": "flickr8k", "image_id": "1_a.jpg", "caption_id": 1, "text": "A", "is_lemma": False}
        >>> [e["caption_id"] for e in merge_elements("captions", [one, {**one, "caption_id": 0}, one])]
        [0, 1]
    """
    array = pa.array(list(elements), ELEMENTS[column])
    taken = merged_positions(np.zeros(len(array), np.int64), array, column)
    merged: list[dict[str, typing.Any]] = array.take(pa.array(taken)).to_pylist()
    return merged


def merge_lists(photos: npt.NDArray[np.int64], elements: pa.StructArray, column: str, rows: int) -> pa.ListArray:
    """Merges elements into a list column.

    Args:
        photos: row of each element's photo, 0 to ``rows`` - 1.
        elements: of all photos, in any order.
        column: name of the list column.
        rows: length of the result; a row without elements has an empty list.
    """
    taken = merged_positions(photos, elements, column)
    return list_column(photos[taken], elements.take(pa.array(taken)), rows)


def _is_constant(values: pa.Array) -> bool:
    return not len(values) or bool(_equal(values, pa.repeat(values[0], len(values))).all())


def _equal(left: pa.Array, right: pa.Array) -> Mask:
    """Compares two arrays of one type, value by value; null equals null, a list or a struct one with equal values."""
    if pa.types.is_struct(left.type):
        both = zip(left.flatten(), right.flatten(), strict=True)
        same: Mask = np.logical_and.reduce([_equal(pc.is_null(left), pc.is_null(right)), *(_equal(*p) for p in both)])
        return same
    if not pa.types.is_list(left.type):
        both_null = pc.and_(pc.is_null(left), pc.is_null(right))
        equal: Mask = pc.or_(pc.fill_null(pc.equal(left, right), False), both_null).to_numpy(zero_copy_only=False)
        return equal
    lengths = [pc.fill_null(pc.list_value_length(a), -1).to_numpy(zero_copy_only=False) for a in (left, right)]
    equal = lengths[0] == lengths[1]
    kept = pa.array(equal)
    values = _equal(left.filter(kept).flatten(), right.filter(kept).flatten())
    differences = np.concatenate(([0], np.cumsum(~values)))
    ends = np.cumsum(np.maximum(lengths[0][equal], 0))
    equal[np.flatnonzero(equal)] = np.diff(differences[np.concatenate(([0], ends))]) == 0
    return equal


def _tied_and_equal(ties: Mask, lists: typing.Sequence[pa.Array], order: Positions) -> Mask:
    """Marks those elements, from the second on, that equal the one before in every field."""
    equal = ties.copy()
    for values in lists:
        tied = np.flatnonzero(equal)
        before, after = values.take(pa.array(order[tied])), values.take(pa.array(order[tied + 1]))
        equal[tied] = _equal(after, before)
    return equal


def _resolved(order: Positions, ties: Mask, lists: typing.Sequence[pa.Array], areas: pa.Array) -> Positions:
    """Sorts runs of elements that differ in lists and area only, and drops the repeated."""
    starts = np.concatenate(([0], np.flatnonzero(~ties) + 1, [len(order)]))
    taken: list[int] = []
    for begin, end in itertools.pairwise(starts.tolist()):
        run = order[begin:end].tolist()
        contents = {i: [_comparable(values[i].as_py()) for values in lists] for i in run} if len(run) > 1 else {}
        run.sort(key=lambda i: contents.get(i, []))
        taken.append(run[0])
        for i, j in itertools.pairwise(run):
            if contents[i] != contents[j] or not _close(areas[i : i + 1], areas[j : j + 1]).all():
                taken.append(j)
    return np.array(taken, np.int64)


def _close(left: pa.Array, right: pa.Array) -> Mask:
    """Compares areas up to rounding; null equals null."""
    before = left.fill_null(np.nan).to_numpy(zero_copy_only=False)
    after = right.fill_null(np.nan).to_numpy(zero_copy_only=False)
    return np.isclose(before, after, rtol=AREA_TOLERANCE, atol=0.0, equal_nan=True)


def _comparable(value: typing.Any) -> typing.Any:
    """Turns nested lists and structs into tuples, null after everything else."""
    if value is None:
        return (1,)
    if isinstance(value, dict):
        return (0, tuple(_comparable(v) for v in value.values()))
    return (0, tuple(_comparable(v) for v in value) if isinstance(value, list) else value)
