"""The record of what is made of a finished dataset and lies beside it: `text/`, `features/`.

A product has a folder of its own. Its record, `manifest.json` there, is written last, so that files without one are
of a run that has not ended.
"""

import dataclasses
import typing

from schemas.layout import FORMAT_VERSION
from schemas.records import FileDigest, Record, root_hash

TEXT = "text"
FEATURES = "features"

SOURCES: typing.Final[dict[str, tuple[str, ...]]] = {TEXT: ("rows", "failures", "videos"), FEATURES: ("shards",)}
"""Each kind of product, which is its folder and its command, and the folders of shards that it is made from."""


@dataclasses.dataclass(frozen=True)
class ProductRecord(Record):
    """Says what a product was made from, how, and what it consists of.

    Attributes:
        kind: one of :data:`SOURCES`.
        options: the flags that decide what is in the files, by name.
        made_from: what :func:`made_from` gave for the dataset.
        software: versions by name.
        counts: what was read, made and left out.
        files: each file of the product but this one, by its name in the dataset.
    """

    kind: str
    options: dict[str, typing.Any]
    made_from: str
    software: dict[str, str]
    counts: dict[str, int]
    files: dict[str, FileDigest]
    format_version: int = FORMAT_VERSION


def product_manifest(kind: str) -> str:
    """Returns the name of a product's record in the dataset.

    Example:
        >>> product_manifest(TEXT)
        'text/manifest.json'
    """
    return f"{kind}/manifest.json"


def made_from(kind: str, sha256_by_file: typing.Mapping[str, str]) -> str:
    """Returns one hash of what a product is made from; where it has changed, the product is out of date.

    Args:
        kind: one of :data:`SOURCES`.
        sha256_by_file: of the files of all shards of the dataset, by name; others do no harm.
    """
    folders = SOURCES[kind]
    return root_hash({name: digest for name, digest in sha256_by_file.items() if name.split("/")[0] in folders})
