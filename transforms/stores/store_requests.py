"""Single requests before the work begins: lists of buckets, and the indexes of archives, by parts."""

import email.message
import http.client
import io
import re
import typing
import urllib.error
import urllib.request

import tenacity

from transforms.fetch.fetch_options import FetchOptions
from transforms.files.url_credentials import without_credentials
from transforms.stores.request_signers import SignedRequests

_MAX_ANSWER_BYTES = 64_000_000
_ERROR_CODE = re.compile(rb"<Code>(\w+)</Code>")
_CONTENT_RANGE = re.compile(r"bytes \d+-\d+/(\d+)")
_BLOCK_BYTES = 8192
"""Of an archive that are read at once: a header of a tar with its extensions."""


class NoAnswerError(Exception):
    """A server does not answer, or not as it should; the message says why and names the remedy."""


class Answer(typing.NamedTuple):
    """What a server answered, whatever the status.

    Attributes:
        status: of HTTP.
        headers: by name in small letters.
        body: of it, cut where more than was asked for came.
    """

    status: int
    headers: typing.Mapping[str, str]
    body: bytes

    @property
    def error_code(self) -> str:
        """What S3 calls the error, such as ``NoSuchBucket``; '' if it does not say."""
        match = _ERROR_CODE.search(self.body) if self.status >= 400 else None
        return match[1].decode() if match else ""


class _MayHealError(Exception):
    def __init__(self, answer: Answer):
        self.answer = answer


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A signature is for one server only, and where a server leads need be no place that we may ask."""

    def redirect_request(self, *args: typing.Any) -> None:
        """Follows none."""


_opener = urllib.request.build_opener(_NoRedirect)


def ask(
    url: str,
    options: FetchOptions,
    signed: SignedRequests | None = None,
    headers: typing.Mapping[str, str] | None = None,
    method: str = "GET",
    max_bytes: int = _MAX_ANSWER_BYTES,
) -> Answer:
    """Sends a request, again where that may help; redirects are answers like others.

    Args:
        url: http(s).
        options: who asks, how often, and how long it waits for a server.
        signed: what signs it, None for nothing.
        headers: further ones.
        method: ``GET`` or ``HEAD``.
        max_bytes: of the body that are read.

    Raises:
        NoAnswerError: there is no answer.
        CredentialsError: what signs has run out.
    """
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type((_MayHealError, OSError, http.client.HTTPException)),
        wait=tenacity.wait_random_exponential(0.5, 20),
        stop=tenacity.stop_after_attempt(options.retries + 1),
        reraise=True,
    )
    try:
        return retrying(_ask_once, url, options, signed, headers or {}, method, max_bytes)
    except _MayHealError as error:
        return error.answer
    except (OSError, http.client.HTTPException, ValueError) as error:
        bare = without_credentials(url.partition("?")[0])
        raise NoAnswerError(f"{bare} does not answer ({error}); check URL and network") from error


def _ask_once(
    url: str,
    options: FetchOptions,
    signed: SignedRequests | None,
    headers: typing.Mapping[str, str],
    method: str,
    max_bytes: int,
) -> Answer:
    signature = signed.sign(url) if signed else {}
    all_headers = {"User-Agent": options.user_agent, **headers, **signature}
    request = urllib.request.Request(url, headers=all_headers, method=method)
    try:
        with _opener.open(request, timeout=options.timeout_s) as response:
            return Answer(response.status, _lower(response.headers), response.read(max_bytes))
    except urllib.error.HTTPError as error:
        with error:
            answer = Answer(error.code, _lower(error.headers), error.read(max_bytes))
        if error.code == 429 or error.code >= 500:
            raise _MayHealError(answer) from error
        return answer


def _lower(headers: email.message.Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


class RemoteFile(io.RawIOBase):
    """A file on a server, read by parts.

    Args:
        url: http(s).
        options: as for :func:`ask`.
        signed: what signs requests for it, None for nothing.

    Attributes:
        answer: to the request for its first 512 bytes.
        size_bytes: of all of it; -1 where the server gives no parts.
        etag: a strong one, '' if there is none.
    """

    def __init__(self, url: str, options: FetchOptions, signed: SignedRequests | None = None):
        self._url, self._options, self._signed, self._at = url, options, signed, 0
        self.etag, self.size_bytes = "", -1
        self.answer = self._ask(0, 512)
        size = _CONTENT_RANGE.fullmatch(self.answer.headers.get("content-range", ""))
        if self.answer.status == 206 and size:
            self.size_bytes = int(size[1])
        etag = self.answer.headers.get("etag", "")
        self.etag = etag if etag.startswith('"') else ""

    def _ask(self, begin: int, wanted: int) -> Answer:
        headers = {"Range": f"bytes={begin}-{begin + wanted - 1}"}
        headers |= {"If-Match": self.etag} if self.etag else {}
        return ask(self._url, self._options, self._signed, headers, "GET", wanted)

    def buffered(self) -> io.BufferedReader:
        """Returns the file as the archive modules read it."""
        return io.BufferedReader(self, _BLOCK_BYTES)

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Goes to a byte of the file."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size_bytes}[whence]
        return self._at

    def readinto(self, buffer: typing.Any) -> int:
        """Asks for as many bytes as the buffer holds."""
        wanted = min(len(buffer), self.size_bytes - self._at)
        if wanted <= 0:
            return 0
        answer = self._ask(self._at, wanted)
        if answer.status != 206 or len(answer.body) != wanted:
            raise NoAnswerError(f"status {answer.status} for bytes {self._at} to {self._at + wanted - 1}")
        buffer[:wanted] = answer.body
        self._at += wanted
        return wanted
