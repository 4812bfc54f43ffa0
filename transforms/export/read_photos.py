"""Reads some columns of a shard: of its samples, or where there are no images, of its rows."""

import typing

import pyarrow as pa
import pyarrow.parquet as pq

from schemas import layout
from transforms.dataset_files import unreadable
from transforms.file_digest import bytes_digest
from transforms.finished_dataset import FinishedDataset


def read_columns(
    dataset: FinishedDataset, shard: int, columns: typing.Sequence[str], of_rows: bool = False
) -> pa.Table:
    """Reads columns of a shard's samples, or of its rows.

    Args:
        dataset: where.
        shard: its number.
        columns: their names, or those of leaves, as in the Parquet files; each is there.
        of_rows: read rows even where there are samples.

    Returns:
        A table, empty if the shard has no samples.

    Raises:
        DamagedDatasetError: the file is missing, or not what was written.
    """
    name = layout.rows_file(shard) if of_rows or not dataset.has_images else layout.sidecar_file(shard)
    if name not in dataset.sha256[shard]:
        return pa.table({column: pa.nulls(0) for column in columns})
    try:
        data = dataset.files.read(name)
    except OSError as error:
        raise dataset.damaged(name, unreadable(error)) from error
    if bytes_digest(data).sha256 != dataset.sha256[shard][name]:
        raise dataset.damaged(name, "its bytes have changed")
    return pq.ParquetFile(pa.BufferReader(data)).read(columns=list(columns))
