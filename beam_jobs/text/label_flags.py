"""The flags of `photobeam text` that ask for labels."""

import argparse
import dataclasses
import json
import typing

from beam_jobs.command.errors import UsageError
from beam_jobs.command.flags import FlagParser
from beam_jobs.text.side_files import file_text, told
from schemas.class_hierarchy import BadHierarchyError
from schemas.class_names import BadClassListError, read_class_names
from schemas.label_files import AUTOTAGS, COCO, LABELS, OPEN_IMAGES
from transforms.files.file_digest import bytes_digest
from transforms.stores.request_signers import S3Options
from transforms.text.label_maps import LabelMap, autotag_labels, coco_labels, open_images_labels

CONTIGUOUS, ORIGINAL = "contiguous", "original"

_FILES = {"class_names": OPEN_IMAGES, "hierarchy": OPEN_IMAGES, "autotag_names": AUTOTAGS}
_FLAGS = {**_FILES, "coco_ids": COCO}


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelOptions:
    """What labels are asked for.

    Attributes:
        maps: columns by set of labels; None where those that the photos have are the columns.
        recorded: what the record of the product says of these, by flag; of files their SHA-256, as text.
    """

    maps: dict[str, LabelMap | None] = dataclasses.field(default_factory=dict)
    recorded: dict[str, typing.Any] = dataclasses.field(default_factory=dict)


def add_label_flags(parser: FlagParser) -> None:
    """Adds the flags of labels."""
    group = parser.add_argument_group("labels, as arrays")
    group.add_argument("--labels", type=_sets, default=[], metavar="SET,…", help=f"of {', '.join(LABELS)} (none)")
    group.add_argument(
        "--coco_ids", choices=(CONTIGUOUS, ORIGINAL), help="columns: 0 to 79, or COCO's own ids, 1 to 90 (contiguous)"
    )
    group.add_argument("--class_names", metavar="FILE", help="of Open Images: the classes, in the order of the columns")
    group.add_argument(
        "--hierarchy", metavar="FILE", help="of Open Images: the tree by which labels are expanded (none)"
    )
    group.add_argument("--autotag_names", metavar="FILE", help="one a line: the columns (those that the photos have)")


def label_options(flags: argparse.Namespace, s3: S3Options) -> LabelOptions:
    """Returns what the flags ask for, having read the files.

    Raises:
        UsageError: flags that do not go together, or a file that is not there or no such file.
    """
    sets = sorted(set(flags.labels), key=LABELS.index)
    for flag, labels in _FLAGS.items():
        if getattr(flags, flag) is not None and labels not in sets:
            raise UsageError(f"--{flag} is for --labels {labels}; leave it out")
    texts = {
        flag: file_text(f"--{flag}", getattr(flags, flag), s3) for flag in _FILES if getattr(flags, flag) is not None
    }
    coco_ids = flags.coco_ids or (CONTIGUOUS if COCO in sets else None)
    maps: dict[str, LabelMap | None] = {}
    if COCO in sets:
        maps[COCO] = coco_labels(coco_ids == ORIGINAL)
    if OPEN_IMAGES in sets:
        maps[OPEN_IMAGES] = _open_images(flags, texts)
    if AUTOTAGS in sets:
        maps[AUTOTAGS] = _autotags(flags, texts) if "autotag_names" in texts else None
    digests = {flag: bytes_digest(texts[flag].encode()).sha256 if flag in texts else None for flag in _FILES}
    return LabelOptions(maps=maps, recorded={"labels": sets or None, "coco_ids": coco_ids, **digests})


def _open_images(flags: argparse.Namespace, texts: typing.Mapping[str, str]) -> LabelMap:
    if "class_names" not in texts:
        raise UsageError(
            f"--labels {OPEN_IMAGES} needs the list of classes: --class_names class-descriptions-boxable.csv, as "
            "Open Images publishes it"
        )
    try:
        class_names = read_class_names(texts["class_names"])
    except BadClassListError as error:
        raise UsageError(f"{told('--class_names', flags.class_names)}: {error}") from error
    if not class_names:
        raise UsageError(f"{told('--class_names', flags.class_names)}: has no class")
    try:
        tree = json.loads(texts["hierarchy"]) if "hierarchy" in texts else None
        return open_images_labels(class_names, tree)
    except (json.JSONDecodeError, BadHierarchyError, RecursionError) as error:
        raise UsageError(f"{told('--hierarchy', flags.hierarchy)}: is no tree of classes: {error}") from error


def _autotags(flags: argparse.Namespace, texts: typing.Mapping[str, str]) -> LabelMap:
    names = [name for name in texts["autotag_names"].split("\n") if name.strip()]
    if not names:
        raise UsageError(f"{told('--autotag_names', flags.autotag_names)}: has no name")
    return autotag_labels(name.strip() for name in names)


def _sets(text: str) -> list[str]:
    sets = text.split(",")
    for labels in sets:
        if labels not in LABELS:
            raise argparse.ArgumentTypeError(f"{labels!r} is no set of labels: choose of {', '.join(LABELS)}")
    return sets
