"""The annotations of a shard's rows as Python values, made where a row has any."""

import typing

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.annotations import GEOMETRY_COLUMNS, MAPPED_COLUMNS

_LISTS = ("copies", *GEOMETRY_COLUMNS)
_NONE: typing.Final[dict[str, list[typing.Any]]] = {name: [] for name in _LISTS}

Lists = typing.Mapping[str, list[typing.Any]]


class RowAnnotations:
    """Copies, geometry and warnings by row; most rows of YFCC100M have no more than warnings."""

    def __init__(self, rows: pa.Table):
        self._columns = {name: rows[name].combine_chunks() for name in ("copies", *MAPPED_COLUMNS)}
        counts = [pc.list_value_length(self._columns[name]).to_numpy(zero_copy_only=False) for name in _LISTS]
        self._annotated = np.logical_or.reduce([count > 0 for count in counts])

    def __getitem__(self, row: int) -> Lists:
        """Returns ``copies`` and the geometry columns of a row, and ``warnings`` if one of them holds anything."""
        if not self._annotated[row]:
            return _NONE
        return {name: column[row].as_py() for name, column in self._columns.items()}
