"""Tables of a shard on their way into the dataset, in the staging folder of an attempt."""

import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.records import FileDigest
from transforms.files.file_digest import file_digest

SIDECAR_GROUP_ROWS = 2_000


def write_parquet(table: pa.Table, path: pathlib.Path) -> FileDigest:
    """Writes a table; the bytes depend on its values and not on how it is chunked."""
    pq.write_table(table.combine_chunks(), made_path(path), row_group_size=SIDECAR_GROUP_ROWS, compression="zstd")
    return file_digest(path)


def made_path(path: pathlib.Path) -> pathlib.Path:
    """Returns a path whose folder is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
