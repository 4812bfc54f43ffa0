"""Photos that were taken down: lists of their ids, and which lines of input are theirs."""

import re
import typing

from schemas.photo_ids import KEY_DIGITS
from schemas.records import Manifest, Plan, Tombstone

MAX_ID = 2**63 - 1
TAKEN_DOWN, UNKNOWN = "taken_down", "taken_down_unknown"
"""Counts of a plan: tombstones whose photos were removed, and those whose photos the dataset does not have."""

_MAX_SHOWN_CHARS = 40


class IdListError(ValueError):
    """A line of a list of ids is none; says which."""


def read_photo_ids(lines: typing.Iterable[str]) -> list[int]:
    """Reads a list of photo ids or KEYs, one a line; what follows a # is a comment.

    Raises:
        IdListError: a line is neither.

    Example:
        >>> read_photo_ids(["# two of the same", "006985418911", "6985418911 # its id", ""])
        [6985418911]
    """
    ids: set[int] = set()
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        if not (text.isascii() and text.isdigit() and len(text) <= len(str(MAX_ID)) and int(text) <= MAX_ID):
            raise IdListError(
                f"line {number}: {text[:_MAX_SHOWN_CHARS]!r} is no photo id, nor a KEY of at least {KEY_DIGITS} digits"
            )
        ids.add(int(text))
    return sorted(ids)


def with_tombstones(tombstones: typing.Iterable[Tombstone], ids: typing.Iterable[int], date: str) -> list[Tombstone]:
    """Adds photos to those that were taken down; each keeps its first date.

    Example:
        >>> with_tombstones([Tombstone(7, "2026-01-01")], [7, 5], "2026-02-02")
        [Tombstone(photo_id=5, date='2026-02-02'), Tombstone(photo_id=7, date='2026-01-01')]
    """
    first = {photo_id: Tombstone(photo_id, date) for photo_id in ids} | {t.photo_id: t for t in tombstones}
    return [first[photo_id] for photo_id in sorted(first)]


def is_carried_out(plan: Plan) -> bool:
    """Tells whether all tombstones of a plan are carried out, as far as the plan knows."""
    return len(plan.tombstones) == plan.counts.get(TAKEN_DOWN, 0) + plan.counts.get(UNKNOWN, 0)


def lists_all(manifest: Manifest) -> bool:
    """Tells whether a manifest lists all tombstones that it counts."""
    return len(manifest.tombstones) == manifest.counts.get(TAKEN_DOWN, 0) + manifest.counts.get(UNKNOWN, 0)


def is_of(ids: typing.Container[int], photo_id: int, raw: bytes) -> bool:
    """Tells whether an input line is of one of these photos; without an id of its own it is if it has theirs in it.

    Example:
        >>> is_of({7}, 7, b""), is_of({7}, -1, b"x/7_ab.jpg"), is_of({7}, -1, b"77"), is_of({7}, 8, b"7")
        (True, True, False, False)
    """
    if photo_id >= 0:
        return photo_id in ids
    return any(int(number) in ids for number in re.findall(rb"[0-9]+", raw) if len(number) <= len(str(MAX_ID)))
