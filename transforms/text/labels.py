"""Labels of photos as arrays, a row each: what is present, what is absent, and the class of a photo that has one."""

import typing

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.boolean_masks import Mask, is_true
from schemas.sources import Source
from transforms.join.class_evidence import HUMAN_ANNOTATORS, PRESENT
from transforms.text.label_maps import LabelMap

NO_CLASS = -1
"""Id of the class of a photo that has none, or several."""

_ABSENT = 0.0

Values = npt.NDArray[typing.Any]


class PhotoLabels(typing.NamedTuple):
    """Labels of some photos.

    Attributes:
        values: shape (photos, columns): uint8, 1 where a class is present; of autotags float32, scores from 0.5 to 1.
        absent: as values, 1 where people saw that a class is absent; None where a source does not tell.
        class_ids: int32, shape (photos,): the class whose value is above that of all others, before classes that follow
            are added; else -1.
        unknown: labels of classes that are not among the columns.
        by_machine: labels that no person has verified, which do not count.
    """

    values: Values
    absent: Values | None
    class_ids: npt.NDArray[np.int32]
    unknown: int
    by_machine: int


class _Labels(typing.NamedTuple):
    """Labels one by one: the row and the column of each, -1 for unknown."""

    rows: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int64]

    def where(self, wanted: Mask) -> "_Labels":
        return _Labels(self.rows[wanted], self.columns[wanted])

    def known(self) -> "_Labels":
        return self.where(self.columns >= 0)


def coco_values(rows: pa.Table, labels: LabelMap) -> PhotoLabels:
    """Returns which classes of objects COCO's boxes show, crowds as well.

    Args:
        rows: with the column ``boxes``.
        labels: whose columns; a box of the same id but another name is of another class.
    """
    boxes, elements = _of_source(rows, "boxes", Source.COCO, labels)
    names = pa.array([c.name for c in labels.classes])
    ids = pc.index_in(elements.field("label_id"), pa.array([c.original_id for c in labels.classes]))
    is_same = is_true(pc.equal(names.take(ids), elements.field("label")))
    boxes = boxes._replace(columns=np.where(is_same, boxes.columns, NO_CLASS))
    values = _marked(rows.num_rows, labels, boxes)
    return PhotoLabels(values, None, single_classes(values), _count_unknown(boxes), 0)


def open_images_values(rows: pa.Table, labels: LabelMap) -> PhotoLabels:
    """Returns which classes Open Images' boxes and verified labels of images show, and which they show to be absent.

    As the Open Images Challenge has it, what is present has all classes above it, and of what is absent all classes
    below it are absent.

    Args:
        rows: with the columns ``boxes`` and ``image_labels``.
        labels: whose columns.
    """
    boxes, _ = _of_source(rows, "boxes", Source.OPEN_IMAGES, labels)
    verdicts, elements = _of_source(rows, "image_labels", Source.OPEN_IMAGES, labels)
    by_people = is_true(pc.is_in(elements.field("annotator"), pa.array(HUMAN_ANNOTATORS)))
    confidence = elements.field("confidence")
    present = by_people & is_true(pc.equal(confidence, PRESENT))
    absent = by_people & is_true(pc.equal(confidence, _ABSENT))
    values = _marked(rows.num_rows, labels, boxes, verdicts.where(present))
    denied = _marked(rows.num_rows, labels, verdicts.where(absent))
    return PhotoLabels(
        values=_with(values, labels.ancestors),
        absent=_with(denied, _inverted(labels.ancestors)),
        class_ids=single_classes(values),
        unknown=_count_unknown(boxes) + _count_unknown(verdicts.where(by_people)),
        by_machine=int((~by_people).sum()),
    )


def autotag_values(rows: pa.Table, labels: LabelMap) -> PhotoLabels:
    """Returns the scores of autotags; of a tag that a photo has twice the higher one.

    Args:
        rows: with the column ``autotags``.
        labels: whose columns.
    """
    lists = rows["autotags"].combine_chunks()
    elements = lists.flatten()
    tags = _Labels(pc.list_parent_indices(lists).to_numpy(), _columns_of(elements.field("name"), labels))
    scores = elements.field("score").to_numpy(zero_copy_only=False)[tags.columns >= 0]
    values = np.zeros((rows.num_rows, labels.columns), np.float32)
    np.maximum.at(values, tuple(tags.known()), scores.astype(np.float32))
    return PhotoLabels(values, None, single_classes(values), _count_unknown(tags), 0)


def single_classes(values: Values) -> npt.NDArray[np.int32]:
    """Returns the column of the highest value of each row, -1 where there is none or several share it.

    Example:
        >>> single_classes(np.array([[0, 1, 0], [1, 1, 0], [0, 0, 0]], np.uint8)).tolist()
        [1, -1, -1]
    """
    if not values.shape[1]:
        return np.full(len(values), NO_CLASS, np.int32)
    highest = values.max(axis=1)
    is_single = (highest > 0) & ((values == highest[:, None]).sum(axis=1) == 1)
    return np.where(is_single, values.argmax(axis=1), NO_CLASS).astype(np.int32)


def one_hot(class_ids: npt.NDArray[np.int32], columns: int) -> npt.NDArray[np.uint8]:
    """Returns the classes as rows with a single 1, as ``to_categorical`` of Keras; of no class, all zeros.

    Example:
        >>> one_hot(np.array([2, -1], np.int32), 3).tolist()
        [[0, 0, 1], [0, 0, 0]]
    """
    return (class_ids[:, None] == np.arange(columns, dtype=np.int32)).astype(np.uint8)


def _of_source(rows: pa.Table, column: str, source: Source, labels: LabelMap) -> tuple[_Labels, pa.StructArray]:
    lists = rows[column].combine_chunks()
    elements, parents = lists.flatten(), pc.list_parent_indices(lists)
    of_source = pc.equal(elements.field("source"), source.value)
    elements = elements.filter(of_source)
    found = _Labels(parents.filter(of_source).to_numpy(), _columns_of(elements.field("label_id"), labels))
    return found, elements


def _columns_of(original_ids: pa.Array, labels: LabelMap) -> npt.NDArray[np.int64]:
    known = pa.array([c.original_id for c in labels.classes], pa.string())
    places = pc.index_in(original_ids, known).fill_null(-1).to_numpy(zero_copy_only=False)
    columns = np.array([*(c.id for c in labels.classes), -1], np.int64)
    return columns[places]


def _count_unknown(labels: _Labels) -> int:
    return int((labels.columns < 0).sum())


def _marked(rows: int, labels: LabelMap, *found: _Labels) -> npt.NDArray[np.uint8]:
    values = np.zeros((rows, labels.columns), np.uint8)
    for some in found:
        values[tuple(some.known())] = 1
    return values


def _with(values: Values, further: typing.Mapping[int, tuple[int, ...]]) -> Values:
    """Returns the values with those of other columns that follow from them."""
    expanded = values.copy()
    for column, others in further.items():
        expanded[np.ix_(np.flatnonzero(values[:, column]), np.array(others))] = 1
    return expanded


def _inverted(ancestors: typing.Mapping[int, tuple[int, ...]]) -> dict[int, tuple[int, ...]]:
    descendants: dict[int, list[int]] = {}
    for column, above in sorted(ancestors.items()):
        for ancestor in above:
            descendants.setdefault(ancestor, []).append(column)
    return {column: tuple(below) for column, below in descendants.items()}
