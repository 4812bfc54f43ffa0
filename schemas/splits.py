"""Splits by one name: each source has names of its own for them.

COCO adds the year, since 2014 and 2017 divide the same images differently; Flickr8k says ``dev``.
"""

import difflib
import re
import typing

SPLITS = ("train", "validation", "test")
"""Names under which the splits of all sources are asked for."""

WITHOUT_SPLIT = "photos_without_split"
"""Among the accounts where photos of a split are kept: how many photos are in none."""

_ALIASES = {"val": "validation", "dev": "validation"}
_PATTERNS: typing.Final = {
    "": ".+",
    "train": r"train(20\d\d)?",
    "validation": r"validation|val(20\d\d)?|dev",
    "test": r"test(20\d\d)?",
}
_OF_YEAR = re.compile(r"(train|val|test)20\d\d")


class UnknownSplitError(ValueError):
    """There is no such split; the message names those that there are."""


def read_split(name: str) -> str:
    """Reads the name of a split: one of :data:`SPLITS`, in any case, an alias, or COCO's with its year.

    Raises:
        UnknownSplitError: it is none.

    Example:
        >>> read_split("Val"), read_split("dev"), read_split("val2017")
        ('validation', 'validation', 'val2017')
    """
    split = _ALIASES.get(name.lower(), name.lower())
    if split not in SPLITS and not _OF_YEAR.fullmatch(split):
        near = difflib.get_close_matches(split, SPLITS, 1, 0.4)
        hint = f"; did you mean {near[0]}?" if near else "."
        raise UnknownSplitError(f"{name!r} is no split{hint} There are {', '.join(SPLITS)}, and COCO's with their year")
    return split


def common_split(name: str) -> str | None:
    """Returns which of :data:`SPLITS` a source's name of a split stands for, whatever its year; None if for none.

    Example:
        >>> common_split("val2017"), common_split("dev"), common_split("testament")
        ('validation', 'validation', None)
    """
    return next((split for split in SPLITS if re.fullmatch(_PATTERNS[split], name)), None)


def split_pattern(split: str = "") -> str:
    """Returns the regular expression of the names that the sources have for a split of :func:`read_split`; '' for any.

    Example:
        >>> [bool(re.search(split_pattern("train"), name)) for name in ("train", "train2014", "val2014")]
        [True, True, False]
    """
    return f"^({_PATTERNS.get(split, split)})$"
