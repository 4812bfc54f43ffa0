"""The sample of a video: the joined row plus what is known of its file; as Parquet sidecar and as JSON in the tar."""

import typing

import pyarrow as pa

from schemas.columns import Column, schema_of
from schemas.rows import ROW_COLUMNS
from schemas.samples import encoded_json, json_fields

EXTENSION = "mp4"
"""Of the member of a sample that is the video."""

STILL_BRANDS = ("avif", "heic", "heix", "mif1")
"""Brands of files in the boxes of an MP4 that are still images."""

MAX_BOXES = 100_000
"""Outermost boxes of a video; one of ten hours in fragments of a second has fewer."""

VIDEOS, MAX_VIDEO_BYTES = "videos", "max_video_bytes"
"""Names in a plan's format, which has neither where videos are left out."""

VIDEO_COLUMNS = (
    Column("key", pa.string(), "Sample key: `photo_id` zero-padded to 12 digits.", required=True),
    Column("video_bytes", pa.int64(), "Size of the video, bytes; it is as fetched.", required=True),
    Column("sha256", pa.string(), "SHA-256 of the video, hex.", required=True),
    Column("fetched_from", pa.string(), "Kind of place the video came from: `mirror`.", required=True),
)

VIDEO_OFFSET = Column("video_offset", pa.int64(), "Byte offset of the video's data in the tar.", required=True)

VIDEO_SCHEMA = schema_of((*ROW_COLUMNS, *VIDEO_COLUMNS))
"""Fields of ``KEY.json`` of a video, in this order."""

VIDEO_SIDECAR_SCHEMA = schema_of((*ROW_COLUMNS, *VIDEO_COLUMNS, VIDEO_OFFSET))
"""Schema of ``videos/NNNNNN.parquet``."""

Format = typing.Mapping[str, typing.Any]
"""The ``format`` of a plan."""


def takes_videos(plan_format: Format) -> bool:
    """Tells whether a dataset takes videos."""
    return bool(plan_format.get(VIDEOS))


def max_video_bytes(plan_format: Format) -> int | None:
    """Returns the size of the largest video that a dataset takes; None if it takes none."""
    return plan_format[MAX_VIDEO_BYTES] if takes_videos(plan_format) else None


def with_videos_stated(plan_format: Format) -> dict[str, typing.Any]:
    """Returns a format that has images with ``videos`` in any case: one that does not say so leaves them out.

    Example:
        >>> with_videos_stated({"image_size": [256]}), with_videos_stated({"base": "yfcc"})
        ({'videos': False, 'image_size': [256]}, {'base': 'yfcc'})
    """
    return {VIDEOS: False, **plan_format} if "image_size" in plan_format else dict(plan_format)


def video_json(video: typing.Mapping[str, typing.Any]) -> bytes:
    """Encodes the sample of a video as the JSON of its tar member, by the rules of that of a photo.

    Args:
        video: a row of :data:`VIDEO_SCHEMA` as ``to_pylist`` gives it; more columns do no harm.
    """
    return encoded_json(json_fields(video, VIDEO_SCHEMA))
