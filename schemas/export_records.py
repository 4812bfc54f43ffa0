"""The JSON records of an export: what each shard gave, and what the whole was made of."""

import dataclasses
import typing

from schemas.layout import FORMAT_VERSION, TMP, shard_name
from schemas.records import FileDigest, Record, root_hash

EXPORT_RECORD = "export.json"
"""Written last, beside the files of the export."""

EXPORT_BEGUN = f"{TMP}/export.json"
"""The same record while the export is under way; its options also say where `files` that are there are replaced."""

LABELS, PARTS = f"{TMP}/labels", f"{TMP}/parts"
UNFINISHED = (LABELS, PARTS)
"""Folders of what shards have given so far."""


_SOURCES = ("rows", "shards")
"""Folders of a dataset that it is exported from."""


def part_record(shard: int) -> str:
    """Returns the name of the record that says that a shard is exported."""
    return f"{PARTS}/{shard_name(shard)}.json"


def part_file(shard: int, section: str) -> str:
    """Returns the name of a shard's lines of a file that all shards share."""
    return f"{PARTS}/{shard_name(shard)}/{section}"


def labels_file(shard: int) -> str:
    """Returns the name of the list of the labels that a shard has."""
    return f"{LABELS}/{shard_name(shard)}.json"


def exported_from(shards: typing.Iterable[typing.Mapping[str, str]]) -> str:
    """Returns one hash of what an export of a dataset is made from: its rows and samples, not its failures.

    Args:
        shards: SHA-256 of the files of each, by name.
    """
    files = {name: sha256 for files in shards for name, sha256 in files.items()}
    return root_hash({name: sha256 for name, sha256 in files.items() if name.split("/")[0] in _SOURCES})


@dataclasses.dataclass(frozen=True)
class ExportPart(Record):
    """What a shard gave.

    Attributes:
        counts: as of :class:`ExportRecord`.
        lines: how many lines of each section of the files that all shards share.
    """

    counts: dict[str, int]
    lines: dict[str, int]


@dataclasses.dataclass(frozen=True)
class ExportRecord(Record):
    """An export.

    Attributes:
        format: its name.
        options: flags that shape it.
        made_from: what :func:`exported_from` gave for the dataset.
        classes: their names, in the order of their numbers.
        counts: photos, images and boxes; what was left out, and why.
        files: size and SHA-256 of each file that all shards share.
    """

    format: str
    options: dict[str, typing.Any]
    made_from: str
    classes: list[str] = dataclasses.field(default_factory=list)
    counts: dict[str, int] = dataclasses.field(default_factory=dict)
    files: dict[str, FileDigest] = dataclasses.field(default_factory=dict)
    format_version: int = FORMAT_VERSION

    def is_of_same(self, other: "ExportRecord") -> bool:
        """Tells whether two exports are asked for alike, of the same dataset."""
        return (self.format, self.options, self.made_from) == (other.format, other.options, other.made_from)
