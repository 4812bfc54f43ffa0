"""Fetches the files of published sets into a cache: listed first, then what it lacks."""

import dataclasses
import logging
import os
import pathlib
import shutil
import typing

from schemas.published_sets import PUBLISHED_ROOTS, PublishedFile, PublishedSet, parse_published
from schemas.sources import Source
from transforms.fetch.fetch_options import FetchOptions
from transforms.sources.download_cache import cache_path, is_whole, part_path, size_on_disk
from transforms.sources.download_file import (
    DownloadError,
    Report,
    WantedFile,
    announced_bytes,
    cannot_write,
    download_file,
)
from transforms.sources.input_files import InputError
from transforms.sources.json_stream import BadJsonError
from transforms.sources.read_coco import coco_urls

_log = logging.getLogger("photobeam")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PublishedPlaces:
    """Where published files come from and go to.

    Attributes:
        cache_dir: folder of the files.
        roots: by source the root to fetch from, if it is not the published one; the paths below it are the same.
        fetch: timeouts, retries, user agent.
    """

    cache_dir: pathlib.Path
    roots: typing.Mapping[str, str] = dataclasses.field(default_factory=dict)
    fetch: FetchOptions = dataclasses.field(default_factory=FetchOptions)

    def url(self, source: Source, file: PublishedFile) -> str:
        """Returns the URL of a file.

        Raises:
            InputError: the root is not http(s).
        """
        root = self.roots.get(source.value, "http://")
        if not root.startswith(("http://", "https://")):
            raise InputError(
                f"--mirror {source.value}={root}: published files are fetched over http(s) only; give http(s)://…, or "
                f"the files themselves to --{source.value}"
            )
        return f"{self.roots.get(source.value, PUBLISHED_ROOTS[source]).rstrip('/')}/{file.path}"

    def expected_bytes(self, source: Source, file: PublishedFile) -> int:
        """Returns the size that a file must have; 0 if it is not known, as it is not of a mirror's."""
        return 0 if source.value in self.roots else file.bytes


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
        InputError: a name of a set that is not published, a file that is damaged, or a root that is not http(s).
        DownloadError: a file cannot be fetched.
    """
    sets = _find_published(sources)
    if not sets:
        return dict(sources)
    missing = _missing(sets.values(), places)
    _list(missing, places)
    for file in missing:
        download_file(file, places.fetch, report)
    resolved = {}
    for source, texts in sources.items():
        paths: list[str] = []
        for text in texts:
            named = sets.get((source, text))
            paths += _local_urls(named, places) if named else [text]
        resolved[source] = tuple(dict.fromkeys(paths))
    return resolved


def files_to_fetch(
    sources: typing.Mapping[Source, typing.Iterable[str]], places: PublishedPlaces
) -> dict[tuple[Source, str], list[WantedFile]]:
    """Returns, by source and name of each published set that is named, the files that the cache lacks.

    Raises:
        InputError: a name of a set that is not published, or a root that is not http(s).
    """
    return {key: _missing([named], places) for key, named in _find_published(sources).items()}


def _find_published(sources: typing.Mapping[Source, typing.Iterable[str]]) -> dict[tuple[Source, str], PublishedSet]:
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


def _missing(sets: typing.Iterable[PublishedSet], places: PublishedPlaces) -> list[WantedFile]:
    return [file for file in _wanted(sets, places) if not is_whole(file.path, file.url)]


def _wanted(sets: typing.Iterable[PublishedSet], places: PublishedPlaces) -> list[WantedFile]:
    found = {}
    for named in sets:
        for file in named.files:
            url = places.url(named.source, file)
            path = cache_path(places.cache_dir, url)
            found[url] = WantedFile(url, path, places.expected_bytes(named.source, file))
    return list(found.values())


def _list(missing: list[WantedFile], places: PublishedPlaces) -> None:
    """Says what is going to be fetched, and checks that there is room for it.

    Raises:
        DownloadError: there is not.
    """
    if not missing:
        return
    try:
        places.cache_dir.mkdir(parents=True, exist_ok=True)
        free_bytes = shutil.disk_usage(places.cache_dir).free
    except OSError as error:
        raise cannot_write(places.cache_dir, error) from error
    _log.info("to fetch into %s:", places.cache_dir)
    needed_bytes = unknown = 0
    for file in missing:
        size = file.bytes or announced_bytes(file.url, places.fetch)
        there = size_on_disk(part_path(file.path))
        _log.info("  %s: %s%s", file.url, _megabytes(size), f", {_megabytes(there)} are there" if there else "")
        needed_bytes += max(0, size - there)
        unknown += not size
    more = f", and {unknown} of unknown size" if unknown else ""
    _log.info("  %d files, %s to fetch%s", len(missing), _megabytes(needed_bytes) if needed_bytes else "0 MB", more)
    if free_bytes < needed_bytes:
        raise DownloadError(
            f"--cache_dir {places.cache_dir}: {_megabytes(needed_bytes)} are needed, {_megabytes(free_bytes)} are "
            "free; make room or choose another place"
        )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size else "size unknown"


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
