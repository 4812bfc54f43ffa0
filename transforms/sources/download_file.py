"""Fetches one file into the cache: resumably, its size checked, by one run at a time.

A later attempt or run goes on where the last one ended if the server still has the same file. A whole
file has the server's time of modification, so that a dataset made from it does not ask whether
it was fetched again.
"""

import dataclasses
import email.utils
import errno
import http.client
import json
import os
import pathlib
import random
import re
import typing
import urllib.error
import urllib.request

import tenacity

from transforms.fetch.fetch_options import FetchOptions
from transforms.fetch.http_fetch import BACKOFF_S, MAX_BACKOFF_S
from transforms.files.publish import publish
from transforms.sources.download_cache import CacheRecord, hold_record, is_whole, part_path, read_record, size_on_disk

CHUNK_BYTES = 1 << 20

_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")
_TRANSPORT_ERRORS = (OSError, http.client.HTTPException)
_FINAL_STATUSES = frozenset({400, 401, 403, 404, 405, 410, 451})

Report = typing.Callable[[str, int, int], None]
"""Called with a file's name, the bytes that are there, and its size, 0 if that is not known."""


class DownloadError(OSError):
    """A file cannot be fetched; names its URL and the remedy. What is there already stays."""


class WantedFile(typing.NamedTuple):
    """A file to fetch: from where, to where, and its size if that is known before (else 0)."""

    url: str
    path: pathlib.Path
    bytes: int


class _Failure(Exception):
    """An attempt failed in a way that may heal."""


def download_file(file: WantedFile, options: FetchOptions, report: Report) -> None:
    """Fetches one file unless another run does so meanwhile.

    Args:
        file: from where and to where.
        options: timeouts, retries, user agent.
        report: is told of progress.

    Raises:
        DownloadError: it cannot be fetched, or not be written.
    """
    try:
        file.path.parent.mkdir(parents=True, exist_ok=True)
        with hold_record(file.path) as record_file:
            if is_whole(file.path, file.url):
                return
            _attempt_until_whole(_Download(file, record_file, options, report), options.retries)
    except DownloadError:
        raise
    except OSError as error:
        raise cannot_write(file.path, error) from error


def announced_bytes(url: str, options: FetchOptions) -> int:
    """Returns the size that a server states, 0 if it does not; the request that fetches finds out what is wrong."""
    try:
        with _open("HEAD", url, {}, options) as response:
            return int(response.headers.get("Content-Length") or 0)
    except (*_TRANSPORT_ERRORS, ValueError):
        return 0


def cannot_write(path: pathlib.Path, error: OSError) -> DownloadError:
    """Returns the error of a place in the cache that cannot be written."""
    return DownloadError(f"--cache_dir: {path} cannot be written ({error.strerror}); choose another place")


def _attempt_until_whole(download: "_Download", retries: int) -> None:
    """Tries until the file is whole; attempts that got further than any before do not count as retries."""
    fruitless, furthest = 0, download.received_bytes
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(_Failure),
        wait=lambda _: random.uniform(0, min(MAX_BACKOFF_S, BACKOFF_S * 2**fruitless)),
        stop=lambda _: fruitless > retries,
        reraise=True,
    )
    try:
        for attempt in retrying:
            with attempt:
                try:
                    download.attempt()
                except _Failure:
                    fruitless = fruitless + 1 if download.received_bytes <= furthest else 0
                    furthest = max(furthest, download.received_bytes)
                    raise
    except _Failure as failure:
        raise DownloadError(
            f"{download.file.url}: {failure}; check the network, and run the same command again: it goes on"
        ) from failure


