"""Phase 1, first half: the lines of a range of an input file, grouped by hash bucket, in one spool file.

Lines are spooled unparsed. Sorting one column of bytes is far cheaper than sorting thirty parsed
columns, and the join then parses them already in their final order.
"""

import pathlib
import typing

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.elements import InputRange, SpoolFile
from schemas.failures import INPUT_FAILURE_SCHEMA, MAX_RAW_BYTES, Failure, FailureReason, Stage, failure_columns
from schemas.photo_ids import buckets_of, hash64
from schemas.text_columns import partition, take_spans
from schemas.yfcc import DATASET_FIELDS_WITHOUT_HASH, MAX_LINE_BYTES, PHOTO_ID_FIELD, Pack, read_photo_ids
from transforms.find_inputs import InputFile
from transforms.line_ranges import LineBlock, open_reader, places, read_line_blocks, split_ranges

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

PIECE = np.dtype([("bucket", "<u2"), ("rows", "<u4"), ("offset", "<u8"), ("length", "<u8")])
"""Where the lines of one bucket lie in a spool file: an Arrow IPC record batch of SPOOL_SCHEMA."""

PLAIN_RANGE_BYTES = 64 << 20
BZ2_RANGE_BYTES = 16 << 20
BLOCK_BYTES = 16 << 20
"""Decoded text in memory at once."""


class SplitLines(typing.NamedTuple):
    """The lines of a block, told apart.

    Attributes:
        photo_ids: int64, of the well-formed lines.
        lines: BinaryArray, those lines, whole.
        starts: int64, where they begin in the block.
        malformed: (start, end, why) of the others.
    """

    photo_ids: npt.NDArray[np.int64]
    lines: pa.BinaryArray
    starts: npt.NDArray[np.int64]
    malformed: list[tuple[int, int, str]]


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
    pieces: list[tuple[int, int, int, int]] = []
    failures: list[dict[str, typing.Any]] = []
    lines = 0
    path, partial = folder / f"{stem}.lines", folder / f"{stem}.lines.part"
    with open_reader(input_range.url) as (read_at, size), partial.open("wb") as out:
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
            lines += len(split.lines) + len(split.malformed)
            failures += _malformed_rows(block, split.malformed, input_range)
            for bucket, batch in _by_bucket(_spool_table(block, split, input_range), bucket_bits):
                data = batch.serialize()
                pieces.append((bucket, batch.num_rows, out.tell(), data.size))
                out.write(data)
    partial.replace(path)
    return SpoolFile(
        unit=input_range.unit,
        url=input_range.url,
        pack=input_range.pack,
        path=str(path),
        pieces=np.array(pieces, PIECE).tobytes(),
        failures_path=write_failures(failures, folder / f"{stem}.failures.parquet"),
        lines=lines,
        malformed=len(failures),
    )


def split_lines(block: LineBlock, fields: int) -> SplitLines:
    """Tells well-formed lines from malformed ones.

    Args:
        block: whole lines.
        fields: of a well-formed line. Where it is 2, the separator may be missing with the payload.
    """
    data = np.frombuffer(block.data, np.uint8)
    newlines = np.flatnonzero(data == ord("\n"))
    starts = np.concatenate(([0], newlines[:-1] + 1)) if len(newlines) else newlines
    ends = newlines - (data[np.maximum(newlines - 1, 0)] == ord("\r")) * (newlines > starts)
    tabs = np.flatnonzero(data == ord("\t"))
    first_tab = np.searchsorted(tabs, starts)
    counts = np.diff(np.concatenate((first_tab, [len(tabs)])))
    good = (counts == fields - 1) | ((fields == 2) & (counts == 0) & (ends > starts))
    good[np.searchsorted(starts, block.too_long)] = False
    shaped = np.flatnonzero(good)
    id_starts, id_ends = _photo_id_spans(tabs, first_tab[shaped], starts[shaped], ends[shaped], fields)
    ids, readable = read_photo_ids(take_spans(data, id_starts, id_ends))
    lines = take_spans(data, starts[shaped], ends[shaped])
    utf8 = _valid_utf8(lines)
    kept = readable & utf8
    good[shaped[~kept]] = False
    why = {int(i): "the photo id is not a positive integer" for i in shaped[~readable]}
    why |= {int(i): "the line is not valid UTF-8" for i in shaped[~utf8]}
    why |= {int(i): f"the line is longer than {MAX_LINE_BYTES} bytes" for i in np.searchsorted(starts, block.too_long)}
    malformed = [
        (int(starts[i]), int(ends[i]), why.get(int(i)) or f"{counts[i] + 1} fields where {fields} were expected")
        for i in np.flatnonzero(~good)
    ]
    if not kept.all():
        lines = lines.filter(pa.array(kept))
    return SplitLines(ids[kept], lines, starts[shaped][kept], malformed)


def _photo_id_spans(
    tabs: npt.NDArray[np.int64],
    first_tab: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    fields: int,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    padded = np.append(tabs, [np.iinfo(np.int64).max] * 2)
    if fields in (2, DATASET_FIELDS_WITHOUT_HASH):
        return starts, np.minimum(padded[first_tab], ends)
    return padded[first_tab + PHOTO_ID_FIELD - 1] + 1, padded[first_tab + PHOTO_ID_FIELD]


def _valid_utf8(lines: pa.BinaryArray) -> npt.NDArray[np.bool_]:
    try:
        lines.cast(pa.string())
    except pa.ArrowInvalid:
        return np.array([_is_utf8(line.as_py()) for line in lines], np.bool_)
    return np.ones(len(lines), np.bool_)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _spool_table(block: LineBlock, split: SplitLines, input_range: InputRange) -> pa.RecordBatch:
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
    block: LineBlock, malformed: list[tuple[int, int, str]], input_range: InputRange
) -> list[dict[str, typing.Any]]:
    if not malformed:
        return []
    offsets, offsets_in_block = places(block, np.array([start for start, _, _ in malformed], np.int64))
    return [
        input_failure(
            Failure(-1, FailureReason.MALFORMED_ROW, Stage.READ, detail=why),
            input_range.url,
            int(offset),
            int(inner),
            block.data[start:end],
        )
        for (start, end, why), offset, inner in zip(malformed, offsets, offsets_in_block, strict=True)
    ]


def input_failure(failure: Failure, url: str, offset: int, offset_in_block: int, raw: bytes) -> dict[str, typing.Any]:
    """Returns one row of ``failures/input.parquet``."""
    return {
        **failure_columns(failure, None),
        "file": url,
        "offset": offset,
        "offset_in_block": offset_in_block if offset_in_block >= 0 else None,
        "raw": raw[:MAX_RAW_BYTES],
    }


def write_failures(rows: list[dict[str, typing.Any]], path: pathlib.Path) -> str:
    """Writes rows of ``failures/input.parquet``; returns the path, or '' if there are none."""
    if not rows:
        return ""
    pq.write_table(pa.Table.from_pylist(rows, INPUT_FAILURE_SCHEMA), path, compression="zstd")
    return str(path)
