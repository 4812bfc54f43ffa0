"""Where the bytes of a photo come from: places that are tried in order, until one has them."""

import contextlib
import dataclasses
import functools
import re
import typing

import yarl

from schemas.failures import FailureReason, Stage
from transforms.fetch.byte_budget import ByteBudget
from transforms.fetch.fetch_error import FetchError
from transforms.fetch.fetch_options import FetchOptions
from transforms.fetch.flickr_requests import FlickrGate
from transforms.fetch.http_client import HttpClient
from transforms.fetch.http_fetch import Sign
from transforms.files.image_files import ImageFiles, ImageIndex, images_place, open_image_files
from transforms.files.url_credentials import without_credentials
from transforms.places.image_listing import ImageListing
from transforms.places.local_images import IMAGES, FilesPlace
from transforms.places.match_files import UNKNOWN_COPY
from transforms.places.photo_refs import PhotoRef
from transforms.places.remote_copies import MIRROR_ROOTS, VIDEO_SOURCE, flickr_copies, mirror_copies, source_order
from transforms.places.remote_place import FLICKR, MIRROR, FoundCopy, Http, RemotePlace
from transforms.places.stored_images import StoredImages, StoredPlace, check_stored, is_stored, list_stored
from transforms.stores.object_store import check_bucket, is_store_url, open_bucket, split_store_url
from transforms.stores.request_signers import S3Options
from transforms.stores.scratch import Scratch

AUTO = "auto"
"""The ``--images`` value that stands for the mirrors."""


class FoundImage(typing.NamedTuple):
    """A photo's file and where it was.

    Attributes:
        data: the file.
        url: URL, or path within the place.
        http_status: 200, 206 of a part, or -1 where no HTTP was spoken.
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
        images: ``auto`` (the mirrors) and paths or URLs of directories, zips, tars or prefixes of buckets, in the
            order to try. None at all is allowed: then every photo fails with ``no_image_source``.
        listed: those of them that are on servers; :func:`list_places` adds these.
        mirrors: source and http(s), s3 or gs URL in place of its default mirror's root; the path below it stays.
        base: source whose mirror is tried first: ``yfcc``, ``coco``, ``open_images``, ``flickr8k`` or ``all``, of
            which the last two prefer none.
        with_coco: COCO is among the dataset's sources, so that ``000000000042`` names its image 42, not photo 42.
        flickr_requests_per_s: what this process may ask of Flickr itself, after everything else; 0 = nothing.
        s3: how S3 is reached.
        fetch: who lists what is on servers, how often that is tried and how long it may take.

    Raises:
        ValueError: a mirror's source has no mirror, or its root is no such URL.
    """

    images: tuple[str, ...] = (AUTO,)
    listed: tuple[StoredImages, ...] = ()
    mirrors: tuple[tuple[str, str], ...] = ()
    base: str = "all"
    with_coco: bool = True
    flickr_requests_per_s: float = 0.0
    s3: S3Options = S3Options()
    fetch: FetchOptions = FetchOptions()

    def __post_init__(self) -> None:
        for source, root in self.mirrors:
            if source not in MIRROR_ROOTS:
                raise ValueError(
                    f"{_mirror_place(source, root)}: {source or 'nothing'} is no source with a mirror; "
                    f"these are: {', '.join(sorted(MIRROR_ROOTS))}"
                )
            if not _is_base_url(root):
                raise ValueError(
                    f"{_mirror_place(source, root)} is no base URL: "
                    "give one like http://host/path or s3://bucket/prefix"
                )

    @property
    def mirrors_in_use(self) -> dict[str, str]:
        """The root of each source's mirror, as given; none without ``auto``."""
        return {**MIRROR_ROOTS, **dict(self.mirrors)} if AUTO in self.images else {}

    def mirror(self, source: str) -> tuple[str, Sign | None]:
        """Returns the http(s) root of a source's mirror, percent-encoded, and what signs requests to it.

        Raises:
            ImagePlaceError: it is in a bucket, and that cannot be reached.
        """
        root = self.mirrors_in_use[source]
        if not is_store_url(root):
            return str(yarl.URL(root)), None
        bucket, prefix = open_bucket(_mirror_place(source, root), root, self.s3, self.fetch)
        return str(bucket.key_url(prefix)), bucket.sign

    def video_mirror(self) -> tuple[str, Sign | None] | None:
        """Returns what :meth:`mirror` does of the mirror that has videos; None without ``auto``.

        Raises:
            ImagePlaceError: as :meth:`mirror`.
        """
        return self.mirror(VIDEO_SOURCE) if VIDEO_SOURCE in self.mirrors_in_use else None

    def roots(self) -> tuple[str, ...]:
        """Returns http(s) URLs of mirrors and places: what the operator or this program names, not the data."""
        mirrors = [self.mirror(source)[0] for source in sorted(self.mirrors_in_use)]
        return (*mirrors, *(place.url for place in self.listed))


