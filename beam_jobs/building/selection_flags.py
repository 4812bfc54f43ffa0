"""The flags that decide which of the joined rows are kept."""

import argparse

from beam_jobs.command.errors import UsageError
from beam_jobs.command.flags import FlagParser, positive, ratio
from schemas.splits import SPLITS, UnknownSplitError, read_split
from transforms.join.class_evidence import Evidence
from transforms.join.filter_rows import RowSelection


def add_selection_flags(parser: FlagParser) -> None:
    """Adds what decides which of the joined rows are kept."""
    group = parser.add_argument_group("rows")
    group.add_argument("--where", default="", metavar="SQL", help="SQL condition on the joined row")
    group.add_argument("--limit", type=positive, metavar="N", help="that many photos, spread over all shards")
    group.add_argument(
        "--split", type=_split, metavar="S", help="photos that any source has in train, validation or test"
    )
    group.add_argument(
        "--by_split", action="store_true", help=f"one dataset for each of {', '.join(SPLITS)}, under DIR/SPLIT"
    )
    _add_class_flags(group)


def _add_class_flags(group: argparse._ArgumentGroup) -> None:
    selection = RowSelection()
    group.add_argument(
        "--classes",
        action="append",
        default=[],
        metavar="A,B",
        help="photos with one of these classes: names or ids, in any case; repeatable",
    )
    group.add_argument(
        "--class_evidence",
        default=",".join(selection.class_evidence),
        metavar="KINDS",
        help=f"what shows that a photo has a class, of {', '.join(e.value for e in Evidence)} (%(default)s)",
    )
    group.add_argument(
        "--min_confidence",
        type=ratio,
        default=selection.min_confidence,
        metavar="C",
        help="least one of machine labels and autotags (%(default)s)",
    )
    group.add_argument("--per_class_limit", type=positive, metavar="N", help="that many photos of each class")
    group.add_argument(
        "--only_these_classes", action="store_true", help="leave the annotations of other classes out as well"
    )


def row_selection(flags: argparse.Namespace) -> RowSelection:
    """Returns which rows are kept.

    Raises:
        UsageError: flags that do not go together, or an unknown kind of evidence.
    """
    if flags.split and flags.by_split:
        raise UsageError(f"--split {flags.split} and --by_split exclude each other; leave one out")
    classes = [name for given in flags.classes for name in class_names(given)]
    evidence = _class_evidence(flags.class_evidence)
    selection = RowSelection(
        split=flags.split or "",
        where=flags.where,
        classes=tuple(dict.fromkeys(classes)),
        class_evidence=evidence,
        min_confidence=flags.min_confidence,
        per_class_limit=flags.per_class_limit,
        only_these_classes=flags.only_these_classes,
        limit=flags.limit,
    )
    _check_has_effect(flags, selection)
    return selection


def class_names(text: str) -> list[str]:
    """Reads names or ids of classes with commas between them; of blanks in a row one is left.

    Example:
        >>> class_names("dog, polar  bear,")
        ['dog', 'polar bear']
    """
    return [" ".join(name.split()) for name in text.split(",") if name.strip()]


def _class_evidence(text: str) -> tuple[str, ...]:
    """Reads the kinds in their own order, so that the order on the command line makes no difference."""
    given, kinds = {kind.strip() for kind in text.split(",")}, [e.value for e in Evidence]
    if unknown := sorted(given.difference(kinds)):
        raise UsageError(f"--class_evidence {text}: {unknown[0]!r} is none of {', '.join(kinds)}")
    return tuple(kind for kind in kinds if kind in given)


def _check_has_effect(flags: argparse.Namespace, selection: RowSelection) -> None:
    default = RowSelection()
    names = ("class_evidence", "min_confidence", "per_class_limit", "only_these_classes")
    changed = [name for name in names if getattr(selection, name) != getattr(default, name)]
    if changed and not selection.classes:
        raise UsageError(f"--{changed[0]} has no effect without --classes; name some")
    if flags.classes and not selection.classes:
        raise UsageError(f"--classes {flags.classes[0]!r} names none; give names or ids with commas between them")
    by_machines = {Evidence.MACHINE.value, Evidence.AUTOTAGS.value}
    if "min_confidence" in changed and not by_machines.intersection(selection.class_evidence):
        raise UsageError("--min_confidence has no effect without machine or autotags in --class_evidence; add one")


def _split(name: str) -> str:
    try:
        return read_split(name)
    except UnknownSplitError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
