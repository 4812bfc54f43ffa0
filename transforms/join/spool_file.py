"""A spool file: record batches of several kinds, cut into pieces by hash bucket of the photo id."""

import contextlib
import typing

import numpy as np
import pyarrow as pa

from schemas.photo_ids import buckets_of, hash64
from schemas.sources import SPOOL_KINDS, Source, SpoolKind
from transforms.sources.annotation_parts import PART_TYPES
from transforms.stores.scratch import Scratch

LINE_SCHEMA = pa.schema(
    [
        ("photo_id", pa.int64()),
        ("line", pa.binary()),
        ("unit", pa.int32()),
        ("offset", pa.int64()),
        ("offset_in_block", pa.int64()),
    ]
)
"""A spooled line: a dataset line in its 25-field form, or the payload of a pack line; and its place."""

PIECE = np.dtype([("kind", "<u1"), ("bucket", "<u2"), ("offset", "<u8"), ("length", "<u4")])
"""Where what a bucket has of a kind lies in a spool file: an Arrow IPC record batch of :func:`spool_schema`."""

ROUND_BYTES = 48 << 20
"""Bytes that are grouped by bucket at once: of 100 GB in 2,048 buckets, 23 KB a piece."""


def spool_schema(kind: SpoolKind) -> pa.Schema:
    """Returns the schema of a kind's pieces."""
    if kind.source is Source.YFCC:
        return LINE_SCHEMA
    return pa.schema([pa.field("photo_id", pa.int64(), nullable=False), (kind.column, PART_TYPES[kind.column])])


@contextlib.contextmanager
def spool_writer(scratch: Scratch, name: str, bucket_bits: int) -> typing.Iterator["SpoolWriter"]:
    """Writes a spool file; it gets its name when it is whole.

    Args:
        scratch: gets the file.
        name: of it.
        bucket_bits: log2 of the number of buckets.
    """
    with scratch.writing(name) as path, path.open("wb") as out:
        writer = SpoolWriter(out, bucket_bits)
        yield writer
        writer.flush()


class SpoolWriter:
    """Groups what is added by bucket, and writes it.

    Args:
        out: the file.
        bucket_bits: log2 of the number of buckets.
    """

    def __init__(self, out: typing.BinaryIO, bucket_bits: int):
        self._out, self._bucket_bits = out, bucket_bits
        self._gathered: dict[SpoolKind, list[pa.RecordBatch]] = {}
        self._bytes = 0
        self._pieces: list[tuple[int, int, int, int]] = []

    def add(self, kind: SpoolKind, batch: pa.RecordBatch) -> None:
        """Adds a batch of the kind's schema; merged with others, so that a bucket's piece is worth a read."""
        if not batch.num_rows:
            return
        self._gathered.setdefault(kind, []).append(batch)
        self._bytes += batch.nbytes
        if self._bytes >= ROUND_BYTES:
            self.flush()

    @property
    def pieces(self) -> bytes:
        """Packed records of :data:`PIECE`; whole once all is flushed."""
        return np.array(self._pieces, PIECE).tobytes()

    def flush(self) -> None:
        """Writes what is still in memory."""
        for kind, batches in self._gathered.items():
            number = SPOOL_KINDS.index(kind)
            for bucket, piece in _by_bucket(pa.concat_batches(batches), self._bucket_bits):
                data = piece.serialize()
                self._pieces.append((number, bucket, self._out.tell(), data.size))
                self._out.write(data)
        self._gathered, self._bytes = {}, 0


def _by_bucket(batch: pa.RecordBatch, bucket_bits: int) -> typing.Iterator[tuple[int, pa.RecordBatch]]:
    buckets = buckets_of(hash64(batch["photo_id"].to_numpy()), bucket_bits)
    order = np.argsort(buckets, kind="stable")
    grouped = batch.take(pa.array(order))
    present, begins = np.unique(buckets[order], return_index=True)
    for bucket, begin, end in zip(present, begins, [*begins[1:], len(buckets)], strict=True):
        yield int(bucket), grouped.slice(begin, end - begin)
