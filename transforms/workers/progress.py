"""Running counts of this process and its children: for the progress line, and to end a run that fails.

Counts stand in a table that all processes share. Each shard under way has a slot of it to itself, so that nobody waits
for a lock that a dead process holds, and what a build that died has counted can be taken back. Counts never move from
slot to slot, so that a sum is never short of what some shard has counted.
"""

import contextlib
import contextvars
import multiprocessing
import os
import queue
import threading
import typing

import numpy as np
import numpy.typing as npt

from schemas.failures import FailureReason

COUNTERS = (
    "lines",
    "rows",
    "samples",
    "failed",
    "deferred",
    "videos",
    "failed_videos",
    *(reason.value for reason in FailureReason),
)
"""``deferred``: failed once, to be tried again; the reasons count both these and what has failed for good. Videos that
are taken, or fail, count for nothing else."""

SLOTS = 1 + 4 * max(16, os.cpu_count() or 1)
"""One for this process itself, and one for each call under way; further calls wait."""

_OWN = 0
_PLACES = {name: place for place, name in enumerate(COUNTERS)}

_table: typing.Any = multiprocessing.get_context("forkserver").RawArray("q", SLOTS * len(COUNTERS))
_slot = contextvars.ContextVar("slot", default=_OWN)
_lock = threading.Lock()
_before: "dict[int, npt.NDArray[np.int64]]" = {}
"""Counts of a slot when it was lent."""

_free: "queue.SimpleQueue[int]" = queue.SimpleQueue()
for _number in range(1, SLOTS):
    _free.put(_number)


def count(name: str, amount: int = 1) -> None:
    """Adds to a counter."""
    with _lock:
        _table[_slot.get() * len(COUNTERS) + _PLACES[name]] += amount


def counts() -> dict[str, int]:
    """Returns all counters."""
    return dict(zip(COUNTERS, _rows().sum(axis=0).tolist(), strict=True))


def reset() -> None:
    """Sets all counters to 0."""
    _rows()[:] = 0


@contextlib.contextmanager
def lent_slot() -> typing.Iterator[int]:
    """Lends a slot for calls of :func:`counted_in` in child processes, one at a time."""
    slot = _free.get()
    _before[slot] = _rows()[slot].copy()
    try:
        yield slot
    finally:
        _free.put(slot)


def take_back(slot: int) -> None:
    """Forgets what was counted in a slot since it was lent; the process that did is dead."""
    _rows()[slot] = _before[slot]


def counted_in(slot: int, function: typing.Callable[..., typing.Any], *arguments: typing.Any) -> typing.Any:
    """Calls a function whose counts go to a slot, those of its asyncio tasks included. For one call at a time."""
    before = _slot.set(slot)
    try:
        return function(*arguments)
    finally:
        _slot.reset(before)


def shared_counters() -> typing.Any:
    """Returns what a child process needs to count with its parent."""
    return _table


def share(counters: typing.Any) -> None:
    """Makes this process count with its parent."""
    global _table
    _table = counters


def _rows() -> "npt.NDArray[np.int64]":
    return np.frombuffer(_table, np.int64).reshape(-1, len(COUNTERS))
