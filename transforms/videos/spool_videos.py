"""Videos of a committed shard, read back into local files, from which they can be written again."""

import pathlib
import typing

import pyarrow as pa

from schemas import layout
from schemas.records import CommitRecord, FileDigest
from schemas.videos import EXTENSION
from transforms.shards.read_shard import open_committed_tar, read_committed
from transforms.shards.tar_shard import tar_entries
from transforms.shards.write_videos import SpooledVideo
from transforms.stores.dataset_files import DatasetFiles


def spooled_path(staging: pathlib.Path, key: str) -> pathlib.Path:
    """Returns where a video waits until its shard is written; the folder is there."""
    folder = staging / "videos_spooled"
    folder.mkdir(exist_ok=True)
    return folder / f"{key}.{EXTENSION}"


def spool_videos(
    dataset: DatasetFiles, commit: CommitRecord, rows: pa.Table, staging: pathlib.Path
) -> list[SpooledVideo]:
    """Reads the videos that are among some rows, each into a file of its own.

    The tar is read once from begin to end, since only that tells whether it is whole.

    Args:
        dataset: holds the shard.
        commit: of the shard.
        rows: to which :attr:`SpooledVideo.row` leads.
        staging: local folder for the files.

    Raises:
        DamagedShardError: a file is not the one that was committed.
    """
    if not commit.videos:
        return []
    places = {photo_id: row for row, photo_id in enumerate(rows["photo_id"].to_pylist())}
    sidecar = read_committed(dataset, commit, layout.video_sidecar_file(commit.shard))
    about = sidecar.select(["photo_id", "key", "video_bytes", "sha256", "fetched_from"]).to_pylist()
    kept = {video["key"]: video for video in about if video["photo_id"] in places}
    _extract(dataset, commit, {key: spooled_path(staging, key) for key in kept})
    return [
        SpooledVideo(
            places[video["photo_id"]],
            spooled_path(staging, key),
            FileDigest(video["video_bytes"], video["sha256"]),
            video["fetched_from"],
        )
        for key, video in kept.items()
    ]


def _extract(dataset: DatasetFiles, commit: CommitRecord, paths: typing.Mapping[str, pathlib.Path]) -> None:
    """Copies members of the tar of videos into files, piece by piece."""
    with open_committed_tar(dataset, commit, layout.video_tar_file(commit.shard)) as tar:
        for entry in tar_entries(tar):
            key, _, extension = entry.name.partition(".")
            if key in paths and extension == EXTENSION:
                with open(paths[key], "wb") as out:
                    out.writelines(entry.chunks())
