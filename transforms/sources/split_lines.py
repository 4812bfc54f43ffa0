"""Tells the well-formed lines of a block of text from the malformed ones, all at once."""

import typing

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.text_columns import take_spans
from schemas.yfcc import DATASET_FIELDS_WITHOUT_HASH, MAX_LINE_BYTES, PHOTO_ID_FIELD, read_photo_ids
from transforms.sources.line_ranges import LineBlock


class SplitLines(typing.NamedTuple):
    """The lines of a block, told apart.

    Attributes:
        photo_ids: int64, of the well-formed lines.
        lines: BinaryArray, those lines, whole.
        starts: int64, where they begin in the block.
        malformed: number of the others.
        problems: yields (start, end, why) of each of them, in order.
    """

    photo_ids: npt.NDArray[np.int64]
    lines: pa.BinaryArray
    starts: npt.NDArray[np.int64]
    malformed: int
    problems: typing.Iterator[tuple[int, int, str]]


def split_lines(block: LineBlock, fields: int) -> SplitLines:
    """Tells well-formed lines from malformed ones.

    Args:
        block: whole lines.
        fields: of a well-formed line. Where it is 2, the separator may be missing with the payload.
    """
    data = np.frombuffer(block.data, np.uint8)
    newlines = np.flatnonzero(data == ord("\n"))
    starts = np.concatenate(([0], newlines[:-1] + 1)) if len(newlines) else newlines
    ends = newlines - (data[np.maximum(newlines - 1, 0)] == ord("\r")) * (newlines > starts)
    tabs = np.flatnonzero(data == ord("\t"))
    first_tab = np.searchsorted(tabs, starts)
    counts = np.diff(np.concatenate((first_tab, [len(tabs)])))
    good = (counts == fields - 1) | ((fields == 2) & (counts == 0) & (ends > starts))
    good[np.searchsorted(starts, block.too_long)] = False
    shaped = np.flatnonzero(good)
    id_starts, id_ends = _photo_id_spans(tabs, first_tab[shaped], starts[shaped], ends[shaped], fields)
    ids, readable = read_photo_ids(take_spans(data, id_starts, id_ends))
    lines = take_spans(data, starts[shaped], ends[shaped])
    utf8 = _valid_utf8(lines)
    kept = readable & utf8
    good[shaped[~kept]] = False
    why = {int(i): "the photo id is not a positive integer" for i in shaped[~readable]}
    why |= {int(i): "the line is not valid UTF-8" for i in shaped[~utf8]}
    why |= {int(i): f"the line is longer than {MAX_LINE_BYTES} bytes" for i in np.searchsorted(starts, block.too_long)}
    malformed = np.flatnonzero(~good)
    problems = (
        (int(starts[i]), int(ends[i]), why.get(int(i)) or f"{counts[i] + 1} fields where {fields} were expected")
        for i in malformed
    )
    if not kept.all():
        lines = lines.filter(pa.array(kept))
    return SplitLines(ids[kept], lines, starts[shaped][kept], len(malformed), problems)


def with_all_fields(lines: pa.BinaryArray, fields: int) -> pa.BinaryArray:
    """Gives every dataset line its 25 fields.

    Args:
        lines: well-formed.
        fields: that they have.
    """
    if fields == DATASET_FIELDS_WITHOUT_HASH:
        return pc.replace_substring_regex(lines.cast(pa.string()), r"^([^\t]*)\t", "\t\\1\t\t").cast(pa.binary())
    return lines


def _photo_id_spans(
    tabs: npt.NDArray[np.int64],
    first_tab: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    fields: int,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    padded = np.append(tabs, [np.iinfo(np.int64).max] * 2)
    if fields in (2, DATASET_FIELDS_WITHOUT_HASH):
        return starts, np.minimum(padded[first_tab], ends)
    return padded[first_tab + PHOTO_ID_FIELD - 1] + 1, padded[first_tab + PHOTO_ID_FIELD]


def _valid_utf8(lines: pa.BinaryArray) -> npt.NDArray[np.bool_]:
    try:
        lines.cast(pa.string())
    except pa.ArrowInvalid:
        return np.array([_is_utf8(line.as_py()) for line in lines], np.bool_)
    return np.ones(len(lines), np.bool_)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
