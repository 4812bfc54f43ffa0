"""A documented column of a table, and the Arrow schema of several."""

import typing

import pyarrow as pa

MILLISECONDS = pa.timestamp("ms")


class Column(typing.NamedTuple):
    """One documented column of a table.

    Attributes:
        name: column name.
        type: Arrow type.
        doc: one sentence for ``docs/format.md``.
        required: never null.
    """

    name: str
    type: pa.DataType
    doc: str
    required: bool = False


def vector_of(size: int) -> pa.DataType:
    """Returns the type of vectors of so many numbers."""
    return pa.list_(pa.field("element", pa.float32(), nullable=False), size)


def schema_of(columns: typing.Iterable[Column]) -> pa.Schema:
    """Returns the Arrow schema; the documentation is left out, so that editing it moves no bytes."""
    return pa.schema([pa.field(c.name, c.type, nullable=not c.required) for c in columns])
