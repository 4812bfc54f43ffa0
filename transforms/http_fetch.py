"""One photo's bytes over HTTP: absolute deadline, byte cap, retries with full jitter, one reason for each failure."""

import asyncio
import contextlib
import dataclasses
import datetime
import email.utils
import errno
import ssl
import time
import types
import typing
import urllib.request

import aiohttp
import tenacity
import yarl

from schemas.failures import FailureReason, PhotoError, Stage
from transforms.byte_budget import ByteBudget, Reservation

MAX_REDIRECTS = 5
DEFAULT_USER_AGENT = "photobeam/0.1 (+https://github.com/photobeam/photobeam)"
BACKOFF_S = 0.5
"""The first retry waits a random time up to this; each further one up to twice as long."""
MAX_BACKOFF_S = 20.0

Admit = typing.Callable[[yarl.URL], typing.Awaitable[None]]
"""Awaited before each request, those after redirects included; raises FetchError if the URL is not to be asked."""

_CHUNK_BYTES = 1 << 18
_DNS_CACHE_S = 300

_REDIRECTS = (301, 302, 303, 307, 308)
_STATUS_REASONS = {
    401: FailureReason.FORBIDDEN,
    403: FailureReason.FORBIDDEN,
    404: FailureReason.NOT_FOUND,
    410: FailureReason.GONE,
    429: FailureReason.RATE_LIMITED,
}

_TRANSPORT_REASONS: tuple[tuple[tuple[type[BaseException], ...], FailureReason, str], ...] = (
    ((asyncio.TimeoutError,), FailureReason.TIMEOUT, "no answer in time"),
    ((aiohttp.ClientConnectorDNSError,), FailureReason.DNS_ERROR, "the host name does not resolve"),
    ((aiohttp.ClientSSLError, ssl.SSLError), FailureReason.TLS_ERROR, "no trusted TLS connection"),
    ((aiohttp.ClientPayloadError,), FailureReason.CONNECTION_ERROR, "the body is shorter than announced or damaged"),
    ((aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError), FailureReason.INVALID_URL, "the URL is not valid"),
    ((aiohttp.ClientError, OSError), FailureReason.CONNECTION_ERROR, "the connection failed"),
    ((UnicodeError,), FailureReason.INVALID_URL, "the URL is not valid"),
)
"""The first row that holds an error's type names its reason. ``UnicodeError`` is what a host name gives
that cannot be encoded. Anything else is a bug and goes through."""

_TRANSPORT_ERRORS = tuple(error for errors, _, _ in _TRANSPORT_REASONS for error in errors)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FetchOptions:
    """How photos are fetched.

    Attributes:
        timeout_s: longest time to connect, and longest silence of a server while it answers.
        deadline_s: longest time for one photo, all retries and waits between them included. Waiting for
            this process's own byte budget does not count.
        retries: further attempts after a failure that may heal.
        concurrency: connections at once, in this process; ask for no more photos than this at a time, since
            waiting for a connection counts towards the deadline.
        max_image_bytes: a larger file is refused, decompressed bytes counted.
        user_agent: who we say we are. Operators of servers use it to reach the project: be honest.

    Raises:
        ValueError: an option is out of its range; names the flag, the value and the remedy.
    """

    timeout_s: float = 10.0
    deadline_s: float = 60.0
    retries: int = 3
    concurrency: int = 64
    max_image_bytes: int = 50_000_000
    user_agent: str = DEFAULT_USER_AGENT

    def __post_init__(self) -> None:
        for flag, value, valid, allowed in (
            ("--timeout_s", self.timeout_s, 0 < self.timeout_s < float("inf"), "a number above 0"),
            ("--deadline_s", self.deadline_s, 0 < self.deadline_s < float("inf"), "a number above 0"),
            ("--retries", self.retries, self.retries >= 0, "0 or more"),
            ("--concurrency", self.concurrency, self.concurrency >= 1, "1 or more"),
            ("--max_image_bytes", self.max_image_bytes, self.max_image_bytes >= 1, "1 or more"),
            ("--user_agent", repr(self.user_agent), _is_header_text(self.user_agent), "printable ASCII text"),
        ):
            if not valid:
                raise ValueError(f"{flag} {value} is out of range: give {allowed}")


