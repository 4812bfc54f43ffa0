"""The annotation tables of Open Images: what is wrong with a row, and the elements of the good ones.

Publishers order the edges of a box XMin, XMax, YMin, YMax; elements have xmin, ymin, xmax, ymax, exactly
as published, also a little beyond 0..1. A flag of -1 is not known.
"""

import typing

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.annotations import CLICK, ELEMENTS, NORMALISED, UNKNOWN_FLAG
from schemas.boolean_masks import Mask, is_true
from schemas.open_images import SOURCE, TABLES, OpenImagesKind
from schemas.text_columns import empty_as_null

ClassNames = typing.Mapping[str, str]

COLUMN_OF: typing.Final[dict[OpenImagesKind, str]] = {
    OpenImagesKind.BOXES: "boxes",
    OpenImagesKind.IMAGE_LABELS: "image_labels",
    OpenImagesKind.MASKS: "segments",
    OpenImagesKind.RELATIONSHIPS: "relationships",
    OpenImagesKind.POINTS: "points",
}
"""Column of the row that the rows of a table go to."""


class TableRows(typing.NamedTuple):
    """Rows of a table, by column.

    Attributes:
        columns: by our name, all of one length: text without nulls, numbers as float64, null where
            there is none.
        unreadable: by column, which values are there but are no numbers; only columns that have some.
        length: number of rows.
    """

    columns: dict[str, pa.Array]
    unreadable: dict[str, Mask]
    length: int

    def texts(self, column: str) -> pa.StringArray:
        """Returns a column of text; '' throughout where the table lacks it."""
        return self.columns[column] if column in self.columns else pa.repeat(pa.scalar(""), self.length)

    def numbers(self, column: str) -> pa.DoubleArray:
        """Returns a column of numbers, no zero negative; null throughout where the table lacks it."""
        return pc.add(self.columns[column], 0.0) if column in self.columns else pa.nulls(self.length, pa.float64())

    def floats(self, column: str) -> npt.NDArray[np.float64]:
        """Returns a column of numbers, NaN where there is none."""
        return self.numbers(column).to_numpy(zero_copy_only=False)

    def keep(self, kept: Mask) -> "TableRows":
        """Returns some of the rows."""
        if kept.all():
            return self
        columns = {name: values.filter(pa.array(kept)) for name, values in self.columns.items()}
        return TableRows(columns, {name: bad[kept] for name, bad in self.unreadable.items()}, int(kept.sum()))

    def with_column(self, column: str, values: pa.Array) -> "TableRows":
        """Returns the same rows with other values in a column."""
        return self._replace(columns={**self.columns, column: values})


_BOX_FLAGS = {
    "is_occluded": "IsOccluded",
    "is_truncated": "IsTruncated",
    "is_group_of": "IsGroupOf",
    "is_depiction": "IsDepiction",
    "is_inside": "IsInside",
}
_VOTES = ("YesVotes", "NoVotes", "UnsureVotes")
_EDGE_COLUMNS = {
    OpenImagesKind.BOXES: [("XMin", "XMax"), ("YMin", "YMax")],
    OpenImagesKind.MASKS: [("BoxXMin", "BoxXMax"), ("BoxYMin", "BoxYMax")],
    OpenImagesKind.RELATIONSHIPS: [(f"{axis}Min{part}", f"{axis}Max{part}") for part in (1, 2) for axis in "XY"],
}
_MAX_VOTES = 2**31 - 1
_NUMBER = r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?"
_CLICKS = rf"^(?:{_NUMBER} {_NUMBER} [01](?:; *{_NUMBER} {_NUMBER} [01])*;?)?$"
_BOX_ID = r"^[0-9a-fA-F]{1,15}$"


def find_faults(kind: OpenImagesKind, rows: TableRows) -> dict[int, str]:
    """Says why rows cannot be read: of each the first fault; good rows are not among them."""
    faults: dict[int, str] = {}
    for bad, why in _checks(kind, rows):
        for row in np.flatnonzero(bad).tolist():
            faults.setdefault(row, why)
    return faults


