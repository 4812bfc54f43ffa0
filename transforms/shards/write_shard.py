"""All files of one shard, from its rows and what the image step made of them."""

import collections
import pathlib
import pickle
import typing

import pyarrow as pa

from schemas import layout
from schemas.annotations import MAPPED_COLUMNS
from schemas.failures import FAILURE_SCHEMA, Failure, FailureReason, failure_columns
from schemas.photo_ids import key
from schemas.records import CommitRecord, FileDigest, rows_digest
from schemas.rows import ROW_SCHEMA
from schemas.sample_members import AddedMembers, added_columns
from schemas.samples import IMAGE_COLUMNS, SAMPLE_SCHEMA, caption, image_extensions, sample_json, sidecar_schema
from transforms.files.file_digest import file_digest
from transforms.shards.added_members import added_members
from transforms.shards.image_spool import ImageSpool, SpoolPlace
from transforms.shards.staged_tables import made_path, write_parquet
from transforms.shards.tar_shard import PlacedSample, dali_index, write_tar
from transforms.shards.write_videos import SpooledVideo, write_videos

_ROWS_AT_A_TIME = 500

Format = typing.Mapping[str, typing.Any]
"""The ``format`` of the plan."""

Members = tuple[tuple[str, bytes], ...]


class ShardRows(typing.NamedTuple):
    """The rows that one shard is made from.

    Attributes:
        shard: its number.
        table: all rows, :data:`schemas.rows.ROW_SCHEMA`, in KEY order.
        file: size and SHA-256 of the rows file that holds them.
    """

    shard: int
    table: pa.Table
    file: FileDigest


class SpooledImage(typing.NamedTuple):
    """The written images of one photo.

    Attributes:
        row: index into the shard's rows.
        columns: a value for each of :data:`schemas.samples.IMAGE_COLUMNS` but ``key``, and for those of added members.
        places: where in the spool the bytes of each size lie.
        annotations: where in the spool a pickled dict lies: :data:`schemas.annotations.MAPPED_COLUMNS` of the sample.
            None if they are those of the row.
    """

    row: int
    columns: typing.Mapping[str, typing.Any]
    places: typing.Sequence[SpoolPlace]
    annotations: SpoolPlace | None = None


def write_shard(
    rows: ShardRows,
    images: typing.Iterable[SpooledImage],
    failures: typing.Iterable[Failure],
    spool: ImageSpool,
    staging: pathlib.Path,
    plan_format: Format,
    videos: typing.Iterable[SpooledVideo] = (),
    added: AddedMembers | None = None,
) -> CommitRecord:
    """Writes the files of a shard, all but its rows, into a local directory.

    Equal rows, images, videos and failures give equal bytes, in whatever order they come. A shard without
    samples and videos gets failures alone. Nothing is published: the caller moves the files to the same names
    in the dataset, and writes the commit record last.

    Args:
        rows: the shard's rows.
        images: one for each photo that has an image, in any order.
        failures: one for each other photo, in any order.
        spool: holds the bytes of the images.
        staging: local directory; the files get their final names below it.
        plan_format: names the images' format and their sizes, in the order of the images.
        videos: one for each row that has a video, in any order.
        added: members of each sample behind its images, JSON and text.

    Returns:
        The commit record; its ``files`` are those written, and the rows.

    Raises:
        ValueError: the rows are not in KEY order, or a row has not exactly one image of each size, video or failure.
    """
    images, videos = sorted(images, key=lambda image: image.row), sorted(videos)
    keys = _checked_keys(rows)
    failures = sorted(failures, key=lambda failure: key(failure.photo_id))
    _check_accounted(keys, [*images, *videos], failures)
    name = layout.failures_file(rows.shard)
    files = {layout.rows_file(rows.shard): rows.file, name: write_parquet(failures_table(failures), staging / name)}
    if images:
        samples, further_sizes = _sample_table(rows.table, keys, images, spool), plan_format["image_size"][1:]
        extensions = image_extensions(plan_format["format"], further_sizes)
        members = _tar_samples(samples, images, spool, extensions, added)
        beside = [pa.array([i.columns[column.name] for i in images], column.type) for column in added_columns(added)]
        schema = sidecar_schema(further_sizes, added)
        files |= _write_samples(rows.shard, staging, samples, members, beside, schema, len(extensions))
    if videos:
        files |= write_videos(rows.shard, rows.table, videos, staging)
    return CommitRecord(
        shard=rows.shard,
        rows=len(keys),
        samples=len(images),
        failed=len(failures),
        failures_by_reason=dict(collections.Counter(f.reason.value for f in failures)),
        rows_digest=rows_digest(rows.file.sha256, plan_format),
        files=files,
        videos=len(videos),
        failed_videos=count_failed_videos(rows.table, failures),
        added=added if images else None,
    )


def count_failed_videos(rows: pa.Table, failures: typing.Iterable[Failure]) -> int:
    """Counts the failures that are of videos, of which ``is_video`` is no failure but says that none were asked for."""
    videos = set(rows.filter(rows["is_video"])["photo_id"].to_pylist())
    return sum(f.photo_id in videos and f.reason is not FailureReason.IS_VIDEO for f in failures)


