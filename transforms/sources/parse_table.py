"""Parses records of a CSV into columns: all at once, or one by one where something is wrong with one.

Both ways give the same values: those that are no numbers are null, or named ``unreadable`` if there is
something.
"""

import csv
import typing

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from schemas.boolean_masks import is_true
from schemas.open_images import TABLES, Layout
from schemas.open_images_tables import TableRows
from transforms.sources.text_records import Records, is_open

_NO_NUMBERS = ["", "nan", "NaN", "NAN", "null"]
_NAN = r"(?i)^[-+]?nan(?:\(.*\))?$"
_NUMBER = r"^[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?$"
_LINE_ENDS = np.isin(np.arange(256), list(b"\r\n"))


class ParsedTable(typing.NamedTuple):
    """What records hold.

    Attributes:
        rows: of the records that have all their fields.
        places: position among the records of each of these rows.
        faults: why the others cannot be read, by position.
    """

    rows: TableRows
    places: npt.NDArray[np.int64]
    faults: dict[int, str]


def parse_table(records: Records, layout: Layout, only: typing.Container[str] | None = None) -> ParsedTable:
    """Parses records; empty ones are neither rows nor faults.

    Args:
        records: of a table, without its header.
        layout: of the table.
        only: columns to parse; all that the table has if None. The same records are rows whatever these are.
    """
    wanted = [c for c in layout.columns if c and (only is None or c in only)]
    rows = _parse_all(records, layout, wanted)
    if rows is not None:
        return ParsedTable(rows, np.arange(len(records)), {})
    return _parse_each(records, layout, wanted)


def _parse_all(records: Records, layout: Layout, wanted: list[str]) -> TableRows | None:
    """Returns all rows; None if the records are not as many, or a value is not of its column's type."""
    if not _is_regular(records, layout):
        return None
    numbers = TABLES[layout.kind].numbers
    names = [column or f"#{i}" for i, column in enumerate(layout.columns)]
    types = {column: pa.float64() if column in numbers else pa.string() for column in wanted}
    try:
        table = pa_csv.read_csv(
            pa.BufferReader(records.data),
            pa_csv.ReadOptions(use_threads=False, block_size=len(records.data) + 1, column_names=names),
            pa_csv.ParseOptions(delimiter=layout.delimiter, newlines_in_values=True),
            pa_csv.ConvertOptions(
                column_types=types, include_columns=wanted, null_values=_NO_NUMBERS, check_utf8=False
            ),
        )
    except pa.ArrowInvalid:
        return None
    if len(table) != len(records):
        return None
    columns = {column: table.column(column).combine_chunks() for column in wanted}
    return TableRows({name: _nan_as_null(values) for name, values in columns.items()}, {}, len(records))


def _parse_each(records: Records, layout: Layout, wanted: list[str]) -> ParsedTable:
    found: list[list[str]] = []
    places: list[int] = []
    faults: dict[int, str] = {}
    for place in range(len(records)):
        if not (raw := records.raw(place)):
            continue
        fields = "it is too long" if place in records.too_long else _fields(raw, layout)
        if isinstance(fields, str):
            faults[place] = fields
            continue
        found.append(fields)
        places.append(place)
    return ParsedTable(_rows(found, layout, wanted), np.array(places, np.int64), faults)


def _fields(raw: bytes, layout: Layout) -> list[str] | str:
    """Splits a record; a text instead of a list is why it cannot be."""
    if b"\0" in raw:
        return "it has a NUL"
    try:
        text = raw.decode("utf-8")
        fields = next(csv.reader([text], delimiter=layout.delimiter), [])
    except UnicodeDecodeError:
        return "it is not valid UTF-8"
    except csv.Error:
        return "it has a line end outside quotes, or too long a value"
    if is_open(text, layout.delimiter):
        return "a quote is not closed"
    if len(fields) != len(layout.columns):
        return f"{len(fields)} fields where {len(layout.columns)} were expected"
    return fields


def _rows(found: list[list[str]], layout: Layout, wanted: list[str]) -> TableRows:
    columns: dict[str, pa.Array] = {}
    unreadable: dict[str, npt.NDArray[np.bool_]] = {}
    for column in wanted:
        place = layout.columns.index(column)
        columns[column] = pa.array([fields[place] for fields in found], pa.string())
        if column in TABLES[layout.kind].numbers:
            columns[column], unreadable[column] = _read_numbers(columns[column])
    return TableRows(columns, {name: bad for name, bad in unreadable.items() if bad.any()}, len(found))


def _read_numbers(texts: pa.StringArray) -> tuple[pa.DoubleArray, npt.NDArray[np.bool_]]:
    """Reads numbers; the mask tells which values are there but are none."""
    trimmed = pc.utf8_trim_whitespace(texts)
    readable = is_true(pc.match_substring_regex(trimmed, _NUMBER))
    absent = is_true(pc.or_(pc.is_in(trimmed, pa.array(_NO_NUMBERS)), pc.match_substring_regex(trimmed, _NAN)))
    return pc.if_else(pa.array(readable), pc.utf8_ltrim(trimmed, "+"), None).cast(pa.float64()), ~readable & ~absent


def _nan_as_null(values: pa.Array) -> pa.Array:
    if not pa.types.is_floating(values.type):
        return values
    nan = pc.is_nan(values)
    return pc.if_else(nan, None, values) if is_true(nan).any() else values


def _is_regular(records: Records, layout: Layout) -> bool:
    """Whether no record is cut, empty or open, and line ends stand where they belong.

    Of such records, as many rows are the records one by one.
    """
    data = records.data
    if records.too_long or b"\0" in data or not _is_utf8(data):
        return False
    if b"\r" in data and data.count(b"\r") != data.count(b"\r\n"):
        return False
    begins = np.frombuffer(data, np.uint8)[records.starts]
    return not _LINE_ENDS[begins].any() and not is_open(records.raw(len(records) - 1).decode(), layout.delimiter)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
