"""What ``robots.txt`` of a foreign host permits us, by RFC 9309; asked once a host and process."""

import asyncio
import dataclasses
import time
import typing

import aiohttp
import protego
import yarl

from schemas.failures import FailureReason, Stage
from transforms.fetch.fetch_error import FetchError
from transforms.fetch.opt_outs import opted_out

MAX_BYTES = 500 << 10
"""Of a robots.txt that are read; RFC 9309 asks for at least so many."""

KEPT_S = 24 * 3600.0
UNREACHABLE_KEPT_S = 30.0
"""How long rules, and the failure to get some, are remembered."""

Get = typing.Callable[[yarl.URL], typing.Awaitable[tuple[int, bytes]]]
"""Fetches a URL with its redirects; gives status and the first :data:`MAX_BYTES` of the body, raises FetchError."""


@dataclasses.dataclass
class _Rules:
    parsed: protego.Protego | None
    unreachable: FetchError | None
    until_s: float


class RobotsTxt:
    """The rules of hosts. For one event loop.

    Args:
        token: our name in them.
    """

    def __init__(self, token: str):
        self._token = token
        self._rules: dict[yarl.URL, asyncio.Task[_Rules]] = {}

    async def check(self, url: yarl.URL, get: Get) -> None:
        """Refuses a URL that its host's rules close to us.

        A host whose rules cannot be had for now (5xx, no connection) is closed; the failure is that of the rules, so
        that it may heal. One that has none (4xx) is open.

        Raises:
            FetchError: ``opted_out``, or why there are no rules.
        """
        rules = await self._rules_of(url.origin(), get)
        if rules.unreachable:
            raise _again(rules.unreachable)
        if rules.parsed and not rules.parsed.can_fetch(str(url), self._token):
            raise opted_out("robots.txt")

    async def _rules_of(self, origin: yarl.URL, get: Get) -> _Rules:
        task = self._rules.get(origin)
        if task is None or _is_over(task):
            task = self._rules[origin] = asyncio.ensure_future(_read(origin, get))
        return await asyncio.shield(task)


def _is_over(task: "asyncio.Task[_Rules]") -> bool:
    if not task.done():
        return False
    return task.cancelled() or task.exception() is not None or task.result().until_s < time.monotonic()


async def _read(origin: yarl.URL, get: Get) -> _Rules:
    try:
        status, body = await get(origin / "robots.txt")
        if status >= 500:
            raise FetchError(FailureReason.SERVER_ERROR, Stage.FETCH, f"robots.txt: HTTP status {status}", status)
    except FetchError as error:
        if error.reason is FailureReason.TOO_MANY_REDIRECTS:
            return _Rules(None, None, time.monotonic() + KEPT_S)
        return _Rules(None, error, time.monotonic() + UNREACHABLE_KEPT_S)
    parsed = protego.Protego.parse(body.decode("utf-8-sig", "replace")) if status == 200 else None
    return _Rules(parsed, None, time.monotonic() + KEPT_S)


async def first_bytes(response: aiohttp.ClientResponse) -> bytes:
    """Returns the start of a robots.txt."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(1 << 16):
        body += chunk
        if len(body) >= MAX_BYTES:
            break
    return bytes(body[:MAX_BYTES])


def _again(error: FetchError) -> FetchError:
    """Returns a copy, since every photo counts its own attempts."""
    return FetchError(error.reason, error.stage, error.detail, error.http_status)
