"""What readers of annotation files give: record batches by photo, and what could not be read."""

import typing

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.annotations import ELEMENTS
from schemas.failures import Failure, FailureReason, Stage
from transforms.sources.input_failures import input_failure

BATCH_ROWS = 4096
"""Annotations in one record batch, at most; objects of panoptic images may be more."""

COCO_IMAGE = pa.struct([("coco_image_id", pa.int64()), ("coco_split", pa.string()), ("coco_file_name", pa.string())])
"""What ``coco_image`` holds: the scalar columns of one COCO image; of several of a photo the least counts."""

OPEN_IMAGES_IMAGE = pa.struct([("open_images_id", pa.string()), ("open_images_split", pa.string())])
"""What ``open_images_image`` holds, likewise."""

PART_TYPES: typing.Final[dict[str, pa.DataType]] = {
    **ELEMENTS,
    "coco_image": COCO_IMAGE,
    "open_images_image": OPEN_IMAGES_IMAGE,
    "flickr8k_split": pa.string(),
    "warnings": pa.string(),
}
"""Type of the second column of each kind of record batch."""


class AnnotationPart(typing.NamedTuple):
    """A part of an annotation file.

    Attributes:
        batches: by name of the column of the row that they go to, of :data:`PART_TYPES`; each has
            columns ``photo_id`` (int64) and that name.
        failures: rows of ``failures/input.parquet``.
        records: entries or lines of the file that were read, those that failed included.
    """

    batches: dict[str, pa.RecordBatch]
    failures: list[dict[str, typing.Any]]
    records: int


def part_batch(column: str, photo_ids: npt.NDArray[np.int64], elements: pa.Array) -> pa.RecordBatch:
    """Returns a record batch of elements and the photos they belong to."""
    schema = pa.schema([pa.field("photo_id", pa.int64(), nullable=False), (column, PART_TYPES[column])])
    return pa.record_batch([pa.array(photo_ids, pa.int64()), elements], schema=schema)


def read_failure(
    reason: FailureReason, why: str, url: str, offset: int, raw: bytes, photo_id: int = -1
) -> dict[str, typing.Any]:
    """Returns a row of ``failures/input.parquet`` for something that was kept out while reading."""
    return input_failure(Failure(photo_id, reason, Stage.READ, detail=why), url, offset, -1, raw)
