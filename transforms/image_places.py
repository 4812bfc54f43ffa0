"""Where the bytes of a photo come from: places that are tried in order, until one has them."""

import asyncio
import contextlib
import dataclasses
import functools
import re
import typing

import aiohttp
import yarl

from schemas.failures import FailureReason, Stage
from schemas.yfcc import mirror_key
from transforms.byte_budget import ByteBudget
from transforms.http_fetch import Fetched, FetchError, FetchOptions, fetch_bytes
from transforms.image_files import DAMAGED, ImageFile, ImageFiles, ImageIndex, open_image_files

AUTO = "auto"
"""The ``--images`` value that stands for the photos' own URLs: the mirror."""
YFCC_MIRROR_ROOT = "https://multimedia-commons.s3.us-west-2.amazonaws.com"

_HASH = re.compile(r"[0-9a-f]{16,32}")
_EXTENSION = re.compile(r"[A-Za-z0-9]{1,5}")


class PhotoRef(typing.NamedTuple):
    """What places need to know of a photo; '' where unknown.

    Attributes:
        photo_id: Flickr id.
        key: its sample key.
        hash: its name on the mirror, as published.
        download_url: on Flickr, as published.
        extension: of the original, without a point.
    """

    photo_id: int
    key: str
    hash: str
    download_url: str
    extension: str


class FoundImage(typing.NamedTuple):
    """A photo's file and where it was.

    Attributes:
        data: the file.
        url: URL, or path within the place.
        http_status: 200, or -1 where no HTTP was spoken.
        attempts: requests or reads made for it, at all places.
        fetched_from: kind of place: ``images`` or ``mirror``.
        copy_source: whose copy of the photo it is; ``flickr`` if that is not known.
        copy_id: image id of that copy, '' if unknown.
    """

    data: bytes
    url: str
    http_status: int
    attempts: int
    fetched_from: str
    copy_source: str = "flickr"
    copy_id: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlacesConfig:
    """Which places there are. Picklable: each worker process opens them for itself.

    Attributes:
        images: ``auto`` (the mirror) and paths or URLs of directories, zips or tars, in the order to try.
            None at all is allowed: then every photo fails with ``no_image_source``.
        mirror_root: http(s) URL in place of the default mirror's root; the path below it stays.

    Raises:
        ValueError: the mirror root is no http(s) URL.
    """

    images: tuple[str, ...] = (AUTO,)
    mirror_root: str = YFCC_MIRROR_ROOT

    def __post_init__(self) -> None:
        if not _is_base_url(self.mirror_root):
            raise ValueError(f"--mirror yfcc={self.mirror_root} is no base URL: give one like http://host/path")


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

    async def fetch(self, photo: PhotoRef) -> Fetched | None:
        """Returns the photo's file, None if this place does not know the photo; raises FetchError."""


class MirrorPlace:
    """The dataset's public mirror, over HTTP.

    Args:
        root: of the mirror.
        session, options, budget: as for :func:`transforms.http_fetch.fetch_bytes`.
    """

    kind = "mirror"

    def __init__(self, root: str, session: aiohttp.ClientSession, options: FetchOptions, budget: ByteBudget):
        self._root, self._session, self._options, self._budget = root, session, options, budget

    async def fetch(self, photo: PhotoRef) -> Fetched | None:
        """Tries the photo's URLs; only a 404 leads to the next."""
        attempts, absent = 0, None
        for url in yfcc_mirror_urls(self._root, photo):
            try:
                fetched = await fetch_bytes(self._session, url, self._options, self._budget)
                return dataclasses.replace(fetched, attempts=attempts + fetched.attempts)
            except FetchError as error:
                attempts = error.attempts = attempts + error.attempts
                if error.reason is not FailureReason.NOT_FOUND:
                    raise
                absent = error
        if absent:
            raise absent
        return None


class FilesPlace:
    """A directory, zip or tar that the operator names.

    Args:
        spec: for messages.
        files, index: of this place.
        options: for the byte cap.
        budget: bounds bytes in memory.
    """

    kind = "images"

    def __init__(self, files: ImageFiles, index: ImageIndex, options: FetchOptions, budget: ByteBudget):
        self._files, self._index, self._budget = files, index, budget
        self._max_bytes = options.max_image_bytes

    async def fetch(self, photo: PhotoRef) -> Fetched | None:
        """Reads the file named like the photo's hash, key or id, in a thread; ImagePlaceError if two are."""
        names = filter(None, (_mirror_name(photo), photo.key, str(photo.photo_id)))
        file = self._index.find(photo.photo_id, names)
        if file is None:
            return None
        if file.size_bytes > self._max_bytes:
            raise _too_large(self._max_bytes)
        with contextlib.ExitStack() as on_failure:
            reservation = on_failure.enter_context(await self._budget.reserve(file.size_bytes))
            data = await asyncio.to_thread(self._read, file)
            on_failure.pop_all()
        return Fetched(data, file.name, -1, 1, reservation)

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
            raise _too_large(self._max_bytes)
        return data


