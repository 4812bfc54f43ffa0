"""COCO's annotations as elements of the row's list columns.

:func:`read_annotations` reads a whole batch in columns, which is many times faster than one by one. It
reads a batch if and only if :func:`schemas.coco_faults.find_fault` finds no fault in any of it.

Geometry is as published: pixels of COCO's copy, ``xmax`` = x + width. Boxes are those of objects, from
instances and keypoints files; stuff and panoptic files give segments, for theirs only enclose areas.
"""

import itertools
import typing

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.annotations import ELEMENTS, PIXELS, UNKNOWN_FLAG
from schemas.coco import SOURCE, CocoKind
from schemas.coco_faults import KINDS_WITH_BOXES, MAX_COORDINATE, MAX_MASK_VALUE, POLYGON_NUMBERS, Categories
from schemas.coco_rle import RunLengths, read_run_lengths
from schemas.json_values import Json

_SEGMENT_KINDS = {CocoKind.STUFF: "stuff", CocoKind.PANOPTIC: "panoptic"}
Annotations = typing.Sequence[dict[str, typing.Any]]


class Elements(typing.NamedTuple):
    """Elements of one list column.

    Attributes:
        column: its name.
        owners: the position of the annotation that each element was read from, ascending.
        elements: the elements.
    """

    column: str
    owners: npt.NDArray[np.int64]
    elements: pa.StructArray


class BadAnnotationError(ValueError):
    """An annotation of a batch cannot be read; ``find_fault`` says which and why."""


def panoptic_segments(annotation: Json) -> list[Json]:
    """Returns the segments of a panoptic annotation as annotations of their own; itself if it has none.

    Example:
        >>> panoptic_segments({"image_id": 1, "file_name": "1.png", "segments_info": [{"id": 8, "category_id": 3}]})
        [{'id': 8, 'category_id': 3, 'image_id': 1, 'file_name': '1.png'}]
    """
    segments = annotation.get("segments_info") if isinstance(annotation, dict) else None
    if not isinstance(segments, list):
        return [annotation]
    shared = {"image_id": annotation.get("image_id"), "file_name": annotation.get("file_name")}
    return [{**segment, **shared} if isinstance(segment, dict) else segment for segment in segments]


def read_annotations(annotations: Annotations, kind: CocoKind, categories: Categories) -> list[Elements]:
    """Reads annotations of one kind.

    Args:
        annotations: as parsed; segments of panoptic ones from :func:`panoptic_segments`.
        kind: of the file.
        categories: of the file.

    Raises:
        BadAnnotationError: at least one of them cannot be read.
    """
    try:
        if kind is CocoKind.CAPTIONS:
            return [_captions(annotations)]
        found = [_boxes(annotations, categories)] if kind in KINDS_WITH_BOXES else []
        found.append(_segments(annotations, kind, categories))
        return [*found, _keypoints(annotations, categories)] if kind is CocoKind.PERSON_KEYPOINTS else found
    except (ValueError, TypeError, KeyError, OverflowError, AttributeError) as error:
        raise BadAnnotationError(f"an annotation of this batch cannot be read: {error!r}") from error


def _captions(annotations: Annotations) -> Elements:
    texts = [a["caption"].strip() for a in annotations]
    columns = {"caption_id": _integers([a["id"] for a in annotations]), "text": pa.array(texts, pa.string())}
    columns["is_lemma"] = pa.repeat(pa.scalar(False), len(annotations))
    return _elements("captions", annotations, columns)


def _boxes(annotations: Annotations, categories: Categories) -> Elements:
    boxes = [a["bbox"] for a in annotations]
    corners = _flat_numbers(boxes).reshape(-1, 4)
    if set(map(len, boxes)) - {4} or (corners[:, 2:] < 0).any():
        raise ValueError("a bbox is malformed")
    columns = _object_columns(annotations, categories)
    columns |= {"xmin": corners[:, 0], "ymin": corners[:, 1]}
    columns |= {"xmax": corners[:, 0] + corners[:, 2], "ymax": corners[:, 1] + corners[:, 3]}
    unknown = pa.repeat(pa.scalar(UNKNOWN_FLAG, pa.int8()), len(annotations))
    columns |= dict.fromkeys(("is_occluded", "is_truncated", "is_group_of", "is_depiction", "is_inside"), unknown)
    return _elements("boxes", annotations, columns)


