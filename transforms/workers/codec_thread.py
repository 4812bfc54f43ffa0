"""The thread in which a process makes images, one after the other, while its event loop fetches.

An executor would wake the loop for every image: a system call in the one thread, one or two in the other, and Python's
lock handed over each time. Thousands of photos are in hand, so none of them is in a hurry.
"""

import asyncio
import collections
import queue
import threading
import typing

R = typing.TypeVar("R")

_WAKE_S = 0.02
"""The loop hears of what is done so long after the first of it."""


class _Call(typing.NamedTuple):
    """One thing to do, and who waits for it."""

    answer: "asyncio.Future[typing.Any]"
    function: typing.Callable[..., typing.Any]
    arguments: tuple[typing.Any, ...]


class CodecThread:
    """A thread that calls functions for the coroutines of one event loop, in the order in which they ask.

    Example:
        >>> async def main():
        ...     thread = CodecThread(asyncio.get_running_loop())
        ...     return await asyncio.gather(thread.call(pow, 2, 5), thread.call(len, "abc"))
        >>> asyncio.run(main())
        [32, 3]
    """

    def __init__(self, loop: asyncio.AbstractEventLoop):
        self._loop = loop
        self._todo: queue.SimpleQueue[_Call] = queue.SimpleQueue()
        self._done: collections.deque[tuple[_Call, typing.Any, Exception | None]] = collections.deque()
        self._is_told = False
        threading.Thread(target=self._serve, name="codec", daemon=True).start()

    async def call(self, function: typing.Callable[..., R], *arguments: typing.Any) -> R:
        """Calls a function in the thread and returns its value, or raises what it raises."""
        answer: asyncio.Future[R] = self._loop.create_future()
        self._todo.put(_Call(answer, function, arguments))
        return await answer

    def _serve(self) -> None:
        while True:
            call = self._todo.get()
            if call.answer.cancelled():
                continue
            try:
                self._done.append((call, call.function(*call.arguments), None))
            except Exception as error:  # noqa: BLE001  whoever has asked gets it
                self._done.append((call, None, error))
            del call
            if not self._is_told:
                self._is_told = True
                self._loop.call_soon_threadsafe(self._loop.call_later, _WAKE_S, self._answer)

    def _answer(self) -> None:
        self._is_told = False
        while self._done:
            call, value, error = self._done.popleft()
            if call.answer.cancelled():
                continue
            if error is None:
                call.answer.set_result(value)
            else:
                call.answer.set_exception(error)
