"""Vectorised splitting and URL-decoding of columns of bytes.

A column is an Arrow BinaryArray without nulls. NumPy finds the separators over the whole buffer at
once and Arrow copies the pieces, so the cost goes with the bytes and hardly with the values.
"""

import typing
import urllib.parse

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Bytes = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.int64]

HEX_VALUES = np.full(256, 255, np.uint8)
for _digit in range(16):
    HEX_VALUES[ord(f"{_digit:x}")] = HEX_VALUES[ord(f"{_digit:X}")] = _digit
"""What each byte is worth as a hexadecimal digit; 255 of one that is none."""

_PLUS_TO_SPACE = bytes.maketrans(b"+", b" ")
_PERCENT = ord("%")


class Parts(typing.NamedTuple):
    """The two sides of a separator.

    Attributes:
        head: what is before it; the whole value where there is none.
        tail: what is after it; empty where there is none.
        found: bool, whether it is there.
    """

    head: pa.BinaryArray
    tail: pa.BinaryArray
    found: npt.NDArray[np.bool_]


def buffers_of(column: pa.BinaryArray) -> tuple[Bytes, Positions]:
    """Returns a column's bytes (uint8) and the n + 1 offsets (int64) of its values, from 0."""
    offsets = np.frombuffer(column.buffers()[1], np.int32)[column.offset : column.offset + len(column) + 1]
    data = column.buffers()[2]
    bytes_ = np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]] if data else np.empty(0, np.uint8)
    return bytes_, (offsets - offsets[0]).astype(np.int64)


def column_of(data: Bytes, offsets: Positions) -> pa.BinaryArray:
    """Makes a column of bytes and n + 1 offsets, without a copy."""
    return pa.BinaryArray.from_buffers(
        pa.binary(), len(offsets) - 1, [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(data)]
    )


def take_spans(data: Bytes, starts: Positions, ends: Positions) -> pa.BinaryArray:
    """Copies the spans ``data[starts[i]:ends[i]]``, which are in order and do not overlap."""
    borders = np.empty(2 * len(starts), np.int64)
    borders[0::2], borders[1::2] = starts, ends
    if not len(starts):
        return pa.array([], pa.binary())
    return column_of(data, borders).take(pa.array(np.arange(0, len(borders) - 1, 2)))


def split_fields(lines: pa.BinaryArray, separator: bytes, fields: int) -> list[pa.BinaryArray]:
    """Splits lines that all have exactly ``fields`` fields.

    Args:
        lines: each with ``fields - 1`` separators; the caller has checked.
        separator: one byte.
        fields: at least 2.

    Returns:
        One column per field.
    """
    data, offsets = buffers_of(lines)
    borders = np.empty((len(lines), fields, 2), np.int32)
    separators = np.flatnonzero(data == ord(separator)).astype(np.int32).reshape(len(lines), fields - 1)
    borders[:, 0, 0], borders[:, -1, 1] = offsets[:-1], offsets[1:]
    borders[:, :-1, 1] = separators
    borders[:, 1:, 0] = separators + 1
    if not len(lines):
        return [lines] * fields
    pieces = column_of(data, typing.cast(Positions, borders.ravel()))
    step = 2 * fields
    return [pieces.take(pa.array(np.arange(2 * k, len(lines) * step, step))) for k in range(fields)]


def split_list(column: pa.BinaryArray, separator: bytes) -> tuple[pa.Int32Array, pa.BinaryArray]:
    """Splits each value into a list; empty items are left out.

    Returns:
        The n + 1 list offsets and the items of all lists.

    Example:
        >>> offsets, items = split_list(pa.array([b"a,,b", b"", b"c"]), b",")
        >>> pa.ListArray.from_arrays(offsets, items).to_pylist()
        [[b'a', b'b'], [], [b'c']]
    """
    data, offsets = buffers_of(column)
    separators = np.flatnonzero(data == ord(separator))
    before = np.searchsorted(separators, offsets)
    starts, ends = _merge(offsets[:-1], separators + 1, before), _merge(offsets[1:], separators, before[1:])
    filled = ends > starts
    kept = np.concatenate(([0], np.cumsum(filled)))
    list_offsets = kept[np.arange(len(offsets)) + before]
    return pa.array(list_offsets.astype(np.int32)), take_spans(data, starts[filled], ends[filled])


