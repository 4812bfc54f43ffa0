"""The tree of classes: which are subclasses of which.

Published as ``LabelName`` with lists ``Subcategory`` and ``Part``, of class ids; copies have ``name``
with ``children``, of display names. A part, such as the wheel of a car, is no subclass of the whole.
A class may stand at several places; its subclasses are those of all of them.
"""

import typing

from schemas.class_names import is_mid, mids_by_name
from schemas.json_values import Json

_NAMES = ("LabelName", "name")
_SUBCLASSES = ("Subcategory", "children")
_PARTS = ("Part",)


class BadHierarchyError(ValueError):
    """The JSON is no tree of classes; the message says why."""


class Hierarchy:
    """Classes and their subclasses.

    Args:
        subclasses: the direct subclasses of every class, by class id or display name.
    """

    def __init__(self, subclasses: typing.Mapping[str, typing.Collection[str]]):
        self._subclasses = {name: frozenset(below) for name, below in subclasses.items()}
        self._by_lower_name: dict[str, set[str]] = {}
        for name in self._subclasses:
            self._by_lower_name.setdefault(name.lower(), set()).add(name)

    @property
    def classes(self) -> frozenset[str]:
        """All classes, as the tree names them."""
        return frozenset(self._subclasses)

    def descendants(self, name: str) -> set[str]:
        """Returns all classes below one, itself not among them; none of a class that the tree lacks.

        Args:
            name: as in the tree, in any case.

        Example:
            >>> tree = {"name": "Entity", "children": [{"name": "Fruit", "children": [{"name": "Apple"}]}]}
            >>> sorted(read_hierarchy_tree(tree).descendants("entity"))
            ['Apple', 'Fruit']
        """
        start = {name} if name in self._subclasses else self._by_lower_name.get(name.lower(), set())
        found: set[str] = set()
        pending = list(start)
        while pending:
            below = self._subclasses[pending.pop()] - found
            found |= below
            pending += below
        return found - start

    def by_mid(self, class_names: typing.Mapping[str, str]) -> "Hierarchy":
        """Returns the same tree by class id.

        Args:
            class_names: display names by class id. Classes that are not among them keep their name; one
                whose name several have is all of these.
        """
        known = mids_by_name(class_names)
        mids = {n: {n} if is_mid(n) else known.get(n.lower(), {n}) for n in self._subclasses}
        found: dict[str, set[str]] = {mid: set() for own in mids.values() for mid in own}
        for name, below in self._subclasses.items():
            for mid in mids[name]:
                found[mid].update(*(mids[n] for n in below))
        return Hierarchy(found)


def read_hierarchy_tree(tree: Json) -> Hierarchy:
    """Reads a tree.

    Args:
        tree: its parsed JSON.

    Raises:
        BadHierarchyError: an element is no class.
    """
    subclasses: dict[str, set[str]] = {}
    pending = [tree]
    while pending:
        node = pending.pop()
        below = _members(node, _SUBCLASSES)
        subclasses.setdefault(_name(node), set()).update(map(_name, below))
        pending += below + _members(node, _PARTS)
    return Hierarchy(subclasses)


def read_ancestors(tree: Json) -> dict[str, frozenset[str]]:
    """Reads which classes are true of a photo wherever one is, as the Open Images Challenge expands labels.

    These are the classes above it at each of its places in the tree, less the root, which is no class. A class below a
    part has none: the wheel of a car is no car.

    Args:
        tree: its parsed JSON.

    Returns:
        All classes that are subclasses of others, by their names in the tree.

    Raises:
        BadHierarchyError: an element is no class, or nothing is below the root.

    Example:
        >>> tree = {"name": "Entity", "children": [{"name": "Fruit", "children": [{"name": "Apple"}]}]}
        >>> {name: sorted(above) for name, above in read_ancestors(tree).items()}
        {'Fruit': [], 'Apple': ['Fruit']}
    """
    found: dict[str, frozenset[str]] = {}
    pending: list[tuple[Json, frozenset[str]]] = [(node, frozenset()) for node in _members(tree, _SUBCLASSES)]
    while pending:
        node, above = pending.pop()
        name = _name(node)
        found[name] = found.get(name, frozenset()) | above - {name}
        pending += [(below, above | {name}) for below in _members(node, _SUBCLASSES)]
    if not found:
        raise BadHierarchyError(f"nothing is below {_name(tree)!r}")
    return found


def _name(node: Json) -> str:
    names = [node[key] for key in _NAMES if key in node] if isinstance(node, dict) else []
    if len(names) != 1 or not isinstance(names[0], str):
        raise BadHierarchyError(f"an element has no LabelName and no name: {node!r:.80}")
    return names[0]


def _members(node: Json, keys: typing.Sequence[str]) -> list[Json]:
    lists = [node[key] for key in keys if isinstance(node, dict) and key in node]
    if not all(isinstance(members, list) for members in lists):
        raise BadHierarchyError(f"what is below {_name(node)!r} is not a list")
    return [member for members in lists for member in members]
