"""Phase 1, first half: the lines of a range of a YFCC file, grouped by hash bucket, in one spool file.

Lines are spooled unparsed. Sorting one column of bytes is far cheaper than sorting thirty parsed
columns, and the join then parses them already in their final order.
"""

import json
import typing

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.elements import InputRange, SpoolFile
from schemas.failures import Failure, FailureReason, Stage
from schemas.sources import PACK_KINDS
from schemas.text_columns import partition
from schemas.yfcc import MAX_LINE_BYTES, Pack
from transforms.join.base_photos import BasePhotos
from transforms.join.spool_file import LINE_SCHEMA, spool_writer
from transforms.sources.input_failures import failure_file, input_failure
from transforms.sources.line_ranges import CorruptInputError, LineBlock, open_reader, places, read_line_blocks
from transforms.sources.split_lines import SplitLines, split_lines, with_all_fields
from transforms.stores.scratch import Scratch
from transforms.workers import progress

BLOCK_BYTES = 16 << 20


def spool_lines(input_range: InputRange, scratch: Scratch, bucket_bits: int, base: BasePhotos) -> SpoolFile:
    """Spools the lines that a range owns.

    A retried call writes the same bytes to the same name.

    Args:
        input_range: what to read.
        scratch: gets the spool file and the file of malformed lines.
        bucket_bits: log2 of the number of buckets.
        base: lines of other photos are counted and dropped.

    Raises:
        CorruptInputError: the compressed data is damaged or ends early.
    """
    stem = f"{input_range.unit:06d}"
    kind = PACK_KINDS[Pack(input_range.kind)]
    lines = unmatched = 0
    name = f"{stem}.spool"
    with (
        spool_writer(scratch, name, bucket_bits) as spool,
        failure_file(scratch, f"{stem}.failures.parquet") as failures,
    ):
        for block, split in _read_blocks(input_range):
            failures.append(_malformed_rows(block, split, input_range))
            kept = base.among(split.photo_ids)
            batch = _spool_batch(block, split, kept, input_range)
            spool.add(kind, batch)
            lines += len(split.photo_ids)
            progress.count("lines", len(split.starts) + split.malformed)
            unmatched += len(split.photo_ids) - batch.num_rows
    return SpoolFile(
        unit=input_range.unit,
        name=name,
        pieces=spool.pieces,
        failures_name=failures.name,
        lines=lines + failures.rows,
        malformed=failures.rows,
        counts=json.dumps(
            {kind.name: {"lines": lines + failures.rows, "failures": failures.rows, "unmatched": unmatched}}
        ),
    )


def _read_blocks(input_range: InputRange) -> typing.Iterator[tuple[LineBlock, SplitLines]]:
    """Yields the blocks of a range, their well-formed lines told from the malformed."""
    with open_reader(input_range.url) as (read_at, size):
        if size != input_range.size:
            raise CorruptInputError(f"{input_range.url} had {input_range.size} bytes and has {size}; run it again")
        blocks = read_line_blocks(
            read_at,
            size,
            input_range.start,
            input_range.stop,
            compressed=input_range.compressed,
            name=input_range.url,
            max_block_bytes=BLOCK_BYTES,
            max_line_bytes=MAX_LINE_BYTES,
        )
        for block in blocks:
            yield block, split_lines(block, input_range.fields)


def _spool_batch(
    block: LineBlock, split: SplitLines, kept: npt.NDArray[np.bool_] | None, input_range: InputRange
) -> pa.RecordBatch:
    """Returns the lines that are kept, of :data:`LINE_SCHEMA`; None keeps all."""
    photo_ids, lines, starts = split.photo_ids, split.lines, split.starts
    if kept is not None:
        photo_ids, lines, starts = photo_ids[kept], lines.filter(pa.array(kept)), starts[kept]
    offsets, offsets_in_block = places(block, starts)
    return pa.record_batch(
        [
            pa.array(photo_ids),
            _spooled_form(lines, input_range),
            pa.array(np.full(len(lines), input_range.unit, np.int32)),
            pa.array(offsets),
            pa.array(offsets_in_block),
        ],
        schema=LINE_SCHEMA,
    )


def _spooled_form(lines: pa.BinaryArray, input_range: InputRange) -> pa.BinaryArray:
    """Gives every dataset line its 25 fields; leaves only the payload of a pack line."""
    if input_range.kind != Pack.DATASET.value:
        return partition(lines, b"\t").tail
    return with_all_fields(lines, input_range.fields)


def _malformed_rows(
    block: LineBlock, split: SplitLines, input_range: InputRange
) -> typing.Iterator[dict[str, typing.Any]]:
    for start, end, why in split.problems:
        (offset,), (inner,) = places(block, np.array([start]))
        failure = Failure(-1, FailureReason.MALFORMED_ROW, Stage.READ, detail=why)
        yield input_failure(failure, input_range.url, int(offset), int(inner), block.data[start:end])
