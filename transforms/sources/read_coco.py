"""Reads a COCO JSON in two passes, in bounded memory.

Images, categories and licences may come after the annotations. The first pass reads them, skipping
the annotations, into a :class:`CocoIndex` of 16 bytes per image; the second turns images and
annotations into record batches by photo.

A file is a path or an fsspec URL; one within a zip is read in place by its chained URL, such as
``zip://annotations/instances_val2017.json::annotations_trainval2017.zip``, which :func:`coco_urls` lists.
"""

import contextlib
import itertools
import re
import typing
import zipfile
import zlib

import fsspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.annotations import COPY
from schemas.coco import (
    CocoKind,
    License,
    copy_of,
    image_fault,
    photo_id_of,
    read_categories,
    read_licenses,
    recognise,
    supercategories,
)
from schemas.coco_annotations import BadAnnotationError, Elements, panoptic_segments, read_annotations
from schemas.coco_faults import Categories, find_fault
from schemas.failures import FailureReason
from schemas.json_values import Json
from transforms.sources.annotation_parts import BATCH_ROWS, COCO_IMAGE, AnnotationPart, part_batch, read_failure
from transforms.sources.json_stream import BadJsonError, Items, JsonReader, item_spans
from transforms.sources.sorted_ids import look_up

_HEAD_BYTES = 4096
_ZIP = b"PK\x03\x04"
_FIRST_KEY = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*(?:"(?:info|images|annotations|licenses|categories|type)"\s*:|\})')
_BAD_ZIPS = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError)


class CocoIndex(typing.NamedTuple):
    """What the first pass finds.

    Attributes:
        url: of the file.
        kind: of its annotations.
        image_ids: ascending, unique.
        photo_ids: the photo of each image.
        categories: by id.
        licenses: by id.
    """

    url: str
    kind: CocoKind
    image_ids: npt.NDArray[np.int64]
    photo_ids: npt.NDArray[np.int64]
    categories: Categories
    licenses: typing.Mapping[int, License]


class _Fault(typing.NamedTuple):
    """Why an element of a list is kept out; ``item`` is its position among those read together."""

    item: int
    reason: FailureReason
    why: str


def coco_urls(url: str) -> list[str]:
    """Returns the JSON files of a zip as chained URLs, sorted; of any other file, and of a chained URL, itself.

    Raises:
        BadJsonError: the zip is damaged.
    """
    if "::" in url:
        return [url]
    with fsspec.open(url, "rb") as file:
        if not zipfile.is_zipfile(file):
            file.seek(0)
            if file.read(len(_ZIP)) == _ZIP:
                raise BadJsonError(url, -1, "is a zip whose end is missing")
            return [url]
        try:
            names = zipfile.ZipFile(file).namelist()
        except zipfile.BadZipFile as error:
            raise BadJsonError(url, -1, f"cannot be decompressed ({error})") from error
    return [f"zip://{n}::{url}" for n in sorted(names) if n.endswith(".json") and not n.startswith("__MACOSX/")]


def looks_like_coco(url: str) -> bool:
    """Tells by the first key of a file whether it may be one of COCO's; reading it tells for sure."""
    try:
        with fsspec.open(url, "rb") as file:
            head = file.read(_HEAD_BYTES)
    except _BAD_ZIPS as error:
        raise BadJsonError(url, -1, f"cannot be decompressed ({error})") from error
    return _FIRST_KEY.match(head) is not None


def read_image_ids(url: str) -> CocoIndex:
    """Reads which images a file has, and what its annotations refer to: the first pass.

    Args:
        url: path, fsspec URL or chained URL of a member of a zip.

    Raises:
        BadJsonError: it is no COCO file, is damaged or ends early.
    """
    found: dict[str, list[Json]] = {"categories": [], "licenses": []}
    pairs: list[npt.NDArray[np.int64]] = []
    has_images = False
    annotations: list[Json] = []
    with _open(url) as reader:
        for key in reader.members():
            if key == "images":
                has_images = True
                pairs += [_id_pairs(items.values) for items in reader.items()]
            elif key == "annotations":
                annotations += reader.peek_items()
            elif key in found:
                found[key] += itertools.chain.from_iterable(items.values for items in reader.items())
    kind = _kind_of(annotations, found["categories"])
    if not has_images or kind is None:
        what = "has no list of images" if not has_images else "its annotations are of no kind that COCO publishes"
        raise BadJsonError(url, -1, what, "check that this is a COCO annotation file")
    image_ids, photo_ids = _unique_images(np.concatenate([np.empty((0, 2), np.int64), *pairs]))
    categories, licenses = read_categories(found["categories"]), read_licenses(found["licenses"])
    return CocoIndex(url, kind, image_ids, photo_ids, categories, licenses)


