"""The annotations of one photo, from the copies that they were made on to the image that was written.

Every element is taken by the affine of its own copy (:mod:`transforms.geometry.copy_affines`) and clipped. What falls
outside is dropped and counted. Lists keep the order of the row's. What cannot be placed stays out and is named in a
warning:

* ``geometry_mismatch:SOURCE:ID``: the copy has another aspect than the photo, whether or not it is annotated;
* ``geometry_unplaced:SOURCE:ID``: coordinates are pixels of a copy whose size is not known;
* ``COLUMN:N outside`` and ``COLUMN:N invalid``: N were dropped as nothing of them is visible, or as they were no
  coordinates. N counts elements; of keypoints and narratives, points.
"""

import collections
import itertools
import typing

import numpy as np

from schemas.annotations import EDGES, GEOMETRY_COLUMNS, PIXELS
from transforms.geometry.affine import Affine, compose, determinant, scale
from transforms.geometry.copy_affines import CopyAffines, PlacedCopy, WrittenImage, differ_in_aspect
from transforms.geometry.map_boxes import map_areas, map_boxes
from transforms.geometry.map_masks import map_polygons, map_rle
from transforms.geometry.map_points import map_keypoints, map_pairs, map_points, map_trace

Element = dict[str, typing.Any]
Size = tuple[int, int]

_WHOLE = (1.0, 1.0)
"""Extent of a copy in normalised units, in which its aspect does not show."""

_INVALID, _OUTSIDE, _UNPLACED = "invalid", "outside", "unplaced"


class MappedAnnotations(typing.NamedTuple):
    """What is known of a written image by way of its photo's annotations.

    Attributes:
        columns: each of :data:`schemas.annotations.GEOMETRY_COLUMNS`, in pixels of the written image.
        transforms: the sample's column of that name: all entries of the image, then all of each further one.
        warnings: to add to the row's, sorted.
        dropped: number of elements or points that are not in ``columns``, by ``COLUMN outside``, ``COLUMN invalid``
            and ``COLUMN unplaced``.
    """

    columns: dict[str, list[Element]]
    transforms: list[dict[str, typing.Any]]
    warnings: list[str]
    dropped: collections.Counter[str]


class _Kept(typing.NamedTuple):
    """Mapped elements, and how many others, or points of these, there were."""

    elements: list[Element]
    outside: int = 0
    invalid: int = 0


def map_annotations(
    row: typing.Mapping[str, typing.Any], image: WrittenImage, further: typing.Iterable[WrittenImage] = ()
) -> MappedAnnotations:
    """Maps the annotations of one photo.

    Areas are those of what is visible: of an outline or a mask its own, which the box of the same ``annotation_id``
    takes over; else the published one, spread evenly over its box; else that of the box. A mask that lies in a file of
    its source (``mask_file``) stays there as it is, in the pixels of the source's copy; its published area is scaled.

    Args:
        row: ``sources``, ``copies`` and the geometry columns of the joined row.
        image: what they are mapped to.
        further: the same file written in other sizes, which add their ``transforms``.
    """
    affines = CopyAffines(row["copies"], image)
    warnings = {f"geometry_mismatch:{copy}" for copy in affines.mismatched}
    dropped: collections.Counter[str] = collections.Counter()
    columns: dict[str, list[Element]] = {column: [] for column in GEOMETRY_COLUMNS}
    for column in filter(row.__getitem__, GEOMETRY_COLUMNS):
        for (source, image_id, units), group in itertools.groupby(row[column], _copy_and_units):
            placed, elements = affines.place(source, image_id, units), list(group)
            if placed is None:
                kept = _unplaced(column, elements)
                dropped[f"{column} {_UNPLACED}"] += len(elements)
                if f"{source}:{image_id}" not in affines.mismatched:
                    warnings.add(f"geometry_unplaced:{source}:{image_id}")
            else:
                kept = _MAPPERS[column](elements, placed, image.size)
            columns[column] += kept.elements
            dropped[f"{column} {_OUTSIDE}"] += kept.outside
            dropped[f"{column} {_INVALID}"] += kept.invalid
    _take_over_areas(columns["boxes"], columns["segments"])
    counts = (key.split() + [n] for key, n in dropped.items() if n and not key.endswith(_UNPLACED))
    warnings |= {f"{column}:{n} {why}" for column, why, n in counts}
    transforms = affines.transforms(row["sources"])
    for other in further:
        transforms += CopyAffines(row["copies"], other).transforms(row["sources"])
    return MappedAnnotations(columns, transforms, sorted(warnings), +dropped)


