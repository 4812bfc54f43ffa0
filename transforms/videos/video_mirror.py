"""The place of videos: YFCC's mirror, which has each as an MP4 beside its images."""

from transforms.fetch.http_fetch import Ask, Fetched, fetch_bytes
from transforms.fetch.saved_bodies import Saved
from transforms.places.photo_refs import PhotoRef
from transforms.places.remote_copies import check_hash, video_url
from transforms.places.remote_place import MIRROR, Http


class VideoMirror:
    """YFCC's mirror, for its videos.

    Args:
        root: http(s) URL of the mirror, percent-encoded.
        http: to download with.
    """

    kind = MIRROR

    def __init__(self, root: str, http: Http):
        self._root, self._http = root, http

    async def fetch(self, video: PhotoRef, saved: Saved) -> Fetched | None:
        """Downloads a video into a file; None if its name is not known.

        Raises:
            FetchError: as :func:`transforms.fetch.http_fetch.fetch_bytes`.
            OutputError: the file cannot be written.
        """
        if self._http.client.options.verify_hash:
            check_hash(video)
        url, http = video_url(self._root, video), self._http
        return await fetch_bytes(http.client, url, http.budget, Ask(sign=http.sign, saved=saved)) if url else None
