"""Runs a coroutine for each of many things, so many at once, and leaves none behind."""

import asyncio
import itertools
import typing

T = typing.TypeVar("T")


async def for_each(
    things: typing.Iterable[T], do: typing.Callable[[T], typing.Coroutine[typing.Any, typing.Any, None]], at_once: int
) -> None:
    """Does something with each thing, in order of beginning; the first error ends it all and is raised."""
    todo = iter(things)

    async def work(first: T) -> None:
        await do(first)
        for thing in todo:
            await do(thing)

    tasks = [asyncio.ensure_future(work(first)) for first in itertools.islice(todo, at_once)]
    try:
        await asyncio.gather(*tasks)
    finally:
        begun = [task for task in tasks if not task.done()]
        for task in begun:
            task.cancel()
        await asyncio.gather(*begun, return_exceptions=True)


async def while_it_helps(
    work: typing.Coroutine[typing.Any, typing.Any, None],
    done: typing.Callable[[], int],
    patience_s: float,
    is_held_back: typing.Callable[[], bool],
) -> None:
    """Runs a coroutine for as long as it gets anything done: one patience without anything ends it.

    Args:
        work: what to run; cancelled if it does not help.
        done: how much it has done so far.
        patience_s: longest time without anything done.
        is_held_back: whether others go first; meanwhile the patience does not begin.
    """
    task = asyncio.ensure_future(work)
    try:
        before, was_held_back = 0, True
        while not task.done() and (was_held_back or done() != before):
            before, was_held_back = done(), is_held_back()
            await asyncio.wait([task], timeout=patience_s)
        if task.done():
            task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
