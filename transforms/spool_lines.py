"""Phase 1, first half: the lines of a range of an input file, grouped by hash bucket, in one spool file.

Lines are spooled unparsed. Sorting one column of bytes is far cheaper than sorting thirty parsed
columns, and the join then parses them already in their final order.
"""

import pathlib
import typing

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.elements import InputRange, SpoolFile
from schemas.failures import Failure, FailureReason, Stage
from schemas.photo_ids import buckets_of, hash64
from schemas.text_columns import partition
from schemas.yfcc import DATASET_FIELDS_WITHOUT_HASH, MAX_LINE_BYTES, Pack
from transforms.find_inputs import InputFile
from transforms.input_failures import FailureFile, input_failure
from transforms.line_ranges import CorruptInputError, LineBlock, open_reader, places, read_line_blocks, split_ranges
from transforms.split_lines import SplitLines, split_lines

SPOOL_SCHEMA = pa.schema(
    [
        ("photo_id", pa.int64()),
        ("line", pa.binary()),
        ("unit", pa.int32()),
        ("offset", pa.int64()),
        ("offset_in_block", pa.int64()),
    ]
)
"""A spooled line: a dataset line in its 25-field form, or the payload of a pack line; and its place."""

PIECE = np.dtype([("bucket", "<u2"), ("offset", "<u8"), ("length", "<u4")])
"""Where the lines of one bucket lie in a spool file: an Arrow IPC record batch of SPOOL_SCHEMA."""

PLAIN_RANGE_BYTES = 64 << 20
BZ2_RANGE_BYTES = 16 << 20
BLOCK_BYTES = 16 << 20
ROUND_BYTES = 48 << 20
"""Lines that are grouped by bucket at once: of 100 GB in 2,048 buckets, 23 KB a piece."""


def ranges_of(files: typing.Iterable[InputFile]) -> list[InputRange]:
    """Cuts the files into ranges, numbered in order."""
    cuts = (
        (file, start, stop)
        for file in files
        for start, stop in split_ranges(file.size, BZ2_RANGE_BYTES if file.compressed else PLAIN_RANGE_BYTES)
    )
    return [
        InputRange(unit, f.url, f.pack.value, f.fields, f.size, start, stop, f.compressed)
        for unit, (f, start, stop) in enumerate(cuts)
    ]


def spool_range(input_range: InputRange, folder: pathlib.Path, bucket_bits: int) -> SpoolFile:
    """Spools the lines that a range owns.

    A retried call writes the same bytes to the same name.

    Args:
        input_range: what to read.
        folder: existing local folder for the spool file and the file of malformed lines.
        bucket_bits: log2 of the number of buckets.

    Raises:
        CorruptInputError: the compressed data is damaged or ends early.
    """
    stem = f"{input_range.unit:06d}"
    path, partial = folder / f"{stem}.lines", folder / f"{stem}.lines.part"
    pieces: list[tuple[int, int, int]] = []
    lines = 0
    with partial.open("wb") as out, FailureFile(folder / f"{stem}.failures.parquet") as failures:
        for batch in _rounds(_read_batches(input_range, failures)):
            lines += batch.num_rows
            for bucket, piece in _by_bucket(batch, bucket_bits):
                data = piece.serialize()
                pieces.append((bucket, out.tell(), data.size))
                out.write(data)
    partial.replace(path)
    return SpoolFile(
        unit=input_range.unit,
        pack=input_range.pack,
        path=str(path),
        pieces=np.array(pieces, PIECE).tobytes(),
        failures_path=failures.path,
        lines=lines + failures.rows,
        malformed=failures.rows,
    )


def _read_batches(input_range: InputRange, failures: FailureFile) -> typing.Iterator[pa.RecordBatch]:
    """Yields the well-formed lines of a range; adds the malformed ones to ``failures``."""
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
            split = split_lines(block, input_range.fields)
            failures.append(_malformed_rows(block, split, input_range))
            yield _spool_batch(block, split, input_range)


def _rounds(batches: typing.Iterable[pa.RecordBatch]) -> typing.Iterator[pa.RecordBatch]:
    """Merges batches, so that the piece of a bucket is worth a read of its own."""
    gathered: list[pa.RecordBatch] = []
    for batch in batches:
        gathered.append(batch)
        if sum(b.nbytes for b in gathered) >= ROUND_BYTES:
            merged, gathered = pa.concat_batches(gathered), []
            yield merged
    if gathered:
        yield pa.concat_batches(gathered)


def _spool_batch(block: LineBlock, split: SplitLines, input_range: InputRange) -> pa.RecordBatch:
    offsets, offsets_in_block = places(block, split.starts)
    return pa.record_batch(
        [
            pa.array(split.photo_ids),
            _spooled_form(split.lines, input_range),
            pa.array(np.full(len(split.lines), input_range.unit, np.int32)),
            pa.array(offsets),
            pa.array(offsets_in_block),
        ],
        schema=SPOOL_SCHEMA,
    )


def _spooled_form(lines: pa.BinaryArray, input_range: InputRange) -> pa.BinaryArray:
    """Gives every dataset line its 25 fields; leaves only the payload of a pack line."""
    if input_range.pack != Pack.DATASET.value:
        return partition(lines, b"\t").tail
    if input_range.fields == DATASET_FIELDS_WITHOUT_HASH:
        return pc.replace_substring_regex(lines.cast(pa.string()), r"^([^\t]*)\t", "\t\\1\t\t").cast(pa.binary())
    return lines


def _by_bucket(batch: pa.RecordBatch, bucket_bits: int) -> typing.Iterator[tuple[int, pa.RecordBatch]]:
    if not batch.num_rows:
        return
    buckets = buckets_of(hash64(batch["photo_id"].to_numpy()), bucket_bits)
    order = np.argsort(buckets, kind="stable")
    grouped = batch.take(pa.array(order))
    present, begins = np.unique(buckets[order], return_index=True)
    for bucket, begin, end in zip(present, begins, [*begins[1:], len(buckets)], strict=True):
        yield int(bucket), grouped.slice(begin, end - begin)


def _malformed_rows(
    block: LineBlock, split: SplitLines, input_range: InputRange
) -> typing.Iterator[dict[str, typing.Any]]:
    for start, end, why in split.problems:
        (offset,), (inner,) = places(block, np.array([start]))
        failure = Failure(-1, FailureReason.MALFORMED_ROW, Stage.READ, detail=why)
        yield input_failure(failure, input_range.url, int(offset), int(inner), block.data[start:end])
