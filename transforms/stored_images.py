"""Places of `--images` on servers: prefixes of buckets, zips and tars. Nothing is unpacked."""

import asyncio
import bisect
import contextlib
import dataclasses
import io
import pathlib
import struct
import typing
import zipfile

from schemas.failures import FailureReason, Stage
from transforms.fetch_error import FetchError, damaged, too_large
from transforms.flickr_requests import is_placeholder, placeholder
from transforms.http_fetch import Ask, Fetched, Part, fetch_bytes
from transforms.image_files import (
    DAMAGED,
    ImageFile,
    ImagePlaceError,
    NamedFiles,
    Packed,
    is_zip,
    open_zip,
    tar_members,
    zip_members,
)
from transforms.image_listing import write_listing
from transforms.local_images import IMAGES
from transforms.match_files import match_file
from transforms.object_store import is_store_url, key_url, list_bucket, open_bucket
from transforms.photo_refs import PhotoRef
from transforms.remote_place import FoundCopy, Http
from transforms.request_signers import S3Options
from transforms.store_requests import NoAnswerError, RemoteFile

_FLAG = "--images "
_FOUND = (200, 206)
_PRECONDITION_FAILED = 412
_ZIP_HEADER_BYTES, _ZIP_LENGTHS_AT = 30, 26
"""Of a member's own header, less name and extras; and where the lengths of these two stand in it."""


class StoredImages(typing.NamedTuple):
    """A place on a server that has been listed.

    Attributes:
        spec: as given.
        url: http(s) URL of the archive, or of the bucket.
        is_archive: else it is the prefix of a bucket.
        etag: of the archive; a part is refused if it has another one by then.
        listing: file that :func:`transforms.image_listing.write_listing` made.
    """

    spec: str
    url: str
    is_archive: bool
    etag: str
    listing: pathlib.Path


def is_stored(spec: str) -> bool:
    """Tells whether a value of ``--images`` is on a server that this module reads."""
    return is_store_url(spec) or spec.startswith(("http://", "https://"))


def check_stored(spec: str, options: S3Options) -> None:
    """Opens a place and looks for its first file.

    Raises:
        ImagePlaceError: missing, broken, forbidden or of another kind; names the place and the remedy.
    """
    with _readable(spec):
        if next(_open(spec, options).files, None) is None:
            raise ImagePlaceError(f"{_FLAG}{spec} holds no files: check bucket and prefix")


def list_stored(spec: str, options: S3Options, listing: pathlib.Path) -> StoredImages:
    """Lists all files of a place into a file.

    Raises:
        ImagePlaceError: as :func:`check_stored`.
    """
    with _readable(spec):
        place = _open(spec, options)
        write_listing(listing, place.files)
    return StoredImages(spec, place.url, place.is_archive, place.etag, listing)


