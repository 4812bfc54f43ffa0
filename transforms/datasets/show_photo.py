"""Finds one photo of a dataset by any of its ids, and reads what the dataset has of it.

A photo id is found directly: it decides the shard, and within it the row group. Any other id is
looked for in the rows, one shard after the other, of which only the columns that hold such ids are
read.
"""

import dataclasses
import enum
import re
import typing

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas import layout
from schemas.coco import bare_file_name
from schemas.photo_ids import hash64, shards_of
from schemas.records import Manifest, Plan
from schemas.samples import json_fields
from schemas.sources import Source
from transforms.files.read_parquet import open_parquet
from transforms.stores.dataset_files import DamagedDatasetError, DatasetFiles, no_dataset_error

READ_BYTES = 8 << 20
_MAX_INT64 = 2**63 - 1
_HEX_ID = re.compile(r"[0-9a-fA-F]{16}")
_FLICKR_NAME = re.compile(r"(\d+)_[0-9a-f]+(?:_\w)?\.\w+(?:\.\d+)?")
_COCO_PREFIXES = ("COCO_train2014_", "COCO_val2014_", "COCO_test2014_", "COCO_test2015_")


class IdKind(str, enum.Enum):
    """What an id may be; where several fit, the first that is found counts, in this order."""

    PHOTO_ID = "photo_id"
    COCO_IMAGE_ID = "coco_image_id"
    COCO_ANNOTATION_ID = "coco_annotation_id"
    OPEN_IMAGES_ID = "open_images_id"
    FILE_NAME = "file_name"


class PhotoNotFoundError(Exception):
    """No photo of the dataset has this id; says what it was looked for as."""


class NoPictureError(Exception):
    """The photo is not in a tar; says why."""


@dataclasses.dataclass(frozen=True)
class ShownPhoto:
    """One photo of a dataset.

    Attributes:
        photo_id: of it.
        shard: that it is in.
        found_as: what the id was.
        row: the joined row, or where there is a sample, that: with its image columns and the place of its image in
            the tar; as in the tar's JSON nothing is null.
        is_sample: whether it is a sample.
        failure: why it is none; None if it is one, or is not built yet, or is a video that was taken.
        is_video: whether it is a video that was taken; then the row has what is known of its file, and its place.
    """

    photo_id: int
    shard: int
    found_as: IdKind
    row: dict[str, typing.Any]
    is_sample: bool
    failure: dict[str, typing.Any] | None
    is_video: bool = False


class _Lookup(typing.NamedTuple):
    """An id to look for in the elements of a list column.

    Attributes:
        column: list column of the rows.
        field: of its elements.
        values: any of them will do.
        source: whose elements count; None for all.
    """

    column: str
    field: str
    values: list[typing.Any]
    source: Source | None


def find_photo(dataset: DatasetFiles, text: str, kinds: typing.Container[IdKind] = frozenset(IdKind)) -> ShownPhoto:
    """Finds a photo.

    Args:
        dataset: where.
        text: photo id, KEY, COCO image or annotation id, Open Images id, or the file name of an image.
        kinds: what the id may be.

    Raises:
        NoDatasetError: there is no dataset.
        DamagedDatasetError: a file of it cannot be read.
        PhotoNotFoundError: no photo has it.
    """
    shards = _count_shards(dataset)
    tried = []
    for kind, photo_ids, lookups in _interpretations(text):
        if kind not in kinds:
            continue
        tried += [kind] if kind not in tried else []
        for photo_id in photo_ids:
            found = _read_photo(dataset, photo_id, shards, kind)
            if found:
                return found
        for lookup in lookups:
            owner = _scan(dataset, shards, lookup)
            found = None if owner is None else _read_photo(dataset, owner, shards, kind)
            if found:
                return found
    names = " or ".join(kind.value for kind in tried) or "any of the ids asked for"
    raise PhotoNotFoundError(f"no photo has {text!r} as {names}")


def read_picture(dataset: DatasetFiles, photo: ShownPhoto) -> typing.Iterator[bytes]:
    """Reads the picture of a photo, or a video that was taken, from its range of the tar: a picture by one request.

    Yields:
        The file in pieces of at most 8 MiB.

    Raises:
        NoPictureError: there is none.
        DamagedDatasetError: the tar is shorter than that.
    """
    if not photo.is_sample and not photo.is_video:
        why = f"{photo.failure['reason']}: {photo.failure['detail']}" if photo.failure else "its shard is not built yet"
        raise NoPictureError(f"photo {photo.photo_id} has no picture ({why})")
    kind, tar_file = ("video", layout.video_tar_file) if photo.is_video else ("image", layout.tar_file)
    name, begin = tar_file(photo.shard), photo.row[f"{kind}_offset"]
    end = begin + photo.row[f"{kind}_bytes"]
    for offset in range(begin, end, READ_BYTES):
        size = min(READ_BYTES, end - offset)
        try:
            data = dataset.read_range(name, offset, size)
        except OSError as error:
            raise _damaged(name, error) from error
        if len(data) != size:
            raise _damaged(name, f"it ends before byte {end:,}")
        yield data


