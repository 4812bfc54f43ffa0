"""Rows of `failures/input.parquet`, gathered in files of their own until the rows are complete."""

import contextlib
import itertools
import typing

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.failures import INPUT_FAILURE_SCHEMA, MAX_RAW_BYTES, Failure, failure_columns
from transforms.stores.scratch import Scratch

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


@contextlib.contextmanager
def failure_file(scratch: Scratch, name: str) -> typing.Iterator["FailureFile"]:
    """Writes a file of input failures; it gets its name when it is whole, and there is none where nothing failed."""
    with contextlib.ExitStack() as at_end:
        yield FailureFile(scratch, name, at_end)


class FailureFile:
    """A Parquet file of input failures, written in batches as they come.

    Args:
        scratch: gets the file.
        name: of it.
        at_end: ends the file.

    Attributes:
        rows: in it by now.
    """

    def __init__(self, scratch: Scratch, name: str, at_end: contextlib.ExitStack):
        self._scratch, self._name, self._at_end = scratch, name, at_end
        self._writer: pq.ParquetWriter | None = None
        self.rows = 0

    @property
    def name(self) -> str:
        """The file's name; '' while there is no row."""
        return self._name if self.rows else ""

    def append(self, rows: typing.Iterable[dict[str, typing.Any]]) -> None:
        """Adds rows, a batch in memory at a time."""
        remaining = iter(rows)
        while batch := list(itertools.islice(remaining, _BATCH_ROWS)):
            self._writer = self._writer or self._open()
            self._writer.write_table(pa.Table.from_pylist(batch, INPUT_FAILURE_SCHEMA))
            self.rows += len(batch)

    def _open(self) -> pq.ParquetWriter:
        path = self._at_end.enter_context(self._scratch.writing(self._name))
        return self._at_end.enter_context(pq.ParquetWriter(path, INPUT_FAILURE_SCHEMA, compression="zstd"))
