"""Fetches the files of published sets into a cache: listed first, resumable, their sizes checked.

A file of the cache lies under the host and path of its URL, so that files of a mirror are never
taken for the published ones. Beside it, ``NAME.json`` says what it is: URL, size, ETag. What is not
whole is ``NAME.part``; a later run goes on from there if the server still has the same file. A whole
file has the server's time of modification, so that a dataset made from it does not ask whether
it was fetched again.
"""

import contextlib
import dataclasses
import email.utils
import errno
import fcntl
import http.client
import json
import logging
import os
import pathlib
import random
import re
import shutil
import typing
import urllib.error
import urllib.parse
import urllib.request

import tenacity

from schemas.published_sets import PUBLISHED_ROOTS, PublishedFile, PublishedSet, parse_published
from schemas.sources import Source
from transforms.http_fetch import BACKOFF_S, MAX_BACKOFF_S, FetchOptions
from transforms.input_files import InputError
from transforms.json_stream import BadJsonError
from transforms.publish import publish
from transforms.read_coco import coco_urls

CHUNK_BYTES = 1 << 20

_log = logging.getLogger("photobeam")
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")
_TRANSPORT_ERRORS = (OSError, http.client.HTTPException)
_FINAL_STATUSES = frozenset({400, 401, 403, 404, 405, 410, 451})

Report = typing.Callable[[str, int, int], None]
"""Called with a file's name, the bytes that are there, and its size, 0 if that is not known."""


class FetchPublishedError(OSError):
    """A published file cannot be fetched; names it, its URL and the remedy. What is there already stays."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PublishedPlaces:
    """Where published files come from and go to.

    Attributes:
        cache_dir: folder of the files.
        roots: by source the root to fetch from, if it is not the published one; the paths below it are the same.
        fetch: timeouts, retries, user agent.

    Raises:
        ValueError: a root is not http(s).
    """

    cache_dir: pathlib.Path
    roots: typing.Mapping[str, str] = dataclasses.field(default_factory=dict)
    fetch: FetchOptions = dataclasses.field(default_factory=FetchOptions)

    def __post_init__(self) -> None:
        for source, root in self.roots.items():
            if not root.startswith(("http://", "https://")):
                raise ValueError(
                    f"--mirror {source}={root}: published files are fetched over http(s) only; give http(s)://…, or "
                    f"the files themselves to --{source}"
                )

    def url(self, source: Source, file: PublishedFile) -> str:
        """Returns the URL of a file."""
        return f"{self.roots.get(source.value, PUBLISHED_ROOTS[source]).rstrip('/')}/{file.path}"

    def expected_bytes(self, source: Source, file: PublishedFile) -> int:
        """Returns the size that a file must have; 0 if it is not known, as it is not of a mirror's."""
        return 0 if source.value in self.roots else file.bytes


class _Wanted(typing.NamedTuple):
    """A file to fetch: from where, to where, and its size if that is known before (else 0)."""

    url: str
    path: pathlib.Path
    bytes: int


