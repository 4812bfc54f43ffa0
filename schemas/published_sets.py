"""The annotation files that COCO and Open Images publish, by the names of their sets.

A name is a year or version, a split if only that is wanted, and parts that are not in the usual set::

    2017            COCO train and val: instances, captions, keypoints
    2017:val        the val of these alone
    2017:val+stuff  stuff as well
    v7:validation   Open Images: class names, hierarchy, images with rotation, boxes, human labels
    v7:train+masks  outlines as well

COCO's lists are those of https://cocodataset.org/#download, those of Open Images of
https://storage.googleapis.com/openimages/web/download_v7.html and its sisters for V4 to V6.
Flickr8k's own site is gone, and YFCC100M is not given away any more: they have no names.
"""

import re
import typing

from schemas.sources import Source

PUBLISHED_ROOTS: typing.Final = {
    Source.COCO: "http://images.cocodataset.org",
    Source.OPEN_IMAGES: "https://storage.googleapis.com/openimages",
}
"""Where each source publishes its annotation files. Another root (``--mirror``) has the same paths below it."""


class PublishedFile(typing.NamedTuple):
    """One file of a set.

    Attributes:
        path: below the root.
        bytes: its size where it is published; 0 if that is not known.
        member_suffix: of a zip, how the names of the members end that are wanted; '' for all of them.
    """

    path: str
    bytes: int = 0
    member_suffix: str = ""


class PublishedSet(typing.NamedTuple):
    """The files that a name stands for.

    Attributes:
        source: whose they are.
        name: as given.
        files: in the order of the list.
    """

    source: Source
    name: str
    files: tuple[PublishedFile, ...]


_NAME = {
    Source.COCO: re.compile(r"(\d{4})(?::([^+]*))?(?:\+(.*))?"),
    Source.OPEN_IMAGES: re.compile(r"([vV]\d+)(?::([^+]*))?(?:\+(.*))?"),
}
_SPLITS = {"train": "train", "val": "val", "validation": "val", "test": "test"}

_SIZES = {
    "annotations/annotations_trainval2014.zip": 252_872_794,
    "annotations/annotations_trainval2017.zip": 252_907_541,
}

_COCO_PARTS: typing.Final[dict[tuple[str, str], dict[str, str]]] = {
    ("2014", "train"): {"": "annotations_trainval2014.zip"},
    ("2014", "val"): {"": "annotations_trainval2014.zip"},
    ("2014", "test"): {"": "image_info_test2014.zip"},
    ("2017", "train"): {
        "": "annotations_trainval2017.zip",
        "stuff": "stuff_annotations_trainval2017.zip",
        "panoptic": "panoptic_annotations_trainval2017.zip",
    },
    ("2017", "val"): {
        "": "annotations_trainval2017.zip",
        "stuff": "stuff_annotations_trainval2017.zip",
        "panoptic": "panoptic_annotations_trainval2017.zip",
    },
    ("2017", "test"): {"": "image_info_test2017.zip"},
}
"""By year and split the zip of the usual set ('') and of each part. A zip holds train and val."""

_OPEN_IMAGES_SPLITS = {"train": "train", "val": "validation", "test": "test"}
_IMAGES = {
    "train": "2018_04/train/train-images-boxable-with-rotation.csv",
    "validation": "2018_04/validation/validation-images-with-rotation.csv",
    "test": "2018_04/test/test-images-with-rotation.csv",
}
_CLASSES = {
    "v4": "2018_04/class-descriptions-boxable.csv",
    "v5": "v5/class-descriptions-boxable.csv",
    "v6": "v5/class-descriptions-boxable.csv",
    "v7": "v7/oidv7-class-descriptions-boxable.csv",
}
_HIERARCHY = "2018_04/bbox_labels_600_hierarchy.json"
_V4 = "2018_04/{split}/{split}-annotations-"
_V5 = "v5/{split}-annotations-"
_V6_TRAIN_BOXES = "v6/oidv6-train-annotations-bbox.csv"
_USUAL = ("boxes", "labels")
"""Parts of Open Images that a name without parts has, besides class names, hierarchy and images."""


