"""Parquet from memory or from an open file, read in the caller's thread alone.

Threads of Arrow may still hold what they read from when the read has returned. If that is an object of Python's, and
the program ends meanwhile, they abort it: https://github.com/apache/arrow/issues/34314.
"""

import typing

import pyarrow as pa
import pyarrow.parquet as pq

ParquetSource = bytes | typing.BinaryIO


def open_parquet(source: ParquetSource) -> pq.ParquetFile:
    """Opens a file to be read with ``use_threads=False``."""
    return pq.ParquetFile(pa.BufferReader(source) if isinstance(source, bytes) else source, pre_buffer=False)


def read_parquet(source: ParquetSource, columns: typing.Sequence[str] | None = None) -> pa.Table:
    """Reads a file.

    Args:
        source: the file, or its bytes.
        columns: names of columns, or of leaves; they come in the order of the file. None for all.

    Raises:
        pa.ArrowException, OSError, ValueError: it is no Parquet file, or damaged.
    """
    return open_parquet(source).read(None if columns is None else list(columns), use_threads=False)
