"""Work on many things at once, and its end."""

import asyncio
import time

import pytest

from transforms.workers.for_each import for_each, while_it_helps


def test_all_are_done_and_so_many_at_once() -> None:
    now, most, done = 0, 0, []

    async def one(thing: int) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.001)
        now -= 1
        done.append(thing)

    asyncio.run(for_each(range(30), one, 7))
    assert (most, sorted(done)) == (7, list(range(30)))
    asyncio.run(for_each([], one, 7))


def test_the_first_error_ends_it_and_nothing_goes_on() -> None:
    ended = []

    async def one(thing: int) -> None:
        if thing == 3:
            raise ValueError("three")
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(thing)

    async def scenario() -> int:
        with pytest.raises(ValueError, match="three"):
            await for_each(range(100), one, 5)
        return len(asyncio.all_tasks())

    assert asyncio.run(scenario()) == 1
    assert sorted(ended) == [0, 1, 2, 4]


def test_work_goes_on_while_it_helps() -> None:
    done = 0

    async def work() -> None:
        nonlocal done
        for _ in range(5):
            await asyncio.sleep(0.05)
            done += 1
        await asyncio.sleep(60)

    begun_s = time.monotonic()
    asyncio.run(while_it_helps(work(), lambda: done, 0.1, lambda: False))
    assert done == 5
    assert time.monotonic() - begun_s < 2


def test_work_that_is_held_back_has_its_patience_later() -> None:
    begun_s, done = time.monotonic(), 0

    async def work() -> None:
        nonlocal done
        await asyncio.sleep(0.45)
        done = 1
        await asyncio.sleep(60)

    asyncio.run(while_it_helps(work(), lambda: done, 0.2, lambda: time.monotonic() - begun_s < 0.3))
    assert done == 1
    assert time.monotonic() - begun_s < 2


def test_an_error_of_the_work_is_raised() -> None:
    async def work() -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        asyncio.run(while_it_helps(work(), lambda: 0, 1.0, lambda: False))
