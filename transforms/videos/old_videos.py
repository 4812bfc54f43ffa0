"""The videos that a dataset takes of the one that it is made from, byte for byte."""

import pathlib
import typing

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas import layout
from schemas.photo_ids import hash64, key, shards_of
from schemas.records import FileDigest
from transforms.datasets.old_dataset import OldDataset
from transforms.files.file_digest import file_digest
from transforms.shards.write_videos import SpooledVideo
from transforms.stores.dataset_files import unreadable

READ_BYTES = 8 << 20
_COLUMNS = ["photo_id", "video_offset", "video_bytes", "sha256", "fetched_from"]


class OldVideos:
    """What an old dataset has of some videos: where each lies, and what it is.

    Args:
        old: the dataset.
        photo_ids: of the videos.

    Raises:
        OutputError: a file is missing or damaged.
    """

    def __init__(self, old: OldDataset, photo_ids: npt.NDArray[np.int64]):
        self._old = old
        self._videos: dict[int, dict[str, typing.Any]] = {}
        for shard in np.unique(shards_of(hash64(photo_ids), old.shards)).tolist():
            commit, name = old.commit(shard), layout.video_sidecar_file(shard)
            if commit.videos:
                table = old.table(name, commit.files[name], _COLUMNS)
                wanted = table.filter(pc.is_in(table["photo_id"], pa.array(photo_ids)))
                self._videos |= {row["photo_id"]: {**row, "shard": shard} for row in wanted.to_pylist()}

    def copy(self, row: int, photo_id: int, path: pathlib.Path) -> SpooledVideo:
        """Copies a video into a local file.

        Args:
            row: of it in its new shard.
            photo_id: of it; the old dataset has it.
            path: of the file.

        Raises:
            OutputError: the tar is not what was written.
        """
        video = self._videos[photo_id]
        name, begin = layout.video_tar_file(video["shard"]), video["video_offset"]
        end = begin + video["video_bytes"]
        with open(path, "wb") as out:
            for offset in range(begin, end, READ_BYTES):
                out.write(self._read(name, offset, min(READ_BYTES, end - offset)))
        digest = file_digest(path)
        if digest != FileDigest(video["video_bytes"], video["sha256"]):
            raise self._old.damaged(name, f"the video of {key(photo_id)} has changed")
        return SpooledVideo(row, path, digest, video["fetched_from"])

    def _read(self, name: str, offset: int, size_bytes: int) -> bytes:
        try:
            return self._old.files.read_range(name, offset, size_bytes)
        except OSError as error:
            raise self._old.damaged(name, unreadable(error)) from error
