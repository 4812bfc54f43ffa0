"""Whether a server can be reached from here: by which proxy, how fast, and how far apart the clocks are."""

import dataclasses
import email.utils
import socket
import ssl
import time
import typing
import urllib.error

import yarl

from transforms.fetch.env_proxies import env_proxies, proxy_of
from transforms.fetch.fetch_options import FetchOptions
from transforms.stores.store_requests import NoAnswerError, ask

MAX_SKEW_S = 15 * 60.0
"""Between a clock here and that of a store: beyond it no signature is accepted."""

_QUICK: dict[str, typing.Any] = {"timeout_s": 5.0, "deadline_s": 10.0, "retries": 0}


class Reached(typing.NamedTuple):
    """A server that answered.

    Attributes:
        status: of HTTP.
        took_ms: until the answer, connecting included.
        proxy: that was asked for it, '' for none.
        skew_s: how far our clock is ahead of the server's; None if it does not say.
    """

    status: int
    took_ms: int
    proxy: str
    skew_s: float | None


class UnreachableError(Exception):
    """A server cannot be reached.

    Attributes:
        why: what is wrong.
        remedy: what to do about it.
    """

    def __init__(self, why: str, remedy: str):
        super().__init__(f"{why}; {remedy}")
        self.why, self.remedy = why, remedy


def quick(options: FetchOptions) -> FetchOptions:
    """Returns options for a trial: no second attempt, and little patience."""
    least = {name: min(getattr(options, name), value) for name, value in _QUICK.items()}
    return dataclasses.replace(options, **least)


def reach(url: str, options: FetchOptions) -> Reached:
    """Asks a server for the headers of a URL; any answer will do.

    Args:
        url: http(s).
        options: who asks, and how long it waits.

    Raises:
        UnreachableError: no answer.
        ValueError: a proxy of the environment is none that can be used.
    """
    proxy = proxy_of(yarl.URL(url), env_proxies())
    through = f" through the proxy {proxy.with_user(None)}" if proxy else ""
    begun_s = time.monotonic()
    try:
        answer = ask(url, quick(options), method="HEAD")
    except NoAnswerError as error:
        why, remedy = _explained(error)
        raise UnreachableError(why + through, remedy) from error
    took_ms = round(1000 * (time.monotonic() - begun_s))
    return Reached(answer.status, took_ms, through.strip(), _skew_s(answer.headers.get("date", "")))


def _explained(error: NoAnswerError) -> tuple[str, str]:
    """Returns why there is no answer, and the remedy."""
    cause: typing.Any = error.__cause__
    reason = cause.reason if isinstance(cause, urllib.error.URLError) else cause
    if isinstance(reason, socket.gaierror):
        return "the host name does not resolve", "check its spelling, and the name servers of this machine"
    if isinstance(reason, ssl.SSLError):
        why = getattr(reason, "verify_message", "") or reason.reason or str(reason)
        return (
            f"no trusted TLS connection ({why})",
            "check the clock, and whether something on the way opens connections: if so, name its certificate in "
            "SSL_CERT_FILE",
        )
    if isinstance(reason, TimeoutError):
        return "no answer in time", "check whether a firewall drops what is sent, or HTTPS_PROXY has to be set"
    if isinstance(reason, ConnectionRefusedError):
        return "the connection is refused", "check host and port, and whether the server runs"
    return f"no answer ({reason})", "check URL and network, and HTTP_PROXY, HTTPS_PROXY and NO_PROXY"


def _skew_s(date: str) -> float | None:
    try:
        return time.time() - email.utils.parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
