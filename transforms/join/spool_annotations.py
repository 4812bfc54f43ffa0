"""Phase 1, first half: what an annotation file says, grouped by column and hash bucket, in one spool file."""

import collections
import json
import typing

import pyarrow as pa

from schemas.elements import ImageIndex, InputRange, SpoolFile
from schemas.sources import COLUMN_KINDS, Source
from transforms.join.base_photos import BasePhotos, base_photos
from transforms.join.index_images import coco_index
from transforms.join.spool_file import spool_writer
from transforms.sources.annotation_files import AnnotationFiles
from transforms.sources.annotation_parts import AnnotationPart
from transforms.sources.input_failures import failure_file
from transforms.sources.mask_files import add_masks
from transforms.sources.open_images_ids import open_image_ids
from transforms.sources.read_coco import read_coco
from transforms.sources.read_flickr8k import read_flickr8k
from transforms.sources.read_open_images import read_open_images
from transforms.stores.scratch import Scratch
from transforms.workers import progress


def spool_annotations(
    input_range: InputRange, files: AnnotationFiles, index: ImageIndex, scratch: Scratch, bucket_bits: int
) -> SpoolFile:
    """Spools a range of an annotation file.

    A retried call writes the same bytes to the same name.

    Args:
        input_range: what to read.
        files: all input files.
        index: of all images; what belongs to no photo of its base is counted and dropped.
        scratch: gets the spool file and the file of malformed entries.
        bucket_bits: log2 of the number of buckets.

    Raises:
        BadJsonError: the file is damaged or ends early.
    """
    stem = f"{input_range.unit:06d}"
    source, base = Source(input_range.source), base_photos(index, input_range.source, scratch)
    records = 0
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    name = f"{stem}.spool"
    with (
        spool_writer(scratch, name, bucket_bits) as spool,
        failure_file(scratch, f"{stem}.failures.parquet") as failures,
    ):
        masks = files.masks(source)
        for part in _parts(input_range, files, index, scratch):
            if masks:
                part = add_masks(part, masks)
            records += part.records
            progress.count("lines", part.records)
            failures.append(part.failures)
            for column, batch in part.batches.items():
                kind, kept = COLUMN_KINDS[source, column], _of_base(batch, base)
                spool.add(kind, kept)
                counts[kind.name].update(lines=batch.num_rows, unmatched=batch.num_rows - kept.num_rows)
    return SpoolFile(
        unit=input_range.unit,
        name=name,
        pieces=spool.pieces,
        failures_name=failures.name,
        lines=records,
        malformed=failures.rows,
        counts=json.dumps({source.value: {"lines": records, "failures": failures.rows}, **counts}),
    )


def _parts(
    input_range: InputRange, files: AnnotationFiles, index: ImageIndex, scratch: Scratch
) -> typing.Iterator[AnnotationPart]:
    if input_range.source == Source.COCO.value:
        return read_coco(coco_index(input_range, scratch))
    if input_range.source == Source.OPEN_IMAGES.value:
        ids = open_image_ids(scratch.local(index.open_images_name)) if index.open_images_name else None
        file = files.open_images(input_range.url)
        return read_open_images(file, input_range.start, input_range.stop, ids, files.class_names, files.split)
    return read_flickr8k(files.flickr8k(input_range.url), files.splits)


def _of_base(batch: pa.RecordBatch, base: BasePhotos) -> pa.RecordBatch:
    kept = base.among(batch["photo_id"].to_numpy())
    return batch if kept is None or kept.all() else batch.filter(pa.array(kept))
