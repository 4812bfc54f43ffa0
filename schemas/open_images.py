"""Open Images: which file it is, told by its header or its content, and the ids of its images.

Columns are known by name, in any case and order; further ones are ignored. Publishers of copies
renamed few of them: ``ImageId`` is ``ImageID``, ``RelationLabel`` is ``RelationshipLabel``.
"""

import csv
import enum
import json
import posixpath
import re
import typing

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.class_names import is_class_list
from schemas.surrogate_ids import surrogate_id
from schemas.text_columns import HEX_VALUES, buffers_of

SOURCE = "open_images"
IMAGE_ID_DIGITS = 16


class OpenImagesKind(str, enum.Enum):
    """The files of Open Images."""

    IMAGES = "images"
    BOXES = "boxes"
    IMAGE_LABELS = "image_labels"
    MASKS = "masks"
    RELATIONSHIPS = "relationships"
    POINTS = "points"
    NARRATIVES = "narratives"
    CLASS_NAMES = "class_names"
    HIERARCHY = "hierarchy"


class Layout(typing.NamedTuple):
    """How a file is read.

    Attributes:
        kind: what it holds.
        columns: of a table, its columns by our name for them, '' for those that are not read.
        delimiter: of a table.
    """

    kind: OpenImagesKind
    columns: tuple[str, ...] = ()
    delimiter: str = ","


class Table(typing.NamedTuple):
    """The columns of a kind of CSV.

    Attributes:
        needed: without which it cannot be read.
        texts: those that are read as text.
        numbers: those that are read as numbers.
    """

    needed: tuple[str, ...]
    texts: tuple[str, ...]
    numbers: tuple[str, ...] = ()

    def columns(self) -> tuple[str, ...]:
        """Returns all columns that are read."""
        return self.texts + self.numbers


_EDGES = ("XMin", "XMax", "YMin", "YMax")
_MASK_EDGES = tuple(f"Box{edge}" for edge in _EDGES)
_PAIR_EDGES = tuple(f"{edge}{part}" for part in (1, 2) for edge in _EDGES)
_PAIR = ("LabelName1", "LabelName2", "RelationshipLabel")
_LABELLED = ("ImageID", "LabelName")
_IMAGE_TEXTS = ("ImageID", "OriginalURL", "Subset", "License", "Author", "OriginalMD5")
_BOX_FLAGS = ("IsOccluded", "IsTruncated", "IsGroupOf", "IsDepiction", "IsInside")
_VOTES = ("YesVotes", "NoVotes", "UnsureVotes")

TABLES: typing.Final[dict[OpenImagesKind, Table]] = {
    OpenImagesKind.MASKS: Table(
        ("MaskPath", *_LABELLED, *_MASK_EDGES),
        (*_LABELLED, "MaskPath", "BoxID", "Clicks"),
        (*_MASK_EDGES, "PredictedIoU"),
    ),
    OpenImagesKind.RELATIONSHIPS: Table(("ImageID", *_PAIR, *_PAIR_EDGES), ("ImageID", *_PAIR), _PAIR_EDGES),
    OpenImagesKind.POINTS: Table(
        ("ImageID", "X", "Y", "Label"),
        ("ImageID", "Label", "EstimatedYesNo", "Source", "TextLabel"),
        ("X", "Y", *_VOTES),
    ),
    OpenImagesKind.BOXES: Table((*_LABELLED, *_EDGES), (*_LABELLED, "Source"), ("Confidence", *_EDGES, *_BOX_FLAGS)),
    OpenImagesKind.IMAGES: Table(("ImageID", "OriginalURL"), _IMAGE_TEXTS, ("OriginalSize", "Rotation")),
    OpenImagesKind.IMAGE_LABELS: Table((*_LABELLED, "Confidence"), (*_LABELLED, "Source"), ("Confidence",)),
}
"""Columns by kind; the last is what a table is that has no column of another alone."""

_SHARED = frozenset({*_LABELLED, "Source", "Confidence"})
_COLUMNS = {column.lower(): column for table in TABLES.values() for column in table.columns()}
_COLUMNS |= {"relationlabel": "RelationshipLabel"}
_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(r"\r\n|\n|\r")
_SPLIT = re.compile(r"(?<![a-z])(train|validation|val|test)(?![a-z])", re.IGNORECASE)
_TREE = re.compile(r'\s*\{.*?"(LabelName|name)"\s*:.*"(Subcategory|Part|children)"\s*:\s*\[', re.DOTALL)
_NARRATIVE = re.compile(r'\s*\{\s*"[^\n]*"(timed_caption|voice_recording|annotator_id)"\s*:')
_KEYS = ("dataset_id", "image_id")


