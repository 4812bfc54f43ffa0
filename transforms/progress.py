"""Running counts of this process and its children: for the progress line, and to end a run that fails."""

import multiprocessing
import typing

from schemas.failures import FailureReason

COUNTERS = ("lines", "rows", "samples", "failed", "deferred", *(reason.value for reason in FailureReason))
"""``deferred``: failed once, to be tried again; the reasons count both these and what has failed for good."""

_counters: typing.Any = multiprocessing.get_context("spawn").Array("q", len(COUNTERS))


def count(name: str, amount: int = 1) -> None:
    """Adds to a counter."""
    with _counters.get_lock():
        _counters[COUNTERS.index(name)] += amount


def counts() -> dict[str, int]:
    """Returns all counters; without their lock, which a killed child may hold for ever."""
    return dict(zip(COUNTERS, _counters.get_obj(), strict=True))


def reset() -> None:
    """Sets all counters to 0."""
    with _counters.get_lock():
        _counters[:] = [0] * len(COUNTERS)


def shared_counters() -> typing.Any:
    """Returns what a child process needs to count with its parent."""
    return _counters


def share(counters: typing.Any) -> None:
    """Makes this process count with its parent."""
    global _counters
    _counters = counters