class StoredPlace:
    """A place on a server, once it is listed.

    Args:
        images: the place.
        index: its files.
        with_coco: as in :class:`transforms.image_places.PlacesConfig`.
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
        max_bytes = self._http.client.options.max_image_bytes
        if match.file.size_bytes > max_bytes:
            raise too_large(max_bytes)
        fetched = await (self._member(match.file) if self._images.is_archive else self._object(match.file))
        if is_placeholder(fetched.data, from_flickr=False):
            fetched.reservation.release()
            raise placeholder()
        return FoundCopy(fetched, match.source, match.image_id)

    async def _object(self, file: ImageFile) -> Fetched:
        http = self._http
        return await fetch_bytes(http.client, key_url(self._images.url, file.name), http.budget, Ask(sign=http.sign))

    async def _member(self, file: ImageFile) -> Fetched:
        wanted_bytes = file.packed.record_bytes if file.packed else file.size_bytes
        part = Part(file.offset, max(1, wanted_bytes), self._images.etag)
        http = self._http
        try:
            fetched = await fetch_bytes(http.client, self._images.url, http.budget, Ask(sign=http.sign, part=part))
        except FetchError as error:
            if error.http_status == _PRECONDITION_FAILED:
                raise _changed(error.attempts) from error
            raise
        if not file.packed:
            fetched.reservation.shrink(file.size_bytes)
            return _cut(fetched, file.size_bytes)
        fetched.reservation.release()
        reservation = await http.budget.reserve(file.size_bytes)
        with contextlib.ExitStack() as on_failure:
            on_failure.enter_context(reservation)
            data = await asyncio.to_thread(_unpack, fetched.data, file.size_bytes, file.packed)
            on_failure.pop_all()
        return dataclasses.replace(fetched, data=data, reservation=reservation)


class _Opened(typing.NamedTuple):
    url: str
    is_archive: bool
    etag: str
    files: typing.Iterator[ImageFile]


@contextlib.contextmanager
def _readable(spec: str) -> typing.Iterator[None]:
    try:
        yield
    except NoAnswerError as error:
        raise ImagePlaceError(f"{_FLAG}{spec} cannot be read: {error}") from error


def _open(spec: str, options: S3Options) -> _Opened:
    if not is_store_url(spec):
        archive = RemoteFile(spec)
        if archive.answer.status not in _FOUND:
            raise ImagePlaceError(
                f"{_FLAG}{spec} cannot be read (status {archive.answer.status}): give the URL of a zip or tar"
            )
        return _members(spec, spec, archive)
    bucket, key = open_bucket(_FLAG, spec, options)
    if key and not key.endswith("/"):
        url = bucket.key_url(key)
        archive = RemoteFile(url, bucket.signed)
        if archive.answer.status in _FOUND:
            return _members(spec, url, archive)
        key += "/"
    return _Opened(bucket.url, False, "", list_bucket(_FLAG, spec, bucket, key))


def _members(spec: str, url: str, archive: RemoteFile) -> _Opened:
    zipped = is_zip(spec, archive.answer.body)
    if archive.size_bytes < 0:
        raise ImagePlaceError(
            f"{_FLAG}{spec}: the server gives no parts of files, so single images cannot be read: copy the archive "
            "here, or unpack it there"
        )
    files = _zip_files(spec, archive) if zipped else tar_members(spec, archive.buffered())
    return _Opened(url, True, archive.etag, files)


def _zip_files(spec: str, archive: RemoteFile) -> typing.Iterator[ImageFile]:
    with open_zip(spec, archive.buffered()) as opened:
        begins = sorted({info.header_offset for info in opened.infolist()} | {opened.start_dir})
        for info in zip_members(spec, opened):
            begin, longest = info.header_offset, _ZIP_HEADER_BYTES + 2 * 0xFFFF + info.compress_size
            end = begins[bisect.bisect_right(begins, begin)]
            packed = Packed(min(end - begin, longest), info.compress_size, info.compress_type, info.CRC)
            yield ImageFile(info.filename, info.file_size, begin, packed)


def _cut(fetched: Fetched, size_bytes: int) -> Fetched:
    """Returns the member of a tar; of an empty one a byte was asked for, as no request can be for none."""
    if len(fetched.data) < size_bytes:
        fetched.reservation.release()
        raise damaged()
    return dataclasses.replace(fetched, data=fetched.data[:size_bytes])


def _unpack(record: bytes, size_bytes: int, packed: Packed) -> bytes:
    """Returns the file that is in a zip's record: its header, then its data."""
    try:
        lengths = struct.unpack_from("<HH", record, _ZIP_LENGTHS_AT)
        begin = _ZIP_HEADER_BYTES + sum(lengths)
        info = zipfile.ZipInfo()
        info.compress_type, info.compress_size, info.file_size, info.CRC = (
            packed.method, packed.bytes, size_bytes, packed.crc,
        )  # fmt: skip
        data = io.BytesIO(record[begin : begin + packed.bytes])
        return zipfile.ZipExtFile(data, "r", info).read()
    except (*DAMAGED, struct.error) as error:
        raise damaged() from error


def _changed(attempts: int) -> FetchError:
    detail = "the archive of --images is another one than when it was listed"
    error = FetchError(FailureReason.CHECKSUM_MISMATCH, Stage.FETCH, detail, _PRECONDITION_FAILED)
    error.attempts = attempts
    return error
