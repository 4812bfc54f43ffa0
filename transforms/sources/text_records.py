"""Records of a text file with their places: its lines, or lines joined where a quoted value goes on.

Records of a CSV with free text in quotes may hold line ends; such a file is read as a whole.
"""

import csv
import itertools
import typing

import numpy as np
import numpy.typing as npt

from transforms.sources.line_ranges import LineBlock, ReadAt, places, read_line_blocks

_BLOCK_BYTES = 1 << 20
_MAX_JOINED_LINES = 200
_QUOTE = ord('"')

Positions = npt.NDArray[np.int64]


class Records(typing.NamedTuple):
    """Some records of a file, in order.

    Attributes:
        data: their bytes, each with its line end, and nothing else.
        starts: where they begin in ``data``.
        offsets: where they begin in the file.
        too_long: positions among the records of those that were cut for their length.
    """

    data: bytes
    starts: Positions
    offsets: Positions
    too_long: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.starts)

    def raw(self, record: int) -> bytes:
        """Returns a record without its line end."""
        stop = int(self.starts[record + 1]) if record + 1 < len(self.starts) else len(self.data)
        return self.data[int(self.starts[record]) : stop].rstrip(b"\r\n")


class OpenFile(typing.NamedTuple):
    """An open file.

    Attributes:
        read_at: reads its bytes.
        size: of it, bytes.
        name: for messages.
    """

    read_at: ReadAt
    size: int
    name: str


class Form(typing.NamedTuple):
    """What a record of a CSV is made of.

    Attributes:
        delimiter: between its fields.
        fields: their number.
    """

    delimiter: str
    fields: int


def read_records(
    file: OpenFile, start: int, stop: int, *, has_header: bool, max_records: int, max_line_bytes: int = 1 << 18
) -> typing.Iterator[Records]:
    """Reads the lines that the bytes ``[start, stop)`` own, at most ``max_records`` at a time.

    Args:
        file: to read.
        start: first byte of the range.
        stop: end of the range.
        has_header: whether the file's first line is none of its records.
        max_records: in one result.
        max_line_bytes: longer lines are cut and named ``too_long``.
    """
    skipped = int(has_header and start == 0)
    for block in _blocks(file, start, stop, max_line_bytes):
        records = _lines(block)
        yield from _cut(_from(records, skipped), max_records)
        skipped = 0


def read_quoted_records(
    file: OpenFile, form: Form, *, max_records: int, max_line_bytes: int = 1 << 18
) -> typing.Iterator[Records]:
    """Reads the records of a whole file with a header, whose quoted values may hold line ends.

    Lines are joined only if they become a record of all its fields; else a line with an open quote is a
    record of its own, and no line after it is lost.

    Args:
        file: to read.
        form: of its records.
        max_records: in one result.
        max_line_bytes: as in :func:`read_records`.
    """
    rest: Records | None = None
    skipped = 1
    for block in _blocks(file, 0, file.size, max_line_bytes):
        lines = _from(_lines(block), skipped)
        joined = _joined(_after(rest, lines), form)
        whole = joined if block.too_long else _from(joined, 0, _first_open(joined, form.delimiter))
        rest = _from(joined, len(whole))
        yield from _cut(whole, max_records)
        skipped = 0
    if rest is not None:
        yield from _cut(rest, max_records)


def is_open(text: str, delimiter: str) -> bool:
    """Tells whether a quoted value goes on after the end of a text.

    Example:
        >>> is_open('1,"a', ","), is_open('1,"a"', ","), is_open('1,2"', ",")
        (True, False, False)
    """
    reader = csv.reader([text, ""], delimiter=delimiter)
    try:
        next(reader)
    except csv.Error:
        return False
    return reader.line_num > 1


def _blocks(file: OpenFile, start: int, stop: int, max_line_bytes: int) -> typing.Iterator[LineBlock]:
    return read_line_blocks(
        file.read_at,
        file.size,
        start,
        stop,
        compressed=False,
        name=file.name,
        max_block_bytes=_BLOCK_BYTES,
        max_line_bytes=max_line_bytes,
    )


def _lines(block: LineBlock) -> Records:
    ends = np.flatnonzero(np.frombuffer(block.data, np.uint8) == ord("\n")) + 1
    starts = np.concatenate(([0], ends[:-1])).astype(np.int64)
    too_long = tuple(np.searchsorted(starts, block.too_long).tolist())
    return Records(block.data, starts, places(block, starts)[0], too_long)


def _from(records: Records, first: int, stop: int | None = None) -> Records:
    """Returns the records from one up to another."""
    if first == 0 and (stop is None or stop == len(records)):
        return records
    bounds = np.append(records.starts, len(records.data))
    stop = len(records) if stop is None else stop
    begin = int(bounds[min(first, len(records))])
    return Records(
        records.data[begin : int(bounds[stop])],
        records.starts[first:stop] - begin,
        records.offsets[first:stop],
        tuple(i - first for i in records.too_long if first <= i < stop),
    )


def _cut(records: Records, max_records: int) -> typing.Iterator[Records]:
    for first in range(0, len(records), max_records):
        yield _from(records, first, min(first + max_records, len(records)))


def _after(rest: Records | None, lines: Records) -> Records:
    """Puts lines behind what is left of those before."""
    if rest is None or not len(rest):
        return lines
    return Records(
        rest.data + lines.data,
        np.concatenate((rest.starts, lines.starts + len(rest.data))),
        np.concatenate((rest.offsets, lines.offsets)),
        tuple(i + len(rest) for i in lines.too_long),
    )


def _joined(lines: Records, form: Form) -> Records:
    """Joins each line in which a quote stays open with those up to the one that closes it."""
    kept = np.ones(len(lines), np.bool_)
    closed_before = 0
    for line in _odd_lines(lines):
        if line < closed_before:
            continue
        last = _closing_line(lines, line, form)
        kept[line + 1 : last + 1] = False
        closed_before = last + 1
    if kept.all():
        return lines
    places_of_kept = np.cumsum(kept) - 1
    too_long = tuple(int(places_of_kept[i]) for i in lines.too_long)
    return Records(lines.data, lines.starts[kept], lines.offsets[kept], too_long)


def _odd_lines(lines: Records) -> list[int]:
    """Returns the lines with an odd number of quotes."""
    quotes = np.flatnonzero(np.frombuffer(lines.data, np.uint8) == _QUOTE)
    before = np.append(np.searchsorted(quotes, lines.starts), len(quotes))
    return np.flatnonzero(np.diff(before) % 2).tolist()


def _closing_line(lines: Records, line: int, form: Form) -> int:
    """Returns the line that closes the quote opened in one, and the record; that one itself if none does."""
    stop = min(line + _MAX_JOINED_LINES, len(lines))
    texts = (lines.raw(i).decode("utf-8", "replace") + "\n" for i in range(line, stop))
    reader = csv.reader(itertools.chain(texts, [""]), delimiter=form.delimiter)
    try:
        fields = next(reader)
    except csv.Error:
        return line
    closed = reader.line_num <= stop - line and len(fields) == form.fields
    return line + reader.line_num - 1 if closed else line


def _first_open(records: Records, delimiter: str) -> int:
    """Returns the first of the last records that is open and that later lines may close; else their number."""
    first = max(len(records) - _MAX_JOINED_LINES + 1, 0)
    for record in range(first, len(records)):
        if is_open(records.raw(record).decode("utf-8", "replace"), delimiter):
            return record
    return len(records)