def yfcc_mirror_urls(root: str, photo: PhotoRef) -> list[str]:
    """Returns the URLs at which the photo may be, the likeliest first; none if its name is not known."""
    name = _mirror_name(photo)
    if not name:
        return []
    base = f"{root.rstrip('/')}/data/images/{name[0:3]}/{name[3:6]}/{name}."
    own = [photo.extension] if _EXTENSION.fullmatch(photo.extension) else []
    return [base + extension for extension in dict.fromkeys(["jpg", *own])]


def default_mirror_url(photo: PhotoRef) -> str:
    """Returns the photo's URL on the default mirror, whatever ``--mirror`` says; '' if it has none."""
    return next(iter(yfcc_mirror_urls(YFCC_MIRROR_ROOT, photo)), "")


def check_places(config: PlacesConfig) -> None:
    """Opens and lists every place of files once, so that a broken one stops the run before any work.

    Raises:
        ImagePlaceError: missing, broken or of another kind; names the place and the remedy.
    """
    for spec in config.images:
        if spec != AUTO:
            for _ in open_image_files(spec).files():
                pass


def open_places(
    config: PlacesConfig, session: aiohttp.ClientSession, options: FetchOptions, budget: ByteBudget
) -> list[Place]:
    """Returns the places in the order to try them. Files are listed at the first call of a process only.

    Raises:
        ImagePlaceError: as :func:`check_places`.
    """
    return [
        MirrorPlace(config.mirror_root, session, options, budget)
        if spec == AUTO
        else FilesPlace(*_indexed(spec), options, budget)
        for spec in config.images
    ]


@contextlib.asynccontextmanager
async def fetch_image(places: typing.Sequence[Place], photo: PhotoRef) -> typing.AsyncIterator[FoundImage]:
    """Yields the photo's file from the first place that has it; on exit its part of the byte budget is free.

    If none has it, the first retryable reason counts, else that of the first place that knows the photo.

    Raises:
        FetchError: why; ``not_found`` if it is in none of the files and has no URL to try, and
            ``no_image_source`` if there is no place to look at all. ``attempts`` counts all places.
        ImagePlaceError: two files match the photo.
    """
    fetched, kind = await _first_fetched(places, photo)
    with fetched:
        yield FoundImage(fetched.data, fetched.url, fetched.http_status, fetched.attempts, kind)


async def _first_fetched(places: typing.Sequence[Place], photo: PhotoRef) -> tuple[Fetched, str]:
    errors: list[FetchError] = []
    attempts = 0
    for place in places:
        try:
            fetched = await place.fetch(photo)
        except FetchError as error:
            attempts += error.attempts
            errors.append(error)
            continue
        if fetched is not None:
            return dataclasses.replace(fetched, attempts=attempts + fetched.attempts), place.kind
    failure = next((e for e in errors if e.reason.retryable), errors[0] if errors else _unknown(places))
    failure.attempts = attempts
    raise failure


def _unknown(places: typing.Sequence[Place]) -> FetchError:
    if any(place.kind == FilesPlace.kind for place in places):
        return FetchError(FailureReason.NOT_FOUND, Stage.FETCH, "no file of --images has the photo's name")
    return FetchError(FailureReason.NO_IMAGE_SOURCE, Stage.FETCH, "there is no place to fetch the photo from")


def _mirror_name(photo: PhotoRef) -> str:
    if _HASH.fullmatch(photo.hash):
        return photo.hash
    return mirror_key(photo.download_url) if photo.download_url else ""


@functools.cache
def _indexed(spec: str) -> tuple[ImageFiles, ImageIndex]:
    files = open_image_files(spec)
    return files, ImageIndex(files)


def _too_large(max_bytes: int) -> FetchError:
    return FetchError(FailureReason.TOO_LARGE, Stage.FETCH, f"more than --max_image_bytes {max_bytes}")
