"""One photo's bytes over HTTP: absolute deadline, byte cap, retries with full jitter, one reason for each failure."""

import asyncio
import contextlib
import dataclasses
import datetime
import email.utils
import random
import types
import typing

import aiohttp
import yarl

from schemas.failures import FailureReason, Stage
from transforms.fetch.byte_budget import ByteBudget, Reservation
from transforms.fetch.fetch_error import FetchError, too_large
from transforms.fetch.fetch_options import FetchOptions
from transforms.fetch.http_client import MAX_REDIRECTS, Admit, HttpClient, admit_all, joined, redirect_of
from transforms.fetch.opt_outs import check_opt_out
from transforms.fetch.saved_bodies import CHUNK_BYTES, Saved, save_body, saved_chunks
from transforms.fetch.stated_digests import check_digests
from transforms.fetch.time_bound import PhotoClock, timeout
from transforms.fetch.transport_errors import TRANSPORT_ERRORS, transport_error

BACKOFF_S = 0.5
"""The first retry waits a random time up to this; each further one up to twice as long."""
MAX_BACKOFF_S = 20.0

SLOWEST_BYTES_PER_S = 500_000
"""A file that is saved has its deadline, and beyond that as long as what is announced takes at this pace."""

_STATUS_REASONS = {
    401: FailureReason.FORBIDDEN,
    403: FailureReason.FORBIDDEN,
    404: FailureReason.NOT_FOUND,
    410: FailureReason.GONE,
    429: FailureReason.RATE_LIMITED,
}


Sign = typing.Callable[[str], typing.Awaitable[dict[str, str]]]
"""Returns the headers that a request for a URL needs to be let in."""


class Part(typing.NamedTuple):
    """Bytes of a file.

    Attributes:
        first_byte, bytes: where, and how many; at least 1.
        etag: the file's, '' if it has none: a file with another one has changed.
        reserved_bytes: of the byte budget at least, where more than the part is made of it.
    """

    first_byte: int
    bytes: int
    etag: str = ""
    reserved_bytes: int = 0

    def headers(self) -> dict[str, str]:
        """Returns what asks for the part."""
        asked = {"Range": f"bytes={self.first_byte}-{self.first_byte + self.bytes - 1}"}
        return asked | ({"If-Match": self.etag} if self.etag else {})


class Ask(typing.NamedTuple):
    """How a URL is asked for.

    Attributes:
        admit: may refuse or delay each request; waiting in it does not count towards the deadline.
        sign: of each attempt, but of no redirect.
        part: None for the whole file.
        saved: where the body goes; None for memory. Of whole files only.
    """

    admit: Admit = admit_all
    sign: Sign | None = None
    part: Part | None = None
    saved: Saved | None = None


PLAIN = Ask()


@dataclasses.dataclass
class Fetched:
    """A photo's file. Leave its ``with`` block once it is decoded: that frees its bytes for others.

    Attributes:
        data: the file; empty if it was saved.
        url: where it came from, as asked for.
        http_status: 200, 206 of a part, or -1 where no HTTP was spoken.
        attempts: requests made for it.
        reservation: its part of the byte budget.
    """

    data: bytes
    url: str
    http_status: int
    attempts: int
    reservation: Reservation

    def failed(self, error: FetchError) -> FetchError:
        """Returns an error as that of a file which was fetched, but is not the photo's."""
        error.attempts, error.http_status = self.attempts, self.http_status
        return error

    def __enter__(self) -> "Fetched":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self.reservation.release()


async def fetch_bytes(client: HttpClient, url: str | yarl.URL, budget: ByteBudget, ask: Ask = PLAIN) -> Fetched:
    """Fetches a URL, trying again where that may help.

    A wait that would end past the deadline is not begun: the failure at hand stands. ``Retry-After`` is a
    lower bound of the wait.

    Args:
        client: of this process, with its limits.
        url: http or https. A text may be encoded or not, and what it stands for is asked for; a ``yarl.URL`` is asked
            for as it is.
        budget: bounds bytes in flight; the result holds its part until it is released.
        ask: how.

    Raises:
        FetchError: with the reason of the last attempt that the deadline did not cut short.
    """
    clock, attempts, earlier = PhotoClock(client.options.deadline_s), 0, None
    while True:
        attempts += 1
        try:
            data, reservation = await _fetch_once(client, url, budget, clock, ask, attempts == 1)
            return Fetched(data, str(url), 206 if ask.part else 200, attempts, reservation)
        except FetchError as error:
            if earlier and (error.host_is_ailing or _is_deadline(error, clock)):
                raise earlier from error
            error.attempts, wait_s, earlier = attempts, _wait_s(error, attempts), error
            if not _may_heal(error) or attempts > client.options.retries or wait_s >= clock.left_s():
                raise
        await asyncio.sleep(wait_s)


def _is_deadline(error: FetchError, clock: PhotoClock) -> bool:
    return error.reason is FailureReason.TIMEOUT and not clock.left_s()


def _may_heal(error: FetchError) -> bool:
    may_heal = error.reason.retryable or error.reason is FailureReason.CHECKSUM_MISMATCH
    return may_heal and not error.host_is_ailing


