"""One event loop and one HTTP client for the whole life of a process, so that connections outlast shards."""

import asyncio
import atexit
import typing

from transforms.fetch_options import FetchOptions
from transforms.http_client import HttpClient

T = typing.TypeVar("T")

_loop: asyncio.AbstractEventLoop | None = None
_clients: dict[tuple[FetchOptions, tuple[str, ...]], HttpClient] = {}


def run_in_loop(main: typing.Coroutine[typing.Any, typing.Any, T]) -> T:
    """Runs a coroutine to its end in this process's loop; from one thread only."""
    global _loop
    if _loop is None:
        _loop = asyncio.new_event_loop()
        atexit.register(_close)
    return _loop.run_until_complete(main)


def shared_client(options: FetchOptions, operator_urls: tuple[str, ...]) -> HttpClient:
    """Returns this process's client for such options; call it within :func:`run_in_loop`."""
    client = _clients.get((options, operator_urls))
    if client is None:
        client = _clients[options, operator_urls] = HttpClient(options, operator_urls)
    return client


def _close() -> None:
    if _loop:
        for client in _clients.values():
            _loop.run_until_complete(client.close())
        _clients.clear()
        _loop.close()
