"""Bounds the image bytes that one process holds between download and decoding."""

import asyncio
import collections


class Reservation:
    """Bytes that one photo holds of a :class:`ByteBudget`; a context manager that gives them back once."""

    def __init__(self, budget: "ByteBudget", held_bytes: int):
        self._budget = budget
        self.held_bytes = held_bytes

    def shrink(self, needed_bytes: int) -> None:
        """Gives back what is held beyond ``needed_bytes``."""
        surplus = self.held_bytes - needed_bytes
        if surplus > 0:
            self.held_bytes = needed_bytes
            self._budget.give_back(surplus)

    def release(self) -> None:
        """Gives back everything; a second call does nothing."""
        self.shrink(0)

    def __enter__(self) -> "Reservation":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.release()


class ByteBudget:
    """Bounds the bytes of images that are in memory between their headers' arrival and their decoding.

    First come, first served, so that a large photo is not passed over for ever. A photo reserves once, before
    its body is read, and holds nothing while it waits: there is no deadlock. For one event loop.

    Args:
        capacity_bytes: bytes at once; a larger single photo is admitted alone.
    """

    def __init__(self, capacity_bytes: int):
        self._capacity_bytes = capacity_bytes
        self._free_bytes = capacity_bytes
        self._waiting: collections.deque[tuple[int, asyncio.Future[None]]] = collections.deque()

    @property
    def free_bytes(self) -> int:
        """Bytes that nobody holds."""
        return self._free_bytes

    async def reserve(self, wanted_bytes: int) -> Reservation:
        """Waits until the bytes are free and takes them, at most the whole capacity."""
        wanted_bytes = min(wanted_bytes, self._capacity_bytes)
        if not self._waiting and wanted_bytes <= self._free_bytes:
            self._free_bytes -= wanted_bytes
            return Reservation(self, wanted_bytes)
        entry = (wanted_bytes, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        try:
            await entry[1]
        except asyncio.CancelledError:
            self._withdraw(entry)
            raise
        return Reservation(self, wanted_bytes)

    def give_back(self, returned_bytes: int) -> None:
        """Frees bytes and admits those who wait, in order."""
        self._free_bytes += returned_bytes
        while self._waiting and self._waiting[0][0] <= self._free_bytes:
            wanted_bytes, admitted = self._waiting.popleft()
            if not admitted.done():
                self._free_bytes -= wanted_bytes
                admitted.set_result(None)

    def _withdraw(self, entry: tuple[int, "asyncio.Future[None]"]) -> None:
        if entry in self._waiting:
            self._waiting.remove(entry)
            self.give_back(0)
        elif not entry[1].cancelled():
            self.give_back(entry[0])
