"""The tar of a shard's videos, its sidecar and its index, from local files. No video is ever whole in memory."""

import pathlib
import typing

import pyarrow as pa

from schemas import layout
from schemas.photo_ids import key
from schemas.records import FileDigest
from schemas.samples import caption
from schemas.videos import EXTENSION, VIDEO_COLUMNS, VIDEO_SIDECAR_SCHEMA, video_json
from transforms.files.file_digest import file_digest
from transforms.shards.staged_tables import made_path, write_parquet
from transforms.shards.tar_shard import Data, PlacedSample, dali_index, write_tar

Members = tuple[tuple[str, Data], ...]


class SpooledVideo(typing.NamedTuple):
    """The file of one video.

    Attributes:
        row: index into the shard's rows.
        path: a local file.
        digest: of it.
        fetched_from: kind of place it came from.
    """

    row: int
    path: pathlib.Path
    digest: FileDigest
    fetched_from: str


def write_videos(
    shard: int, rows: pa.Table, videos: typing.Sequence[SpooledVideo], staging: pathlib.Path
) -> dict[str, FileDigest]:
    """Writes the files of a shard's videos.

    Args:
        shard: its number.
        rows: all rows of the shard.
        videos: at least one, in order of the rows.
        staging: local directory; the files get their final names below it.

    Returns:
        Their digests, by name.
    """
    table = _video_table(rows, videos)
    tar = write_tar(made_path(staging / layout.video_tar_file(shard)), _samples(table, videos))
    offsets = pa.array([_place(sample) for sample in tar.samples], pa.int64())
    sidecar = pa.table([*table.columns, offsets], VIDEO_SIDECAR_SCHEMA)
    idx_path = made_path(staging / layout.video_idx_file(shard))
    idx_path.write_bytes(dali_index(tar.samples))
    name = layout.video_sidecar_file(shard)
    return {
        layout.video_tar_file(shard): FileDigest(tar.bytes, tar.sha256),
        name: write_parquet(sidecar, staging / name),
        layout.video_idx_file(shard): file_digest(idx_path),
    }


def video_members(row: typing.Mapping[str, typing.Any]) -> tuple[tuple[str, bytes], ...]:
    """Returns the members that stand beside a video: its JSON and its text."""
    return ("json", video_json(row)), ("txt", caption(row).encode("utf-8"))


def _video_table(rows: pa.Table, videos: typing.Sequence[SpooledVideo]) -> pa.Table:
    taken = rows.take([video.row for video in videos])
    values = {
        "key": [key(photo_id) for photo_id in taken["photo_id"].to_pylist()],
        "video_bytes": [video.digest.bytes for video in videos],
        "sha256": [video.digest.sha256 for video in videos],
        "fetched_from": [video.fetched_from for video in videos],
    }
    about = [pa.array(values[column.name], column.type) for column in VIDEO_COLUMNS]
    return pa.table([*taken.columns, *about], [*taken.column_names, *values])


def _samples(table: pa.Table, videos: typing.Sequence[SpooledVideo]) -> typing.Iterator[tuple[str, Members]]:
    """Yields the samples; a file is removed when it is written, so that a video is on disk hardly twice."""
    for row, video in zip(table.to_pylist(), videos, strict=True):
        yield row["key"], ((EXTENSION, video.path), *video_members(row))
        video.path.unlink()


def _place(sample: PlacedSample) -> int:
    return sample.members[0].offset
