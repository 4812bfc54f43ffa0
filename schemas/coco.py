"""COCO's JSON: which kind of file it is, and its images.

All kinds share ``images`` and ``licenses``; what their ``annotations`` hold tells them apart, so that
a file is known by its content, whatever its name. The Flickr id of an image is in its ``flickr_url``;
the test sets have none, and their images get surrogate ids.
"""

import datetime
import enum
import posixpath
import re
import typing

from schemas.flickr_urls import flickr_id
from schemas.json_values import Json, is_integer, is_text
from schemas.surrogate_ids import surrogate_id

SOURCE = "coco"


class CocoKind(str, enum.Enum):
    """The kinds of annotation files."""

    INSTANCES = "instances"
    CAPTIONS = "captions"
    PERSON_KEYPOINTS = "person_keypoints"
    STUFF = "stuff"
    PANOPTIC = "panoptic"
    IMAGE_INFO = "image_info"


class Category(typing.NamedTuple):
    """A class of objects.

    Attributes:
        label_id: its id, as text.
        label: its name.
        keypoints: names of its keypoints, in order.
    """

    label_id: str
    label: str
    keypoints: tuple[str, ...] = ()


class License(typing.NamedTuple):
    """A licence of the file's list; None where it states nothing."""

    name: str | None
    url: str | None


_STUFF_SUPERCATEGORIES = frozenset(
    {
        "building", "ceiling", "floor", "food-stuff", "furniture-stuff", "ground", "other", "plant", "raw-material",
        "sky", "solid", "structural", "textile", "wall", "water", "window",
    }
)  # fmt: skip
_SPLIT = re.compile(r"(?<![a-z])(train|val|test)(?:-dev|-challenge)?_?((?:20)\d\d)?(?![a-z])")
_PREFIX = re.compile(r"\ACOCO_(?:train|val|test)\d{4}_(?=\d{12}(?:\.|$))")
_QUERY = re.compile(r"[?#].*", re.DOTALL)
_MAX_INT32 = 2**31 - 1


def recognise(annotation: Json, supercategories: typing.Collection[Json]) -> CocoKind | None:
    """Tells the kind of a file.

    Args:
        annotation: its first annotation, None if it has none.
        supercategories: those of its categories.

    Returns:
        The kind, or None if these are no annotations of COCO's.

    Example:
        >>> recognise({"image_id": 1, "id": 2, "caption": "A cat."}, [])
        <CocoKind.CAPTIONS: 'captions'>
    """
    if annotation is None:
        return CocoKind.IMAGE_INFO
    if not isinstance(annotation, dict) or "image_id" not in annotation:
        return None
    if "segments_info" in annotation:
        return CocoKind.PANOPTIC
    if "caption" in annotation:
        return CocoKind.CAPTIONS
    if "keypoints" in annotation:
        return CocoKind.PERSON_KEYPOINTS
    if "bbox" not in annotation and "segmentation" not in annotation:
        return None
    names = {name for name in supercategories if isinstance(name, str)}
    return CocoKind.STUFF if names and names <= _STUFF_SUPERCATEGORIES else CocoKind.INSTANCES


def split_of(coco_url: Json, file_name: Json, json_name: str) -> str | None:
    """Returns split and year of an image, such as ``train2017``: of its URL, else its name, else its file's.

    2014 and 2017 divide the same images differently, so the year belongs to the split.

    Example:
        >>> split_of(None, "COCO_val2014_000000000042.jpg", "captions.json")
        'val2014'
        >>> split_of(None, "000000000042.jpg", "image_info_test-dev2017.json")
        'test2017'
    """
    folder = _QUERY.sub("", coco_url).rpartition("/")[0] if isinstance(coco_url, str) else ""
    for name in (folder, file_name, posixpath.basename(json_name)):
        if isinstance(name, str) and (found := _SPLIT.search(name.rpartition("/")[2])):
            return "".join(filter(None, found.groups()))
    return None


def bare_file_name(name: str) -> str:
    """Returns a file name, with or without extension, less the prefix that COCO gave its images until 2015.

    Example:
        >>> bare_file_name("COCO_val2014_000000000042.jpg"), bare_file_name("COCO_val2014_cat.jpg")
        ('000000000042.jpg', 'COCO_val2014_cat.jpg')
    """
    return _PREFIX.sub("", name)


def photo_id_of(image: Json) -> int:
    """Returns the photo id of an image without fault."""
    found = flickr_id(image.get("flickr_url"))
    return surrogate_id(SOURCE, str(image["id"])) if found is None else found


def image_fault(image: Json) -> str | None:
    """Says why an image cannot be told from others, None if it can."""
    if not isinstance(image, dict):
        return "the image is not an object"
    return None if _is_id(image.get("id")) else "the image's id is not a non-negative integer"


def copy_of(
    image: Json, licenses: typing.Mapping[int, License], json_name: str
) -> tuple[dict[str, typing.Any], list[str]]:
    """Describes COCO's copy of a photo.

    Args:
        image: an image without fault.
        licenses: of the file, by id.
        json_name: path of the file.

    Returns:
        An element of ``copies``, and the names of its fields whose value could not be read.
    """
    url, name, licence = image.get("coco_url"), image.get("file_name"), image.get("license")
    found = licenses.get(licence) if _is_id(licence) else None
    copy = {
        "source": SOURCE,
        "image_id": str(image["id"]),
        "split": split_of(url, name, json_name),
        "file_name": _text(name),
        "url": _text(url),
        "width": _size(image.get("width")),
        "height": _size(image.get("height")),
        "date_captured": _time(image.get("date_captured")),
        "license_name": found.name if found else None,
        "license_url": found.url if found else None,
    }
    stated = {"file_name": name, "url": url, "license_name": licence}
    stated |= {field: image.get(field) for field in ("width", "height", "date_captured")}
    return copy, [field for field, value in stated.items() if value not in (None, "") and copy[field] is None]


def read_licenses(entries: Json) -> dict[int, License]:
    """Reads the file's ``licenses``; entries without an id are of no use and left out."""
    listed = [e for e in entries if isinstance(e, dict) and _is_id(e.get("id"))] if isinstance(entries, list) else []
    return {e["id"]: License(_text(e.get("name")), _text(e.get("url"))) for e in listed}


def read_categories(entries: Json) -> dict[int, Category]:
    """Reads the file's ``categories``; those without an id and a name are left out."""
    listed = [e for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []
    return {
        e["id"]: Category(str(e["id"]), e["name"], _names(e.get("keypoints")))
        for e in listed
        if _is_id(e.get("id")) and _text(e.get("name"))
    }


def supercategories(entries: Json) -> set[str]:
    """Returns the supercategories of the file's ``categories``."""
    listed = [e.get("supercategory") for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []
    return {name for name in listed if isinstance(name, str)}


def _is_id(value: Json) -> bool:
    return is_integer(value) and value >= 0


def _text(value: Json) -> str | None:
    return value if value and is_text(value) else None


def _size(value: Json) -> int | None:
    return value if is_integer(value) and 0 < value <= _MAX_INT32 else None


def _names(value: Json) -> tuple[str, ...]:
    return tuple(value) if isinstance(value, list) and all(is_text(name) for name in value) else ()


def _time(value: Json) -> datetime.datetime | None:
    """Reads ``2013-11-14 17:02:52``; one with a zone is turned to UTC."""
    if not isinstance(value, str):
        return None
    try:
        time = datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
        return time.astimezone(datetime.timezone.utc).replace(tzinfo=None) if time.tzinfo else time
    except (ValueError, OverflowError):
        return None
