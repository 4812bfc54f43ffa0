"""The videos of one shard: each in a local file of its own until the shard is written."""

import asyncio
import pathlib

import numpy as np
import numpy.typing as npt

from schemas.failures import FailureReason, Stage
from schemas.videos import MAX_VIDEO_BYTES
from transforms.datasets.old_dataset import OldDataset
from transforms.fetch.fetch_error import FetchError
from transforms.fetch.saved_bodies import Saved
from transforms.files.file_digest import file_digest
from transforms.places.photo_refs import PhotoRef
from transforms.shards.write_videos import SpooledVideo
from transforms.videos.check_video import check_video
from transforms.videos.old_videos import OldVideos
from transforms.videos.spool_videos import spooled_path
from transforms.videos.video_mirror import VideoMirror


class ShardVideos:
    """Takes the videos of a shard.

    Args:
        photo_ids: of the videos of the shard.
        mirror: to fetch them from; None if there is none.
        old: dataset that has them; None if they are fetched.
        max_bytes: a larger one is refused.
        staging: local folder for their files.

    Attributes:
        photo_ids: as given.
        found: the videos taken, in order of arrival.
        received_bytes: of all attempts at all videos.
    """

    def __init__(
        self,
        photo_ids: npt.NDArray[np.int64],
        mirror: VideoMirror | None,
        old: OldDataset | None,
        max_bytes: int,
        staging: pathlib.Path,
    ):
        self.photo_ids = frozenset(photo_ids.tolist())
        self._mirror, self._max_bytes, self._staging = mirror, max_bytes, staging
        self._old = OldVideos(old, photo_ids) if old else None
        self.found: list[SpooledVideo] = []
        self.received_bytes = 0

    async def take(self, row: int, video: PhotoRef) -> int:
        """Takes one video; returns how many requests that took.

        Args:
            row: its number in the shard.
            video: it.

        Raises:
            PhotoError: as :func:`transforms.fetch.http_fetch.fetch_bytes` and
                :func:`transforms.videos.check_video.check_video`.
            OutputError: its file cannot be written, or the old dataset is damaged.
        """
        path = spooled_path(self._staging, video.key)
        if self._old:
            self.found.append(await asyncio.to_thread(self._old.copy, row, video.photo_id, path))
            return 0
        try:
            attempts, fetched_from = await self._fetch(video, path)
            await asyncio.to_thread(check_video, path)
            digest = await asyncio.to_thread(file_digest, path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        self.found.append(SpooledVideo(row, path, digest, fetched_from))
        return attempts

    async def _fetch(self, video: PhotoRef, path: pathlib.Path) -> tuple[int, str]:
        saved = Saved(path, self._max_bytes, MAX_VIDEO_BYTES, self._note)
        fetched = await self._mirror.fetch(video, saved) if self._mirror else None
        if fetched is None or self._mirror is None:
            raise FetchError(FailureReason.NO_IMAGE_SOURCE, Stage.FETCH, "there is no place to fetch the video from")
        return fetched.attempts, self._mirror.kind

    def _note(self, received_bytes: int) -> None:
        self.received_bytes += received_bytes
