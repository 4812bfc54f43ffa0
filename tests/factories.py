"""Small but whole things to test with: rows, JPEGs, and a dataset made as the main job makes it."""

import datetime
import hashlib
import io
import pathlib
import typing

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from schemas import layout
from schemas.annotations import ANNOTATION_COLUMNS, SOURCE_IMAGE_COLUMNS
from schemas.failures import INPUT_FAILURE_SCHEMA, Failure, FailureReason, Stage, failure_columns
from schemas.photo_ids import hash64, key, key_order, shards_of
from schemas.records import (
    CommitRecord,
    FileDigest,
    Manifest,
    Plan,
    PlanInput,
    PlanRows,
    manifest_shard,
    root_hash_of,
    rows_digest,
    totals_of,
)
from schemas.rows import ROW_SCHEMA
from transforms.shards.image_spool import ImageSpool
from transforms.shards.tar_shard import IndexedTar, wids_index
from transforms.shards.write_shard import ShardRows, SpooledImage, file_digest, write_shard

FORMAT = {"base": "yfcc", "samples_per_shard": 8, "image_size": [32], "format": "jpg"}
PHOTO_IDS = [*range(6_985_418_911, 6_985_418_931), 7, 999_999_999_999, 2**62 + 5]
SHARDS = 3
PACKS = ("dataset", "autotags")


def make_row(photo_id: int) -> dict[str, typing.Any]:
    """A row that is empty where the id is even, and odd where it is odd."""
    empty = photo_id % 2 == 0
    download_url = f"http://farm8.staticflickr.com/7205/{photo_id}_df7747990d.jpg"
    return {
        "photo_id": photo_id,
        "id_source": "flickr",
        "sources": ["yfcc"],
        "line_number": photo_id % 1000 if empty else -1,
        "hash": hashlib.md5(download_url.encode()).hexdigest(),
        "user_id": "39089491@N00",
        "user_nickname": None if empty else "nick name",
        "date_taken": None if empty else datetime.datetime(4501, 1, 1, 9, 56, 37),
        "date_uploaded": datetime.datetime(2012, 3, 16, 9, 56, 37),
        "capture_device": None if empty else "Canon EOS 5D",
        "title": None if photo_id % 3 == 0 else f"Grüße, 世界 & <b>{photo_id}</b>",
        "description": None if empty else "Zeile 1\nZeile 2\t🙂",
        "user_tags": [] if empty else ["dune", "a,b", "ñ"],
        "machine_tags": [] if empty else ["geo:lat=1.5"],
        "longitude": None if empty else 1e-05,
        "latitude": None if empty else -33.0,
        "accuracy": None if empty else 16,
        "page_url": f"http://www.flickr.com/photos/39089491@N00/{photo_id}/",
        "download_url": download_url,
        "license_name": "Attribution License",
        "license_url": "http://creativecommons.org/licenses/by/2.0/",
        "server_id": 7205,
        "farm_id": 8,
        "secret": "df7747990d",
        "secret_original": "692d7e0a7f",
        "extension": "jpg",
        "is_video": False,
        "autotags": [] if empty else [{"name": "fog", "score": 0.861}, {"name": "outdoor", "score": 1.0}],
        "exif": [] if empty else [{"tag": "Exif SubIFD.Focal Length", "value": "50.0 mm"}],
        "places": [] if empty else [{"woeid": 23424803, "name": "Ireland", "type": "Country"}],
        **{c.name: [] for c in ANNOTATION_COLUMNS},
        **{c.name: None for c in SOURCE_IMAGE_COLUMNS},
        "warnings": [] if empty else ["date_taken"],
    }


def make_rows(photo_ids: typing.Iterable[int]) -> pa.Table:
    """Rows in KEY order."""
    ids = np.array(list(photo_ids), np.int64)
    return pa.Table.from_pylist([make_row(i) for i in ids[key_order(ids)].tolist()], ROW_SCHEMA)