async def _fetch_once(
    client: HttpClient, asked: str | yarl.URL, budget: ByteBudget, clock: PhotoClock, ask: Ask, is_first: bool
) -> tuple[bytes, Reservation]:
    """Asks for a URL, and for those that redirects lead to, each in its turn."""
    url, status = joined(yarl.URL(), asked) if isinstance(asked, str) else asked, -1
    for hop in range(MAX_REDIRECTS + 1):
        with clock.paused():
            await ask.admit(url)
            await client.check(url, ask.admit)
            turn = await client.turn(url, is_first and not hop)
        with turn:
            headers = ask.part.headers() if ask.part else {}
            if ask.sign and not hop:
                headers |= await ask.sign(str(url))
            answer = await _converse(client, url, headers, budget, clock, ask)
        if not isinstance(answer, _Redirect):
            return answer
        url, status = joined(url, answer.location), answer.status
    detail = f"more than {MAX_REDIRECTS} redirects"
    raise FetchError(FailureReason.TOO_MANY_REDIRECTS, Stage.FETCH, detail, status)


class _Redirect(typing.NamedTuple):
    status: int
    location: str


async def _converse(
    client: HttpClient,
    url: yarl.URL,
    headers: dict[str, str],
    budget: ByteBudget,
    clock: PhotoClock,
    ask: Ask,
) -> tuple[bytes, Reservation] | _Redirect:
    status = -1
    try:
        async with client.get(url, clock.left_s(), headers) as response:
            status = response.status
            location = redirect_of(response)
            if location:
                return _Redirect(status, location)
            if ask.saved:
                await _save(response, client.options, clock, ask.saved)
                return b"", Reservation(budget, 0)
            return await _body(response, client.options, budget, clock, ask.part)
    except TRANSPORT_ERRORS as error:
        raise transport_error(error, status) from error


async def _body(
    response: aiohttp.ClientResponse, options: FetchOptions, budget: ByteBudget, clock: PhotoClock, part: Part | None
) -> tuple[bytes, Reservation]:
    max_bytes = part.bytes if part else options.max_image_bytes
    announced_bytes = _check_response(response, options, 206 if part else 200, max_bytes, "max_image_bytes")
    expected_bytes = max_bytes if announced_bytes is None else announced_bytes
    with contextlib.ExitStack() as on_failure:
        with clock.paused():
            reserved_bytes = part.reserved_bytes if part else 0
            reservation = on_failure.enter_context(await budget.reserve(max(expected_bytes, reserved_bytes)))
        async with timeout(clock.left_s()):
            data = await _read(response, max_bytes)
        if options.verify_hash:
            await asyncio.to_thread(check_digests, response, [data])
        reservation.shrink(max(len(data), reserved_bytes))
        on_failure.pop_all()
    return data, reservation


async def _save(response: aiohttp.ClientResponse, options: FetchOptions, clock: PhotoClock, saved: Saved) -> None:
    announced_bytes = _check_response(response, options, 200, saved.max_bytes, saved.flag)
    clock.grant((announced_bytes or 0) / SLOWEST_BYTES_PER_S)
    async with timeout(clock.left_s()):
        await save_body(response, saved)
    if options.verify_hash:
        await asyncio.to_thread(check_digests, response, saved_chunks(saved.path))


def _check_response(
    response: aiohttp.ClientResponse, options: FetchOptions, expected: int, max_bytes: int, flag: str
) -> int | None:
    """Returns how many bytes the body has, None if that is not announced; raises if it is not worth reading."""
    status = response.status
    if status != expected:
        reason = FailureReason.SERVER_ERROR if 500 <= status <= 599 else FailureReason.HTTP_ERROR
        error = FetchError(_STATUS_REASONS.get(status, reason), Stage.FETCH, f"HTTP status {status}", status)
        error.retry_after_s = _retry_after_s(response.headers.get("Retry-After", ""))
        raise error
    check_opt_out(response, options.opt_out_tags, options.product_token)
    length = response.content_length
    if length is None or "Content-Encoding" in response.headers:
        return None
    if length > max_bytes:
        raise too_large(max_bytes, status, flag)
    return length


async def _read(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    chunks, read_bytes = [], 0
    async for chunk in response.content.iter_chunked(CHUNK_BYTES):
        read_bytes += len(chunk)
        if read_bytes > max_bytes:
            raise too_large(max_bytes, response.status)
        chunks.append(chunk)
    return b"".join(chunks)


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
    except (ValueError, TypeError, OverflowError):
        return None
    when = when if when.tzinfo else when.replace(tzinfo=datetime.timezone.utc)
    return max(0.0, (when - datetime.datetime.now(datetime.timezone.utc)).total_seconds())


def _wait_s(error: FetchError, attempts: int) -> float:
    """Returns a random wait before the next attempt, up to twice as long each time."""
    longest_s = min(MAX_BACKOFF_S, BACKOFF_S * 2 ** (attempts - 1))
    return (error.retry_after_s or 0.0) + random.uniform(0, longest_s)
