"""Several lines of one photo: equal ones collapse, of unequal ones a fixed choice by content stays."""

import typing

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.photo_ids import hash64
from schemas.yfcc import Pack

Positions = npt.NDArray[np.int64]


class UniqueLines(typing.NamedTuple):
    """What became of spooled lines.

    Attributes:
        kept: positions of one line per photo, in order of the hash of its id.
        refused: positions of the lines that lost against an unequal one.
        collapsed: number of lines equal to another of their photo.
    """

    kept: Positions
    refused: Positions
    collapsed: int


def unique_lines(photo_ids: npt.NDArray[np.int64], lines: pa.BinaryArray, pack: Pack) -> UniqueLines:
    """Chooses one line per photo, whatever the order in which the lines arrive.

    Args:
        photo_ids: int64, any order, with duplicates.
        lines: spooled form, same length.
        pack: which pack the lines are of.
    """
    order = np.argsort(hash64(photo_ids), kind="stable")
    ids = photo_ids[order]
    repeats = np.flatnonzero(ids[1:] == ids[:-1])
    if not len(repeats):
        return UniqueLines(order, np.empty(0, np.int64), 0)
    kept = np.ones(len(ids), np.bool_)
    refused: list[int] = []
    collapsed = 0
    for begin, end in _runs(repeats):
        candidates = [(lines[int(p)].as_py(), int(p)) for p in order[begin:end]]
        winner, losers = choose_line(candidates, pack)
        kept[begin:end] = order[begin:end] == winner
        refused += losers
        collapsed += end - begin - 1 - len(losers)
    return UniqueLines(order[kept], np.array(refused, np.int64), collapsed)


def choose_line(candidates: list[tuple[bytes, int]], pack: Pack) -> tuple[int, list[int]]:
    """Chooses among the lines of one photo.

    The least content wins, but an empty payload never wins over a full one and a dataset line that
    lacks its hash never over one that has it. Of equal lines the one with the least line number stands.

    Args:
        candidates: (spooled line, position).
        pack: which pack they are of.

    Returns:
        Position of the winner, and those of the unequal others, one of each content.

    Example:
        >>> choose_line([(b"b", 0), (b"a", 1), (b"b", 2)], Pack.AUTOTAGS)
        (1, [0])
    """
    ranked = sorted((_rank(line, pack), position) for line, position in candidates)
    seen: list[tuple[bytes, bytes]] = []
    standing: list[int] = []
    for (_, content, hash_, _), position in ranked:
        if not any(content == other and hash_ in (other_hash, b"") for other, other_hash in seen):
            seen.append((content, hash_))
            standing.append(position)
    return standing[0], standing[1:]


def _rank(line: bytes, pack: Pack) -> tuple[bool, bytes, bytes, tuple[int, bytes]]:
    """Sort key: lacking, content, hash (full ones first), line number."""
    if pack is not Pack.DATASET:
        return not line, line, b"", (0, b"")
    number, _, hash_, content = line.split(b"\t", 3)
    return not hash_, content, hash_, (len(number), number)


def _runs(repeats: Positions) -> list[tuple[int, int]]:
    """Turns positions i with ids[i] == ids[i + 1] into half-open runs of equal ids."""
    breaks = np.flatnonzero(np.diff(repeats) > 1) + 1
    return [(int(run[0]), int(run[-1]) + 2) for run in np.split(repeats, breaks)]