def make_jpeg(photo_id: int, width: int = 32, height: int = 24) -> bytes:
    """A picture of one colour; equal calls give equal bytes."""
    out = io.BytesIO()
    Image.new("RGB", (width, height), (photo_id % 256, photo_id // 7 % 256, 99)).save(out, "JPEG", quality=90)
    return out.getvalue()


def image_columns(image: bytes, further_sizes: typing.Iterable[int] = ()) -> dict[str, typing.Any]:
    """What the image step says of a picture of 32 x 24 px, and of others that are wider."""
    return {
        "width": 32,
        "height": 24,
        "original_width": 64,
        "original_height": 48,
        "original_format": "jpeg",
        "original_bytes": len(image),
        "sha256": hashlib.sha256(image).hexdigest(),
        "fetched_from": "mirror",
        "orientation": 1,
        "transforms": [
            {
                "source": "yfcc",
                "image_id": None,
                "units": "pixels",
                "size": width,
                "matrix": [width / 64, 0.0, 0.0, 0.0, width / 64, 0.0],
            }
            for width in (32, *further_sizes)
        ],
    }


def format_of(further_sizes: typing.Iterable[int] = ()) -> dict[str, typing.Any]:
    """The plan's format for images of 32 px and of further sizes."""
    return {**FORMAT, "image_size": [32, *further_sizes]}


def make_failure(photo_id: int) -> Failure:
    """A photo that is gone."""
    return Failure(photo_id, FailureReason.NOT_FOUND, Stage.FETCH, 404, "https://mirror/a.jpg", "HTTP 404")


def stage_shard(
    shard: int,
    rows: pa.Table,
    staging: pathlib.Path,
    failed: typing.Container[int] = (),
    backwards: bool = False,
    further_sizes: typing.Sequence[int] = (),
) -> CommitRecord:
    """Writes a shard's rows and files into ``staging``, as the main job does; images arrive in some order.

    Further sizes are widths, multiples of 4.
    """
    staging.mkdir(parents=True, exist_ok=True)
    rows_path = staging / layout.rows_file(shard)
    rows_path.parent.mkdir(exist_ok=True)
    pq.write_table(rows, rows_path)
    ids = rows["photo_id"].to_pylist()
    indices = [i for i, photo_id in enumerate(ids) if photo_id not in failed]
    if backwards:
        indices.reverse()
    with ImageSpool(staging / f"spool-{shard}") as spool:
        images = []
        for i in indices:
            jpeg = make_jpeg(ids[i])
            further = [spool.append(make_jpeg(ids[i], width, width * 3 // 4)) for width in further_sizes]
            images.append(SpooledImage(i, image_columns(jpeg, further_sizes), [spool.append(jpeg), *further]))
        failures = [make_failure(photo_id) for photo_id in ids if photo_id in failed]
        content = ShardRows(shard, rows, file_digest(rows_path))
        return write_shard(content, images, failures, spool, staging, format_of(further_sizes))


def make_dataset(
    root: pathlib.Path,
    further_sizes: typing.Sequence[int] = (),
    photo_ids: typing.Sequence[int] = PHOTO_IDS,
    shards: int = SHARDS,
    failed: typing.Container[int] | None = None,
) -> pathlib.Path:
    """A whole dataset, by default of three shards: with samples alone, with samples and failures, with failures alone.

    Args:
        root: where it goes.
        further_sizes: see :func:`stage_shard`.
        photo_ids: its photos.
        shards: how many.
        failed: photos that are failures, instead of those two and those of the third shard.
    """
    ids = np.array(photo_ids, np.int64)
    shard_of = shards_of(hash64(ids), shards)
    commits = []
    for shard in range(shards):
        own = sorted(ids[shard_of == shard].tolist(), key=key)
        of_shard = {1: own[:2], 2: own}.get(shard, []) if failed is None else failed
        commits.append(stage_shard(shard, make_rows(own), root, of_shard, further_sizes=further_sizes))
    write_input_failures(root)
    write_records(root, commits, format=format_of(further_sizes))
    return root


def write_records(root: pathlib.Path, commits: typing.Sequence[CommitRecord], **plan_changes: typing.Any) -> None:
    """Writes plan, commit records, shard index and manifest."""
    rows = sum(c.rows for c in commits)
    counts = {
        "input_lines": rows + 6,
        "rows": rows,
        "removed_by_filters": 3,
        "collapsed_lines": 2,
        "input_failures": 1,
        "autotags_failures": 1,
    }
    plan_values = {
        "selection": {"where": None},
        "format": FORMAT,
        "inputs": [PlanInput(f"/in/yfcc100m_{pack}", f"yfcc/{pack}", 1000, "mtime 1") for pack in PACKS],
        "shards": len(commits),
        "counts": counts,
        "rows": [PlanRows(c.shard, c.rows, c.files[layout.rows_file(c.shard)].sha256) for c in commits],
    }
    _write(root / layout.PLAN, Plan(**{**plan_values, **plan_changes}).to_json())
    for commit in commits:
        _write(root / layout.commit_file(commit.shard), commit.to_json())
    index = wids_index(
        IndexedTar(name.rpartition("/")[2], c.samples, c.files[name].bytes)
        for c, name in ((c, layout.tar_file(c.shard)) for c in commits if c.samples)
    )
    _write(root / layout.SHARD_INDEX, index)
    write_manifest(root, commits, counts)


def write_manifest(root: pathlib.Path, commits: typing.Sequence[CommitRecord], counts: dict[str, int]) -> None:
    """Writes a manifest that fits the files as they are."""
    files = {name: file_digest(root / name) for name in (layout.SHARD_INDEX, layout.INPUT_FAILURES)}
    manifest = Manifest(
        configuration={"image_size": [32]},
        software={"photobeam": "0.1.0"},
        counts=counts,
        shards=[manifest_shard(c) for c in commits],
        files=files,
        totals=totals_of(commits),
        root_hash=root_hash_of(commits, {layout.SHARD_INDEX: files[layout.SHARD_INDEX]}),
        run={"run_id": "r1", "started": 1.5},
    )
    _write(root / layout.MANIFEST, manifest.to_json())


def read_commit(root: pathlib.Path, shard: int) -> CommitRecord:
    """Reads one commit record."""
    name = layout.commit_file(shard)
    return CommitRecord.from_json((root / name).read_bytes(), name)


def reseal(root: pathlib.Path, **changes: typing.Any) -> None:
    """Makes all records fit the files as they are: what is still wrong is inside the files.

    Args:
        root: of the dataset.
        changes: fields to set in the commit record of shard 1.
    """
    format_ = Plan.from_json((root / layout.PLAN).read_bytes(), layout.PLAN).format
    commits = []
    for shard in range(SHARDS):
        old = read_commit(root, shard)
        values = {**vars(old), "files": {name: file_digest(root / name) for name in old.files}}
        rows_file: FileDigest = values["files"][layout.rows_file(shard)]
        values["rows_digest"] = rows_digest(rows_file.sha256, format_)
        commits.append(CommitRecord(**{**values, **(changes if shard == 1 else {})}))
    write_records(root, commits, format=format_)


def write_input_failures(root: pathlib.Path) -> None:
    """Writes two failures of the input: a malformed line and a duplicate."""
    reasons = (FailureReason.MALFORMED_ROW, FailureReason.DUPLICATE_PHOTO_ID)
    rows = [
        {
            **failure_columns(Failure(-1, reason, Stage.READ, detail="3 fields"), None),
            "file": f"/in/yfcc100m_{PACKS[i]}",
            "offset": 12 + i,
            "offset_in_block": None,
            "raw": b"not\ta\tline",
        }
        for i, reason in enumerate(reasons)
    ]
    path = root / layout.INPUT_FAILURES
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, INPUT_FAILURE_SCHEMA), path)


def _write(path: pathlib.Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
