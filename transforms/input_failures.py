"""Rows of `failures/input.parquet`, gathered in files of their own until the rows are complete."""

import itertools
import pathlib
import typing

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.failures import INPUT_FAILURE_SCHEMA, MAX_RAW_BYTES, Failure, failure_columns

_BATCH_ROWS = 1_000


def input_failure(failure: Failure, url: str, offset: int, offset_in_block: int, raw: bytes) -> dict[str, typing.Any]:
    """Returns one row of ``failures/input.parquet``."""
    return {
        **failure_columns(failure, None),
        "file": url,
        "offset": offset,
        "offset_in_block": offset_in_block if offset_in_block >= 0 else None,
        "raw": raw[:MAX_RAW_BYTES],
    }


class FailureFile:
    """A Parquet file of input failures, written in batches as they come; there is no file where there are none.

    A context manager.

    Args:
        path: of the file.
    """

    def __init__(self, path: pathlib.Path):
        self._path = path
        self._writer: pq.ParquetWriter | None = None
        self.rows = 0

    @property
    def path(self) -> str:
        """The file's path; '' while there is no row."""
        return str(self._path) if self.rows else ""

    def append(self, rows: typing.Iterable[dict[str, typing.Any]]) -> None:
        """Adds rows, a batch in memory at a time."""
        remaining = iter(rows)
        while batch := list(itertools.islice(remaining, _BATCH_ROWS)):
            self._writer = self._writer or pq.ParquetWriter(self._path, INPUT_FAILURE_SCHEMA, compression="zstd")
            self._writer.write_table(pa.Table.from_pylist(batch, INPUT_FAILURE_SCHEMA))
            self.rows += len(batch)

    def __enter__(self) -> "FailureFile":
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._writer:
            self._writer.close()
