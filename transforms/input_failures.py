"""Rows of `failures/input.parquet`, gathered in files of their own until the rows are complete."""

import pathlib
import typing

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.failures import INPUT_FAILURE_SCHEMA, MAX_RAW_BYTES, Failure, failure_columns


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