def read_category_names(url: str) -> set[tuple[str, str]]:
    """Reads the id and name of each category, and of the file no more than that takes.

    Raises:
        BadJsonError: it is damaged or ends early.
    """
    with _open(url) as reader:
        for key in reader.members():
            if key == "categories":
                found = read_categories([value for items in reader.items() for value in items.values])
                return {(category.label_id, category.label) for category in found.values()}
    return set()


def read_first_images(url: str) -> AnnotationPart | None:
    """Reads some images of a file, and of the file no more than that takes; None if it has none.

    Raises:
        BadJsonError: it is damaged or ends early.
    """
    with _open(url) as reader:
        for key in reader.members():
            if key == "images":
                for items in reader.items():
                    image_ids, photo_ids = _unique_images(_id_pairs(items.values))
                    index = CocoIndex(url, CocoKind.IMAGE_INFO, image_ids, photo_ids, {}, {})
                    return _read_images(index, items, 0, items.values)
    return None


def read_coco(index: CocoIndex) -> typing.Iterator[AnnotationPart]:
    """Reads images and annotations: the second pass.

    Images give ``copies``, ``coco_image`` and, where a field could not be read, ``warnings``;
    annotations give the list columns of their kind. What is malformed or of an unknown image is a
    failure.

    Args:
        index: of :func:`read_image_ids`.

    Raises:
        BadJsonError: the file is damaged or ends early.
    """
    with _open(index.url) as reader:
        for key in reader.members():
            if key in ("images", "annotations"):
                read = _read_images if key == "images" else _read_annotations
                for items in reader.items():
                    for begin in range(0, len(items.values), BATCH_ROWS):
                        yield read(index, items, begin, items.values[begin : begin + BATCH_ROWS])


@contextlib.contextmanager
def _open(url: str) -> typing.Iterator[JsonReader]:
    """Opens a file; a zip may be damaged before anything is read."""
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(fsspec.open(url, "rb"))
        except _BAD_ZIPS as error:
            raise BadJsonError(url, -1, f"cannot be decompressed ({error})") from error
        yield JsonReader(file, url)


def _kind_of(annotations: list[Json], categories: list[Json]) -> CocoKind | None:
    """Tells the kind of a file by its first annotation; null is one, of no kind."""
    if annotations and annotations[0] is None:
        return None
    return recognise(annotations[0] if annotations else None, supercategories(categories))


def _id_pairs(images: list[Json]) -> npt.NDArray[np.int64]:
    pairs = [(image["id"], photo_id_of(image)) for image in images if image_fault(image) is None]
    return np.array(pairs, np.int64).reshape(-1, 2)


