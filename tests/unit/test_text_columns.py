"""Vectorised text operations against the plain ones of the standard library."""

import urllib.parse

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.text_columns import partition, split_fields, split_list, url_decode

_ENCODED = st.lists(
    st.text(alphabet="ab+%2Fe9C3Ag,:%%", max_size=12) | st.text(max_size=8).map(urllib.parse.quote_plus), max_size=8
)


def _column(values: list[str]) -> pa.BinaryArray:
    return pa.array([v.encode() for v in values], pa.binary())


@given(_ENCODED)
def test_url_decode_equals_unquote_plus(values: list[str]) -> None:
    assert url_decode(_column(values)).to_pylist() == [urllib.parse.unquote_plus(v) for v in values]


def test_an_escape_never_reaches_into_the_next_value() -> None:
    assert url_decode(_column(["50%", "41", "%4", "1%"])).to_pylist() == ["50%", "41", "%4", "1%"]


@given(_ENCODED, st.integers(0, 3))
def test_columns_may_be_slices(values: list[str], begin: int) -> None:
    sliced = _column(values)[begin:]
    assert url_decode(sliced).to_pylist() == [urllib.parse.unquote_plus(v) for v in values[begin:]]


@given(_ENCODED)
def test_split_list_leaves_out_empty_items(values: list[str]) -> None:
    offsets, items = split_list(_column(values), b",")
    lists = pa.ListArray.from_arrays(offsets, items).to_pylist()
    assert lists == [[item.encode() for item in value.split(",") if item] for value in values]


@pytest.mark.parametrize("last", [False, True])
@given(values=_ENCODED)
def test_partition_equals_the_one_of_str(values: list[str], last: bool) -> None:
    parts = partition(_column(values), b":", last=last)
    for i, value in enumerate(values):
        head, separator, tail = value.rpartition(":") if last else value.partition(":")
        if not separator:
            head, tail = value, ""
        assert parts.head[i].as_py() == head.encode()
        assert parts.tail[i].as_py() == tail.encode()
        assert parts.found[i] == bool(separator)


@given(st.lists(st.lists(st.binary(max_size=5).map(lambda b: b.replace(b"\t", b"")), min_size=3, max_size=3)))
def test_split_fields_gives_back_what_was_joined(rows: list[list[bytes]]) -> None:
    columns = split_fields(pa.array([b"\t".join(row) for row in rows], pa.binary()), b"\t", 3)
    assert [list(fields) for fields in zip(*(c.to_pylist() for c in columns), strict=True)] == rows
