"""Places of `--images` on servers: prefixes of buckets, zips and tars. Nothing is unpacked."""

import asyncio
import bisect
import contextlib
import typing

import yarl

from schemas.failures import FailureReason, Stage
from transforms.fetch.fetch_error import FetchError, damaged, too_large
from transforms.fetch.fetch_options import FetchOptions
from transforms.fetch.flickr_requests import is_placeholder, placeholder
from transforms.fetch.http_client import REDIRECTS
from transforms.fetch.http_fetch import Ask, Fetched, Part, fetch_bytes
from transforms.files.image_files import (
    DAMAGED,
    ImageFile,
    ImagePlaceError,
    NamedFiles,
    Packed,
    broken_zip,
    images_place,
    is_zip,
    open_zip,
    tar_members,
    zip_members,
)
from transforms.files.url_credentials import without_credentials
from transforms.files.zip_member import MAX_HEADER_BYTES, data_of, unpack
from transforms.places.image_listing import write_listing
from transforms.places.local_images import IMAGES
from transforms.places.match_files import match_file
from transforms.places.photo_refs import PhotoRef
from transforms.places.remote_place import FoundCopy, Http
from transforms.stores.object_store import is_store_url, key_url, list_bucket, open_bucket
from transforms.stores.request_signers import CredentialsError, S3Options
from transforms.stores.scratch import Scratch
from transforms.stores.store_requests import NoAnswerError, RemoteFile

_FOUND = (200, 206)
_PRECONDITION_FAILED = 412


class StoredImages(typing.NamedTuple):
    """A place on a server that has been listed.

    Attributes:
        spec: as given.
        url: http(s) URL of the archive, or of the bucket.
        is_archive: else it is the prefix of a bucket.
        etag: of the archive; a part is refused if it has another one by then.
        scratch: has the listing.
        listing: name of the file that :func:`transforms.places.image_listing.write_listing` made.
    """

    spec: str
    url: str
    is_archive: bool
    etag: str
    scratch: Scratch
    listing: str


def is_stored(spec: str) -> bool:
    """Tells whether a value of ``--images`` is on a server that this module reads."""
    return is_store_url(spec) or spec.startswith(("http://", "https://"))


def check_stored(spec: str, s3: S3Options, options: FetchOptions) -> None:
    """Opens a place and looks for its first file.

    Raises:
        ImagePlaceError: missing, broken, forbidden or of another kind; names the place and the remedy.
    """
    place = images_place(spec)
    with _readable(place):
        if next(_open(place, spec, s3, options).files, None) is None:
            raise ImagePlaceError(f"{place} holds no files: check bucket and prefix")


def list_stored(spec: str, s3: S3Options, options: FetchOptions, scratch: Scratch, listing: str) -> StoredImages:
    """Lists all files of a place into a file.

    Raises:
        ImagePlaceError: as :func:`check_stored`.
        OutputError: the file cannot be written.
    """
    place = images_place(spec)
    with _readable(place):
        opened = _open(place, spec, s3, options)
        with scratch.writing(listing) as path:
            write_listing(path, opened.files)
    return StoredImages(spec, opened.url, opened.is_archive, opened.etag, scratch, listing)


class StoredPlace:
    """A place on a server, once it is listed.

    Args:
        images: the place.
        index: its files.
        with_coco: as in :class:`transforms.places.image_places.PlacesConfig`.
        http: to download with, and to sign.
    """

    kind = IMAGES

    def __init__(self, images: StoredImages, index: NamedFiles, with_coco: bool, http: Http):
        self._images, self._index, self._with_coco, self._http = images, index, with_coco, http

    async def fetch(self, photo: PhotoRef) -> FoundCopy | None:
        """Downloads the file that a name of the photo's matches; ImagePlaceError if two files do."""
        match = match_file(self._index, photo, self._with_coco)
        if match is None:
            return None
        self._check_size(match.file)
        fetched = await (self._part(match.file) if self._images.is_archive else self._object(match.file))
        with contextlib.ExitStack() as on_failure:
            on_failure.enter_context(fetched)
            if self._images.is_archive:
                await _take_file(fetched, match.file)
            if is_placeholder(fetched.data, from_flickr=False):
                raise fetched.failed(placeholder())
            on_failure.pop_all()
        return FoundCopy(fetched, match.source, match.image_id)

    def _check_size(self, file: ImageFile) -> None:
        """Looks at what is downloaded, too."""
        max_bytes = self._http.client.options.max_image_bytes
        record_bytes = file.packed.record_bytes if file.packed else 0
        if max(file.size_bytes, record_bytes - MAX_HEADER_BYTES) > max_bytes:
            raise too_large(max_bytes)

    async def _object(self, file: ImageFile) -> Fetched:
        return await self._fetch(key_url(self._images.url, file.name))

    async def _part(self, file: ImageFile) -> Fetched:
        wanted_bytes = file.packed.record_bytes if file.packed else file.size_bytes
        part = Part(file.offset, max(1, wanted_bytes), self._images.etag, file.size_bytes)
        try:
            return await self._fetch(self._images.url, part)
        except FetchError as error:
            if error.http_status == _PRECONDITION_FAILED:
                raise _changed(error.attempts) from error
            raise

    async def _fetch(self, url: str | yarl.URL, part: Part | None = None) -> Fetched:
        http = self._http
        return await fetch_bytes(http.client, url, http.budget, Ask(sign=http.sign, part=part))