def _copy_and_units(element: Element) -> tuple[str, str, str]:
    return element["source"], element["image_id"], element["units"]


def _unplaced(column: str, elements: list[Element]) -> _Kept:
    """Keeps the words of narratives, which are true without their traces."""
    return _Kept([{**e, "units": PIXELS, "traces": []} for e in elements] if column == "narratives" else [])


def _boxes(elements: list[Element], placed: PlacedCopy, size: Size) -> _Kept:
    mapped = map_boxes(_edges(elements), placed.matrix, size)
    areas = map_areas([_number(e["area"]) for e in elements], mapped, placed.matrix)
    kept = [
        {**e, "units": PIXELS, **dict(zip(EDGES, box, strict=True)), "area": area}
        for e, box, area, is_kept in zip(elements, mapped.boxes.tolist(), areas.tolist(), mapped.kept, strict=True)
        if is_kept
    ]
    return _Kept(kept, int(mapped.outside.sum()), int(mapped.invalid.sum()))


def _segments(elements: list[Element], placed: PlacedCopy, size: Size) -> _Kept:
    kept = [_segment(e, placed, size) for e in elements]
    return _Kept([e for e in kept if not isinstance(e, str)], kept.count(_OUTSIDE), kept.count(_INVALID))


def _segment(element: Element, placed: PlacedCopy, size: Size) -> Element | str:
    """Returns an outline or a mask on the written image, or why it is not on it."""
    moved = {**element, "units": PIXELS, "clicks": _clicks(element["clicks"], placed.matrix, size)}
    has_box = all(element[edge] is not None for edge in EDGES)
    if has_box:
        box = _boxes([element], placed, size)
        moved |= {edge: box.elements[0][edge] if box.elements else None for edge in EDGES}
    if element["polygons"]:
        polygons = map_polygons(element["polygons"], placed.matrix, size)
        moved |= {"polygons": polygons.polygons, "area": polygons.area}
        return moved if polygons.polygons else _OUTSIDE if polygons.outside else _INVALID
    if element["rle_counts"] is not None:
        return _mask(moved, placed, size)
    if has_box and not box.elements:
        return _OUTSIDE if box.outside else _INVALID
    if element["area"] is not None:
        moved["area"] = box.elements[0]["area"] if has_box else element["area"] * abs(determinant(placed.matrix))
    return moved


def _mask(element: Element, placed: PlacedCopy, size: Size) -> Element | str:
    """Maps run lengths, which have a size of their own: that of the copy, or a fraction of it, but of its aspect."""
    height, width = element["rle_height"], element["rle_width"]
    if placed.extent != _WHOLE and differ_in_aspect((width, height), placed.extent):
        return _INVALID
    try:
        matrix = compose(scale((width, height), placed.extent), placed.matrix)
        mask = map_rle({"size": [height, width], "counts": element["rle_counts"]}, matrix, size)
    except (ValueError, TypeError):
        return _INVALID
    if not mask.visible:
        return _OUTSIDE
    height, width = mask.rle["size"]
    return element | {
        "rle_counts": mask.rle["counts"], "rle_height": height, "rle_width": width, "area": float(mask.area)
    }  # fmt: skip


def _clicks(clicks: list[Element] | None, matrix: Affine, size: Size) -> list[Element] | None:
    if not clicks:
        return clicks
    mapped = map_points([[_number(c["x"]), _number(c["y"])] for c in clicks], matrix, size)
    places = zip(clicks, mapped.points.tolist(), mapped.kept, strict=True)
    return [{**click, "x": x, "y": y} for click, (x, y), is_kept in places if is_kept]


