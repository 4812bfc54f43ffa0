"""Classes as columns of label arrays, and which of them follow from which."""

import json
import typing

from schemas.class_hierarchy import read_ancestors
from schemas.class_names import is_mid, mids_by_name
from schemas.coco_categories import COCO_CATEGORIES
from schemas.json_values import Json


class LabelClass(typing.NamedTuple):
    """A column of label arrays.

    Attributes:
        id: its number, from 0.
        name: of the class.
        original_id: of the class at its source: COCO's category id, Open Images' class id, the autotag itself.
    """

    id: int
    name: str
    original_id: str


class LabelMap(typing.NamedTuple):
    """The columns of label arrays.

    Attributes:
        classes: by their ids; there may be gaps, which are columns of zeros.
        ancestors: of a column, those of the classes that are true wherever its own is, sorted.
    """

    classes: tuple[LabelClass, ...]
    ancestors: dict[int, tuple[int, ...]]

    @property
    def columns(self) -> int:
        """How many columns an array has."""
        return self.classes[-1].id + 1 if self.classes else 0

    def to_json(self) -> bytes:
        """Returns the classes as a JSON list of ``id, name, original_id``; what is above them is left out."""
        return (json.dumps([c._asdict() for c in self.classes], indent=1, ensure_ascii=False) + "\n").encode()


def coco_labels(keep_ids: bool) -> LabelMap:
    """Returns COCO's 80 classes of objects.

    Args:
        keep_ids: let COCO's own ids be the columns, 91 with the gaps, and column 0, that nothing has; else they are
            numbered from 0 to 79 in the order of their ids.

    Example:
        >>> coco_labels(False).classes[11]
        LabelClass(id=11, name='stop sign', original_id='13')
    """
    numbered = enumerate(COCO_CATEGORIES.items())
    return LabelMap(tuple(LabelClass(id_ if keep_ids else i, name, str(id_)) for i, (id_, name) in numbered), {})


def open_images_labels(class_names: typing.Mapping[str, str], tree: Json | None) -> LabelMap:
    """Returns the classes of a list, in the order of the list.

    Args:
        class_names: display names by class id.
        tree: parsed JSON of the hierarchy; None if labels are not to be expanded.

    Raises:
        BadHierarchyError: the JSON is no tree of classes.

    Example:
        >>> tree = {"name": "Entity", "children": [{"name": "Fruit", "children": [{"name": "Apple"}]}]}
        >>> open_images_labels({"/m/014j1m": "Apple", "/m/02xwb": "Fruit"}, tree).ancestors
        {0: (1,)}
    """
    classes = tuple(LabelClass(i, name, mid) for i, (mid, name) in enumerate(class_names.items()))
    column, mids = {c.original_id: c.id for c in classes}, mids_by_name(class_names)
    ancestors: dict[int, set[int]] = {}
    for name, above in (read_ancestors(tree) if tree is not None else {}).items():
        for own in _columns(name, column, mids):
            ancestors.setdefault(own, set()).update(*(_columns(a, column, mids) for a in above))
    return LabelMap(classes, {own: tuple(sorted(above - {own})) for own, above in ancestors.items() if above - {own}})


def autotag_labels(names: typing.Iterable[str]) -> LabelMap:
    """Returns autotags in alphabetical order, by code points."""
    return LabelMap(tuple(LabelClass(i, name, name) for i, name in enumerate(sorted(set(names)))), {})


def _columns(name: str, column: typing.Mapping[str, int], mids: typing.Mapping[str, typing.Iterable[str]]) -> set[int]:
    named = [name] if is_mid(name) else mids.get(name.lower(), ())
    return {column[mid] for mid in named if mid in column}