class FetchError(PhotoError):
    """A photo that could not be fetched.

    Attributes:
        attempts: requests made for it, at least 1.
        retry_after_s: how long the server asked to wait; None if it did not say.
    """

    def __init__(self, reason: FailureReason, stage: Stage, detail: str, http_status: int = -1):
        super().__init__(reason, stage, detail, http_status)
        self.attempts = 1
        self.retry_after_s: float | None = None


@dataclasses.dataclass(frozen=True)
class Fetched:
    """A photo's file. Leave its ``with`` block once it is decoded: that frees its bytes for others.

    Attributes:
        data: the file.
        url: where it came from, as asked for.
        http_status: 200, or -1 where no HTTP was spoken.
        attempts: requests made for it.
        reservation: its part of the byte budget.
    """

    data: bytes
    url: str
    http_status: int
    attempts: int
    reservation: Reservation

    def __enter__(self) -> "Fetched":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self.reservation.release()


def open_session(options: FetchOptions) -> aiohttp.ClientSession:
    """Returns the HTTP client of a process; call it in the event loop and use it with ``async with``.

    It keeps connections and DNS answers, takes no cookies, and honours ``HTTP(S)_PROXY`` and ``NO_PROXY``.
    It asks for uncompressed bodies, and decompresses where a server compresses all the same.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=options.concurrency, ttl_dns_cache=_DNS_CACHE_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": options.user_agent, "Accept-Encoding": "identity"},
        timeout=aiohttp.ClientTimeout(
            total=None, connect=None, sock_connect=options.timeout_s, sock_read=options.timeout_s
        ),
        # With trust_env each request also reads ~/.netrc, in a thread: only where there is a proxy to learn of.
        trust_env=bool(urllib.request.getproxies()),
    )


async def admit_all(url: yarl.URL) -> None:
    """Lets every request through at once."""


async def fetch_bytes(
    session: aiohttp.ClientSession, url: str, options: FetchOptions, budget: ByteBudget, admit: Admit = admit_all
) -> Fetched:
    """Fetches a URL whole, trying again where that may help.

    A wait that would end past the deadline is not begun: the failure at hand stands. ``Retry-After`` is a
    lower bound of the wait.

    Args:
        session: from :func:`open_session`.
        url: http or https.
        options: limits.
        budget: bounds bytes in flight; the result holds its part until it is released.
        admit: may refuse or delay each request; waiting in it does not count towards the deadline.

    Raises:
        FetchError: with the reason of the last attempt.
    """
    clock = _Clock(options.deadline_s)
    retrying = tenacity.AsyncRetrying(
        sleep=asyncio.sleep,
        retry=tenacity.retry_if_exception(lambda e: isinstance(e, FetchError) and e.reason.retryable),
        wait=_wait_s,
        stop=lambda state: state.attempt_number > options.retries or state.upcoming_sleep >= clock.left_s(),
        reraise=True,
    )
    attempts = 0
    try:
        async for attempt in retrying:
            with attempt:
                attempts += 1
                data, reservation = await _fetch_once(session, url, options, budget, clock, admit)
    except FetchError as error:
        error.attempts = attempts
        raise
    return Fetched(data, url, 200, attempts, reservation)


class _Clock:
    """Time left for one photo; stands still while it waits for this process itself."""

    def __init__(self, deadline_s: float):
        self._end_s = time.monotonic() + deadline_s

    def left_s(self) -> float:
        return max(0.0, self._end_s - time.monotonic())

    @contextlib.contextmanager
    def paused(self) -> typing.Iterator[None]:
        begun_s = time.monotonic()
        try:
            yield
        finally:
            self._end_s += time.monotonic() - begun_s


async def _fetch_once(
    session: aiohttp.ClientSession, url: str, options: FetchOptions, budget: ByteBudget, clock: _Clock, admit: Admit
) -> tuple[bytes, Reservation]:
    status = -1
    try:
        async with await _ask(session, url, clock, admit) as response:
            status = response.status
            expected_bytes = _check_response(response, options.max_image_bytes)
            with contextlib.ExitStack() as on_failure:
                with clock.paused():
                    reservation = on_failure.enter_context(await budget.reserve(expected_bytes))
                data = await asyncio.wait_for(_read(response, options.max_image_bytes), clock.left_s())
                reservation.shrink(len(data))
                on_failure.pop_all()
            return data, reservation
    except _TRANSPORT_ERRORS as error:
        raise _transport_error(error, status) from error


async def _ask(session: aiohttp.ClientSession, text: str, clock: _Clock, admit: Admit) -> aiohttp.ClientResponse:
    """Sends a request and those that redirects lead to; returns the last response, whose body is not read yet."""
    url = _joined(yarl.URL(), text)
    for _ in range(MAX_REDIRECTS + 1):
        with clock.paused():
            await admit(url)
        response = await asyncio.wait_for(session.get(url, allow_redirects=False), clock.left_s())
        location = response.headers.get("Location", "")
        if response.status not in _REDIRECTS or not location:
            return response
        response.release()
        url = _joined(url, location)
    detail = f"more than {MAX_REDIRECTS} redirects"
    raise FetchError(FailureReason.TOO_MANY_REDIRECTS, Stage.FETCH, detail, response.status)


def _joined(base: yarl.URL, text: str) -> yarl.URL:
    """Returns the URL that a text stands for; the base's user and password go to the same server only.

    Example:
        >>> _joined(yarl.URL("http://me:pw@host/a"), "http://host/b"), _joined(yarl.URL("http://me:pw@host/a"), "//x/")
        (URL('http://me:pw@host/b'), URL('http://x/'))
    """
    try:
        url = base.join(yarl.URL(text))
        if base.user and not url.user and url.absolute and url.origin() == base.origin():
            return url.with_user(base.user).with_password(base.password)
    except ValueError as error:
        raise FetchError(FailureReason.INVALID_URL, Stage.FETCH, "the URL is not valid") from error
    return url


def _check_response(response: aiohttp.ClientResponse, max_image_bytes: int) -> int:
    """Returns how many bytes the body may have; raises if it is not worth reading."""
    status = response.status
    if status != 200:
        reason = FailureReason.SERVER_ERROR if 500 <= status <= 599 else FailureReason.HTTP_ERROR
        error = FetchError(_STATUS_REASONS.get(status, reason), Stage.FETCH, f"HTTP status {status}", status)
        error.retry_after_s = _retry_after_s(response.headers.get("Retry-After", ""))
        raise error
    length = response.content_length
    if length is None or "Content-Encoding" in response.headers:
        return max_image_bytes
    if length > max_image_bytes:
        raise _too_large(max_image_bytes)
    return length


async def _read(response: aiohttp.ClientResponse, max_image_bytes: int) -> bytes:
    chunks, read_bytes = [], 0
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        read_bytes += len(chunk)
        if read_bytes > max_image_bytes:
            raise _too_large(max_image_bytes)
        chunks.append(chunk)
    return b"".join(chunks)


def _too_large(max_image_bytes: int) -> FetchError:
    detail = f"more than --max_image_bytes {max_image_bytes}"
    return FetchError(FailureReason.TOO_LARGE, Stage.FETCH, detail, 200)


def _transport_error(error: BaseException, status: int) -> FetchError:
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        raise OSError(error.errno, f"{error.strerror}: raise `ulimit -n` or lower --concurrency") from error
    for types_, reason, detail in _TRANSPORT_REASONS:
        if isinstance(error, types_):
            return FetchError(reason, Stage.FETCH, detail, status)
    raise error


def _retry_after_s(header: str) -> float | None:
    """Returns the seconds that a ``Retry-After`` header asks for, in either form; None if unreadable.

    Example:
        >>> _retry_after_s("120"), _retry_after_s("Fri, 31 Dec 1999 23:59:59 GMT"), _retry_after_s("soon")
        (120.0, 0.0, None)
    """
    if header.isascii() and header.isdigit():
        return float(header)
    try:
        when = email.utils.parsedate_to_datetime(header)
    except (ValueError, TypeError):
        return None
    when = when if when.tzinfo else when.replace(tzinfo=datetime.timezone.utc)
    return max(0.0, (when - datetime.datetime.now(datetime.timezone.utc)).total_seconds())


_jitter_s = tenacity.wait_random_exponential(multiplier=BACKOFF_S, max=MAX_BACKOFF_S)


def _wait_s(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked_s = error.retry_after_s if isinstance(error, FetchError) else None
    return (asked_s or 0.0) + _jitter_s(state)


def _is_header_text(text: str) -> bool:
    return bool(text) and text.isascii() and text.isprintable()