def table_elements(kind: OpenImagesKind, rows: TableRows, class_names: ClassNames) -> pa.StructArray:
    """Makes the elements of rows without fault.

    Args:
        kind: of :data:`COLUMN_OF`.
        rows: all without fault.
        class_names: display names by class id.
    """
    fields = {"source": _constant(SOURCE, rows), "image_id": rows.texts("ImageID")}
    fields |= _ELEMENTS_OF[kind](rows, class_names)
    types = ELEMENTS[COLUMN_OF[kind]]
    arrays = [fields[f.name].cast(f.type) if f.name in fields else pa.nulls(rows.length, f.type) for f in types]
    return pa.StructArray.from_arrays(arrays, fields=list(types))


def _checks(kind: OpenImagesKind, rows: TableRows) -> typing.Iterator[tuple[Mask, str]]:
    """Yields masks of faulty rows and what is wrong with them."""
    table = TABLES[kind]
    for column in table.texts:
        if column in table.needed and column != "ImageID":
            yield is_true(pc.equal(pc.binary_length(rows.texts(column)), 0)), f"{column} is empty"
    for column in table.numbers:
        values = rows.floats(column)
        bad = ~np.isfinite(values) if column in table.needed else np.isinf(values)
        yield bad | rows.unreadable.get(column, np.False_), f"{column} is not a number"
    for low, high in _EDGE_COLUMNS.get(kind, []):
        yield rows.floats(high) < rows.floats(low), f"{high} is less than {low}"
    yield from _CHECKS_OF.get(kind, _no_checks)(rows)


def _no_checks(rows: TableRows) -> typing.Iterator[tuple[Mask, str]]:
    yield from ()


def _check_flags(rows: TableRows) -> typing.Iterator[tuple[Mask, str]]:
    for column in _BOX_FLAGS.values():
        if column in rows.columns:
            flags = rows.floats(column)
            yield (np.abs(flags) != 1) & (flags != 0) & ~np.isnan(flags), f"{column} is not 1, 0 or -1"


def _check_votes(rows: TableRows) -> typing.Iterator[tuple[Mask, str]]:
    for column in _VOTES:
        if column in rows.columns:
            votes = rows.floats(column)
            bad = (np.floor(votes) != votes) | (np.abs(votes) > _MAX_VOTES)
            yield bad & ~np.isnan(votes), f"{column} is not a count"


def _check_clicks(rows: TableRows) -> typing.Iterator[tuple[Mask, str]]:
    if "Clicks" in rows.columns:
        yield ~is_true(pc.match_substring_regex(rows.texts("Clicks"), _CLICKS)), "Clicks are not x y 0 or 1"


def _boxes(rows: TableRows, class_names: ClassNames) -> dict[str, pa.Array]:
    flags = {flag: rows.numbers(column).fill_null(UNKNOWN_FLAG) for flag, column in _BOX_FLAGS.items()}
    return {
        "units": _constant(NORMALISED, rows),
        **_class(rows.texts("LabelName"), class_names),
        **_edges(rows, "{axis}{side}", ""),
        "is_crowd": _constant(UNKNOWN_FLAG, rows),
        **flags,
        "confidence": rows.numbers("Confidence"),
        "annotator": empty_as_null(rows.texts("Source")),
    }


def _image_labels(rows: TableRows, class_names: ClassNames) -> dict[str, pa.Array]:
    return {
        **_class(rows.texts("LabelName"), class_names),
        "confidence": rows.numbers("Confidence"),
        "annotator": empty_as_null(rows.texts("Source")),
    }


def _segments(rows: TableRows, class_names: ClassNames) -> dict[str, pa.Array]:
    return {
        "annotation_id": _box_ids(rows.texts("BoxID")),
        "kind": _constant("mask", rows),
        "units": _constant(NORMALISED, rows),
        **_class(rows.texts("LabelName"), class_names),
        "is_crowd": _constant(UNKNOWN_FLAG, rows),
        "mask_file": rows.texts("MaskPath"),
        **_edges(rows, "Box{axis}{side}", ""),
        "predicted_iou": rows.numbers("PredictedIoU"),
        "clicks": _clicks(rows.texts("Clicks")),
    }


