"""The thread that makes images: answers, errors, order, and how often it wakes the loop."""

import asyncio
import threading
import typing

import pytest

from transforms.workers.codec_thread import CodecThread


def _in_thread(use: typing.Callable[[CodecThread], typing.Coroutine[typing.Any, typing.Any, typing.Any]]) -> typing.Any:
    async def main() -> typing.Any:
        return await use(CodecThread(asyncio.get_running_loop()))

    return asyncio.run(main())


def test_calls_are_answered_in_one_thread_in_order():
    called: list[tuple[int, int]] = []

    def call(number: int) -> int:
        called.append((number, threading.get_ident()))
        return 2 * number

    async def use(thread: CodecThread) -> list[int]:
        return await asyncio.gather(*(thread.call(call, number) for number in range(100)))

    assert _in_thread(use) == [2 * number for number in range(100)]
    assert [number for number, _ in called] == list(range(100))
    assert {ident for _, ident in called}.isdisjoint({threading.get_ident()})
    assert len({ident for _, ident in called}) == 1


def test_an_error_is_raised_where_it_was_asked_and_the_thread_goes_on():
    async def use(thread: CodecThread) -> int:
        with pytest.raises(ZeroDivisionError):
            await thread.call(divmod, 1, 0)
        return await thread.call(len, "four")

    assert _in_thread(use) == 4


def test_what_nobody_waits_for_any_more_is_not_called():
    called: list[int] = []

    async def use(thread: CodecThread) -> None:
        gate = threading.Event()
        first = asyncio.ensure_future(thread.call(gate.wait))
        second = asyncio.ensure_future(thread.call(called.append, 1))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.sleep(0)
        gate.set()
        assert await first
        await thread.call(called.append, 2)

    _in_thread(use)
    assert called == [2]


def test_a_call_that_is_cancelled_while_it_runs_harms_no_other():
    async def use(thread: CodecThread) -> int:
        begun, gate = threading.Event(), threading.Event()

        def slow() -> None:
            begun.set()
            gate.wait()

        first = asyncio.ensure_future(thread.call(slow))
        await asyncio.to_thread(begun.wait)
        first.cancel()
        gate.set()
        return await thread.call(len, "three")

    assert _in_thread(use) == 5


def test_the_loop_is_woken_once_for_many():
    async def use(thread: CodecThread) -> int:
        loop, woken = asyncio.get_running_loop(), []
        real = loop.call_soon_threadsafe
        loop.call_soon_threadsafe = lambda *call: woken.append(call) or real(*call)  # type: ignore[method-assign]
        await asyncio.gather(*(thread.call(len, "") for _ in range(1000)))
        return len(woken)

    assert _in_thread(use) < 100
