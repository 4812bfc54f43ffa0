"""Counts rows and shards as they are written, for runs whose workers are on other machines."""

import contextlib
import threading
import typing

from schemas import layout
from schemas.records import CommitRecord, Plan
from transforms.stores.output import Output
from transforms.workers import progress

INTERVAL_S = 5.0


@contextlib.contextmanager
def follow_commits(output: Output) -> typing.Iterator[None]:
    """Adds what plan and new commit records say to the counts of this process, for the length of a ``with`` block."""
    stop, known = threading.Event(), set(_commits(output))
    thread = threading.Thread(target=_follow, args=(output, known, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _follow(output: Output, known: set[str], stop: threading.Event) -> None:
    is_last = False
    while not is_last:
        is_last = stop.wait(INTERVAL_S)
        with contextlib.suppress(OSError, ValueError):
            if not progress.counts()["rows"]:
                _count_rows(output)
            new = [name for name in _commits(output) if name not in known]
            for name, data in output.read_present(new).items():
                known.add(name)
                _count(name, data)


def _commits(output: Output) -> list[str]:
    return output.names("commits")


def _count_rows(output: Output) -> None:
    """Counts the rows, once phase 1 is complete."""
    for data in output.read_present([layout.PLAN]).values():
        plan = Plan.from_json(data, layout.PLAN)
        progress.count("rows", sum(rows.rows for rows in plan.rows or ()))


def _count(name: str, data: bytes) -> None:
    """Counts a record; one that is damaged is told of where the run reads it."""
    with contextlib.suppress(ValueError):
        commit = CommitRecord.from_json(data, name)
        progress.count("samples", commit.samples)
        progress.count("videos", commit.videos)
        progress.count("failed", commit.failed - commit.failed_videos)
        progress.count("failed_videos", commit.failed_videos)
