"""URLs of the data lead to public addresses only; what the operator names may be anywhere.

Names are checked as they are resolved, by the resolver whose answers are the ones connected to: an answer that changes
between check and connection cannot slip through. Addresses that are written out are checked before each request.
"""

import ipaddress
import socket
import typing

import aiohttp
import aiohttp.abc
import yarl

from schemas.failures import FailureReason, Stage
from transforms.fetch.fetch_error import FetchError

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_EMBEDDED_V4 = ipaddress.IPv6Network("::/96")
_NOT_FOR_US = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "168.63.129.16/32", "64:ff9b:1::/48")))
"""What the library takes for global: IETF's protocol assignments (and a cloud's metadata), Azure's host endpoint, NAT64
of local networks."""

_DEFAULT_PORTS = frozenset({80, 443})

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Endpoint = tuple[str, int]
"""Host in small letters, and port."""


class BlockedAddressError(OSError):
    """A name of the data leads to addresses that are not public, and to no others."""


class AddressGuard:
    """Tells where requests may go.

    Args:
        operator_urls: what the operator or the program itself names: mirrors and proxies. Only these very hosts and
            ports are permitted, whatever their addresses.
        allow_private: permits everything.
    """

    def __init__(self, operator_urls: typing.Iterable[str], allow_private: bool = False):
        self._endpoints = frozenset(e for url in operator_urls for e in _endpoints(yarl.URL(url)))
        self._allow_private = allow_private

    def is_operators(self, url: yarl.URL) -> bool:
        """Tells what the operator named from what the data or a server did."""
        return _endpoint(url.raw_host, url.port) in self._endpoints

    def check_url(self, url: yarl.URL) -> None:
        """Refuses addresses that are written out and not public, and foreign URLs that carry a password.

        Raises:
            FetchError: ``blocked_address`` or ``invalid_url``.
        """
        if self.is_operators(url):
            return
        if url.user is not None or url.password is not None:
            raise FetchError(FailureReason.INVALID_URL, Stage.FETCH, "the URL carries a user or a password")
        address = _written_address(url.raw_host or "")
        if address and not self._allow_private and not is_public(address):
            raise blocked_address()

    def permitted(self, host: str, port: int, addresses: list[typing.Any]) -> list[typing.Any]:
        """Returns those of a name's resolved addresses that may be connected to.

        Raises:
            BlockedAddressError: none of them may.
        """
        if self._allow_private or _endpoint(host, port) in self._endpoints:
            return addresses
        public = [a for a in addresses if is_public(ipaddress.ip_address(a["host"]))]
        if not public:
            raise BlockedAddressError("no public address")
        return public


class GuardedResolver(aiohttp.abc.AbstractResolver):
    """The system's resolver, less what the guard refuses."""

    def __init__(self, guard: AddressGuard):
        self._guard, self._resolver = guard, aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[aiohttp.abc.ResolveResult]:
        """Returns the addresses of a name."""
        return self._guard.permitted(host, port, await self._resolver.resolve(host, port, family))

    async def close(self) -> None:
        """Does nothing."""


def blocked_address() -> FetchError:
    """Returns the failure of a URL that leads into a private network."""
    detail = "the URL leads to an address that is not public; --allow_private_hosts permits it"
    return FetchError(FailureReason.BLOCKED_ADDRESS, Stage.FETCH, detail)


def is_public(address: Address) -> bool:
    """Tells addresses of the public net from all others, those within IPv6 forms of IPv4 included.

    Example:
        >>> [is_public(ipaddress.ip_address(a)) for a in ("8.8.8.8", "10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1")]
        [True, False, False, False]
    """
    if isinstance(address, ipaddress.IPv6Address):
        inner = _inner_v4(address)
        if inner:
            return is_public(inner)
        if address.is_site_local or address.teredo:
            return False
    return address.is_global and not address.is_multicast and not any(address in n for n in _NOT_FOR_US)


def _inner_v4(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address in _NAT64 or address in _EMBEDDED_V4:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


def _written_address(host: str) -> Address | None:
    """Returns the address that a host is, in any form that the system would take for one.

    Example:
        >>> _written_address("0x7f.1"), _written_address("[::1]"), _written_address("example.com")
        (IPv4Address('127.0.0.1'), IPv6Address('::1'), None)
    """
    host = host.strip("[]").rstrip(".")
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host))
        except (OSError, UnicodeError):
            return None


def _endpoints(url: yarl.URL) -> list[Endpoint]:
    """Returns host and port; with one default port also the other, so that a mirror may go over to https."""
    ports = _DEFAULT_PORTS if url.port in _DEFAULT_PORTS else {url.port}
    return [_endpoint(url.raw_host, port) for port in ports]


def _endpoint(host: str | None, port: int | None) -> Endpoint:
    return (host or "").lower().rstrip("."), port or 0
