"""Turns for requests: so many at once, fairly shared by hosts, at most so many a second a host; ailing hosts wait.

A photo takes its turn before each request. Waiting costs nothing, so there may be far more photos than turns: then a
host that does not answer holds its share of the turns, and those of the others go on. Of several shards under way in a
process, the one that was begun first has its turns first, so that it is done with while the next fills the gaps.
"""

import asyncio
import heapq
import itertools
import time
import types

from transforms.fetch.fetch_error import FetchError
from transforms.workers.shards_under_way import SHARD_RANK

AILING_FAILURES = 20
"""So many failures that may heal, one after the other, make a host ailing, until it answers again."""

PROBES = 4
"""Requests at once that an ailing host gets, after each pause."""

FIRST_PAUSE_S = 0.5
MAX_PAUSE_S = 8.0


class _Host:
    def __init__(self) -> None:
        self.held = 0
        self.next_s = 0.0
        self.ailing_since_s = 0.0
        self.recover()
        self.waiting: list[tuple[int, bool, int, asyncio.Future[None]]] = []
        """A heap: by rank of the shard, further requests before first ones, then in order of arrival."""

    def recover(self) -> None:
        self.failures, self.closed_until_s, self.pause_s = 0, 0.0, FIRST_PAUSE_S

    def may_ask(self, now_s: float) -> bool:
        if now_s < self.next_s:
            return False
        if self.failures < AILING_FAILURES:
            return True
        return self.held < PROBES and now_s >= self.closed_until_s


class Turn:
    """The right to one request, for the length of a ``with`` block whose end says how the host is."""

    def __init__(self, limits: "HostLimits", host: _Host):
        self._limits, self._host = limits, host

    def __enter__(self) -> "Turn":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self._limits.end(self._host, error)


class HostLimits:
    """Who may ask next. For one event loop.

    The turn goes to the host that holds the fewest, so that each has its fair share of them and a host alone has them
    all. An ailing host is left alone for a pause, then probed with a few requests; if it stays so for the patience,
    all that wait for it fail as the probe did, at once instead of one by one.

    Args:
        concurrency: requests at once, to all hosts.
        requests_per_s: to one host; 0 = no limit.
        patience_s: how long photos wait for an ailing host.
    """

    def __init__(self, concurrency: int, requests_per_s: float, patience_s: float):
        self._free, self._requests_per_s, self._patience_s = concurrency, requests_per_s, patience_s
        self._hosts: dict[str, _Host] = {}
        self._queues: dict[int, _Host] = {}
        self._arrivals = itertools.count()
        self._is_admitting = False

    async def turn(self, name: str, is_first: bool = True) -> Turn:
        """Waits until a host may be asked.

        Args:
            name: of the host.
            is_first: whether this is the photo's first request; further ones go before those who have had none.

        Raises:
            FetchError: the host does not recover.
        """
        host = self._hosts.get(name)
        if host is None:
            host = self._hosts[name] = _Host()
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(host.waiting, (SHARD_RANK.get(), is_first, next(self._arrivals), future))
        self._queues[id(host)] = host
        self._admit_soon()
        try:
            await future
        except BaseException:
            if future.done() and not future.cancelled() and future.exception() is None:
                self.end(host, None)
            raise
        return Turn(self, host)

    def renew_patience(self) -> None:
        """Probes the ailing hosts at once, and for one patience more. They stay ailing until they answer."""
        for host in self._hosts.values():
            host.ailing_since_s, host.closed_until_s, host.pause_s = time.monotonic(), 0.0, FIRST_PAUSE_S
        self._admit_soon()

    def end(self, host: _Host, error: BaseException | None) -> None:
        """Takes a turn back, and notes whether the host answered."""
        host.held -= 1
        self._free += 1
        if isinstance(error, FetchError) and error.reason.retryable:
            self._note_failure(host, error)
        elif error is None or isinstance(error, FetchError):
            host.recover()
        self._admit_soon()

    def _note_failure(self, host: _Host, error: FetchError) -> None:
        now_s = time.monotonic()
        host.failures += 1
        if host.failures < AILING_FAILURES or now_s < host.closed_until_s:
            return
        if host.failures == AILING_FAILURES:
            host.ailing_since_s = now_s
        elif now_s - host.ailing_since_s >= self._patience_s:
            self._fail_all(host, error)
        host.closed_until_s = now_s + host.pause_s
        asyncio.get_running_loop().call_later(host.pause_s, self._admit)
        host.pause_s = min(2 * host.pause_s, MAX_PAUSE_S)

    def _fail_all(self, host: _Host, error: FetchError) -> None:
        for *_, future in host.waiting:
            if not future.done():
                given_up = FetchError(error.reason, error.stage, error.detail, error.http_status)
                given_up.host_is_ailing = True
                future.set_exception(given_up)
        host.waiting.clear()

    def _admit_soon(self) -> None:
        """Gives turns once all that are about to ask have asked: else the first to come would have them all."""
        if self._free and not self._is_admitting:
            self._is_admitting = True
            asyncio.get_running_loop().call_soon(self._admit)

    def _admit(self) -> None:
        self._is_admitting = False
        while self._free:
            now_s = time.monotonic()
            able = [h for h in self._queues.values() if h.may_ask(now_s)]
            if not able:
                return
            host = min(able, key=lambda h: h.held)
            self._admit_first(host)

    def _admit_first(self, host: _Host) -> None:
        while host.waiting:
            *_, future = heapq.heappop(host.waiting)
            if not future.done():
                host.held += 1
                self._free -= 1
                future.set_result(None)
                self._note_request(host)
                break
        if not host.waiting:
            self._queues.pop(id(host), None)

    def _note_request(self, host: _Host) -> None:
        if self._requests_per_s:
            interval_s = 1 / self._requests_per_s
            host.next_s = time.monotonic() + interval_s
            asyncio.get_running_loop().call_later(interval_s, self._admit)
