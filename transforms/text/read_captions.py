"""The captions of one shard of a finished dataset, of the photos that it has samples of."""

import typing

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas import layout
from schemas.rows import ROW_SCHEMA
from transforms.datasets.finished_dataset import FinishedDataset, read_columns
from transforms.datasets.has_photos import UNREADABLE
from transforms.datasets.shard_sources import shard_sources
from transforms.files.read_parquet import read_parquet
from transforms.stores.dataset_files import DatasetFiles
from transforms.stores.scratch import Scratch
from transforms.text.text_options import TextOptions


class ShardCaptions(typing.NamedTuple):
    """Captions of a shard, those of a photo one after another.

    Attributes:
        photos: ``photo_id`` and ``copies``, in KEY order.
        row: of each caption, the place of its photo.
        captions: struct of ``source``, ``image_id``, ``caption_id``, ``text``, ….
        left_out: captions of these photos that are not wanted.
    """

    photos: pa.Table
    row: npt.NDArray[np.int64]
    captions: pa.StructArray
    left_out: int

    def texts(self) -> list[str]:
        """Returns the captions' texts; one that is missing is empty."""
        return [text or "" for text in self.captions.field("text").to_pylist()]


def read_captions(files: DatasetFiles, scratch: Scratch, shard: int, options: TextOptions) -> ShardCaptions:
    """Reads the captions of a shard.

    Args:
        files: of the dataset.
        scratch: has what :func:`transforms.datasets.shard_sources.note_sources` wrote.
        shard: its number.
        options: which captions are wanted.

    Raises:
        DamagedDatasetError: a file of the dataset is missing or damaged.
    """
    photos = read_photos(files, scratch, shard, ["photo_id", "copies", "captions"])
    lists = photos["captions"].combine_chunks()
    captions, row = lists.flatten(), pc.list_parent_indices(lists).to_numpy()
    wanted = _wanted(captions, options)
    kept = captions.filter(pa.array(wanted))
    return ShardCaptions(photos.select(["photo_id", "copies"]), row[wanted], kept, len(captions) - len(kept))


def has_captions(dataset: FinishedDataset) -> bool:
    """Tells whether any photo of a dataset has a caption, a failed one too; ends at the first shard that has some.

    Raises:
        DamagedDatasetError: rows are missing or cannot be read.
    """
    return any(_has_captions(dataset, layout.rows_file(shard)) for shard in range(len(dataset.sha256)))


def read_photos(files: DatasetFiles, scratch: Scratch, shard: int, columns: typing.Sequence[str]) -> pa.Table:
    """Reads columns of the rows of a shard, of its photos that have a sample; where there are no images, of all.

    Args:
        files: of the dataset.
        scratch: has what :func:`transforms.datasets.shard_sources.note_sources` wrote.
        shard: its number.
        columns: ``photo_id`` among them.

    Returns:
        In KEY order.

    Raises:
        DamagedDatasetError: a file of the dataset is missing or damaged.
    """
    sources = shard_sources(scratch, shard)
    rows, *without_images = _names(shard)
    photos = _read(files, rows, sources, [*columns])
    for without_image in sources.keys() & without_images:
        others = _read(files, without_image, sources, ["photo_id"])["photo_id"].combine_chunks()
        photos = photos.filter(pc.invert(pc.is_in(photos["photo_id"], others)))
    return photos


def _has_captions(dataset: FinishedDataset, name: str) -> bool:
    try:
        with dataset.files.open(name) as file:
            captions = read_parquet(file, ["captions.list.element.source"])["captions"]
    except UNREADABLE as error:
        raise dataset.damaged(name, error) from error
    return bool(pc.sum(pc.list_value_length(captions)).as_py())


def _names(shard: int) -> tuple[str, ...]:
    """Returns what the photos of a shard are in, and those of them that have no image."""
    return layout.rows_file(shard), layout.failures_file(shard), layout.video_sidecar_file(shard)


def _wanted(captions: pa.StructArray, options: TextOptions) -> npt.NDArray[np.bool_]:
    is_lemma = pc.fill_null(captions.field("is_lemma"), False).to_numpy(zero_copy_only=False)
    wanted = is_lemma == options.lemmas
    if options.caption_source:
        of_source = pc.is_in(captions.field("source"), pa.array(options.caption_source))
        wanted = wanted & of_source.to_numpy(zero_copy_only=False)
    return wanted


def _read(files: DatasetFiles, name: str, sources: typing.Mapping[str, str], columns: list[str]) -> pa.Table:
    table = read_columns(files, name, sources[name], columns)
    return table.select(columns).cast(pa.schema([ROW_SCHEMA.field(column) for column in columns]))