def failures_table(failures: typing.Iterable[Failure]) -> pa.Table:
    """Returns failures as a table of :data:`schemas.failures.FAILURE_SCHEMA`, in the order given."""
    return pa.Table.from_pylist([failure_columns(f, key(f.photo_id)) for f in failures], FAILURE_SCHEMA)


def sample_members(sample: typing.Mapping[str, typing.Any]) -> Members:
    """Returns the members that stand beside a sample's images: its JSON and its caption."""
    return ("json", sample_json(sample)), ("txt", caption(sample).encode("utf-8"))


def in_key_order(keys: typing.Sequence[str]) -> bool:
    """Tells whether keys are unique and sorted."""
    return all(a < b for a, b in zip(keys, keys[1:], strict=False))


def _checked_keys(rows: ShardRows) -> list[str]:
    if not rows.table.schema.equals(ROW_SCHEMA):
        raise ValueError(f"shard {rows.shard}: the rows are not of ROW_SCHEMA")
    keys = [key(photo_id) for photo_id in rows.table["photo_id"].to_pylist()]
    if not in_key_order(keys):
        raise ValueError(f"shard {rows.shard}: the rows are not unique and in KEY order")
    return keys


def _check_accounted(
    keys: typing.Sequence[str], found: typing.Sequence[SpooledImage | SpooledVideo], failures: typing.Sequence[Failure]
) -> None:
    """Checks that each row has one image, one video or one failure."""
    results = collections.Counter(keys[image_or_video.row] for image_or_video in found)
    results.update(key(failure.photo_id) for failure in failures)
    wrong = sorted(k for k in results.keys() | set(keys) if results[k] != 1) + sorted(results.keys() - set(keys))
    if wrong:
        raise ValueError(
            f"{len(wrong)} photos have not exactly one row and one result, the first is {wrong[0]}: "
            f"{len(keys)} rows, {len(found)} images and videos, {len(failures)} failures"
        )


def _sample_table(
    rows: pa.Table, keys: typing.Sequence[str], images: typing.Sequence[SpooledImage], spool: ImageSpool
) -> pa.Table:
    """Returns the samples, :data:`schemas.samples.SAMPLE_SCHEMA`: the rows of the images and what is known of each."""
    taken = rows.take([image.row for image in images])
    if any(image.annotations for image in images):
        mapped = _mapped_columns(taken, images, spool)
        taken = pa.table([mapped.get(name, taken[name]) for name in taken.column_names], taken.schema)
    columns = taken.columns
    for column in IMAGE_COLUMNS:
        values = [keys[i.row] for i in images] if column.name == "key" else [i.columns[column.name] for i in images]
        columns.append(pa.array(values, column.type))
    return pa.table(columns, SAMPLE_SCHEMA)


def _mapped_columns(
    rows: pa.Table, images: typing.Sequence[SpooledImage], spool: ImageSpool
) -> dict[str, pa.ChunkedArray]:
    """Returns the columns that are not the rows', some images at a time: as Python values they are large."""
    columns: dict[str, list[pa.Array]] = {name: [] for name in MAPPED_COLUMNS}
    for begin in range(0, len(images), _ROWS_AT_A_TIME):
        some = images[begin : begin + _ROWS_AT_A_TIME]
        lists = [pickle.loads(spool.read(image.annotations)) if image.annotations else None for image in some]
        for name, arrays in columns.items():
            values = [rows[name][begin + i].as_py() if of is None else of[name] for i, of in enumerate(lists)]
            arrays.append(pa.array(values, rows.schema.field(name).type))
    return {name: pa.chunked_array(arrays) for name, arrays in columns.items()}


def _tar_samples(
    samples: pa.Table,
    images: typing.Iterable[SpooledImage],
    spool: ImageSpool,
    extensions: typing.Sequence[str],
    added: AddedMembers | None,
) -> typing.Iterator[tuple[str, Members]]:
    rows = (row for batch in samples.to_batches(_ROWS_AT_A_TIME) for row in batch.to_pylist())
    for sample, image in zip(rows, images, strict=True):
        pictures = zip(extensions, map(spool.read, image.places), strict=True)
        yield sample["key"], (*pictures, *sample_members(sample), *added_members(added, image.columns))


def _write_samples(
    shard: int,
    staging: pathlib.Path,
    samples: pa.Table,
    members: typing.Iterable[tuple[str, Members]],
    beside: typing.Iterable[pa.Array],
    schema: pa.Schema,
    images: int,
) -> dict[str, FileDigest]:
    """Writes the tar, its sidecar and its DALI index; returns their digests."""
    tar = write_tar(made_path(staging / layout.tar_file(shard)), members)
    sidecar = pa.table([*samples.columns, *_placements(tar.samples, images), *beside], schema)
    idx_path = made_path(staging / layout.idx_file(shard))
    idx_path.write_bytes(dali_index(tar.samples))
    return {
        layout.tar_file(shard): FileDigest(tar.bytes, tar.sha256),
        layout.sidecar_file(shard): write_parquet(sidecar, staging / layout.sidecar_file(shard)),
        layout.idx_file(shard): file_digest(idx_path),
    }


def _placements(samples: typing.Sequence[PlacedSample], images: int) -> typing.Iterator[pa.Array]:
    """Yields the offsets and the sizes of each image; they are the first members of their samples."""
    for place in range(images):
        yield pa.array([s.members[place].offset for s in samples], pa.int64())
        yield pa.array([s.members[place].size for s in samples], pa.int64())
