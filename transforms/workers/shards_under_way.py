"""The shards under way in this process, ranked by when they were begun. For its event loop alone."""

import contextlib
import contextvars
import itertools
import typing

SHARD_RANK = contextvars.ContextVar("shard_rank", default=0)
"""Of the shard that a task works for: the lower, the older."""

_ranks = itertools.count()
_under_way: set[int] = set()


@contextlib.contextmanager
def ranked() -> typing.Iterator[None]:
    """Gives this task and those that it begins the next rank, for as long as their shard is under way."""
    rank = next(_ranks)
    before = SHARD_RANK.set(rank)
    _under_way.add(rank)
    try:
        yield
    finally:
        _under_way.remove(rank)
        SHARD_RANK.reset(before)


def is_oldest() -> bool:
    """Returns whether this task's shard is the oldest under way: then no other has its turns first."""
    return SHARD_RANK.get() == min(_under_way)
