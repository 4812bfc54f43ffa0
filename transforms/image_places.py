"""Where the bytes of a photo come from: places that are tried in order, until one has them."""

import asyncio
import contextlib
import dataclasses
import functools
import re
import typing

import yarl

from schemas.failures import FailureReason, Stage
from transforms.byte_budget import ByteBudget
from transforms.fetch_error import FetchError, too_large
from transforms.flickr_requests import FlickrGate, is_placeholder, placeholder
from transforms.http_client import HttpClient
from transforms.http_fetch import Fetched
from transforms.image_files import DAMAGED, ImageFile, ImageFiles, ImageIndex, open_image_files
from transforms.match_files import UNKNOWN_COPY, match_file
from transforms.photo_refs import PhotoRef
from transforms.remote_copies import MIRROR_ROOTS, flickr_copies, mirror_copies, source_order
from transforms.remote_place import FLICKR, MIRROR, FoundCopy, Http, RemotePlace

AUTO = "auto"
"""The ``--images`` value that stands for the mirrors."""

_IMAGES = "images"


class FoundImage(typing.NamedTuple):
    """A photo's file and where it was.

    Attributes:
        data: the file.
        url: URL, or path within the place.
        http_status: 200, or -1 where no HTTP was spoken.
        attempts: requests or reads made for it, at all places.
        fetched_from: kind of place: ``images``, ``mirror`` or ``flickr``.
        copy_source: whose copy of the photo it is: ``yfcc``, ``coco``, ``open_images`` or ``flickr8k``; ``flickr``
            where that is unknown.
        copy_id: the ``image_id`` of that copy, '' if it has none.
    """

    data: bytes
    url: str
    http_status: int
    attempts: int
    fetched_from: str
    copy_source: str = UNKNOWN_COPY
    copy_id: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlacesConfig:
    """Which places there are. Picklable: each worker process opens them for itself.

    Attributes:
        images: ``auto`` (the mirrors) and paths or URLs of directories, zips or tars, in the order to try.
            None at all is allowed: then every photo fails with ``no_image_source``.
        mirrors: source and http(s) URL in place of its default mirror's root; the path below it stays.
        base: source whose mirror is tried first: ``yfcc``, ``coco``, ``open_images``, ``flickr8k`` or ``all``, of
            which the last two prefer none.
        with_coco: COCO is among the dataset's sources, so that ``000000000042`` names its image 42, not photo 42.
        flickr_requests_per_s: what this process may ask of Flickr itself, after everything else; 0 = nothing.

    Raises:
        ValueError: a mirror's source has no mirror, or its root is no http(s) URL.
    """

    images: tuple[str, ...] = (AUTO,)
    mirrors: tuple[tuple[str, str], ...] = ()
    base: str = "all"
    with_coco: bool = True
    flickr_requests_per_s: float = 0.0

    def __post_init__(self) -> None:
        for source, root in self.mirrors:
            if source not in MIRROR_ROOTS:
                raise ValueError(
                    f"--mirror {source}={root}: {source or 'nothing'} is no source with a mirror; "
                    f"these are: {', '.join(sorted(MIRROR_ROOTS))}"
                )
            if not _is_base_url(root):
                raise ValueError(f"--mirror {source}={root} is no base URL: give one like http://host/path")

    def mirror_root(self, source: str) -> str:
        """Returns the root of a source's mirror."""
        return dict(self.mirrors).get(source, MIRROR_ROOTS[source])

    def roots(self) -> tuple[str, ...]:
        """Returns the roots of all mirrors: URLs that the operator or this program names, not the data."""
        return tuple(self.mirror_root(source) for source in sorted(MIRROR_ROOTS))


def _is_base_url(text: str) -> bool:
    """Whether paths can be put below it."""
    try:
        url = yarl.URL(text)
        plain = not (url.query_string or url.fragment or re.search(r"\s", text))
        return plain and url.scheme in ("http", "https") and bool(url.host) and url.port is not None
    except ValueError:
        return False


class Place(typing.Protocol):
    """Somewhere photos may be."""

    @property
    def kind(self) -> str:
        """What ``fetched_from`` says of its photos."""

    async def fetch(self, photo: PhotoRef) -> FoundCopy | None:
        """Returns the photo's file, None if this place does not know the photo; raises FetchError."""


