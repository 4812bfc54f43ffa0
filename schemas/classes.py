"""Classes that are asked for by name or id, and the labels of the sources that they stand for."""

import collections
import difflib
import typing

from schemas.class_hierarchy import Hierarchy
from schemas.class_names import is_mid
from schemas.sources import Source

NAMES_SHOWN = 3
"""Of classes that are named alike."""

NAMING_FILES = "class-descriptions-boxable.csv or oidv7-class-descriptions.csv of Open Images, instances_*.json of COCO"
"""Which published files name classes."""


class Label(typing.NamedTuple):
    """A class as the annotations of one source have it.

    Attributes:
        source: whose it is; ``yfcc`` of autotags.
        label_id: class id of Open Images, category id of COCO, an autotag in lower case.
        label: of COCO the name as well, since its files may number their categories differently; else ''.
    """

    source: str
    label_id: str
    label: str = ""


class ChosenClass(typing.NamedTuple):
    """A class that is asked for.

    Attributes:
        name: as it was given.
        labels: what annotations of it or of its subclasses carry, sorted.
    """

    name: str
    labels: tuple[Label, ...]


class UnknownClassError(ValueError):
    """Nobody has such a class; the message suggests some, and says where classes are named."""


class KnownClasses:
    """The classes that can be asked for.

    Args:
        open_images: display names by class id.
        trees: of the classes of Open Images, by class id.
        coco: id and name of each category, of all files.
        any_mid: take class ids that nobody lists as they are: Open Images is given without lists of classes.
        any_name: take names that nobody lists, as autotags, which have no list.
    """

    def __init__(
        self,
        open_images: typing.Mapping[str, str],
        trees: typing.Iterable[Hierarchy] = (),
        coco: typing.Iterable[tuple[str, str]] = (),
        any_mid: bool = False,
        any_name: bool = False,
    ):
        self._trees = tuple(trees)
        self._any_mid, self._any_name = any_mid, any_name
        self._open_images = open_images
        self._named: dict[str, set[Label]] = collections.defaultdict(set)
        self._spelling: dict[str, str] = {}
        for mid in {*open_images, *(c for tree in self._trees for c in tree.classes if is_mid(c))}:
            self._add((mid, open_images.get(mid, "")), Label(Source.OPEN_IMAGES.value, mid))
        for label_id, name in coco:
            self._add((label_id, name), Label(Source.COCO.value, label_id, name))

    def choose(self, name: str) -> ChosenClass:
        """Returns the labels of a class, its subclasses included.

        Args:
            name: display name or id, in any case; a name that several classes have is all of them.

        Raises:
            UnknownClassError: there is none.

        Example:
            >>> known = KnownClasses({"/m/014j1m": "Apple", "/m/0fp6w": "Pineapple"}, coco=[("53", "apple")])
            >>> [label.label_id for label in known.choose("APPLE").labels]
            ['53', '/m/014j1m']
        """
        labels = set(self._named.get(name.lower(), ()))
        if self._any_mid and is_mid(name.lower()):
            labels.add(Label(Source.OPEN_IMAGES.value, name.lower()))
        labels |= self._subclasses(labels)
        if self._any_name:
            labels |= {Label(Source.YFCC.value, tag) for tag in (name.lower(), *self._names_of(labels))}
        if not labels:
            raise UnknownClassError(self._unknown(name))
        return ChosenClass(name, tuple(sorted(labels)))

    def _add(self, names: tuple[str, str], label: Label) -> None:
        for name in filter(None, names):
            self._named[name.lower()].add(label)
        if names[1]:
            self._spelling.setdefault(names[1].lower(), names[1])

    def _subclasses(self, labels: set[Label]) -> set[Label]:
        mids = [label.label_id for label in labels if label.source == Source.OPEN_IMAGES.value]
        below = set().union(*(tree.descendants(mid) for tree in self._trees for mid in mids))
        return {Label(Source.OPEN_IMAGES.value, mid) for mid in below if is_mid(mid)}

    def _names_of(self, labels: set[Label]) -> set[str]:
        """Returns the names by which machines may have tagged these classes."""
        return {(label.label or self._open_images.get(label.label_id, label.label_id)).lower() for label in labels}

    def _unknown(self, name: str) -> str:
        near = difflib.get_close_matches(name.lower(), self._spelling, NAMES_SHOWN)
        hint = f"; did you mean {' or '.join(self._spelling[n] for n in near)}?" if near else "."
        known = f"none of the {len(self._spelling):,} known classes is" if self._spelling else "no class is known as"
        return f"{known} {name!r}{hint} Classes are named by {NAMING_FILES}"