class _Download:
    """The fetching of one file, over several attempts."""

    def __init__(self, file: WantedFile, record_file: typing.BinaryIO, options: FetchOptions, report: Report):
        self.file = file
        self._record_file = record_file
        self._options = options
        self._report = report
        self._part = part_path(file.path)
        record_file.seek(0)
        record = read_record(record_file.read())
        self._record = record if record and record.url == file.url else None

    @property
    def received_bytes(self) -> int:
        return size_on_disk(self._part)

    def attempt(self) -> None:
        """Fetches what is missing, and gives the file its name.

        Raises:
            _Failure: it ended early; another attempt may go on.
            DownloadError: another attempt would not help.
        """
        if self._record is None or self.received_bytes != self._record.bytes:
            self._receive()
        record = self._record
        received_bytes = self.received_bytes
        if record is None or record.bytes < 0:
            record = self._write_record(dataclasses.replace(record, bytes=received_bytes)) if record else None
        if record is None or received_bytes != record.bytes:
            raise _Failure(f"the connection ended after {received_bytes:,} bytes")
        modified = _time_s(record.last_modified)
        if modified is not None:
            os.utime(self._part, (modified, modified))
        publish(self._part, self.file.path)

    def _receive(self) -> None:
        headers = self._resume_headers()
        try:
            with _open("GET", self.file.url, headers, self._options) as response:
                begin = self._begin(response)
                with open(self._part, "r+b" if begin else "wb") as part:
                    part.truncate(begin)
                    part.seek(begin)
                    self._copy(response, part)
        except urllib.error.HTTPError as error:
            self._refused(error)
        except _TRANSPORT_ERRORS as error:
            if isinstance(error, DownloadError) or _is_local(error):
                raise
            raise _Failure(_why(error)) from error

    def _resume_headers(self) -> dict[str, str]:
        received_bytes = self.received_bytes
        if not received_bytes or self._record is None or not self._record.validator:
            return {}
        return {"Range": f"bytes={received_bytes}-", "If-Range": self._record.validator}

    def _begin(self, response: typing.Any) -> int:
        """Returns the byte at which the body begins; notes what the body is part of unless it goes on."""
        if response.status == 206:
            if self._goes_on(response.headers):
                return self.received_bytes
            self._part.unlink(missing_ok=True)
            raise _Failure("the server sent another part than was asked for")
        length = response.headers.get("Content-Length")
        if length is None and "chunked" not in response.headers.get("Transfer-Encoding", ""):
            raise self._final("the server does not say how long it is", "fetch it by other means and give its path")
        size = -1 if length is None else int(length)
        if self.file.bytes and size >= 0 and size != self.file.bytes:
            raise self._final(
                f"it has {size:,} bytes, {self.file.bytes:,} are published",
                "something on the way answers in its place, or it has changed: look at the URL, or fetch it by other "
                "means and give its path",
            )
        etag, last_modified = (response.headers.get(name) or "" for name in ("ETag", "Last-Modified"))
        self._write_record(CacheRecord(self.file.url, size, etag, last_modified))
        return 0

    def _goes_on(self, headers: typing.Mapping[str, str]) -> bool:
        """Tells whether a part begins where ours ends, and is of the same file."""
        match = _CONTENT_RANGE.match(headers.get("Content-Range", ""))
        if match is None or self._record is None:
            return False
        same = headers.get("ETag", self._record.etag) == self._record.etag
        return same and (int(match[1]), int(match[2])) == (self.received_bytes, self._record.bytes)

    def _copy(self, response: typing.Any, part: typing.BinaryIO) -> None:
        received_bytes = part.tell()
        total = max(0, self._record.bytes) if self._record else 0
        self._report(self.file.path.name, received_bytes, total)
        while chunk := response.read1(CHUNK_BYTES):
            part.write(chunk)
            received_bytes += len(chunk)
            self._report(self.file.path.name, received_bytes, total)

    def _refused(self, error: urllib.error.HTTPError) -> typing.NoReturn:
        if error.code == 416:
            self._part.unlink(missing_ok=True)
        elif error.code in _FINAL_STATUSES:
            what = "there is no such file" if error.code in (404, 410) else "the server refuses it"
            raise self._final(
                f"{what} (HTTP status {error.code})",
                "check --mirror and the URL, or fetch it by other means and give its path",
            ) from error
        raise _Failure(f"HTTP status {error.code}") from error

    def _write_record(self, record: CacheRecord) -> CacheRecord:
        """Writes the record in place, under its lock; one that is cut short counts as none."""
        self._record = record
        self._record_file.seek(0)
        self._record_file.truncate()
        self._record_file.write(json.dumps(vars(record), indent=1).encode() + b"\n")
        self._record_file.flush()
        return record

    def _final(self, what: str, remedy: str) -> DownloadError:
        return DownloadError(f"{self.file.url}: {what}; {remedy}")


def _open(method: str, url: str, headers: dict[str, str], options: FetchOptions) -> typing.Any:
    own = {"User-Agent": options.user_agent, "Accept-Encoding": "identity"}
    request = urllib.request.Request(url, method=method, headers={**own, **headers})
    return urllib.request.urlopen(request, timeout=options.timeout_s)


def _time_s(last_modified: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(last_modified).timestamp()
    except (ValueError, TypeError):
        return None


def _is_local(error: BaseException) -> bool:
    """Tells whether it is our disk that failed, not the network."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)


def _why(error: BaseException) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, TimeoutError):
        return "no answer in time"
    return f"the connection failed ({str(reason) or type(reason).__name__})"
