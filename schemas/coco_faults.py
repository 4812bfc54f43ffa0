"""Which annotation of COCO's can be read, and what is wrong with one that cannot."""

import typing

from schemas.coco import Category, CocoKind
from schemas.coco_rle import read_run_lengths
from schemas.json_values import Json, is_integer, is_number, is_text

POLYGON_NUMBERS = 6
"""Numbers of the smallest polygon: a triangle."""

MAX_MASK_VALUE = 256**3 - 1
"""The largest colour of a panoptic PNG."""

MAX_COORDINATE = 2.0**63

Categories = typing.Mapping[int, Category]

KINDS_WITH_BOXES = (CocoKind.INSTANCES, CocoKind.PERSON_KEYPOINTS)


def find_fault(annotation: Json, kind: CocoKind, categories: Categories) -> str | None:
    """Says why an annotation cannot be read, None if it can."""
    if not isinstance(annotation, dict):
        return "the annotation is not an object"
    if not is_integer(annotation.get("image_id")):
        return "image_id is not an integer"
    if kind is CocoKind.PANOPTIC and "segments_info" in annotation:
        return "segments_info is not a list"
    if not is_integer(annotation.get("id")):
        return "id is not an integer"
    if kind is CocoKind.CAPTIONS:
        return None if is_text(annotation.get("caption")) else "caption is not text"
    return _object_fault(annotation, categories) or next(filter(None, _geometry_faults(annotation, kind)), None)


def _object_fault(annotation: dict[str, Json], categories: Categories) -> str | None:
    category, area = annotation.get("category_id"), annotation.get("area")
    if not is_integer(category) or category not in categories:
        return f"category_id {category!r} is none of the file's categories"
    if area is not None and not (_is_finite(area) and area >= 0):
        return f"area {area!r} is not a non-negative number"
    crowd = annotation.get("iscrowd", 0)
    return None if is_integer(crowd) and crowd in (0, 1) else f"iscrowd {crowd!r} is neither 0 nor 1"


def _geometry_faults(annotation: dict[str, Json], kind: CocoKind) -> typing.Iterator[str | None]:
    if kind is CocoKind.PANOPTIC:
        yield _mask_fault(annotation)
        return
    if kind in KINDS_WITH_BOXES:
        yield _box_fault(annotation.get("bbox"))
    elif not annotation.get("segmentation"):
        yield "segmentation is missing"
    yield _segmentation_fault(annotation.get("segmentation"))
    if kind is CocoKind.PERSON_KEYPOINTS:
        yield _keypoints_fault(annotation)


def _box_fault(box: Json) -> str | None:
    if not isinstance(box, list) or len(box) != 4 or not all(_is_finite(v) for v in box):
        return "bbox is not four finite numbers"
    return None if box[2] >= 0 and box[3] >= 0 else f"bbox is {box[2]:g} wide and {box[3]:g} high"


def _segmentation_fault(segmentation: Json) -> str | None:
    if not segmentation and segmentation in (None, [], {}):
        return None
    if isinstance(segmentation, dict):
        try:
            read_run_lengths(segmentation)
        except ValueError as error:
            return str(error)
        return None
    if not isinstance(segmentation, list) or not all(isinstance(p, list) for p in segmentation):
        return "segmentation is neither polygons nor run lengths"
    if any(len(p) < POLYGON_NUMBERS or len(p) % 2 for p in segmentation):
        return "a polygon is not three or more pairs of numbers"
    return None if all(_is_finite(v) for p in segmentation for v in p) else "a polygon has a value that is no number"


def _keypoints_fault(annotation: dict[str, Json]) -> str | None:
    points, count = annotation.get("keypoints"), annotation.get("num_keypoints")
    if not isinstance(points, list) or len(points) % 3 or not all(_is_finite(v) for v in points):
        return "keypoints are not triples of finite numbers"
    if any(v not in (0, 1, 2) for v in points[2::3]):
        return "the visibility of a keypoint is none of 0, 1, 2"
    return None if count is None or is_integer(count) and 0 <= count < 2**31 else "num_keypoints is not a count"


def _mask_fault(annotation: dict[str, Json]) -> str | None:
    if not is_text(annotation.get("file_name")) or not annotation["file_name"]:
        return "file_name is not text"
    return None if 0 <= annotation["id"] <= MAX_MASK_VALUE else "id is no colour of a PNG"


def _is_finite(value: Json) -> bool:
    """Whether a value is a number below the limit, also as the float that it becomes: 2^63 - 1 rounds up to 2^63."""
    return is_number(value) and abs(value) < MAX_COORDINATE and abs(float(value)) < MAX_COORDINATE