class FilesPlace:
    """A directory, zip or tar that the operator names.

    Args:
        files, index: of this place.
        with_coco: as in :class:`PlacesConfig`.
        http: for the byte cap and the budget.
    """

    kind = _IMAGES

    def __init__(self, files: ImageFiles, index: ImageIndex, with_coco: bool, http: Http):
        self._files, self._index, self._with_coco, self._budget = files, index, with_coco, http.budget
        self._max_bytes = http.client.options.max_image_bytes

    async def fetch(self, photo: PhotoRef) -> FoundCopy | None:
        """Reads the file that a name of the photo's matches, in a thread; ImagePlaceError if two files do."""
        match = match_file(self._index, photo, self._with_coco)
        if match is None:
            return None
        file = match.file
        if file.size_bytes > self._max_bytes:
            raise too_large(self._max_bytes)
        with contextlib.ExitStack() as on_failure:
            reservation = on_failure.enter_context(await self._budget.reserve(file.size_bytes))
            data = await asyncio.to_thread(self._read, file)
            if is_placeholder(data, from_flickr=False):
                raise placeholder()
            on_failure.pop_all()
        return FoundCopy(Fetched(data, file.name, -1, 1, reservation), match.source, match.image_id)

    def _read(self, file: ImageFile) -> bytes:
        try:
            data = self._files.read(file, self._max_bytes)
        except FileNotFoundError as error:
            raise FetchError(FailureReason.NOT_FOUND, Stage.FETCH, "the file of --images is gone") from error
        except PermissionError as error:
            raise FetchError(FailureReason.FORBIDDEN, Stage.FETCH, "the file of --images is not readable") from error
        except DAMAGED as error:
            detail = "the file is damaged in its archive, or packed by an unknown method"
            raise FetchError(FailureReason.CHECKSUM_MISMATCH, Stage.FETCH, detail) from error
        if len(data) > self._max_bytes:
            raise too_large(self._max_bytes)
        return data


def check_places(config: PlacesConfig) -> None:
    """Opens and lists every place of files once, so that a broken one stops the run before any work.

    Raises:
        ImagePlaceError: missing, broken or of another kind; names the place and the remedy.
    """
    for spec in config.images:
        if spec != AUTO:
            for _ in open_image_files(spec).files():
                pass


def open_places(config: PlacesConfig, client: HttpClient, budget: ByteBudget) -> list[Place]:
    """Returns the places in the order to try them. Files are listed at the first call of a process only.

    ``auto`` stands for the mirrors of the base, of Open Images, of COCO and of YFCC, in this order.

    Raises:
        ImagePlaceError: as :func:`check_places`.
    """
    http = Http(client, budget)
    places: list[Place] = []
    for spec in config.images:
        if spec == AUTO:
            places += [_mirror(source, config, http) for source in source_order(config.base)]
        else:
            places.append(FilesPlace(*_indexed(spec), config.with_coco, http))
    if config.flickr_requests_per_s:
        gate = FlickrGate(config.flickr_requests_per_s)
        for source in source_order(config.base):
            places.append(RemotePlace(FLICKR, functools.partial(flickr_copies, source), http, gate.admit))
    return places


def _mirror(source: str, config: PlacesConfig, http: Http) -> RemotePlace:
    return RemotePlace(MIRROR, functools.partial(mirror_copies, source, config.mirror_root(source)), http)


@contextlib.asynccontextmanager
async def fetch_image(places: typing.Sequence[Place], photo: PhotoRef) -> typing.AsyncIterator[FoundImage]:
    """Yields the photo's file from the first place that has it; on exit its part of the byte budget is free.

    If none has it, the first retryable reason counts, else that of the first place that knows the photo.

    Raises:
        FetchError: why; ``not_found`` if it is in none of the files and has no URL to try, and
            ``no_image_source`` if there is no place to look at all. ``attempts`` counts all places.
        ImagePlaceError: two files match the photo.
    """
    found, kind = await _first_found(places, photo)
    with found.fetched as fetched:
        where = (fetched.url, fetched.http_status, fetched.attempts)
        yield FoundImage(fetched.data, *where, kind, found.source, found.image_id)


async def _first_found(places: typing.Sequence[Place], photo: PhotoRef) -> tuple[FoundCopy, str]:
    errors: list[FetchError] = []
    attempts = 0
    for place in places:
        try:
            found = await place.fetch(photo)
        except FetchError as error:
            attempts += error.attempts
            errors.append(error)
            continue
        if found is not None:
            attempts += found.fetched.attempts
            return found._replace(fetched=dataclasses.replace(found.fetched, attempts=attempts)), place.kind
    failure = next((e for e in errors if e.reason.retryable), errors[0] if errors else _unknown(places))
    failure.attempts = attempts
    raise failure


def _unknown(places: typing.Sequence[Place]) -> FetchError:
    if any(place.kind == _IMAGES for place in places):
        return FetchError(FailureReason.NOT_FOUND, Stage.FETCH, "no file of --images has the photo's name")
    return FetchError(FailureReason.NO_IMAGE_SOURCE, Stage.FETCH, "there is no place to fetch the photo from")


@functools.cache
def _indexed(spec: str) -> tuple[ImageFiles, ImageIndex]:
    files = open_image_files(spec)
    return files, ImageIndex(files)
