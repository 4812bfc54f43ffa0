"""Reads some columns of a shard: of its samples, or where there are no images, of its rows."""

import dataclasses
import typing

import pyarrow as pa

from schemas import layout
from transforms.datasets.finished_dataset import damaged_file, read_columns
from transforms.datasets.shard_sources import shard_sources
from transforms.stores.dataset_files import DatasetFiles
from transforms.stores.scratch import Scratch


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportedDataset:
    """The dataset as workers read it; small, whatever the number of shards.

    Attributes:
        files: of it.
        scratch: has what :func:`transforms.datasets.shard_sources.note_sources` wrote.
        extension: of its images, with the dot; '' if it was made without images.
    """

    files: DatasetFiles
    scratch: Scratch
    extension: str

    @property
    def has_images(self) -> bool:
        """Whether it was made with images; else it ends with its rows."""
        return bool(self.extension)


def read_photos(dataset: ExportedDataset, shard: int, columns: typing.Sequence[str], of_rows: bool = False) -> pa.Table:
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
    sources = shard_sources(dataset.scratch, shard)
    if name not in sources:
        return pa.table({column: pa.nulls(0) for column in columns})
    return read_columns(dataset.files, name, sources[name], columns)


def read_images(
    dataset: ExportedDataset, shard: int, images: typing.Sequence[typing.Mapping[str, typing.Any]]
) -> list[bytes]:
    """Reads images of a shard by their ranges; nothing says whether their bytes are still those that were written.

    Args:
        dataset: where.
        shard: its number.
        images: rows with ``image_offset`` and ``image_bytes``.

    Raises:
        DamagedDatasetError: the tar is missing, or ends before.
    """
    name = layout.tar_file(shard)
    try:
        return dataset.files.read_ranges([(name, image["image_offset"], image["image_bytes"]) for image in images])
    except OSError as error:
        raise damaged_file(dataset.files, name, error) from error