@dataclasses.dataclass
class _Record:
    """What is known of a file of the cache; of one that is not whole, what its beginning was part of.

    Attributes:
        url: where it is from.
        bytes: its size when whole; -1 if the server does not say.
        etag: of that answer, or ''.
        last_modified: likewise.
    """

    url: str
    bytes: int
    etag: str
    last_modified: str

    @property
    def validator(self) -> str:
        """What ``If-Range`` takes: a strong ETag, else the time of modification, else ''."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.last_modified


class _Failure(Exception):
    """An attempt failed in a way that may heal."""


def find_published(sources: typing.Mapping[Source, typing.Iterable[str]]) -> dict[tuple[Source, str], PublishedSet]:
    """Returns the published sets that source flags name; a path that exists wins over a set of its name.

    Raises:
        InputError: a name of a set that is not published.
    """
    found = {}
    for source, text in ((source, text) for source, texts in sources.items() for text in texts):
        try:
            named = parse_published(source, text)
        except ValueError as error:
            if not os.path.exists(text):
                raise InputError(str(error)) from error
            named = None
        if named and os.path.exists(text):
            _log.info("--%s %s: taken for the path of that name, not for the published set", source.value, text)
        elif named:
            found[source, text] = named
    return found


def fetch_published(
    sources: typing.Mapping[Source, tuple[str, ...]], places: PublishedPlaces, report: Report = lambda *_: None
) -> dict[Source, tuple[str, ...]]:
    """Puts local files in the place of the names of published sets, fetching what the cache lacks.

    Args:
        sources: paths and names by source.
        places: where from and where to.
        report: is told of progress.

    Returns:
        Paths by source; of zips of which a part is wanted, the chained URLs of its members.

    Raises:
        InputError: a name of a set that is not published, or a file that is damaged.
        FetchPublishedError: a file cannot be fetched.
    """
    sets = find_published(sources)
    if not sets:
        return dict(sources)
    wanted = _wanted(sets.values(), places)
    missing = [file for file in wanted if not is_whole(file.path, file.url)]
    _list(missing, places)
    for file in missing:
        _fetch(file, places.fetch, report)
    resolved = {}
    for source, texts in sources.items():
        paths: list[str] = []
        for text in texts:
            named = sets.get((source, text))
            paths += _local_urls(named, places) if named else [text]
        resolved[source] = tuple(dict.fromkeys(paths))
    return resolved


def cache_path(cache_dir: pathlib.Path, url: str) -> pathlib.Path:
    """Returns where the cache has the file of a URL.

    Example:
        >>> cache_path(pathlib.PurePosixPath("c"), "http://127.0.0.1:80/a/b.zip").as_posix()
        'c/127.0.0.1_80/a/b.zip'
    """
    parts = urllib.parse.urlsplit(url)
    names = [urllib.parse.quote(name, safe="") for name in parts.path.split("/") if name not in ("", ".", "..")]
    return cache_dir.joinpath((parts.netloc.rpartition("@")[2]).replace(":", "_"), *names)


def is_whole(path: pathlib.Path, url: str) -> bool:
    """Tells whether the cache has a file, whole and from this URL."""
    try:
        record = _decode(_record_path(path).read_bytes())
        return record is not None and record.url == url and path.stat().st_size == record.bytes
    except OSError:
        return False


def _wanted(sets: typing.Iterable[PublishedSet], places: PublishedPlaces) -> list[_Wanted]:
    found = {}
    for named in sets:
        for file in named.files:
            url = places.url(named.source, file)
            path = cache_path(places.cache_dir, url)
            found[url] = _Wanted(url, path, places.expected_bytes(named.source, file))
    return list(found.values())


def _list(missing: list[_Wanted], places: PublishedPlaces) -> None:
    """Says what is going to be fetched, and checks that there is room for it.

    Raises:
        FetchPublishedError: there is not.
    """
    if not missing:
        return
    try:
        places.cache_dir.mkdir(parents=True, exist_ok=True)
        free_bytes = shutil.disk_usage(places.cache_dir).free
    except OSError as error:
        raise _cannot_write(places.cache_dir, error) from error
    _log.info("to fetch into %s:", places.cache_dir)
    needed_bytes = unknown = 0
    for file in missing:
        size = file.bytes or _announced_bytes(file.url, places.fetch)
        there = _size(_part_path(file.path))
        _log.info("  %s: %s%s", file.url, _megabytes(size), f", {_megabytes(there)} are there" if there else "")
        needed_bytes += max(0, size - there)
        unknown += not size
    more = f", and {unknown} of unknown size" if unknown else ""
    _log.info("  %d files, %s to fetch%s", len(missing), _megabytes(needed_bytes) if needed_bytes else "0 MB", more)
    if free_bytes < needed_bytes:
        raise FetchPublishedError(
            f"--cache_dir {places.cache_dir}: {_megabytes(needed_bytes)} are needed, {_megabytes(free_bytes)} are "
            "free; make room or choose another place"
        )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size else "size unknown"


def _announced_bytes(url: str, options: FetchOptions) -> int:
    """Returns the size that a server states, 0 if it does not; the request that fetches finds out what is wrong."""
    try:
        with _open("HEAD", url, {}, options) as response:
            return int(response.headers.get("Content-Length") or 0)
    except (*_TRANSPORT_ERRORS, ValueError):
        return 0


def _fetch(file: _Wanted, options: FetchOptions, report: Report) -> None:
    """Fetches one file unless another run does so meanwhile."""
    try:
        file.path.parent.mkdir(parents=True, exist_ok=True)
        with _held(file.path) as record_file:
            if is_whole(file.path, file.url):
                return
            _attempt_until_whole(_Download(file, record_file, options, report), options.retries)
    except FetchPublishedError:
        raise
    except OSError as error:
        raise _cannot_write(file.path, error) from error


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
        raise FetchPublishedError(
            f"{download.file.url}: {failure}; check the network, and run the same command again: it goes on"
        ) from failure


@contextlib.contextmanager
def _held(path: pathlib.Path) -> typing.Iterator[typing.BinaryIO]:
    """Opens the record of a file, for one run at a time; the others wait."""
    with open(_record_path(path), "a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _log.info("waiting for another run that fetches %s", path)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file


class _Download:
    """The fetching of one file, over several attempts."""

    def __init__(self, file: _Wanted, record_file: typing.BinaryIO, options: FetchOptions, report: Report):
        self.file = file
        self._record_file = record_file
        self._options = options
        self._report = report
        self._part = _part_path(file.path)
        record_file.seek(0)
        record = _decode(record_file.read())
        self._record = record if record and record.url == file.url else None

    @property
    def received_bytes(self) -> int:
        return _size(self._part)

    def attempt(self) -> None:
        """Fetches what is missing, and gives the file its name.

        Raises:
            _Failure: it ended early; another attempt may go on.
            FetchPublishedError: another attempt would not help.
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
            if isinstance(error, FetchPublishedError) or _is_local(error):
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
        headers = response.headers
        self._write_record(_Record(self.file.url, size, headers.get("ETag") or "", headers.get("Last-Modified") or ""))
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

    def _write_record(self, record: _Record) -> _Record:
        """Writes the record in place, under its lock; one that is cut short counts as none."""
        self._record = record
        self._record_file.seek(0)
        self._record_file.truncate()
        self._record_file.write(json.dumps(vars(record), indent=1).encode() + b"\n")
        self._record_file.flush()
        return record

    def _final(self, what: str, remedy: str) -> FetchPublishedError:
        return FetchPublishedError(f"{self.file.url}: {what}; {remedy}")


