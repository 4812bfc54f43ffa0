"""Bounds of time: ``timeout`` for a block, which Python 3.10 lacks, and the deadline of a photo."""

import contextlib
import sys
import time
import typing

if sys.version_info >= (3, 11):
    from asyncio import timeout as timeout
else:
    from async_timeout import timeout as timeout


class PhotoClock:
    """Time left for one photo; stands still while it waits for this process itself."""

    def __init__(self, deadline_s: float):
        self._end_s = time.monotonic() + deadline_s
        self._granted_s = 0.0

    def grant(self, seconds: float) -> None:
        """Makes the deadline so much later; of several grants the longest counts."""
        self._end_s += max(0.0, seconds - self._granted_s)
        self._granted_s = max(self._granted_s, seconds)

    def left_s(self) -> float:
        """Returns the time left, 0 past the deadline."""
        return max(0.0, self._end_s - time.monotonic())

    @contextlib.contextmanager
    def paused(self) -> typing.Iterator[None]:
        """Stops the clock for a block."""
        begun_s = time.monotonic()
        try:
            yield
        finally:
            self._end_s += time.monotonic() - begun_s