def _relationships(rows: TableRows, class_names: ClassNames) -> dict[str, pa.Array]:
    return {
        "units": _constant(NORMALISED, rows),
        "relationship": rows.texts("RelationshipLabel"),
        **{f"{f}1": values for f, values in _class(rows.texts("LabelName1"), class_names).items()},
        **{f"{f}2": values for f, values in _class(rows.texts("LabelName2"), class_names).items()},
        **_edges(rows, "{axis}{side}1", "1"),
        **_edges(rows, "{axis}{side}2", "2"),
    }


def _points(rows: TableRows, class_names: ClassNames) -> dict[str, pa.Array]:
    named = _class(rows.texts("Label"), class_names)
    return {
        "units": _constant(NORMALISED, rows),
        **named,
        "label": pc.coalesce(named["label"], empty_as_null(rows.texts("TextLabel"))),
        "x": rows.numbers("X"),
        "y": rows.numbers("Y"),
        "answer": empty_as_null(pc.utf8_lower(rows.texts("EstimatedYesNo"))),
        "yes_votes": rows.numbers("YesVotes"),
        "no_votes": rows.numbers("NoVotes"),
        "unsure_votes": rows.numbers("UnsureVotes"),
        "annotator": empty_as_null(rows.texts("Source")),
    }


def _class(mids: pa.StringArray, class_names: ClassNames) -> dict[str, pa.Array]:
    """Returns the class and its name; a class that has none in the lists given has null."""
    encoded = mids.dictionary_encode()
    names = pa.array([class_names.get(mid) for mid in encoded.dictionary.to_pylist()], pa.string())
    return {"label_id": mids, "label": names.take(encoded.indices)}


def _edges(rows: TableRows, template: str, suffix: str) -> dict[str, pa.Array]:
    """Returns edges in the row's order; ``template`` names their columns."""
    sides = [(axis, side) for side in ("Min", "Max") for axis in ("X", "Y")]
    return {
        f"{axis.lower()}{side.lower()}{suffix}": rows.numbers(template.format(axis=axis, side=side))
        for axis, side in sides
    }


def _box_ids(texts: pa.StringArray) -> pa.Int64Array:
    readable = is_true(pc.match_substring_regex(texts, _BOX_ID)).tolist()
    pairs = zip(texts.to_pylist(), readable, strict=True)
    return pa.array([int(text, 16) if known else None for text, known in pairs], pa.int64())


def _clicks(texts: pa.StringArray) -> pa.ListArray:
    """Reads ``x y 1;x y 0``; all match :data:`_CLICKS`."""
    words = pc.split_pattern_regex(pc.utf8_trim(texts, "; "), "[; ]+")
    words = pc.if_else(pc.equal(pc.binary_length(texts), 0), pa.scalar([], words.type), words)
    values = words.flatten().cast(pa.float64()).to_numpy().reshape(-1, 3) + 0.0
    clicks = [pa.array(values[:, k].copy()).cast(f.type) for k, f in enumerate(CLICK)]
    lengths = pc.list_value_length(words).fill_null(0).to_numpy()
    offsets = np.concatenate(([0], np.cumsum(lengths) // 3)).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.StructArray.from_arrays(clicks, fields=list(CLICK)))


def _constant(value: str | int, rows: TableRows) -> pa.Array:
    return pa.repeat(pa.scalar(value), rows.length)


_ELEMENTS_OF: typing.Final[dict[OpenImagesKind, typing.Callable[[TableRows, ClassNames], dict[str, pa.Array]]]] = {
    OpenImagesKind.BOXES: _boxes,
    OpenImagesKind.IMAGE_LABELS: _image_labels,
    OpenImagesKind.MASKS: _segments,
    OpenImagesKind.RELATIONSHIPS: _relationships,
    OpenImagesKind.POINTS: _points,
}
_CHECKS_OF: typing.Final[dict[OpenImagesKind, typing.Callable[[TableRows], typing.Iterator[tuple[Mask, str]]]]] = {
    OpenImagesKind.BOXES: _check_flags,
    OpenImagesKind.MASKS: _check_clicks,
    OpenImagesKind.POINTS: _check_votes,
}
