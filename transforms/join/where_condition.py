"""SQL conditions on one row of a table, a joined row or a failure, evaluated by DuckDB, which is loaded for it only."""

import re
import typing
import uuid

import pyarrow as pa
import pyarrow.compute as pc

from schemas.rows import ROW_SCHEMA

if typing.TYPE_CHECKING:
    import duckdb

_NUMBER = 3
"""Stands for any: with 0 a division would fail, and 1 is what many conditions name first."""

_CLOCKS = frozenset({"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"})


class ConditionError(ValueError):
    """A condition is not valid, or fails on some row."""


def check_condition(condition: str, schema: pa.Schema = ROW_SCHEMA, flag: str = "--where") -> None:
    """Tries a condition on a row without values, before any work.

    In it is null what may be, and text; lists are empty, and numbers no special ones.

    What only fails on some values, such as a title that is compared with a number, is not seen.

    Args:
        condition: SQL.
        schema: of the rows.
        flag: that gives the condition, for messages.

    Raises:
        ConditionError: it does not parse, names an unknown column, compares a column with what is not of its kind,
            looks at more than its own row, gives another answer each time, or is no boolean.
    """
    connection, said = _connection(), f"{flag} {condition!r}"
    if changing := sorted(_function_names(condition) & _changing_functions(connection)):
        raise ConditionError(f"{said}: {changing[0]} gives another answer each time; leave it out")
    kind = _query(connection, schema.empty_table(), f"({condition}\n)", condition, said).schema.field(0).type
    if not pa.types.is_boolean(kind):
        raise ConditionError(f"{said} gives {kind}, not a condition; compare it with something")
    try:
        _query(connection, _bare_row(schema), "photo_id", condition, said)
    except ConditionError as error:
        raise ConditionError(f"{error} (tried on a row without values; TRY_CAST gives null instead)") from error


def matching_rows(rows: pa.Table, condition: str, flag: str = "--where") -> pa.BooleanArray:
    """Returns for every row whether the condition is true (null counts as false), in row order.

    Args:
        rows: with a column ``photo_id``, whose values are unique.
        condition: SQL.
        flag: that gives the condition, for messages.

    Raises:
        ConditionError: the condition fails on some row.
    """
    matching = _query(_connection(), rows, "photo_id", condition, f"{flag} {condition!r}")["photo_id"]
    return pc.is_in(rows["photo_id"].combine_chunks(), value_set=matching.combine_chunks())


def _query(
    connection: "duckdb.DuckDBPyConnection", rows: pa.Table, selected: str, condition: str, said: str
) -> pa.Table:
    """Selects from the matching rows. The table has a name that no subquery can know: a condition sees its own row."""
    import duckdb

    name = f"photos_{uuid.uuid4().hex}"
    connection.register(name, rows)
    try:
        return connection.sql(f"SELECT {selected} FROM {name} WHERE ({condition}\n)").to_arrow_table()
    except (duckdb.Error, RuntimeError, UnicodeError, KeyError) as error:
        message = str(error).split("\n")[0].replace(name, "the row")
        raise ConditionError(f"{said}: {message}") from error


def _bare_row(schema: pa.Schema) -> pa.Table:
    return pa.Table.from_arrays([_bare_column(field) for field in schema], schema=schema)


def _bare_column(field: pa.Field) -> pa.Array:
    if field.nullable or pa.types.is_string(field.type):
        return pa.nulls(1, field.type)
    return pa.array([[]], field.type) if pa.types.is_list(field.type) else pa.array([_NUMBER]).cast(field.type)


def _function_names(condition: str) -> set[str]:
    names = re.findall(r"\b[A-Za-z_]\w*(?=\"?\s*\()|\b(?:current_|localtime)\w*", condition, re.IGNORECASE)
    return {name.lower() for name in names}


def _changing_functions(connection: "duckdb.DuckDBPyConnection") -> set[str]:
    found = connection.sql("SELECT DISTINCT function_name FROM duckdb_functions() WHERE stability <> 'CONSISTENT'")
    return {name for (name,) in found.fetchall()} | _CLOCKS


def _connection() -> "duckdb.DuckDBPyConnection":
    """No access to files or the network."""
    import duckdb

    return duckdb.connect(config={"threads": 1, "enable_external_access": False})
