"""COCO's run-length encoding of masks: lists of runs, and their compressed text.

Runs alternate between outside and inside, column by column, beginning outside; they add up to the
height times the width of the mask. Readers in C write as far as the runs say, so runs that do not add
up are refused here.
"""

import typing

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

MAX_SIDE = 65_535
"""As of a JPEG; larger areas do not fit into the 32 bits of a run."""


class RunLengths(typing.NamedTuple):
    """A mask.

    Attributes:
        counts: its runs, as COCO's compressed text.
        height: rows.
        width: columns.
    """

    counts: str
    height: int
    width: int


def read_run_lengths(segmentation: typing.Any) -> RunLengths:
    """Reads ``{"counts": runs or text, "size": [height, width]}``.

    Raises:
        ValueError: it is no mask; the message says what is wrong.

    Example:
        >>> read_run_lengths({"counts": [2, 3, 4, 3], "size": [3, 4]})
        RunLengths(counts='2340', height=3, width=4)
    """
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if not isinstance(size, list) or len(size) != 2 or not all(_is_side(side) for side in size):
        raise ValueError("the size of the mask is not two positive integers")
    height, width = size
    runs = _runs(counts)
    if ((runs < 0) | (runs > height * width)).any() or int(runs.sum()) != height * width:
        raise ValueError("the runs of the mask do not add up to its size")
    if isinstance(counts, str):
        return RunLengths(counts, height, width)
    encoded = coco_mask.frPyObjects({"counts": counts, "size": size}, height, width)
    return RunLengths(typing.cast(bytes, encoded["counts"]).decode("ascii"), height, width)


def decompress(counts: str) -> npt.NDArray[np.int64]:
    """Decodes COCO's compressed text into runs.

    Numbers are written in 5-bit groups, lowest first, each a character from ``0``; bit 5 says that more
    follow, bit 4 of the last is the sign. From the fourth on, the difference to the last but one is written.

    Raises:
        ValueError: the text has other characters, ends within a number, or a number is too large.

    Example:
        >>> decompress("2340").tolist()
        [2, 3, 4, 3]
    """
    groups = np.frombuffer(counts.encode("utf-8", "replace"), np.uint8).astype(np.int64) - ord("0")
    ends = np.flatnonzero((groups & 32) == 0)
    if not len(groups) or ends.size == 0 or ends[-1] != len(groups) - 1 or groups.min() < 0 or groups.max() > 63:
        raise ValueError("the compressed runs of the mask are damaged")
    starts = np.concatenate(([0], ends[:-1] + 1))
    places = np.arange(len(groups)) - np.repeat(starts, ends - starts + 1)
    if places.max() > 7:
        raise ValueError("the compressed runs of the mask are damaged")
    values = np.add.reduceat((groups & 31) << (5 * places), starts)
    values -= np.where(groups[ends] & 16, np.int64(1) << (5 * (places[ends] + 1)), 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values


def _runs(counts: typing.Any) -> npt.NDArray[np.int64]:
    if isinstance(counts, str):
        return decompress(counts)
    if not isinstance(counts, list) or not counts or set(map(type, counts)) != {int}:
        raise ValueError("the runs of the mask are not a list of integers")
    if min(counts) < 0 or max(counts) > MAX_SIDE**2:
        raise ValueError("the runs of the mask do not add up to its size")
    return np.array(counts, np.int64)


def _is_side(side: typing.Any) -> bool:
    return type(side) is int and 0 < side <= MAX_SIDE