def _interpretations(text: str) -> typing.Iterator[tuple[IdKind, list[int], list[_Lookup]]]:
    """Yields what an id may be, in order: photo ids to read directly, or what to look for in the rows."""
    name = text.rsplit("/", 1)[-1]
    stem = name.split(".", 1)[0]
    number = int(text) if text.isascii() and text.isdigit() and int(text) <= _MAX_INT64 else None
    if number is not None:
        yield IdKind.PHOTO_ID, [number], []
        yield IdKind.COCO_IMAGE_ID, [], [_Lookup("copies", "image_id", [str(number)], Source.COCO)]
        columns = [("boxes", "annotation_id"), ("segments", "annotation_id"), ("keypoints", "annotation_id")]
        lookups = [_Lookup(c, f, [number], Source.COCO) for c, f in (*columns, ("captions", "caption_id"))]
        yield IdKind.COCO_ANNOTATION_ID, [], lookups
    if _HEX_ID.fullmatch(stem):
        yield IdKind.OPEN_IMAGES_ID, [], [_Lookup("copies", "image_id", [stem.lower()], Source.OPEN_IMAGES)]
    if "." in name or number is None:
        flickr = _FLICKR_NAME.fullmatch(name)
        own = [int(stem)] if stem.isascii() and stem.isdigit() and int(stem) <= _MAX_INT64 else []
        yield IdKind.FILE_NAME, [int(flickr[1])] if flickr else [], [_Lookup("copies", "file_name", _names(name), None)]
        yield IdKind.FILE_NAME, own, []


def _names(name: str) -> list[str]:
    """Returns the names under which COCO has the same image in its other years, and the name itself.

    Example:
        >>> _names("COCO_val2014_000000000042.jpg")[:2]
        ['COCO_val2014_000000000042.jpg', '000000000042.jpg']
    """
    bare = bare_file_name(name)
    return list(dict.fromkeys([name, bare, *(prefix + bare for prefix in _COCO_PREFIXES)]))


def _count_shards(dataset: DatasetFiles) -> int:
    """Returns the number of shards.

    Raises:
        NoDatasetError: there is no dataset.
        DamagedDatasetError: its rows are not complete, or its records are damaged.
    """
    try:
        if dataset.exists(layout.PLAN):
            plan = Plan.from_json(dataset.read(layout.PLAN), layout.PLAN)
            if plan.rows is None:
                raise DamagedDatasetError("the rows are not complete; run the same build again: it goes on")
            return len(plan.rows)
        if dataset.exists(layout.MANIFEST):
            return len(Manifest.from_json(dataset.read(layout.MANIFEST), layout.MANIFEST).shards)
    except (OSError, ValueError) as error:
        raise DamagedDatasetError(f"{error}; `photobeam verify` says what to do") from error
    raise no_dataset_error(dataset)


def _read_photo(dataset: DatasetFiles, photo_id: int, shards: int, kind: IdKind) -> ShownPhoto | None:
    if not shards:
        return None
    shard = int(shards_of(hash64(np.array([photo_id], np.int64)), shards)[0])
    row = _read_row(dataset, layout.rows_file(shard), photo_id)
    if row is None:
        return None
    sample = _read_row(dataset, layout.sidecar_file(shard), photo_id, required=False)
    failure = None if sample else _read_row(dataset, layout.failures_file(shard), photo_id, required=False)
    has_video = row["is_video"] and not failure
    video = _read_row(dataset, layout.video_sidecar_file(shard), photo_id, required=False) if has_video else None
    return ShownPhoto(photo_id, shard, kind, sample or video or row, sample is not None, failure, video is not None)


def _read_row(dataset: DatasetFiles, name: str, photo_id: int, required: bool = True) -> dict[str, typing.Any] | None:
    """Reads the row of a photo, of the row group that has it; None if there is none."""
    if not required and not dataset.exists(name):
        return None
    try:
        with dataset.open(name) as file:
            rows = open_parquet(file)
            for group in range(rows.num_row_groups):
                ids = rows.read_row_group(group, ["photo_id"], use_threads=False)["photo_id"].to_pylist()
                if photo_id in ids:
                    row = rows.read_row_group(group, use_threads=False).slice(ids.index(photo_id), 1)
                    return json_fields(row.to_pylist()[0], row.schema)
    except (OSError, pa.ArrowException) as error:
        raise _damaged(name, error) from error
    return None


def _scan(dataset: DatasetFiles, shards: int, lookup: _Lookup) -> int | None:
    """Returns the first photo of which an element has the id, shard by shard; None if there is none."""
    leaves = [f"{lookup.column}.list.element.{field}" for field in ("source", lookup.field)]
    for shard in range(shards):
        name = layout.rows_file(shard)
        try:
            with dataset.open(name) as file:
                rows = open_parquet(file)
                for group in range(rows.num_row_groups):
                    photo_id = _match(rows.read_row_group(group, ["photo_id", *leaves], use_threads=False), lookup)
                    if photo_id is not None:
                        return photo_id
        except (OSError, pa.ArrowException) as error:
            raise _damaged(name, error) from error
    return None


def _match(rows: pa.Table, lookup: _Lookup) -> int | None:
    column = rows[lookup.column].combine_chunks()
    elements = pc.list_flatten(column)
    wanted = pc.is_in(pc.struct_field(elements, lookup.field), pa.array(lookup.values))
    if lookup.source is not None:
        wanted = pc.and_(wanted, pc.equal(pc.struct_field(elements, "source"), lookup.source.value))
    owners = pc.list_parent_indices(column).filter(wanted)
    return rows["photo_id"][owners[0].as_py()].as_py() if len(owners) else None


def _damaged(name: str, what: object) -> DamagedDatasetError:
    return DamagedDatasetError(f"{name} cannot be read: {what}; `photobeam verify` says what to do")