def _segments(annotations: Annotations, kind: CocoKind, categories: Categories) -> Elements:
    """Reads outlines and masks; annotations of objects that were only boxed have none."""
    if kind is CocoKind.PANOPTIC:
        owners, kept = np.arange(len(annotations)), annotations
        columns = _mask_columns(kept)
    else:
        owners = np.array([i for i, a in enumerate(annotations) if a.get("segmentation")], np.int64)
        left_out = [a for a in annotations if not a.get("segmentation")]
        kept = annotations if not left_out else [annotations[i] for i in owners.tolist()]
        if any(kind is CocoKind.STUFF or a.get("segmentation") not in (None, [], {}) for a in left_out):
            raise ValueError("a segmentation is malformed")
        columns = _outline_columns([a["segmentation"] for a in kept])
    columns |= _object_columns(kept, categories)
    columns["kind"] = pa.repeat(pa.scalar(_SEGMENT_KINDS.get(kind, "instance")), len(kept))
    return _elements("segments", kept, columns, owners)


def _keypoints(annotations: Annotations, categories: Categories) -> Elements:
    points = [a["keypoints"] for a in annotations]
    lengths = np.array([len(p) for p in points], np.int64)
    values = _flat_numbers(points)
    if (lengths % 3).any() or not np.isin(values[2::3], (0, 1, 2)).all():
        raise ValueError("a keypoint is malformed")
    offsets = pa.array(np.concatenate(([0], np.cumsum(lengths // 3))), pa.int32())
    visibility = pa.array(values[2::3].astype(np.int8))
    columns = _object_columns(annotations, categories)
    columns |= {
        "x": pa.ListArray.from_arrays(offsets, pa.array(values[0::3])),
        "y": pa.ListArray.from_arrays(offsets, pa.array(values[1::3])),
        "visibility": pa.ListArray.from_arrays(offsets, visibility),
        "names": _keypoint_names(annotations, categories),
        "num_keypoints": _integers([a.get("num_keypoints") for a in annotations], pa.int32(), optional=True),
    }
    if any((a.get("num_keypoints") or 0) < 0 for a in annotations):
        raise ValueError("a num_keypoints is malformed")
    return _elements("keypoints", annotations, columns)


def _outline_columns(segmentations: list[Json]) -> dict[str, Json]:
    """Reads polygons and run lengths, of which there are few in a file of objects."""
    masks: dict[int, RunLengths] = {
        i: read_run_lengths(s) for i, s in enumerate(segmentations) if not isinstance(s, list)
    }
    nested = [[] if i in masks else s for i, s in enumerate(segmentations)] if masks else segmentations
    polygons = list(itertools.chain.from_iterable(nested))
    lengths = np.array([len(p) for p in polygons], np.int64)
    values = _flat_numbers(polygons)
    if (lengths < POLYGON_NUMBERS).any() or (lengths % 2).any():
        raise ValueError("a polygon is malformed")
    counts = np.array([len(s) for s in nested], np.int64)
    runs = [masks.get(i) for i in range(len(segmentations))] if masks else [None] * len(segmentations)
    return {
        "polygons": _lists(counts, _lists(lengths, pa.array(values))),
        "rle_counts": pa.array([m and m.counts for m in runs], pa.string()),
        "rle_height": pa.array([m and m.height for m in runs], pa.int32()),
        "rle_width": pa.array([m and m.width for m in runs], pa.int32()),
    }


def _mask_columns(annotations: Annotations) -> dict[str, Json]:
    values, files = [a["id"] for a in annotations], [a["file_name"] for a in annotations]
    if any("segments_info" in a for a in annotations) or not all(files):
        raise ValueError("a panoptic annotation is malformed")
    if not all(type(v) is int and 0 <= v <= MAX_MASK_VALUE for v in values):
        raise ValueError("the id of a panoptic segment is malformed")
    empty = _lists(np.zeros(len(annotations), np.int64), pa.array([], pa.list_(pa.float64())))
    return {
        "polygons": empty,
        "mask_file": pa.array(files, pa.string()),
        "mask_value": pa.array(values, pa.int32()),
    }


def _object_columns(annotations: Annotations, categories: Categories) -> dict[str, Json]:
    classes = [categories[a["category_id"]] for a in annotations]
    crowd = _integers([a.get("iscrowd", UNKNOWN_FLAG) for a in annotations], pa.int8())
    if not np.isin(crowd.to_numpy(), (UNKNOWN_FLAG, 0, 1)).all() or any(a.get("iscrowd") == -1 for a in annotations):
        raise ValueError("an iscrowd is malformed")
    if {type(a["category_id"]) for a in annotations} - {int}:
        raise ValueError("a category_id is malformed")
    return {
        "annotation_id": _integers([a["id"] for a in annotations]),
        "units": pa.repeat(pa.scalar(PIXELS), len(annotations)),
        "label_id": pa.array([c.label_id for c in classes], pa.string()),
        "label": pa.array([c.label for c in classes], pa.string()),
        "is_crowd": crowd,
        "area": _areas([a.get("area") for a in annotations]),
    }


def _areas(values: list[Json]) -> pa.Array:
    areas = _numbers(0 if v is None else v for v in values)
    if (areas < 0).any():
        raise ValueError("an area is malformed")
    return pa.array(areas, mask=np.array([v is None for v in values], np.bool_))


def _keypoint_names(annotations: Annotations, categories: Categories) -> pa.Array:
    order = {category: i for i, category in enumerate(categories)}
    names = pa.array([list(c.keypoints) for c in categories.values()], pa.list_(pa.string()))
    return names.take(pa.array([order[a["category_id"]] for a in annotations], pa.int32()))


def _elements(
    column: str, annotations: Annotations, columns: dict[str, Json], owners: npt.NDArray[np.int64] | None = None
) -> Elements:
    count = len(annotations)
    values = {
        "source": pa.repeat(pa.scalar(SOURCE), count),
        "image_id": _integers([a["image_id"] for a in annotations]).cast(pa.string()),
        **columns,
    }
    arrays = [
        _as_array(values[f.name], f.type) if f.name in values else pa.nulls(count, f.type) for f in ELEMENTS[column]
    ]
    struct = pa.StructArray.from_arrays(arrays, fields=list(ELEMENTS[column]))
    return Elements(column, np.arange(count) if owners is None else owners, struct)


def _as_array(values: Json, type_: pa.DataType) -> pa.Array:
    return values if isinstance(values, pa.Array) else pa.array(values, type_)


def _integers(values: list[Json], type_: pa.DataType | None = None, optional: bool = False) -> pa.Array:
    if set(map(type, values)) - {int, *([type(None)] if optional else [])}:
        raise ValueError("a value is not an integer")
    return pa.array(values, type_ or pa.int64())


def _numbers(values: typing.Iterable[Json]) -> npt.NDArray[np.float64]:
    listed = list(values)
    if set(map(type, listed)) - {int, float}:
        raise ValueError("a value is not a number")
    numbers = np.array(listed, np.float64)
    if not (np.abs(numbers) < MAX_COORDINATE).all():
        raise ValueError("a value is not a finite number")
    # Adding zero turns negative zeros to zeros: equal elements must have equal bytes, as any of them may be kept.
    return numbers + 0.0


def _flat_numbers(lists: typing.Sequence[Json]) -> npt.NDArray[np.float64]:
    if set(map(type, lists)) - {list}:
        raise ValueError("a value is not a list")
    return _numbers(itertools.chain.from_iterable(lists))


def _lists(lengths: npt.NDArray[np.int64], values: pa.Array) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(np.concatenate(([0], np.cumsum(lengths))), pa.int32()), values)