def _keypoints(elements: list[Element], placed: PlacedCopy, size: Size) -> _Kept:
    """Maps keypoints, whose coordinates count pixels as COCO's do where they are not normalised.

    An object all of whose labelled points fall outside is dropped; one that has none is kept.
    """
    kept, outside, invalid = [], 0, 0
    for element in elements:
        points = np.column_stack([element["x"], element["y"], element["visibility"]])
        mapped = map_keypoints(points, placed.matrix, size, of_pixels=element["units"] == PIXELS)
        outside += mapped.outside
        invalid += mapped.invalid
        if mapped.labelled or not mapped.outside:
            x, y, visibility = mapped.keypoints.T.tolist()
            places = {"x": x, "y": y, "visibility": [int(v) for v in visibility]}
            kept.append({**element, "units": PIXELS, **places, "num_keypoints": mapped.labelled})
    return _Kept(kept, outside, invalid)


def _relationships(elements: list[Element], placed: PlacedCopy, size: Size) -> _Kept:
    mapped = map_pairs(_edges(elements, "1"), _edges(elements, "2"), placed.matrix, size)
    boxes = np.hstack([mapped.first.boxes, mapped.second.boxes]).tolist()
    names = [f"{edge}{part}" for part in (1, 2) for edge in EDGES]
    kept = [
        {**e, "units": PIXELS, **dict(zip(names, box, strict=True))}
        for e, box, is_kept in zip(elements, boxes, mapped.kept, strict=True)
        if is_kept
    ]
    return _Kept(kept, int(mapped.outside.sum()), int(mapped.invalid.sum()))


def _points(elements: list[Element], placed: PlacedCopy, size: Size) -> _Kept:
    mapped = map_points([[_number(e["x"]), _number(e["y"])] for e in elements], placed.matrix, size)
    places = zip(elements, mapped.points.tolist(), mapped.kept, strict=True)
    kept = [{**e, "units": PIXELS, "x": x, "y": y} for e, (x, y), is_kept in places if is_kept]
    return _Kept(kept, int(mapped.outside.sum()), int(mapped.invalid.sum()))


def _narratives(elements: list[Element], placed: PlacedCopy, size: Size) -> _Kept:
    """Maps the traces of narratives; one of which nothing is visible is dropped."""
    kept, outside, invalid = [], 0, 0
    for element in elements:
        traces = []
        for trace in element["traces"] or ():
            mapped = map_trace(np.column_stack([trace["x"], trace["y"], trace["time_s"]]), placed.matrix, size)
            outside += mapped.outside
            invalid += mapped.invalid
            if len(mapped.trace):
                traces.append(dict(zip(("x", "y", "time_s"), mapped.trace.T.tolist(), strict=True)))
        kept.append({**element, "units": PIXELS, "traces": traces})
    return _Kept(kept, outside, invalid)


_MAPPERS: typing.Final[dict[str, typing.Callable[[list[Element], PlacedCopy, Size], _Kept]]] = {
    "boxes": _boxes,
    "segments": _segments,
    "keypoints": _keypoints,
    "relationships": _relationships,
    "points": _points,
    "narratives": _narratives,
}


def _take_over_areas(boxes: list[Element], segments: list[Element]) -> None:
    """Gives boxes the area of the outline or mask of the same object."""
    areas = {_object(s): s["area"] for s in reversed(segments) if s["polygons"] or s["rle_counts"] is not None}
    for box in boxes:
        if box["annotation_id"] is not None:
            box["area"] = areas.get(_object(box), box["area"])


def _object(element: Element) -> tuple[str, str, int]:
    return element["source"], element["image_id"], element["annotation_id"]


def _edges(elements: list[Element], part: str = "") -> list[list[float]]:
    return [[_number(e[edge + part]) for edge in EDGES] for e in elements]


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
