"""The annotation columns of rows: the elements of all sources put beside the photos they belong to, each once."""

import collections
import typing

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.annotations import ELEMENTS
from schemas.merge_annotations import merge_lists
from schemas.photo_ids import Hashes, hash64
from schemas.sources import SpoolKind
from transforms.sources.annotation_parts import PART_TYPES
from transforms.sources.sorted_ids import find_sorted

Positions = npt.NDArray[np.int64]
_LEAST = ("coco_image", "open_images_image", "flickr8k_split")


class JoinedElements(typing.NamedTuple):
    """What annotations say of photos.

    Attributes:
        columns: the annotation columns and the scalars of sources' images, in the order of the photos.
        warnings: positions of photos, and the warning of each.
        counts: by kind, its ``lines`` and of these the ``kept``, ``collapsed`` and ``unmatched``.
    """

    columns: dict[str, pa.Array]
    warnings: tuple[Positions, list[str]]
    counts: dict[str, dict[str, int]]


class _Placed(typing.NamedTuple):
    """Elements of one kind that belong to a photo, and its position among the photos."""

    kind: SpoolKind
    photos: Positions
    elements: pa.Array


def join_elements(photo_ids: npt.NDArray[np.int64], tables: typing.Mapping[SpoolKind, pa.Table]) -> JoinedElements:
    """Joins annotations to photos.

    Args:
        photo_ids: int64, in order of their hash.
        tables: per kind the columns ``photo_id`` and its own, in any order, with repetitions.
    """
    hashes = hash64(photo_ids)
    placed = [_place(hashes, kind, table) for kind, table in tables.items()]
    by_column: dict[str, list[_Placed]] = collections.defaultdict(list)
    for part in placed:
        by_column[part.kind.column].append(part)
    columns: dict[str, pa.Array] = {}
    kept: dict[SpoolKind, int] = {}
    for column in ELEMENTS:
        parts = by_column[column]
        columns[column] = _merge(column, parts, len(photo_ids))
        kept |= _kept(columns[column], parts)
    for column in _LEAST:
        columns |= _least(column, by_column[column], len(photo_ids))
    warnings = _joined(by_column["warnings"], pa.string())
    counts = {
        part.kind.name: {
            "lines": tables[part.kind].num_rows,
            "unmatched": tables[part.kind].num_rows - len(part.photos),
            "kept": kept.get(part.kind, len(part.photos)),
            "collapsed": len(part.photos) - kept.get(part.kind, len(part.photos)),
        }
        for part in placed
    }
    return JoinedElements(columns, (warnings[0], warnings[1].to_pylist()), counts)


def count_conflicts(copies: pa.ListArray) -> dict[str, int]:
    """Counts photos whose copies do not fit together; they are kept side by side.

    Args:
        copies: the column ``copies``.

    Returns:
        ``repeated_images``: photos that one source has several images of. ``different_sizes``: photos whose
        copies have different sizes.
    """
    structs = copies.flatten()
    photos = pc.list_parent_indices(copies)
    table = pa.table({"photo": photos, **{name: structs.field(name) for name in ("source", "image_id")}})
    sides = [structs.field(name).cast(pa.int64()) for name in ("width", "height")]
    sizes = pa.table({"photo": photos, "size": pc.add(pc.multiply(sides[0], 2**31), sides[1])}).drop_null()
    images = table.group_by(["photo", "source"]).aggregate([("image_id", "count_distinct")])
    several = images.filter(pc.greater(images["image_id_count_distinct"], 1))
    differing = sizes.group_by("photo").aggregate([("size", "count_distinct")])["size_count_distinct"]
    return {
        "repeated_images": pc.count_distinct(several["photo"]).as_py(),
        "different_sizes": pc.sum(pc.greater(differing, 1)).as_py() or 0,
    }


def _place(hashes: Hashes, kind: SpoolKind, table: pa.Table) -> _Placed:
    elements = table[kind.column].combine_chunks()
    places, found = find_sorted(hashes, hash64(table["photo_id"].to_numpy()))
    return _Placed(kind, places[found], elements if found.all() else elements.filter(pa.array(found)))


def _joined(parts: typing.Sequence[_Placed], type_: pa.DataType) -> tuple[Positions, pa.Array]:
    photos = np.concatenate([np.empty(0, np.int64), *(part.photos for part in parts)])
    return photos, pa.concat_arrays([pa.array([], type_), *(part.elements for part in parts)])


def _merge(column: str, parts: typing.Sequence[_Placed], rows: int) -> pa.ListArray:
    photos, elements = _joined(parts, ELEMENTS[column])
    return merge_lists(photos, elements, column, rows)


def _kept(lists: pa.ListArray, parts: typing.Sequence[_Placed]) -> dict[SpoolKind, int]:
    if not parts:
        return {}
    counted = pc.value_counts(lists.flatten().field("source")).to_pylist()
    by_source = {c["values"]: c["counts"] for c in counted}
    return {part.kind: by_source.get(part.kind.source.value, 0) for part in parts}


def _least(column: str, parts: typing.Sequence[_Placed], rows: int) -> dict[str, pa.Array]:
    """Returns the scalars of the least element of each photo, null where it has none."""
    photos, elements = _joined(parts, PART_TYPES[column])
    fields = {column: elements} if not pa.types.is_struct(elements.type) else _fields(elements)
    order = pc.sort_indices(
        pa.table({"": photos, **fields}), [(name, "ascending") for name in ("", *fields)]
    ).to_numpy()
    places, found = find_sorted(photos[order], np.arange(rows))
    taken = pa.array(order[places] if len(order) else places, mask=~found)
    return {name: values.take(taken) for name, values in fields.items()}


def _fields(structs: pa.StructArray) -> dict[str, pa.Array]:
    return {field.name: structs.field(field.name) for field in structs.type}
