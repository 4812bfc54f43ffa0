"""Reads the files of Flickr8k into record batches by photo.

The split of an image is in lists of their own, which are read first and all at once: 8,000 names.
"""

import collections
import itertools
import typing

import fsspec
import numpy as np
import pyarrow as pa

from schemas.annotations import ELEMENTS
from schemas.failures import FailureReason
from schemas.flickr8k import (
    KAGGLE_HEADER,
    BadLineError,
    CaptionLine,
    Flickr8kKind,
    RatingLine,
    Split,
    caption_element,
    copy_element,
    photo_id_of,
    rating_element,
    read_caption,
    read_image_name,
    read_kaggle_caption,
    read_rating,
    recognise,
    split_of,
)
from schemas.open_images import ends_lines_with_cr
from transforms.sources.annotation_parts import BATCH_ROWS, AnnotationPart, part_batch, read_failure

_HEAD_BYTES = 1 << 18
_BOM = b"\xef\xbb\xbf"

Splits = typing.Mapping[str, Split]


class Flickr8kFile(typing.NamedTuple):
    """A file of Flickr8k.

    Attributes:
        url: path or fsspec URL.
        kind: what its lines are.
    """

    url: str
    kind: Flickr8kKind


class _Line(typing.NamedTuple):
    offset: int
    raw: bytes


class _Refused(typing.NamedTuple):
    reason: FailureReason
    why: str


def find_flickr8k(url: str) -> Flickr8kFile | None:
    """Recognises a file by its first lines; None if it is not of Flickr8k or cannot be read as it is."""
    head = _head(url)
    kind = None if ends_lines_with_cr(head) else _kind_of(head, url)
    return Flickr8kFile(url, kind) if kind else None


def refusal_of(url: str) -> str | None:
    """Says why a file that is of Flickr8k cannot be read; None if it can, or is of something else."""
    head = _head(url)
    kind = _kind_of(head.replace(b"\r", b"\n"), url) if ends_lines_with_cr(head) else None
    return f"holds {kind.value} in lines that end with CR alone: save it with line ends of LF" if kind else None


def read_splits(files: typing.Iterable[Flickr8kFile]) -> dict[str, Split]:
    """Reads all lists of splits: the split of each image, of several the one first by name."""
    found: dict[str, Split] = {}
    for file in files:
        split = split_of(file.url)
        if file.kind is not Flickr8kKind.SPLIT or split is None:
            continue
        for line in _lines(file.url):
            if isinstance(image := _parse(file.kind, line.raw), str):
                found[image] = min(split, found.get(image, split))
    return found


def read_flickr8k(file: Flickr8kFile, splits: Splits) -> typing.Iterator[AnnotationPart]:
    """Reads a file.

    Every file gives ``copies`` and ``flickr8k_split`` of the images it names; captions and ratings
    besides. A line of another form is a failure, as is one of a name that is no image.

    Args:
        file: of :func:`find_flickr8k`.
        splits: of :func:`read_splits`.
    """
    numbers: collections.Counter[str] = collections.Counter()
    lines = _lines(file.url)
    while batch := list(itertools.islice(lines, BATCH_ROWS)):
        yield _read_batch(file, splits, batch, numbers)


def _head(url: str) -> bytes:
    with fsspec.open(url, "rb") as file:
        head: bytes = file.read(_HEAD_BYTES)
    return head


def _kind_of(head: bytes, url: str) -> Flickr8kKind | None:
    lines = head.removeprefix(_BOM).decode("utf-8", "replace").split("\n")
    whole = lines if len(head) < _HEAD_BYTES else lines[:-1] or lines
    kind = recognise([line.rstrip("\r") for line in whole], url)
    return None if kind is Flickr8kKind.SPLIT and split_of(url) is None else kind


def _read_batch(
    file: Flickr8kFile, splits: Splits, lines: list[_Line], numbers: collections.Counter[str]
) -> AnnotationPart:
    photos: list[int] = []
    elements: list[dict[str, typing.Any]] = []
    copies: dict[str, int] = {}
    failures = []
    for line in lines:
        parsed = _parse(file.kind, line.raw)
        image = parsed if isinstance(parsed, str) else getattr(parsed, "image", "")
        refused = parsed if isinstance(parsed, _Refused) else _refusal(file, splits, image)
        if refused:
            failures.append(read_failure(refused.reason, refused.why, file.url, line.offset, line.raw))
            continue
        photo_id = copies[image] = typing.cast(int, photo_id_of(image))
        if isinstance(parsed, CaptionLine):
            numbered = parsed if parsed.caption_id is not None else parsed._replace(caption_id=numbers[image])
            numbers[image] += 1
            elements.append(caption_element(numbered, file.kind))
            photos.append(photo_id)
        elif isinstance(parsed, RatingLine):
            elements.append(rating_element(parsed, file.kind))
            photos.append(photo_id)
    batches = _copy_batches(copies, splits)
    if elements:
        column = "ratings" if file.kind in (Flickr8kKind.EXPERT, Flickr8kKind.CROWD) else "captions"
        batches[column] = part_batch(column, np.array(photos, np.int64), pa.array(elements, ELEMENTS[column]))
    return AnnotationPart(batches, failures, len(lines))


def _parse(kind: Flickr8kKind, raw: bytes) -> CaptionLine | RatingLine | str | _Refused:
    try:
        text = raw.decode("utf-8")
        if kind is Flickr8kKind.SPLIT:
            return read_image_name(text)
        if kind in (Flickr8kKind.EXPERT, Flickr8kKind.CROWD):
            return read_rating(text, kind)
        return read_kaggle_caption(text) if kind is Flickr8kKind.KAGGLE else read_caption(text)
    except UnicodeDecodeError:
        return _Refused(FailureReason.MALFORMED_ROW, "the line is not valid UTF-8")
    except BadLineError as error:
        return _Refused(FailureReason.MALFORMED_ROW, str(error))


def _refusal(file: Flickr8kFile, splits: Splits, image: str) -> _Refused | None:
    if photo_id_of(image) is None:
        return _Refused(FailureReason.UNKNOWN_IMAGE, f"{image[:80]!r} is not the name of an image")
    if file.kind is Flickr8kKind.SPLIT and splits[image] is not split_of(file.url):
        return _Refused(FailureReason.MALFORMED_ROW, f"the image is in the list of {splits[image].value} as well")
    return None


def _copy_batches(copies: dict[str, int], splits: Splits) -> dict[str, pa.RecordBatch]:
    photos = np.array(list(copies.values()), np.int64)
    elements = pa.array([copy_element(image, splits.get(image)) for image in copies], ELEMENTS["copies"])
    divided = {image: photo for image, photo in copies.items() if image in splits}
    names = pa.array([splits[image].value for image in divided], pa.string())
    return {
        "copies": part_batch("copies", photos, elements),
        "flickr8k_split": part_batch("flickr8k_split", np.array(list(divided.values()), np.int64), names),
    }


def _lines(url: str) -> typing.Iterator[_Line]:
    """Yields lines that are not empty, without their ends; the header of Kaggle's file is none."""
    offset = 0
    with fsspec.open(url, "rb") as file:
        for number, line in enumerate(file):
            begin = len(_BOM) if number == 0 and line.startswith(_BOM) else 0
            raw = line[begin:].rstrip(b"\r\n")
            is_header = number == 0 and raw.strip().lower() == KAGGLE_HEADER.encode()
            if raw.strip() and not is_header:
                yield _Line(offset + begin, raw)
            offset += len(line)
