"""The four sources, and what the parts of each are called on their way to the rows."""

import enum
import typing

from schemas.annotations import ELEMENTS
from schemas.yfcc import Pack


class Source(str, enum.Enum):
    """Where metadata comes from; the first given is the base unless ``--base`` says otherwise."""

    YFCC = "yfcc"
    COCO = "coco"
    OPEN_IMAGES = "open_images"
    FLICKR8K = "flickr8k"


ALL_SOURCES = "all"
"""The ``--base`` that takes the photos of every source."""


class SpoolKind(typing.NamedTuple):
    """What one piece of a spool file holds.

    Attributes:
        name: the pack, or source and column; the accounts are kept by it.
        source: whose it is.
        column: column of the row that an annotation source's elements go to; of packs ''.
    """

    name: str
    source: Source
    column: str


_COLUMNS = {
    Source.COCO: ("copies", "coco_image", "captions", "boxes", "segments", "keypoints", "warnings"),
    Source.OPEN_IMAGES: (
        *(c for c in ELEMENTS if c not in ("captions", "keypoints", "ratings")),
        "open_images_image",
        "warnings",
    ),
    Source.FLICKR8K: ("copies", "flickr8k_split", "captions", "ratings"),
}

PACK_KINDS: typing.Final = {pack: SpoolKind(pack.value, Source.YFCC, "") for pack in Pack}
COLUMN_KINDS: typing.Final = {
    (source, column): SpoolKind(f"{source.value}_{column}", source, column)
    for source, columns in _COLUMNS.items()
    for column in columns
}
SPOOL_KINDS: typing.Final = (*PACK_KINDS.values(), *COLUMN_KINDS.values())
"""All kinds; a spool file's pieces name theirs by its position here."""

PHOTO_KINDS: typing.Final = {
    Source.YFCC: PACK_KINDS[Pack.DATASET],
    **{source: COLUMN_KINDS[source, "copies"] for source in _COLUMNS},
}
"""The kind of each source whose records say which photos it has."""


def default_base(given: typing.Container[Source]) -> Source:
    """Returns the first of the sources that is given.

    Example:
        >>> default_base({Source.FLICKR8K, Source.COCO}).value
        'coco'
    """
    return next(source for source in Source if source in given)
