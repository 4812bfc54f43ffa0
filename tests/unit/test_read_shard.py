"""A shard that is read back and written again has the same bytes; one that is damaged is not taken for good."""

import pathlib
import typing

import pyarrow as pa
import pytest

from schemas import layout
from schemas.photo_ids import key
from tests.factories import format_of, make_dataset, read_commit, stage_shard
from transforms.files.file_digest import file_digest
from transforms.files.publish import OutputError
from transforms.shards.image_spool import ImageSpool
from transforms.shards.read_shard import failures_of, read_failures, read_rows, spool_samples
from transforms.shards.write_shard import ShardRows, write_shard
from transforms.stores.output import LocalOutput


def write_copy(root: pathlib.Path, shard: int, staging: pathlib.Path, sizes: typing.Sequence[int] = ()) -> typing.Any:
    output, commit, plan_format = LocalOutput(root), read_commit(root, shard), format_of(sizes)
    rows, failures = read_rows(output, commit), failures_of(read_failures(output, commit))
    staging.mkdir()
    with ImageSpool(staging / "spool") as spool:
        images = spool_samples(output, commit, rows.table, plan_format, spool)
        return write_shard(rows, images, failures, spool, staging, plan_format)


@pytest.mark.parametrize("sizes", [(), (64, 48)])
@pytest.mark.parametrize("shard", [0, 1, 2])
def test_a_shard_written_again_has_the_same_bytes(tmp_path: pathlib.Path, shard: int, sizes: tuple[int, ...]) -> None:
    root = make_dataset(tmp_path / "data", sizes)
    assert write_copy(root, shard, tmp_path / "again", sizes) == read_commit(root, shard)
    for name in layout.shard_files(shard, read_commit(root, shard).samples):
        assert (tmp_path / "again" / name).read_bytes() == (root / name).read_bytes()


def test_a_shard_without_some_of_its_rows_is_as_if_built_so(tmp_path: pathlib.Path) -> None:
    root = make_dataset(tmp_path / "data")
    output, commit = LocalOutput(root), read_commit(root, 1)
    rows = read_rows(output, commit)
    ids = sorted(rows.table["photo_id"].to_pylist(), key=key)
    failed = set(read_failures(output, commit)["photo_id"].to_pylist())
    gone = {min(failed), next(i for i in ids if i not in failed)}
    table = rows.table.filter(pa.array([i not in gone for i in rows.table["photo_id"].to_pylist()]))
    expected = stage_shard(1, table, tmp_path / "fresh", failed - gone)
    kept = [f for f in failures_of(read_failures(output, commit)) if f.photo_id not in gone]
    (tmp_path / "again").mkdir()
    with ImageSpool(tmp_path / "spool") as spool:
        images = spool_samples(output, commit, table, format_of(), spool)
        content = ShardRows(1, table, file_digest(tmp_path / "fresh" / layout.rows_file(1)))
        assert write_shard(content, images, kept, spool, tmp_path / "again", format_of()) == expected


@pytest.mark.parametrize(
    "name", [layout.tar_file(1), layout.sidecar_file(1), layout.rows_file(1), "failures/000001.parquet"]
)
def test_a_damaged_file_is_not_copied(tmp_path: pathlib.Path, name: str) -> None:
    path = make_dataset(tmp_path / "data") / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(OutputError, match=f"{name} is damaged"):
        write_copy(tmp_path / "data", 1, tmp_path / "again")
