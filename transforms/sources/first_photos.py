"""A few photos from the beginning of the inputs, for a trial before anything is joined."""

import itertools
import typing

import numpy as np
import pyarrow as pa

from schemas.flickr8k import Flickr8kKind
from schemas.open_images import OpenImagesKind
from schemas.sources import ALL_SOURCES, Source
from schemas.yfcc import MAX_LINE_BYTES, Pack, read_dataset
from transforms.places.photo_refs import FETCH_COLUMNS, PhotoRef, photo_ref
from transforms.sources.annotation_files import AnnotationFiles
from transforms.sources.input_files import SIDE_KINDS, InputFile
from transforms.sources.line_ranges import open_reader, read_line_blocks
from transforms.sources.read_coco import read_first_images
from transforms.sources.read_flickr8k import read_flickr8k
from transforms.sources.read_open_images import read_open_images
from transforms.sources.split_lines import split_lines, with_all_fields

READ_BYTES = 1 << 20
"""Of a file with lines, from its start; of bz2 the blocks that begin there, which may be many times as much."""


def first_photos(files: typing.Sequence[InputFile], base: str, wanted: int, split: str | None = None) -> list[PhotoRef]:
    """Returns some photos of the base, as far as its first file that has any knows them; videos are left out.

    Args:
        files: of :func:`transforms.sources.find_inputs.find_inputs`.
        base: a source, or ``all``.
        wanted: how many at most, spread evenly over those that were read.
        split: of Open Images' images where no file names one.

    Raises:
        InputError: a file is damaged.
        OSError: it cannot be read.
    """
    named = sorted((f for f in files if base in (f.source.value, ALL_SOURCES)), key=_names_images, reverse=True)
    for file in named:
        photos = _photos(file, AnnotationFiles(tuple(files), split))
        if photos:
            return [photos[i] for i in np.unique(np.linspace(0, len(photos) - 1, wanted).astype(int))]
    return []


def _names_images(file: InputFile) -> bool:
    """Whether a file says more of images than their ids."""
    return file.source is not Source.OPEN_IMAGES or file.kind == OpenImagesKind.IMAGES.value


def _photos(file: InputFile, files: AnnotationFiles) -> list[PhotoRef]:
    if file.source is Source.YFCC:
        return _dataset_photos(file) if file.kind == Pack.DATASET.value else []
    if file.kind in SIDE_KINDS or file.kind == Flickr8kKind.SPLIT.value:
        return []
    if file.source is Source.COCO:
        parts = iter([read_first_images(file.url)])
    elif file.source is Source.OPEN_IMAGES:
        parts = read_open_images(files.open_images(file.url), 0, READ_BYTES, None, {}, files.split)
    else:
        parts = read_flickr8k(files.flickr8k(file.url), files.splits)
    part = next(parts, None)
    return _copied_photos(part.batches["copies"]) if part else []


def _dataset_photos(file: InputFile) -> list[PhotoRef]:
    with open_reader(file.url) as (read_at, size):
        blocks = read_line_blocks(
            read_at,
            size,
            0,
            min(size, READ_BYTES),
            compressed=file.compressed,
            name=file.url,
            max_block_bytes=READ_BYTES,
            max_line_bytes=MAX_LINE_BYTES,
        )
        for block in itertools.islice(blocks, 1):
            lines = with_all_fields(split_lines(block, file.fields).lines, file.fields)
            columns = read_dataset(lines).columns
            rows = pa.table({name: columns[name] for name in FETCH_COLUMNS if name in columns}).to_pylist()
            return [photo_ref({"copies": [], **row}) for row in rows if not row["is_video"]]
    return []


def _copied_photos(copies: pa.RecordBatch) -> list[PhotoRef]:
    unknown = {"hash": None, "download_url": None, "extension": None}
    return [photo_ref({**unknown, **row, "copies": [row["copies"]]}) for row in copies.to_pylist()]
