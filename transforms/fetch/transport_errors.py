"""One reason for each way in which a request can end without a response."""

import asyncio
import errno
import ssl

import aiohttp

from schemas.failures import FailureReason, Stage
from transforms.fetch.address_guard import BlockedAddressError, blocked_address
from transforms.fetch.fetch_error import FetchError
from transforms.files.publish import OutputError

_REASONS: tuple[tuple[tuple[type[BaseException], ...], FailureReason, str], ...] = (
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

TRANSPORT_ERRORS = tuple(error for errors, _, _ in _REASONS for error in errors)


def transport_error(error: BaseException, status: int) -> FetchError:
    """Returns the failure that an error stands for.

    Args:
        error: one of :data:`TRANSPORT_ERRORS`.
        status: HTTP status, -1 if none came.

    Raises:
        OSError: too few file descriptors, or no room for what arrives, which no photo is to blame for.
    """
    if isinstance(error, OutputError):
        raise error
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        raise OSError(error.errno, f"{error.strerror}: raise `ulimit -n` or lower --concurrency") from error
    if isinstance(error.__cause__, BlockedAddressError):
        return blocked_address()
    for types, reason, detail in _REASONS:
        if isinstance(error, types):
            return FetchError(reason, Stage.FETCH, detail, status)
    raise error
