"""COCO: one JSON for each split and kind of annotation, as pycocotools loads it.

    train/KEY.jpg   val/   test/   annotations/{instances,captions,person_keypoints}_{train,val,test}.json

* Boxes are ``[x, y, width, height]``, 0-based and half-open, px, with 4 decimals. `segmentation` is the object's own
  polygons or compressed RLE, empty where the source gives none; of Open Images the mask whose box it is. `area` is the
  source's, of what is visible; else the box's. `iscrowd` is 1 of COCO's crowds and of Open Images' groups.
* Image ids are photo ids; of an export of rows COCO's own. Category ids are COCO's own; classes of other sources are
  numbered from 1,001, in order of their label ids; where one id names two classes, all are numbered from 1. Annotation
  ids are 1 to N in each file; `source_id` is COCO's own.
* Every image of the split is in each of its files, with annotations or without. Captions and keypoints files are there
  if any image of the split has such annotations. Keypoints are those of an object that has a box.
"""

import json
import typing

from schemas.annotations import EDGES
from transforms.export.classes import ExportClasses
from transforms.export.export_format import SHORT_SPLITS, ExportFormat, Line, Sections, no_files
from transforms.export.images import Box, Element, ExportedImage

INSTANCES, CAPTIONS, KEYPOINTS = "instances", "captions", "person_keypoints"

_IMAGES = "images"
_DECIMALS = 4
_ID_SPACE = '{"id": %d, '
_PERSON_POINTS = 17
_PERSON_SKELETON = (
    *((16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7), (6, 8), (7, 9)),
    *((8, 10), (9, 11), (2, 3), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7)),
)
"""Of COCO's 17 points of a person, numbered from 1."""

_AnnotationKey = tuple[str, str, int] | tuple[str, str, str, float, float, float, float]
"""Source and image, and the annotation's id or else its class and box."""


def image_entry(image: ExportedImage) -> Element:
    """Returns the entry of an image in `images`; what is not known is left out."""
    width, height = image.size or (None, None)
    row = image.row
    of_photo = {name: row[name] for name in ("coco_image_id", "open_images_id", "license_name", "license_url")}
    entry = {"id": image.image_id, "file_name": image.file, "width": width, "height": height}
    entry |= {"photo_id": image.photo_id, "flickr_url": row["page_url"], **of_photo}
    return {name: value for name, value in entry.items() if value is not None}


def object_entries(image: ExportedImage, classes: ExportClasses) -> list[Element]:
    """Returns the objects of an image, without ids."""
    outlines = {_key(segment): segment for segment in image.row["segments"] if _is_outline(segment)}
    return [_object_entry(image, box, classes, outlines.get(_key(box.element))) for box in image.boxes]


def keypoint_entries(image: ExportedImage, objects: typing.Sequence[Element]) -> list[Element]:
    """Returns those objects of an image that have keypoints, with these."""
    points = {_key(own): own for own in image.row["keypoints"]}
    keyed = ((_key(box.element), entry) for box, entry in zip(image.boxes, objects, strict=True))
    return [{**entry, **_points(points[key])} for key, entry in keyed if key in points]


def caption_entries(image: ExportedImage) -> list[Element]:
    """Returns the captions of an image, without ids; lemmatised ones are none."""
    captions = (c for c in image.row["captions"] if not c["is_lemma"])
    return [{"image_id": image.image_id, "caption": c["text"], **_source_id(c["caption_id"])} for c in captions]


def left_out(image: ExportedImage) -> dict[str, int]:
    """Returns how many outlines (stuff, panoptic, masks of Open Images), keypoints and lemmas no file has."""
    row, keys = image.row, {_key(box.element) for box in image.boxes}
    is_object = [_is_outline(segment) and _key(segment) in keys for segment in row["segments"]]
    return {
        "segments_without_box": is_object.count(False),
        "keypoints_without_box": sum(_key(points) not in keys for points in row["keypoints"]),
        "captions_of_lemmas": sum(bool(c["is_lemma"]) for c in row["captions"]),
    }


def categories(classes: ExportClasses, with_keypoints: bool) -> list[Element]:
    """Returns the categories of objects; with keypoints those alone that have any."""
    numbers = sorted(classes.keypoint_names) if with_keypoints else range(len(classes.names))
    return [_category(classes, number, with_keypoints) for number in numbers]


def _category(classes: ExportClasses, number: int, with_keypoints: bool) -> Element:
    category: Element = {"id": classes.category_ids[number], "name": classes.names[number], "supercategory": ""}
    if with_keypoints:
        names = classes.keypoint_names[number]
        category["keypoints"] = list(names)
        category["skeleton"] = list(_PERSON_SKELETON) if len(names) == _PERSON_POINTS else []
    return category


