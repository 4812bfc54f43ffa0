"""The HTTP client of a process: connections, and what it keeps of hosts: addresses, rules, turns."""

import collections
import contextlib
import typing

import aiohttp
import yarl

from schemas.failures import FailureReason, Stage
from transforms.fetch.address_guard import AddressGuard, BlockedAddressError, GuardedResolver, blocked_address
from transforms.fetch.env_proxies import env_proxies, proxy_of
from transforms.fetch.fetch_error import FetchError
from transforms.fetch.fetch_options import FetchOptions
from transforms.fetch.host_limits import HostLimits, Turn
from transforms.fetch.robots_txt import RobotsTxt, first_bytes
from transforms.fetch.time_bound import timeout
from transforms.fetch.transport_errors import TRANSPORT_ERRORS, transport_error

MAX_REDIRECTS = 5
REDIRECTS = (301, 302, 303, 307, 308)

Admit = typing.Callable[[yarl.URL], typing.Awaitable[None]]
"""Awaited before each request, those after redirects included; raises FetchError if the URL is not to be asked."""

_DNS_CACHE_S = 300
_MAX_HEADER_BYTES = 8190
"""Of one header, and of the status line."""


async def admit_all(url: yarl.URL) -> None:
    """Lets every request through at once."""


class HttpClient:
    """One pool of connections, for one event loop; use it with ``async with``, or close it.

    It keeps connections and DNS answers, takes no cookies, and honours ``HTTP(S)_PROXY`` and ``NO_PROXY``.
    It asks for uncompressed bodies, and decompresses where a server compresses all the same.

    Args:
        options: limits and manners.
        operator_urls: roots that the operator or the program itself names. There requests may go to private addresses,
            and robots.txt is not asked for.

    Raises:
        ValueError: a proxy of the environment is none that can be used.
    """

    def __init__(self, options: FetchOptions, operator_urls: typing.Iterable[str] = ()):
        operator_urls = tuple(operator_urls)
        self.options = options
        self._proxies = env_proxies()
        proxies = [str(url) for url in self._proxies.values()]
        self._named, self._proxy = AddressGuard(operator_urls), AddressGuard(proxies)
        self._guard = AddressGuard([*operator_urls, *proxies], options.allow_private_hosts)
        self._resolver = GuardedResolver(self._guard)
        self._robots = RobotsTxt(options.product_token)
        self._limits = HostLimits(options.concurrency, options.per_host_rate, options.deadline_s)
        self._session = self._opened()
        self._under_way: collections.Counter[aiohttp.ClientSession] = collections.Counter()

    async def __aenter__(self) -> "HttpClient":
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes all connections."""
        for session in {self._session, *self._under_way}:
            await session.close()

    async def renew(self) -> None:
        """Opens new connections from now on, forgets DNS answers, has new patience with ailing hosts.

        Requests under way go on.
        """
        old, self._session = self._session, self._opened()
        self._limits.renew_patience()
        await self._close_unused(old)

    @contextlib.asynccontextmanager
    async def get(
        self, url: yarl.URL, within_s: float, headers: dict[str, str] | None = None
    ) -> typing.AsyncIterator[aiohttp.ClientResponse]:
        """Sends a request, waits so long for its headers, and follows no redirect."""
        session = self._session
        self._under_way[session] += 1
        try:
            request = session.get(url, headers=headers, allow_redirects=False, proxy=proxy_of(url, self._proxies))
            async with timeout(within_s):
                response = await request
            async with response:
                yield response
        finally:
            self._under_way[session] -= 1
            if session is not self._session:
                await self._close_unused(session)

    async def check(self, url: yarl.URL, admit: Admit) -> None:
        """Refuses a URL that is not to be asked: for its address, or by its host's robots.txt.

        Raises:
            FetchError: ``blocked_address``, ``opted_out``, ``invalid_url`` or why that is not known.
        """
        if not _is_http(url):
            raise FetchError(FailureReason.INVALID_URL, Stage.FETCH, "the URL is not valid")
        if self._named.is_operators(url):
            return
        await self._check_address(url)
        await self._robots.check(url, lambda robots: self._get_rules(robots, admit))

    async def turn(self, url: yarl.URL, is_first: bool) -> Turn:
        """Waits until the URL's host may be asked; further requests for a photo go before the first ones of others."""
        return await self._limits.turn(f"{url.raw_host}:{url.port}", is_first)

    async def _close_unused(self, session: aiohttp.ClientSession) -> None:
        if not self._under_way[session]:
            del self._under_way[session]
            await session.close()

    async def _check_address(self, url: yarl.URL) -> None:
        """Checks the address that a proxy is to be asked for, too: it is not resolved by the connection."""
        if self._proxy.is_operators(url) and not self.options.allow_private_hosts:
            raise blocked_address()
        self._guard.check_url(url)
        if proxy_of(url, self._proxies):
            try:
                await self._resolver.resolve(url.raw_host or "", url.port or 0)
            except BlockedAddressError as error:
                raise blocked_address() from error
            except (OSError, UnicodeError) as error:
                detail = "the host name does not resolve"
                raise FetchError(FailureReason.DNS_ERROR, Stage.FETCH, detail) from error

    async def _get_rules(self, url: yarl.URL, admit: Admit) -> tuple[int, bytes]:
        for _ in range(MAX_REDIRECTS + 1):
            await admit(url)
            await self._check_address(url)
            try:
                async with timeout(self.options.deadline_s):
                    answer = await self._ask_rules(url)
            except TRANSPORT_ERRORS as error:
                raise transport_error(error, -1) from error
            if not isinstance(answer, yarl.URL):
                return answer
            url = answer
        raise FetchError(FailureReason.TOO_MANY_REDIRECTS, Stage.FETCH, "robots.txt: too many redirects")

    async def _ask_rules(self, url: yarl.URL) -> tuple[int, bytes] | yarl.URL:
        async with self.get(url, self.options.deadline_s) as response:
            location = redirect_of(response)
            return joined(url, location) if location else (response.status, await first_bytes(response))

    def _opened(self) -> aiohttp.ClientSession:
        options = self.options
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=_DNS_CACHE_S, resolver=self._resolver),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": options.user_agent, "Accept-Encoding": "identity"},
            timeout=aiohttp.ClientTimeout(
                total=None, connect=None, sock_connect=options.timeout_s, sock_read=options.timeout_s
            ),
            max_line_size=_MAX_HEADER_BYTES,
            max_field_size=_MAX_HEADER_BYTES,
        )


def redirect_of(response: aiohttp.ClientResponse) -> str:
    """Returns where a response leads, '' if it is no redirect."""
    return response.headers.get("Location", "") if response.status in REDIRECTS else ""


def joined(base: yarl.URL, text: str) -> yarl.URL:
    """Returns the URL that a text stands for; the base's user and password go to the same server only.

    Example:
        >>> joined(yarl.URL("http://me:pw@host/a"), "http://host/b"), joined(yarl.URL("http://me:pw@host/a"), "//x/")
        (URL('http://me:pw@host/b'), URL('http://x/'))
    """
    try:
        url = base.join(yarl.URL(text))
        if base.user and not url.user and url.absolute and url.origin() == base.origin():
            return url.with_user(base.user).with_password(base.password)
    except ValueError as error:
        raise FetchError(FailureReason.INVALID_URL, Stage.FETCH, "the URL is not valid") from error
    return url


def _is_http(url: yarl.URL) -> bool:
    try:
        return url.scheme in ("http", "https") and bool(url.raw_host) and url.port is not None
    except ValueError:
        return False
