"""A shard's rows as a file: `rows/NNNNNN.parquet`."""

import pathlib
import typing

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.rows import ROW_SCHEMA

ROW_GROUP_ROWS = 5_000
_DICTIONARY_COLUMNS = [
    "id_source", "sources.list.element", "user_id", "user_nickname", "capture_device", "license_name", "license_url",
    "extension", "user_tags.list.element", "machine_tags.list.element", "autotags.list.element.name",
    "exif.list.element.tag", "exif.list.element.value", "places.list.element.woeid", "places.list.element.name",
    "places.list.element.type", "warnings.list.element",
]  # fmt: skip


def without_photos(table: pa.Table, ids: typing.Container[int]) -> pa.Table:
    """Returns a table with a column ``photo_id`` without the rows of some photos."""
    return table.filter(pa.array([photo_id not in ids for photo_id in table["photo_id"].to_pylist()], pa.bool_()))


def write_rows(table: pa.Table, path: pathlib.Path) -> None:
    """Writes a table of ROW_SCHEMA: zstd, row groups of 5,000 rows, same bytes for the same rows.

    A table that was read from Parquet has field metadata of its own, which the cast drops.
    """
    pq.write_table(
        table.cast(ROW_SCHEMA).combine_chunks(),
        path,
        compression="zstd",
        row_group_size=ROW_GROUP_ROWS,
        use_dictionary=_DICTIONARY_COLUMNS,
        write_statistics=["photo_id"],
    )