def _mirror_place(source: str, root: str) -> str:
    return f"--mirror {source}={without_credentials(root)}"


def _is_base_url(text: str) -> bool:
    """Whether paths can be put below it."""
    if is_store_url(text):
        return split_store_url(text) is not None
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


def check_places(config: PlacesConfig) -> None:
    """Opens every place, so that a broken one stops the run before any work.

    What is here is listed whole, what is on servers up to its first file.

    Raises:
        ImagePlaceError: missing, broken, forbidden or of another kind; names the place and the remedy.
    """
    for source, root in config.mirrors_in_use.items():
        if is_store_url(root):
            check_bucket(_mirror_place(source, root), root, config.s3, config.fetch)
    for spec in config.images:
        if is_stored(spec):
            check_stored(spec, config.s3, config.fetch)
        elif spec != AUTO:
            for _ in open_image_files(spec).files():
                pass


def list_places(config: PlacesConfig, scratch: Scratch) -> PlacesConfig:
    """Lists what is on servers, once for all processes.

    Args:
        config: as given.
        scratch: gets the lists, and has them until the last process has ended.

    Raises:
        ImagePlaceError: as :func:`check_places`.
        OutputError: there is no room for the lists.
    """
    specs = dict.fromkeys(spec for spec in config.images if is_stored(spec))
    listed = (list_stored(spec, config.s3, config.fetch, scratch, f"images-{i}.sqlite") for i, spec in enumerate(specs))
    return dataclasses.replace(config, listed=tuple(listed))


def open_places(config: PlacesConfig, client: HttpClient, budget: ByteBudget) -> list[Place]:
    """Returns the places in the order to try them. Files that are here are listed at a process's first call only.

    ``auto`` stands for the mirrors of the base, of Open Images, of COCO and of YFCC, in this order.

    Args:
        config: of which :func:`list_places` has listed what is on servers.
        client, budget: to download with.

    Raises:
        ImagePlaceError: as :func:`check_places`.
    """
    http = Http(client, budget)
    places: list[Place] = []
    listed = {place.spec: place for place in config.listed}
    for spec in config.images:
        if spec == AUTO:
            places += [_mirror(source, config, http) for source in source_order(config.base)]
        elif is_stored(spec):
            places.append(_stored(listed[spec], config, http))
        else:
            places.append(FilesPlace(*_indexed(spec), config.with_coco, http))
    if config.flickr_requests_per_s:
        gate = FlickrGate(config.flickr_requests_per_s)
        for source in source_order(config.base):
            places.append(RemotePlace(FLICKR, functools.partial(flickr_copies, source), http, gate.admit))
    return places


def _mirror(source: str, config: PlacesConfig, http: Http) -> RemotePlace:
    root, sign = config.mirror(source)
    return RemotePlace(MIRROR, functools.partial(mirror_copies, source, root), http._replace(sign=sign))


def _stored(place: StoredImages, config: PlacesConfig, http: Http) -> StoredPlace:
    sign = None
    if is_store_url(place.spec):
        sign = open_bucket(images_place(place.spec), place.spec, config.s3, config.fetch)[0].sign
    return StoredPlace(place, _listing(place.scratch, place.listing), config.with_coco, http._replace(sign=sign))


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
            found.fetched.attempts += attempts
            return found, place.kind
    failure = next((e for e in errors if e.reason.retryable), errors[0] if errors else _unknown(places))
    failure.attempts = attempts
    raise failure


def _unknown(places: typing.Sequence[Place]) -> FetchError:
    if any(place.kind == IMAGES for place in places):
        return FetchError(FailureReason.NOT_FOUND, Stage.FETCH, "no file of --images has the photo's name")
    return FetchError(FailureReason.NO_IMAGE_SOURCE, Stage.FETCH, "there is no place to fetch the photo from")


@functools.cache
def _listing(scratch: Scratch, name: str) -> ImageListing:
    return ImageListing(scratch.local(name))


@functools.cache
def _indexed(spec: str) -> tuple[ImageFiles, ImageIndex]:
    files = open_image_files(spec)
    return files, ImageIndex(files)