def _open(method: str, url: str, headers: dict[str, str], options: FetchOptions) -> typing.Any:
    own = {"User-Agent": options.user_agent, "Accept-Encoding": "identity"}
    request = urllib.request.Request(url, method=method, headers={**own, **headers})
    return urllib.request.urlopen(request, timeout=options.timeout_s)


def _local_urls(named: PublishedSet, places: PublishedPlaces) -> list[str]:
    """Returns the files of a set in the cache.

    Raises:
        InputError: a zip is damaged, or has nothing of what is wanted.
    """
    urls: list[str] = []
    for file in named.files:
        path = str(cache_path(places.cache_dir, places.url(named.source, file)))
        if not file.member_suffix:
            urls.append(path)
            continue
        try:
            members = [u for u in coco_urls(path) if u.partition("::")[0].endswith(file.member_suffix)]
        except (OSError, BadJsonError) as error:
            raise InputError(
                f"--{named.source.value} {named.name}: {error}; remove {path}, and it is fetched again"
            ) from error
        if not members:
            raise InputError(
                f"--{named.source.value} {named.name}: {path} is no zip with a *{file.member_suffix}; remove it, and "
                "it is fetched again"
            )
        urls += members
    return urls


def _record_path(path: pathlib.Path) -> pathlib.Path:
    return path.with_name(path.name + ".json")


def _part_path(path: pathlib.Path) -> pathlib.Path:
    return path.with_name(path.name + ".part")


def _size(path: pathlib.Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _decode(data: bytes) -> _Record | None:
    """Reads a record; one that is empty, damaged or foreign counts as none."""
    try:
        record = _Record(**json.loads(data))
    except (ValueError, TypeError):
        return None
    texts = (record.url, record.etag, record.last_modified)
    return record if isinstance(record.bytes, int) and all(isinstance(t, str) for t in texts) else None


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


def _cannot_write(path: pathlib.Path, error: OSError) -> FetchPublishedError:
    return FetchPublishedError(f"--cache_dir: {path} cannot be written ({error.strerror}); choose another place")
