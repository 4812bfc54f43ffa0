"""The classes of a dataset's boxes, and their numbers in an export.

The order is the same whatever the splits, shards and workers: COCO's classes by their category ids, then those of other
sources by source and label id. Classes of the same name are one, at the place of the first.
"""

import collections
import difflib
import json
import typing

import pyarrow as pa

from schemas.classes import NAMES_SHOWN, Label, UnknownClassError
from schemas.export_records import EXPORT_RECORD, labels_file
from schemas.sources import Source
from transforms.export.read_photos import ExportedDataset, read_photos
from transforms.stores.output import Output

FIRST_OTHER_ID = 1_001
"""Category id of the first class that is not COCO's; COCO's own ids are smaller."""

_SHARDS_AT_ONCE = 500
_LABEL_FIELDS = ("source", "label_id", "label")


class ExportClasses(typing.NamedTuple):
    """The classes of an export.

    Attributes:
        names: in the order of their numbers, from 0.
        numbers: of the labels that are exported.
        category_ids: COCO's category id of each class where all are its own and differ; others are numbered from
            1,001; where one id names two classes, all are numbered from 1.
        keypoint_names: of the classes that have any, by number.
    """

    names: tuple[str, ...]
    numbers: dict[Label, int]
    category_ids: tuple[int, ...]
    keypoint_names: dict[int, tuple[str, ...]]

    def number(self, element: typing.Mapping[str, typing.Any]) -> int | None:
        """Returns the number of the class of an element of a list column; None if it is not exported."""
        return self.numbers.get(_label(element))


def list_labels(dataset: ExportedDataset, output: Output, shard: int) -> int:
    """Writes which labels the boxes of a shard have, and the names of their keypoints; returns the number of rows."""
    fields = [f"boxes.list.element.{field}" for field in _LABEL_FIELDS]
    points = [f"keypoints.list.element.{field}" for field in (*_LABEL_FIELDS, "names")]
    rows = read_photos(dataset, shard, [*fields, *points], of_rows=True)
    labels = sorted({_label(element) for element in _distinct(rows["boxes"])})
    named = {_label(e): e["names"] for e in _distinct(rows["keypoints"].combine_chunks()) if e["names"]}
    found = {"labels": labels, "keypoints": sorted((label, names) for label, names in named.items())}
    output.write(labels_file(shard), json.dumps(found).encode())
    return rows.num_rows


def read_labels(output: Output, shards: int) -> tuple[list[Label], dict[Label, tuple[str, ...]]]:
    """Returns the labels of all shards, and the names of their keypoints."""
    labels: set[Label] = set()
    keypoints: dict[Label, tuple[str, ...]] = {}
    for begin in range(0, shards, _SHARDS_AT_ONCE):
        names = [labels_file(shard) for shard in range(begin, min(begin + _SHARDS_AT_ONCE, shards))]
        for data in output.read_present(names).values():
            found = json.loads(data)
            labels |= {Label(*label) for label in found["labels"]}
            keypoints |= {Label(*label): tuple(points) for label, points in found["keypoints"]}
    return sorted(labels, key=_order), keypoints


def choose_classes(
    labels: typing.Sequence[Label], keypoints: typing.Mapping[Label, tuple[str, ...]], asked: typing.Sequence[str]
) -> ExportClasses:
    """Numbers the classes.

    Args:
        labels: of the dataset, as :func:`read_labels` gives them, with the names of all.
        keypoints: names of the keypoints of labels that have any.
        asked: names or ids of the classes that are exported, in any case; all if none is named.

    Raises:
        UnknownClassError: the dataset has no boxes of a class.
    """
    wanted = {label for name in asked for label in _called(labels, name)}
    chosen = [label for label in labels if not asked or label in wanted]
    names = tuple(dict.fromkeys(map(_name, chosen)))
    number_of = {name: number for number, name in enumerate(names)}
    numbers = {label: number_of[_name(label)] for label in chosen}
    points = {numbers[label]: keypoints[label] for label in chosen if label in keypoints}
    return ExportClasses(names, numbers, _category_ids(numbers, len(names)), points)


def _category_ids(numbers: typing.Mapping[Label, int], count: int) -> tuple[int, ...]:
    own: dict[int, set[int]] = collections.defaultdict(set)
    for label, number in numbers.items():
        if label.source == Source.COCO.value and label.label_id.isdecimal():
            own[number].add(int(label.label_id))
    taken = [min(ids) for ids in own.values()]
    if len(set(taken)) < len(taken) or max(taken, default=0) >= FIRST_OTHER_ID:
        return tuple(range(1, count + 1))
    others = iter(range(FIRST_OTHER_ID, FIRST_OTHER_ID + count))
    return tuple(min(own[number]) if number in own else next(others) for number in range(count))


def _distinct(lists: pa.ChunkedArray | pa.Array) -> list[dict[str, typing.Any]]:
    """Returns the elements of a list column, each once as far as its label goes."""
    array = lists.combine_chunks() if isinstance(lists, pa.ChunkedArray) else lists
    elements = array.flatten()
    fields = {name: elements.field(name) for name in _LABEL_FIELDS}
    table = pa.table({**fields, "place": pa.array(range(len(elements)), pa.int64())})
    first = table.group_by(list(_LABEL_FIELDS)).aggregate([("place", "min")])["place_min"]
    return typing.cast(list[dict[str, typing.Any]], elements.take(first.combine_chunks()).to_pylist())


def _label(element: typing.Mapping[str, typing.Any]) -> Label:
    return Label(element["source"], element["label_id"] or "", element["label"] or "")


def _called(labels: typing.Sequence[Label], name: str) -> list[Label]:
    """Returns the labels that have a name or id, in any case.

    Raises:
        UnknownClassError: none has; suggests some, or says where all are.
    """
    found = [label for label in labels if name.lower() in (label.label.lower(), label.label_id.lower())]
    if not found:
        names = {_name(label).lower(): _name(label) for label in labels}
        near = difflib.get_close_matches(name.lower(), names, NAMES_SHOWN)
        hint = f"did you mean {' or '.join(names[one] for one in near)}?" if near else _some(list(names.values()))
        raise UnknownClassError(f"none of the {len(names):,} classes of the dataset's boxes is {name!r}; {hint}")
    return found


def _some(names: typing.Sequence[str]) -> str:
    """Names the first classes, and where all are."""
    if not names:
        return "leave the flag out"
    if len(names) <= NAMES_SHOWN:
        return f"give of {', '.join(names)}"
    return f"the first are {', '.join(names[:NAMES_SHOWN])}; {EXPORT_RECORD} of an export without the flag has all"


def _name(label: Label) -> str:
    return label.label or label.label_id


def _order(label: Label) -> tuple[bool, str, int, Label]:
    is_number = label.source == Source.COCO.value and label.label_id.isdecimal()
    return label.source != Source.COCO.value, label.source, int(label.label_id) if is_number else -1, label