def _object_entry(image: ExportedImage, box: Box, classes: ExportClasses, outline: Element | None) -> Element:
    xmin, ymin, xmax, ymax = box.edges
    area = box.element["area"]
    return {
        "image_id": image.image_id,
        "category_id": classes.category_ids[box.class_number],
        "bbox": _rounded([xmin, ymin, xmax - xmin, ymax - ymin]),
        "area": (xmax - xmin) * (ymax - ymin) if area is None else area,
        "iscrowd": int(box.is_crowd or box.is_group),
        "segmentation": _segmentation(outline) if outline else [],
        **_source_id(box.element["annotation_id"]),
    }


def _segmentation(outline: Element) -> typing.Any:
    if outline["rle_counts"] is not None:
        return {"size": [outline["rle_height"], outline["rle_width"]], "counts": outline["rle_counts"]}
    return [_rounded(polygon) for polygon in outline["polygons"]]


def _points(own: Element) -> Element:
    triples = zip(own["x"], own["y"], own["visibility"], strict=True)
    values = [value for x, y, v in triples for value in ((*_rounded([x, y]), v) if v else (0, 0, 0))]
    return {"keypoints": values, "num_keypoints": sum(v > 0 for v in own["visibility"])}


def _is_outline(segment: Element) -> bool:
    """Tells whether a segment is the outline or the mask of one object."""
    is_mask = segment["kind"] == "mask" and segment["rle_counts"] is not None and segment["xmin"] is not None
    return is_mask or segment["kind"] == "instance"


def _key(element: Element) -> _AnnotationKey:
    own_id, of = element["annotation_id"], (element["source"], element["image_id"])
    if own_id is not None:
        return (*of, own_id)
    xmin, ymin, xmax, ymax = (round(element[edge], _DECIMALS) for edge in EDGES)
    return (*of, element["label_id"], xmin, ymin, xmax, ymax)


def _source_id(own_id: int | None) -> Element:
    return {} if own_id is None else {"source_id": own_id}


def _rounded(values: typing.Sequence[float]) -> list[float]:
    return [round(value, _DECIMALS) for value in values]


def _places(image: ExportedImage, classes: ExportClasses) -> list[str]:
    return [f"{SHORT_SPLITS[image.split]}/{image.file}"]


def _lines(image: ExportedImage, classes: ExportClasses) -> typing.Iterator[Line]:
    objects = object_entries(image, classes)
    entries = {INSTANCES: objects, CAPTIONS: caption_entries(image), KEYPOINTS: keypoint_entries(image, objects)}
    split = SHORT_SPLITS[image.split]
    yield f"{_IMAGES}_{split}", _json(image_entry(image))
    for kind, of_kind in entries.items():
        for entry in of_kind:
            yield f"{kind}_{split}", _json(entry)


def _files(sections: Sections, classes: ExportClasses) -> typing.Iterator[tuple[str, typing.Iterable[str]]]:
    for split in SHORT_SPLITS.values():
        for kind in (INSTANCES, CAPTIONS, KEYPOINTS):
            if f"{_IMAGES}_{split}" in sections and (kind == INSTANCES or f"{kind}_{split}" in sections):
                yield f"annotations/{kind}_{split}.json", _file(sections, classes, kind, split)


def _file(sections: Sections, classes: ExportClasses, kind: str, split: str) -> typing.Iterator[str]:
    """Yields the text of a file in pieces, one annotation a line; they get their ids here."""
    head: Element = {"info": {"description": f"{kind} {split}, by photobeam"}, "licenses": []}
    if kind != CAPTIONS:
        head["categories"] = categories(classes, kind == KEYPOINTS)
    yield _json(head)[:-1] + ', "images": ['
    yield from _listed(sections[f"{_IMAGES}_{split}"]())
    yield '\n], "annotations": ['
    lines = sections[f"{kind}_{split}"]() if f"{kind}_{split}" in sections else ()
    yield from _listed(_ID_SPACE % number + line[1:] for number, line in enumerate(lines, 1))
    yield "\n]}\n"


def _listed(lines: typing.Iterable[str]) -> typing.Iterator[str]:
    separator = "\n"
    for line in lines:
        yield separator + line
        separator = ",\n"


def _json(value: typing.Any) -> str:
    return json.dumps(value)


COCO = ExportFormat(
    roots=frozenset({"annotations", *SHORT_SPLITS.values()}),
    left_out=left_out,
    columns=(
        *("boxes", "segments", "keypoints", "captions", "coco_image_id", "open_images_id"),
        *("page_url", "license_name", "license_url"),
    ),
    files=no_files,
    places=_places,
    lines=_lines,
    shared_files=_files,
    needs_size=False,
    takes_crowds=True,
)
