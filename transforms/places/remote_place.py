"""A place of photos on the net: the copies of one source, on its mirror or on Flickr."""

import contextlib
import hashlib
import typing

from schemas.failures import FailureReason, Stage
from transforms.fetch.byte_budget import ByteBudget
from transforms.fetch.fetch_error import FetchError
from transforms.fetch.flickr_requests import is_placeholder, placeholder
from transforms.fetch.http_client import Admit, HttpClient, admit_all
from transforms.fetch.http_fetch import Ask, Fetched, Sign, fetch_bytes
from transforms.places.photo_refs import PhotoRef
from transforms.places.remote_copies import RemoteCopy, check_hash

MIRROR, FLICKR = "mirror", "flickr"
"""Kinds of places."""


class FoundCopy(typing.NamedTuple):
    """What a place has of a photo: a file, and whose copy of the photo it is."""

    fetched: Fetched
    source: str
    image_id: str


class Http(typing.NamedTuple):
    """What is needed to download, as for :func:`transforms.fetch.http_fetch.fetch_bytes`."""

    client: HttpClient
    budget: ByteBudget
    sign: Sign | None = None


class RemotePlace:
    """Copies of one source over HTTP: on its mirror, or on Flickr.

    Args:
        kind: of place.
        copies_of: gives the URLs at which the place may have a photo.
        http: to download with.
        admit: lets requests through.
    """

    def __init__(
        self, kind: str, copies_of: typing.Callable[[PhotoRef], list[RemoteCopy]], http: Http, admit: Admit = admit_all
    ):
        self.kind, self._copies_of, self._http, self._admit = kind, copies_of, http, admit

    async def fetch(self, photo: PhotoRef) -> FoundCopy | None:
        """Tries the photo's URLs; only a 404 leads to the next."""
        if self._http.client.options.verify_hash:
            check_hash(photo)
        attempts, absent = 0, None
        for copy in self._copies_of(photo):
            try:
                fetched = await self._download(copy)
                fetched.attempts += attempts
                return FoundCopy(fetched, copy.source, copy.image_id)
            except FetchError as error:
                attempts = error.attempts = attempts + error.attempts
                if error.reason is not FailureReason.NOT_FOUND:
                    raise
                absent = error
        if absent:
            raise absent
        return None

    async def _download(self, copy: RemoteCopy) -> Fetched:
        http = self._http
        fetched = await fetch_bytes(http.client, copy.url, http.budget, Ask(self._admit, http.sign))
        with contextlib.ExitStack() as on_failure:
            on_failure.enter_context(fetched)
            if is_placeholder(fetched.data, self.kind == FLICKR):
                raise fetched.failed(placeholder())
            if not _is_as_published(fetched.data, copy):
                detail = "size or md5 is not what the source says"
                raise fetched.failed(FetchError(FailureReason.CHECKSUM_MISMATCH, Stage.FETCH, detail))
            on_failure.pop_all()
        return fetched


def _is_as_published(data: bytes, copy: RemoteCopy) -> bool:
    if copy.size_bytes >= 0 and len(data) != copy.size_bytes:
        return False
    return not copy.md5 or hashlib.md5(data).hexdigest() == copy.md5.lower()