def recognise(head: bytes) -> Layout | None:
    r"""Tells what a file is by its beginning, whatever its name.

    Args:
        head: the first bytes, tens of thousands of them, or the whole file.

    Returns:
        None if it is of no kind, or lacks a column, which :func:`missing_columns` names.

    Example:
        >>> recognise(b"ImageID,Source,LabelName,Confidence\n").kind
        <OpenImagesKind.IMAGE_LABELS: 'image_labels'>
    """
    text = head.removeprefix(_BOM).decode("utf-8", "replace")
    if text.lstrip().startswith("{"):
        return _recognise_json(text)
    lines = _LINE_END.split(text)
    if is_class_list(lines if len(lines) < 2 else lines[:-1]):
        return Layout(OpenImagesKind.CLASS_NAMES)
    kind, missing = missing_columns(head)
    if kind is None or missing or ends_lines_with_cr(head):
        return None
    delimiter, names = _header(lines[0])
    used = TABLES[kind].columns()
    columns = [_COLUMNS.get(name.lower(), "") for name in names]
    first = {column: place for place, column in reversed(list(enumerate(columns))) if column in used}
    return Layout(kind, tuple(c if first.get(c) == i else "" for i, c in enumerate(columns)), delimiter)


def missing_columns(head: bytes) -> tuple[OpenImagesKind | None, list[str]]:
    r"""Tells which table a header is most like, and what that needs beyond it.

    Returns:
        The kind, None if the header is like none; and the columns that are missing.

    Example:
        >>> missing_columns(b"ImageID,LabelName,XMin,XMax,YMin\n")
        (<OpenImagesKind.BOXES: 'boxes'>, ['YMax'])
    """
    line = _LINE_END.split(head.removeprefix(_BOM).decode("utf-8", "replace"), maxsplit=1)[0]
    found = {_COLUMNS[name.lower()] for name in _header(line)[1] if name.lower() in _COLUMNS}
    marks = {kind: len(found & set(table.columns()) - _SHARED) for kind, table in TABLES.items()}
    kind = max(marks, key=lambda k: marks[k])
    if not marks[kind]:
        kind = OpenImagesKind.IMAGE_LABELS
    missing = [column for column in TABLES[kind].needed if column not in found]
    alike = len(found & set(TABLES[kind].columns())) > 1 and 2 * len(missing) <= len(TABLES[kind].needed)
    return (kind, missing) if alike else (None, [])


def ends_lines_with_cr(head: bytes) -> bool:
    """Tells whether the lines of a file end with CR alone, as old programs write them."""
    return b"\r" in head.rstrip(b"\r") and b"\n" not in head


def split_of(name: str) -> str | None:
    """Returns the split that a published name states.

    Example:
        >>> split_of("v7/oidv7-val-annotations-point-labels.csv")
        'validation'
        >>> split_of("boxes.csv")
    """
    found = _SPLIT.search(posixpath.basename(name))
    return found and read_split(found.group())


def read_split(value: str) -> str | None:
    """Returns ``train``, ``validation`` or ``test``; None of anything else."""
    split = "validation" if value.lower() == "val" else value.lower()
    return split if split in ("train", "validation", "test") else None


def read_hex_ids(image_ids: pa.StringArray) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.bool_]]:
    """Reads image ids: 16 hexadecimal digits.

    Returns:
        uint64 ids (0 where unreadable) and the bool mask of readable ones.

    Example:
        >>> ids, readable = read_hex_ids(pa.array(["00000000000000ff", "ff", None]))
        >>> ids.tolist(), readable.tolist()
        ([255, 0, 0], [True, False, False])
    """
    data, offsets = buffers_of(image_ids.fill_null("").cast(pa.binary()))
    readable = np.diff(offsets) == IMAGE_ID_DIGITS
    digits = HEX_VALUES[data[offsets[:-1][readable][:, None] + np.arange(IMAGE_ID_DIGITS)]]
    all_hex = (digits < 16).all(axis=1)
    readable[readable] = all_hex
    ids = np.zeros(len(image_ids), np.uint64)
    ids[readable] = np.ascontiguousarray(digits[all_hex, 0::2] << 4 | digits[all_hex, 1::2]).view(">u8").ravel()
    return ids, readable


def surrogate_ids(ids: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Returns the photo ids of images whose Flickr id is not known."""
    own_ids = (f"{i:0{IMAGE_ID_DIGITS}x}" for i in ids.tolist())
    return np.fromiter((surrogate_id(SOURCE, own_id) for own_id in own_ids), np.int64, len(ids))


def _header(line: str) -> tuple[str, list[str]]:
    delimiter = max(",;\t", key=line.count)
    try:
        names = next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return delimiter, []
    return delimiter, [name.strip() for name in names]


def _recognise_json(text: str) -> Layout | None:
    if _is_narrative(text):
        return Layout(OpenImagesKind.NARRATIVES)
    return Layout(OpenImagesKind.HIERARCHY) if _TREE.match(text) else None


def _is_narrative(text: str) -> bool:
    """Tells by the keys of the first line, or by their names where it is longer than what is known."""
    line, newline, _ = text.lstrip().partition("\n")
    if newline:
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            entry = None
        if isinstance(entry, dict):
            return all(key in entry for key in (*_KEYS, "caption"))
    return bool(_NARRATIVE.match(line)) and all(f'"{key}"' in line for key in _KEYS)