def _merge(borders: Positions, separators: Positions, before: Positions) -> Positions:
    """Sorts value borders and separators together, given how many separators lie before each border."""
    merged = np.empty(len(borders) + len(separators), np.int64)
    places = np.arange(len(borders)) + before[: len(borders)]
    others = np.ones(len(merged), np.bool_)
    others[places] = False
    merged[places], merged[others] = borders, separators
    return merged


def partition(column: pa.BinaryArray, separator: bytes, *, last: bool = False) -> Parts:
    """Cuts each value at its first (or last) separator.

    Example:
        >>> partition(pa.array([b"a:b:0.5", b"c"]), b":", last=True).head.to_pylist()
        [b'a:b', b'c']
    """
    data, offsets = buffers_of(column)
    separators = np.flatnonzero(data == ord(separator))
    at = np.searchsorted(separators, offsets)
    found = at[1:] > at[:-1]
    chosen = np.where(found, at[1:] - 1 if last else at[:-1], 0)
    cut = offsets[1:].copy()
    cut[found] = separators[chosen[found]]
    tail = take_spans(data, np.minimum(cut + 1, offsets[1:]), offsets[1:])
    return Parts(take_spans(data, offsets[:-1], cut), tail, found)


def url_decode(column: pa.BinaryArray) -> pa.StringArray:
    """Undoes URL-encoding exactly as :func:`urllib.parse.unquote_plus` does.

    ``+`` is a space, ``%XX`` a byte, a lone ``%`` stays, invalid UTF-8 becomes U+FFFD.

    Example:
        >>> url_decode(pa.array([b"a+b%2Bc", b"100%", b"%E9"])).to_pylist()
        ['a b+c', '100%', '�']
    """
    data, offsets = buffers_of(column)
    data = np.frombuffer(bytearray(data.tobytes().translate(_PLUS_TO_SPACE)), np.uint8)
    escapes = _escapes(data, offsets)
    if len(escapes):
        data[escapes] = HEX_VALUES[data[escapes + 1]] * 16 + HEX_VALUES[data[escapes + 2]]
        kept = np.ones(len(data), np.bool_)
        kept[escapes + 1] = kept[escapes + 2] = False
        data, offsets = data[kept], offsets - 2 * np.searchsorted(escapes, offsets)
    return _as_text(column_of(data, offsets), column)


def _escapes(data: Bytes, offsets: Positions) -> Positions:
    """Positions of ``%XX`` with two hexadecimal digits in the same value."""
    escapes = np.flatnonzero(data == _PERCENT)
    escapes = escapes[escapes < len(data) - 2]
    escapes = escapes[(HEX_VALUES[data[escapes + 1]] < 16) & (HEX_VALUES[data[escapes + 2]] < 16)]
    if not len(escapes):
        return escapes
    begins = np.zeros(len(data) + 1, np.bool_)
    begins[offsets] = True
    return escapes[~(begins[escapes + 1] | begins[escapes + 2])]


def _as_text(decoded: pa.BinaryArray, encoded: pa.BinaryArray) -> pa.StringArray:
    try:
        return decoded.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([_unquoted(d, e) for d, e in zip(decoded, encoded, strict=True)], pa.string())


def _unquoted(decoded: pa.BinaryScalar, encoded: pa.BinaryScalar) -> str:
    try:
        return decoded.as_py().decode("utf-8")
    except UnicodeDecodeError:
        return urllib.parse.unquote_plus(encoded.as_py().decode("utf-8", "replace"))


def to_text(column: pa.BinaryArray) -> pa.StringArray:
    """Reads bytes that are known to be UTF-8 as text."""
    return column.cast(pa.string())


def empty_as_null(column: pa.StringArray) -> pa.StringArray:
    """Replaces '' by null."""
    return pc.if_else(pc.equal(pc.binary_length(column), 0), None, column)