def _open_images_parts(version: str, split: str) -> dict[str, str]:
    """Returns the file of each part that a version has of a split."""
    labels = _V4 if version == "v4" else _V5
    boxes = _V4 if version == "v4" or split == "train" else _V5
    parts = {
        "boxes": (boxes + "bbox.csv").format(split=split),
        "labels": (labels + "human-imagelabels-boxable.csv").format(split=split),
        "machine": (labels + "machine-imagelabels.csv").format(split=split),
    }
    if version >= "v5":
        parts["masks"] = f"v5/{split}-annotations-object-segmentation.csv"
    if version >= "v6":
        parts["relationships"] = f"v6/oidv6-{split}-annotations-vrd.csv"
        parts["boxes"] = _V6_TRAIN_BOXES if split == "train" else parts["boxes"]
    if version == "v7":
        short = "val" if split == "validation" else split
        parts["points"] = f"v7/oidv7-{short}-annotations-point-labels.csv"
    return parts


def parse_published(source: Source, text: str) -> PublishedSet | None:
    """Reads the name of a published set.

    Args:
        source: whose flag it was given to.
        text: as given.

    Returns:
        Its files; None if the text has not the form of a name, and so is a path.

    Raises:
        ValueError: it has that form, but there is no such year, version, split or part; says which there are.

    Example:
        >>> parse_published(Source.COCO, "2017:val").files[0].path
        'annotations/annotations_trainval2017.zip'
        >>> parse_published(Source.COCO, "annotations/instances_val2017.json") is None
        True
    """
    match = _NAME[source].fullmatch(text) if source in _NAME else None
    if match is None:
        return None
    edition, split, parts = match[1].lower(), match[2], tuple(match[3].split("+")) if match[3] is not None else ()
    find = _coco_files if source is Source.COCO else _open_images_files
    editions = sorted({year for year, _ in _COCO_PARTS} if source is Source.COCO else _CLASSES)
    _check(source, text, edition, editions, "set")
    if split is not None:
        _check(source, text, split, list(_SPLITS), "split")
    files = [file for wanted in _wanted_splits(source, split) for file in find(text, edition, wanted, parts)]
    return PublishedSet(source, text, tuple(dict.fromkeys(files)))


def _wanted_splits(source: Source, split: str | None) -> tuple[str, ...]:
    if split is not None:
        return (_SPLITS[split],)
    return ("train", "val") if source is Source.COCO else ("train", "val", "test")


def _coco_files(text: str, year: str, split: str, parts: tuple[str, ...]) -> list[PublishedFile]:
    zips = _COCO_PARTS[year, split]
    for part in parts:
        _check(Source.COCO, text, part, [name for name in zips if name], "part")
    paths = [f"annotations/{zips[part]}" for part in ("", *parts)]
    return [PublishedFile(path, _SIZES.get(path, 0), f"_{split}{year}.json") for path in paths]


def _open_images_files(text: str, version: str, split: str, parts: tuple[str, ...]) -> list[PublishedFile]:
    split = _OPEN_IMAGES_SPLITS[split]
    found = _open_images_parts(version, split)
    for part in parts:
        _check(Source.OPEN_IMAGES, text, part, list(found), "part")
    paths = [_CLASSES[version], _HIERARCHY, _IMAGES[split], *(found[part] for part in (*_USUAL, *parts))]
    return [PublishedFile(path) for path in paths]


def _check(source: Source, text: str, given: str, known: list[str], what: str) -> None:
    if given not in known:
        some = f"there is {', '.join(known)}" if known else f"this one has no {what}s"
        raise ValueError(
            f"--{source.value} {text}: there is no published {what} {given!r}; {some}. For a file of yours give "
            f"its whole path, such as ./{text}"
        )