def _unique_images(pairs: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Sorts images by id; one that is given twice with different photos is that of the lowest."""
    ordered = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    first = np.concatenate((np.ones(min(1, len(ordered)), np.bool_), ordered[1:, 0] != ordered[:-1, 0]))
    return ordered[first, 0].copy(), ordered[first, 1].copy()


def _photos_of(index: CocoIndex, items: typing.Iterable[Json], field: str) -> npt.NDArray[np.int64]:
    """Returns the photos of the images whose id is in a field, -1 where there is no such image."""
    return look_up(index.image_ids, index.photo_ids, np.array([item[field] for item in items], np.int64))


def _read_images(index: CocoIndex, items: Items, begin: int, images: list[Json]) -> AnnotationPart:
    why = [image_fault(image) for image in images]
    readable = [(item, image) for item, image in enumerate(images) if not why[item]]
    known = _photos_of(index, (image for _, image in readable), "id").tolist()
    rows: list[tuple[int, dict[str, Json], Json]] = []
    warnings: list[tuple[int, str]] = []
    for (item, image), photo_id in zip(readable, known, strict=True):
        if photo_id_of(image) != photo_id:
            why[item] = f"the file has this image id for photo {photo_id} as well"
            continue
        copy, unreadable = copy_of(image, index.licenses, index.url)
        scalars = {"coco_image_id": image["id"], "coco_split": copy["split"], "coco_file_name": copy["file_name"]}
        rows.append((photo_id, copy, scalars))
        warnings += [(photo_id, f"copies.{field}") for field in unreadable]
    faults = [_Fault(item, FailureReason.MALFORMED_ROW, fault) for item, fault in enumerate(why) if fault]
    return AnnotationPart(_image_batches(rows, warnings), _failures(index, items, begin, faults, "image"), len(images))


def _image_batches(
    rows: list[tuple[int, dict[str, Json], Json]], warnings: list[tuple[int, str]]
) -> dict[str, pa.RecordBatch]:
    photo_ids = np.array([photo_id for photo_id, _, _ in rows], np.int64)
    batches = {
        "copies": part_batch("copies", photo_ids, pa.array([copy for _, copy, _ in rows], COPY)),
        "coco_image": part_batch("coco_image", photo_ids, pa.array([scalars for _, _, scalars in rows], COCO_IMAGE)),
    }
    if warnings:
        warned, names = zip(*warnings, strict=True)
        batches["warnings"] = part_batch("warnings", np.array(warned, np.int64), pa.array(names, pa.string()))
    return batches


def _read_annotations(index: CocoIndex, items: Items, begin: int, values: list[Json]) -> AnnotationPart:
    annotations, owners = _expanded(values, index.kind)
    positions = np.arange(len(annotations))
    faults: list[_Fault] = []
    try:
        found = read_annotations(annotations, index.kind, index.categories)
    except BadAnnotationError:
        why = [find_fault(a, index.kind, index.categories) for a in annotations]
        faults += [_Fault(owners[i], FailureReason.MALFORMED_ROW, w) for i, w in enumerate(why) if w]
        positions = np.array([i for i, w in enumerate(why) if not w], np.int64)
        annotations = [annotations[i] for i in positions.tolist()]
        found = read_annotations(annotations, index.kind, index.categories)
    photos = _photos_of(index, annotations, "image_id")
    unknown = np.flatnonzero(photos < 0).tolist()
    faults += [
        _Fault(
            owners[int(positions[i])],
            FailureReason.UNKNOWN_IMAGE,
            f"image_id {annotations[i]['image_id']} is none of the file's images",
        )
        for i in unknown
    ]
    batches = {e.column: _known(e, photos) for e in found}
    return AnnotationPart(batches, _failures(index, items, begin, faults, "annotation"), len(values))


def _expanded(values: list[Json], kind: CocoKind) -> tuple[list[Json], typing.Sequence[int]]:
    """Returns the annotations to read, and the element of the file's list that each is in."""
    if kind is not CocoKind.PANOPTIC:
        return values, range(len(values))
    segments = [panoptic_segments(value) for value in values]
    owners = [i for i, found in enumerate(segments) for _ in found]
    return list(itertools.chain.from_iterable(segments)), owners


def _known(found: Elements, photos: npt.NDArray[np.int64]) -> pa.RecordBatch:
    photo_ids = photos[found.owners]
    batch = part_batch(found.column, photo_ids, found.elements)
    return batch if (photo_ids >= 0).all() else batch.filter(pa.array(photo_ids >= 0))


def _failures(
    index: CocoIndex, items: Items, begin: int, faults: list[_Fault], noun: str
) -> list[dict[str, typing.Any]]:
    """Finds the place of each fault; only a piece of the file that has one is searched."""
    if not faults:
        return []
    spans, rows = item_spans(items), []
    for fault in sorted(faults):
        offset, start, stop = spans[begin + fault.item]
        value = items.values[begin + fault.item]
        own_id = value.get("id") if isinstance(value, dict) else None
        name = f"{noun} number {items.first + begin + fault.item}" + (
            f" (id {own_id!r:.40})" if own_id is not None else ""
        )
        raw = items.text[start:stop].encode()
        rows.append(read_failure(fault.reason, f"{name}: {fault.why}", index.url, offset, raw))
    return rows
