"""Shards of videos alone: written, read back into files, and checked where every hash fits."""

import dataclasses
import pathlib
import typing

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas import layout
from schemas.photo_ids import key
from schemas.records import CommitRecord
from schemas.rows import ROW_SCHEMA
from tests.factories import make_failure, make_row
from tests.small_videos import small_mp4
from transforms.files.file_digest import file_digest
from transforms.shards.image_spool import ImageSpool
from transforms.shards.read_shard import DamagedShardError
from transforms.shards.write_shard import ShardRows, write_shard
from transforms.shards.write_videos import SpooledVideo
from transforms.stores.dataset_files import DatasetFiles, Fault
from transforms.verify.verify_shard import verify_shard
from transforms.videos.spool_videos import spool_videos, spooled_path

IDS = (3, 4, 5, 8)
FAILED = 8
TAR, SIDECAR = layout.video_tar_file(0), layout.video_sidecar_file(0)

Change = typing.Callable[[pathlib.Path], None]


def make_shard(root: pathlib.Path, backwards: bool = False) -> CommitRecord:
    rows = pa.Table.from_pylist([{**make_row(i), "is_video": True} for i in IDS], ROW_SCHEMA)
    (root / "rows").mkdir(parents=True)
    pq.write_table(rows, root / layout.rows_file(0))
    videos = []
    for row, photo_id in enumerate(IDS[:-1]):
        path = spooled_path(root, key(photo_id))
        path.write_bytes(small_mp4(photo_id, 300_000 * photo_id))
        videos.append(SpooledVideo(row, path, file_digest(path), "mirror"))
    content = ShardRows(0, rows, file_digest(root / layout.rows_file(0)))
    videos = videos[::-1] if backwards else videos
    with ImageSpool(root / "spool") as spool:
        return write_shard(content, [], [make_failure(FAILED)], spool, root, {"image_size": [32]}, videos=videos)


def faults_of(root: pathlib.Path, commit: CommitRecord) -> list[Fault]:
    return verify_shard(DatasetFiles(str(root)), commit, 1, [32])


def resealed(root: pathlib.Path, commit: CommitRecord, name: str) -> CommitRecord:
    return dataclasses.replace(commit, files={**commit.files, name: file_digest(root / name)})


def test_a_shard_of_videos_alone_has_their_files_and_no_others(tmp_path: pathlib.Path) -> None:
    commit = make_shard(tmp_path)
    assert (commit.rows, commit.samples, commit.videos, commit.failed, commit.failed_videos) == (4, 0, 3, 1, 1)
    assert set(commit.files) == {layout.rows_file(0), *layout.shard_files(0, 0, 3)}
    assert make_shard(tmp_path / "again", backwards=True) == commit
    assert not list(tmp_path.glob("videos_spooled/*"))
    assert faults_of(tmp_path, commit) == []


def test_videos_come_back_as_they_were(tmp_path: pathlib.Path) -> None:
    commit = make_shard(tmp_path)
    rows = pq.read_table(tmp_path / layout.rows_file(0)).slice(1)
    back = spool_videos(DatasetFiles(str(tmp_path)), commit, rows, tmp_path)
    assert [(video.row, video.fetched_from) for video in back] == [(0, "mirror"), (1, "mirror")]
    assert [video.path.read_bytes() for video in back] == [small_mp4(i, 300_000 * i) for i in (4, 5)]
    assert [video.digest for video in back] == [file_digest(video.path) for video in back]


def test_videos_of_a_damaged_tar_do_not_come_back(tmp_path: pathlib.Path) -> None:
    commit, rows = make_shard(tmp_path), pq.read_table(tmp_path / layout.rows_file(0))
    _change_byte(tmp_path / TAR, 400_000)
    with pytest.raises(DamagedShardError, match=f"{TAR} is damaged or was replaced"):
        spool_videos(DatasetFiles(str(tmp_path)), commit, rows, tmp_path)


def _change_byte(path: pathlib.Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def _change_column(name: str, value: typing.Any) -> Change:
    """Returns what changes a value of the first row of a table."""

    def change(path: pathlib.Path) -> None:
        table = pq.read_table(path)
        place, field = table.schema.get_field_index(name), table.schema.field(name)
        values = [value, *table[name].to_pylist()[1:]]
        pq.write_table(table.set_column(place, field, pa.array(values, field.type)), path)

    return change


@pytest.mark.parametrize(
    ("name", "change", "problem"),
    [
        (TAR, lambda path: _change_byte(path, 400_000), "video 000000000003: its SHA-256 is not that of the sidecar"),
        (TAR, lambda path: _change_byte(path, 1), "at byte 0 is not plain USTAR"),
        (SIDECAR, _change_column("video_offset", 511), "video_offset and video_bytes do not point to it"),
        (SIDECAR, _change_column("sha256", "ab"), "its SHA-256 is not that of the sidecar's row"),
        (SIDECAR, _change_column("title", "another"), "its JSON is not that of the sidecar's row"),
        (SIDECAR, _change_column("title", "another"), "it does not repeat the rows in title"),
        (SIDECAR, _change_column("is_video", False), "it has photos that are no videos"),
        (SIDECAR, _change_column("photo_id", 4), "its samples are not unique and in KEY order"),
        (layout.video_idx_file(0), lambda path: path.write_text("v1.2 0\n"), "it is not the index of the tar"),
    ],
)  # fmt: skip
def test_what_no_hash_tells_is_found(tmp_path: pathlib.Path, name: str, change: Change, problem: str) -> None:
    commit = make_shard(tmp_path)
    change(tmp_path / name)
    assert problem in "; ".join(fault.problem for fault in faults_of(tmp_path, resealed(tmp_path, commit, name)))


def test_a_miscounted_failure_is_found(tmp_path: pathlib.Path) -> None:
    commit = dataclasses.replace(make_shard(tmp_path), failed_videos=0)
    problems = [fault.problem for fault in faults_of(tmp_path, commit)]
    assert problems == ["it has 1 failed videos, the commit record says 0"]
