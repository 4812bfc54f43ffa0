"""Which rows have which of the classes that are asked for; and rows without the annotations of others."""

import enum
import typing

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.boolean_masks import Mask, is_true
from schemas.classes import ChosenClass, Label
from schemas.list_columns import list_column
from schemas.rows import ROW_SCHEMA
from schemas.sources import Source

HUMAN_ANNOTATORS = ("verification", "crowdsource-verification")
"""Who people are among the annotators of image labels."""

PRESENT = 1.0
"""Confidence of an image label that a person saw to be true; 0 is what a person saw to be false."""

_CUT_COLUMNS = ("boxes", "segments", "keypoints", "image_labels", "relationships", "points")
_SEPARATOR = "\0"

Chosen = typing.Sequence[ChosenClass]


class Evidence(str, enum.Enum):
    """What counts as a sign that a photo has a class.

    Boxes are segments and relationships (either side) as well. Human is an image label that people verified
    as present; machine any other image label, autotags those of YFCC, both from a least confidence on.
    """

    BOXES = "boxes"
    HUMAN = "human"
    MACHINE = "machine"
    AUTOTAGS = "autotags"


class _Signs(typing.NamedTuple):
    """Labels of elements: the row of each, and its label as one text."""

    owners: npt.NDArray[np.int64]
    labels: pa.Array


def evidence(
    rows: pa.Table, classes: Chosen, kinds: typing.Container[Evidence], min_confidence: float
) -> npt.NDArray[np.bool_]:
    """Tells which rows have which classes.

    Args:
        rows: of ROW_SCHEMA.
        classes: those asked for.
        kinds: what counts.
        min_confidence: 0 to 1, of machines' labels and autotags.

    Returns:
        Shape (classes, rows).
    """
    labels = sorted({label for chosen in classes for label in chosen.labels})
    stands_for = np.array([[label in {*c.labels} for label in labels] for c in classes], np.bool_)
    known = _label_texts(labels)
    found = np.zeros((len(classes), rows.num_rows), np.bool_)
    for signs in _signs(rows, kinds, min_confidence):
        which = pc.index_in(signs.labels, known).fill_null(-1).to_numpy()
        owners, which = signs.owners[which >= 0], which[which >= 0]
        for mask, own in zip(found, stands_for, strict=True):
            mask[owners[own[which]]] = True
    return found


def only_classes(rows: pa.Table, classes: Chosen) -> pa.Table:
    """Removes the annotations of other classes; of a relationship it is enough if one side is of them.

    Captions, narratives, ratings, copies and autotags stay.

    Args:
        rows: of ROW_SCHEMA.
        classes: whose annotations stay.
    """
    known = _label_texts(label for chosen in classes for label in chosen.labels)
    for column in _CUT_COLUMNS:
        lists = rows[column].combine_chunks()
        elements = lists.flatten()
        kept = np.zeros(len(elements), np.bool_)
        for texts in _element_labels(column, elements):
            kept |= pc.is_in(texts, known).to_numpy(zero_copy_only=False)
        owners = pc.list_parent_indices(lists).to_numpy()[kept]
        left = list_column(owners, elements.filter(pa.array(kept)), len(lists))
        place = ROW_SCHEMA.get_field_index(column)
        rows = rows.set_column(place, ROW_SCHEMA.field(place), left)
    return rows


def _signs(rows: pa.Table, kinds: typing.Container[Evidence], min_confidence: float) -> typing.Iterator[_Signs]:
    if Evidence.BOXES in kinds:
        for column in ("boxes", "segments", "relationships"):
            lists = rows[column].combine_chunks()
            for texts in _element_labels(column, lists.flatten()):
                yield _Signs(pc.list_parent_indices(lists).to_numpy(), texts)
    lists = rows["image_labels"].combine_chunks()
    elements = lists.flatten()
    counting = pa.array(_counting_labels(elements, kinds, min_confidence))
    owners = pc.list_parent_indices(lists).filter(counting)
    yield _Signs(owners.to_numpy(), _label_of(elements.filter(counting)))
    if Evidence.AUTOTAGS in kinds:
        lists = rows["autotags"].combine_chunks()
        tags = lists.flatten()
        sure = pc.greater_equal(tags.field("score"), min_confidence)
        owners = pc.list_parent_indices(lists).filter(sure)
        yield _Signs(owners.to_numpy(), _tag_label(tags.filter(sure)))


def _counting_labels(elements: pa.StructArray, kinds: typing.Container[Evidence], min_confidence: float) -> Mask:
    by_people = is_true(pc.is_in(elements.field("annotator"), pa.array(HUMAN_ANNOTATORS)))
    confidence = elements.field("confidence")
    human = by_people & is_true(pc.equal(confidence, PRESENT)) & (Evidence.HUMAN in kinds)
    machine = ~by_people & is_true(pc.greater_equal(confidence, min_confidence)) & (Evidence.MACHINE in kinds)
    counting: Mask = human | machine
    return counting


def _element_labels(column: str, elements: pa.StructArray) -> list[pa.Array]:
    """Returns the label of each element as one text; of relationships, of either side."""
    sides = ("1", "2") if column == "relationships" else ("",)
    return [_label_of(elements, side) for side in sides]


def _label_of(elements: pa.StructArray, side: str = "") -> pa.Array:
    source = elements.field("source")
    name = pc.if_else(pc.equal(source, Source.COCO.value), elements.field(f"label{side}"), "")
    return _joined(source, elements.field(f"label_id{side}"), name)


def _tag_label(tags: pa.StructArray) -> pa.Array:
    name = pc.utf8_lower(tags.field("name"))
    return _joined(pa.repeat(pa.scalar(Source.YFCC.value), len(tags)), name, pa.repeat(pa.scalar(""), len(tags)))


def _label_texts(labels: typing.Iterable[Label]) -> pa.Array:
    return pa.array([_SEPARATOR.join(label) for label in labels], pa.string())


def _joined(source: pa.Array, label_id: pa.Array, label: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(
        source, label_id, label, _SEPARATOR, null_handling="replace", null_replacement=""
    )
