"""Which joined rows are kept: `--where`, a SQL condition evaluated by DuckDB, and `--limit`."""

import dataclasses

import duckdb
import numpy as np
import pyarrow as pa

from schemas.photo_ids import LIMIT_SALT, hash64
from schemas.rows import ROW_SCHEMA


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowSelection:
    """Which joined rows are kept.

    Attributes:
        where: SQL condition, '' for all.
        limit: number of photos, None for all.
    """

    where: str = ""
    limit: int | None = None


class ConditionError(ValueError):
    """The condition of ``--where`` is not valid, or fails on some row."""


def check_condition(condition: str) -> None:
    """Checks a condition against the joined row's schema, before any work.

    Raises:
        ConditionError: it does not parse, names an unknown column, or is no boolean.
    """
    connection = _connection()
    try:
        connection.register("photos", ROW_SCHEMA.empty_table())
        kind = connection.execute(f"SELECT ({condition}\n) FROM photos WHERE ({condition}\n)").description[0][1]
    except duckdb.Error as error:
        raise ConditionError(f"--where {condition!r}: {_first_line(error)}") from error
    if str(kind) != "BOOLEAN":
        raise ConditionError(f"--where {condition!r} gives {kind}, not a condition; compare it with something")


def matching_rows(rows: pa.Table, condition: str) -> pa.BooleanArray:
    """Returns for every row whether the condition is true (null counts as false), in row order.

    Raises:
        ConditionError: the condition fails on some row.
    """
    connection = _connection()
    connection.register("photos", rows)
    try:
        result = connection.sql(f"SELECT coalesce(({condition}\n), false) AS matches FROM photos").to_arrow_table()
    except duckdb.Error as error:
        raise ConditionError(f"--where {condition!r}: {_first_line(error)}") from error
    return result["matches"].combine_chunks()


def select_rows(rows: pa.Table, selection: RowSelection) -> pa.Table:
    """Keeps the rows that match, and of those only as many as ``--limit`` could ever take from here."""
    if selection.where:
        rows = rows.filter(matching_rows(rows, selection.where))
    if selection.limit is not None and rows.num_rows > selection.limit:
        salted = hash64(rows["photo_id"].to_numpy(), LIMIT_SALT)
        rows = rows.take(np.sort(np.argpartition(salted, selection.limit)[: selection.limit]))
    return rows


def _connection() -> duckdb.DuckDBPyConnection:
    """One thread, so that the order of rows is kept; no access to files or the network."""
    return duckdb.connect(config={"threads": 1, "enable_external_access": False})


def _first_line(error: duckdb.Error) -> str:
    return str(error).split("\n")[0]