class _Opened(typing.NamedTuple):
    url: str
    is_archive: bool
    etag: str
    files: typing.Iterator[ImageFile]


@contextlib.contextmanager
def _readable(place: str) -> typing.Iterator[None]:
    try:
        yield
    except (CredentialsError, NoAnswerError) as error:
        raise ImagePlaceError(f"{place} cannot be read: {error}") from error


def _open(place: str, spec: str, s3: S3Options, options: FetchOptions) -> _Opened:
    if not is_store_url(spec):
        archive = RemoteFile(spec, options)
        _check_found(place, archive)
        return _members(place, spec, archive)
    bucket, key = open_bucket(place, spec, s3, options)
    if key and not key.endswith("/"):
        url = str(bucket.key_url(key))
        archive = RemoteFile(url, options, bucket.signed)
        if archive.answer.status in _FOUND:
            return _members(place, url, archive)
        key += "/"
    return _Opened(bucket.url, False, "", list_bucket(bucket, key))


def _check_found(place: str, archive: RemoteFile) -> None:
    answer = archive.answer
    if answer.status in REDIRECTS:
        where = without_credentials(answer.headers.get("location", "nowhere"))
        raise ImagePlaceError(
            f"{place} cannot be read (status {answer.status}): it leads to {where}, which may be anywhere: if that is "
            "the archive, name it itself"
        )
    if answer.status not in _FOUND:
        raise ImagePlaceError(f"{place} cannot be read (status {answer.status}): give the URL of a zip or tar")


def _members(place: str, url: str, archive: RemoteFile) -> _Opened:
    zipped = is_zip(place, archive.answer.body)
    if archive.size_bytes < 0:
        raise ImagePlaceError(
            f"{place}: the server gives no parts of files, so single images cannot be read: copy the archive here, or "
            "unpack it there"
        )
    files = _zip_files(place, archive) if zipped else tar_members(place, archive.buffered())
    return _Opened(url, True, archive.etag, files)


def _zip_files(place: str, archive: RemoteFile) -> typing.Iterator[ImageFile]:
    with open_zip(place, archive.buffered()) as opened:
        begins = sorted({info.header_offset for info in opened.infolist()} | {opened.start_dir})
        for info in zip_members(place, opened):
            begin, longest = info.header_offset, MAX_HEADER_BYTES + info.compress_size
            if not 0 <= begin < opened.start_dir:
                raise broken_zip(place, f"a member at byte {begin}, its index at byte {opened.start_dir}")
            end = begins[bisect.bisect_right(begins, begin)]
            packed = Packed(min(end - begin, longest), info.compress_size, info.compress_type, info.CRC)
            yield ImageFile(info.filename, info.file_size, begin, packed)


async def _take_file(fetched: Fetched, file: ImageFile) -> None:
    """Leaves of a part the file that is in it."""
    try:
        fetched.data = await asyncio.to_thread(_unpacked if file.packed else _cut, fetched.data, file)
    except DAMAGED as error:
        raise fetched.failed(damaged()) from error
    fetched.reservation.shrink(file.size_bytes)


def _unpacked(record: bytes, file: ImageFile) -> bytes:
    packed = typing.cast(Packed, file.packed)
    return unpack(data_of(record, packed.bytes), packed.method, file.size_bytes, packed.crc)


def _cut(part: bytes, file: ImageFile) -> bytes:
    """Returns the member of a tar; of an empty one a byte was asked for, as no request can be for none."""
    if len(part) < file.size_bytes:
        raise EOFError
    return part[: file.size_bytes]


def _changed(attempts: int) -> FetchError:
    detail = "the archive of --images is another one than when it was listed"
    error = FetchError(FailureReason.CHECKSUM_MISMATCH, Stage.FETCH, detail, _PRECONDITION_FAILED)
    error.attempts = attempts
    return error
