"""Requests to Flickr itself: to its hosts only, at a modest pace, and never taking its placeholder for a photo."""

import hashlib
import math
import re

import yarl

from schemas.failures import FailureReason, Stage
from transforms.fetch.fetch_error import FetchError
from transforms.fetch.host_limits import HostLimits

REQUESTS_PER_S = 10.0
"""What ``--flickr_fallback`` asks of Flickr at most, redirects and retries included: for the whole job, divided
by its processes. Flickr publishes no limit for its image servers; this is far below what one busy page causes."""

PLACEHOLDER_MD5 = "880a7a58e05d3e83797f27573bb6d35c"
PLACEHOLDER_BYTES = 2_051
"""The PNG that stood for removed photos, with status 200, reached by a redirect to ``photo_unavailable.png``."""

_HOST = re.compile(r"(?:[a-z0-9-]+\.)*(?:static)?flickr\.com")
_PLACEHOLDER_PATH = re.compile(r".*/photo_unavailable[^/]*")
_PNG = b"\x89PNG"


class FlickrGate:
    """Lets requests to Flickr through one by one. For one event loop.

    It begins closed for one interval, so that processes which follow each other keep the pace, too.

    Args:
        requests_per_s: of this process.
    """

    def __init__(self, requests_per_s: float):
        self._limits = HostLimits(1, requests_per_s, math.inf)
        self._is_new = True

    async def admit(self, url: yarl.URL) -> None:
        """Waits for the request's turn.

        Raises:
            FetchError: ``placeholder`` if the URL is the placeholder's; ``invalid_url`` if it is none of Flickr's.
        """
        if _PLACEHOLDER_PATH.fullmatch(url.path):
            raise placeholder()
        if not is_flickr(url):
            raise FetchError(FailureReason.INVALID_URL, Stage.FETCH, "the URL is none of Flickr's")
        if self._is_new:
            self._is_new = False
            await self._pass()
        await self._pass()

    async def _pass(self) -> None:
        with await self._limits.turn("flickr"):
            pass


def is_flickr(url: yarl.URL) -> bool:
    """Tells Flickr's own servers from all else.

    Example:
        >>> is_flickr(yarl.URL("http://farm8.staticflickr.com/7205/1_2.jpg"))
        True
        >>> is_flickr(yarl.URL("http://flickr.com.evil.example/")), is_flickr(yarl.URL("http://flickr.com:22/"))
        (False, False)
    """
    return url.scheme in ("http", "https") and url.is_default_port() and bool(_HOST.fullmatch(url.host or ""))


def is_placeholder(data: bytes, from_flickr: bool) -> bool:
    """Tells Flickr's placeholder: by its md5; straight from Flickr, any PNG of its size is taken for it.

    Args:
        data: a file.
        from_flickr: it was fetched from Flickr just now.
    """
    if len(data) != PLACEHOLDER_BYTES:
        return False
    return (from_flickr and data.startswith(_PNG)) or hashlib.md5(data).hexdigest() == PLACEHOLDER_MD5


def placeholder() -> FetchError:
    """Returns the failure of a photo in whose place there is the placeholder."""
    detail = "Flickr's picture for removed photos is in its place"
    return FetchError(FailureReason.PLACEHOLDER, Stage.FETCH, detail)
