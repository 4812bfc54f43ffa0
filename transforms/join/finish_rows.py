"""The end of phase 1: the accounts, `failures/input.parquet`, and the rows recorded in `plan.json`."""

import collections
import dataclasses
import json
import pathlib
import typing

import pyarrow as pa

from schemas import layout
from schemas.annotations import ELEMENTS
from schemas.elements import JoinedBucket, RowsFile, SpoolFile
from schemas.failures import AccountingError
from schemas.records import Plan, PlanRows
from schemas.sources import ALL_SOURCES, PHOTO_KINDS, SPOOL_KINDS, Source
from schemas.tombstones import TAKEN_DOWN, UNKNOWN
from transforms.files.publish import staged_as
from transforms.join.input_failure_counts import input_failure_batches, recounted, write_input_failures
from transforms.stores.output import Output, read_record
from transforms.stores.scratch import Scratch

_SPOOLED = frozenset(kind.name for kind in SPOOL_KINDS)
_UNPUBLISHED = frozenset(kind.name for kind in SPOOL_KINDS if kind.column and kind.column not in ELEMENTS)
_PUBLISHED = ("lines", "unmatched", "collapsed", "failures")


class RowsSummary(typing.NamedTuple):
    """Everything that phase 1 reports.

    Attributes:
        spooled: one per input range.
        joined: one per bucket.
        written: one per shard.
        base: whose photos make the dataset.
        planned: rows that limits leave of those joined.
    """

    spooled: list[SpoolFile]
    joined: list[JoinedBucket]
    written: list[RowsFile]
    base: str
    planned: int


def account(summary: RowsSummary) -> dict[str, int]:
    """Adds up what became of everything that was read.

    Returns:
        ``input_lines`` (those of the base that name its photos: lines of the dataset pack, images of the other
        sources) = ``rows`` + ``removed_by_filters`` + ``collapsed_lines`` + ``input_failures``. For each pack and each
        column of a source ``KIND_lines``, ``KIND_unmatched`` (no such photo), ``KIND_collapsed`` and
        ``KIND_failures``; of each annotation source ``SOURCE_lines`` and ``SOURCE_failures``: all that was read.
        ``repeated_images`` and ``different_sizes``: see :func:`transforms.join.join_elements.count_conflicts`;
        ``photos_without_split`` where photos of a split are kept.

    Raises:
        AccountingError: a sum does not come out.
    """
    kinds = _count_kinds(summary)
    joined_rows = sum(bucket.rows for bucket in summary.joined)
    filtered = sum(bucket.filtered for bucket in summary.joined)
    rows = sum(written.rows for written in summary.written)
    photos = {k.name: kinds[k.name] for s, k in PHOTO_KINDS.items() if summary.base in (s.value, ALL_SOURCES)}
    lines, failures = (sum(c[what] for c in photos.values()) for what in ("lines", "failures"))
    counts = {
        "input_lines": lines,
        "rows": rows,
        "removed_by_filters": filtered + joined_rows - rows,
        "collapsed_lines": lines - failures - joined_rows - filtered,
        "input_failures": failures,
    }
    taken_down = sum(written.taken_down for written in summary.written)
    if rows + taken_down != summary.planned or counts["collapsed_lines"] < 0:
        raise AccountingError(f"{rows} rows written of {summary.planned} planned, from {lines} lines")
    hidden = _UNPUBLISHED | ({PHOTO_KINDS[Source.YFCC].name} & photos.keys())
    for kind, counted in sorted(kinds.items()):
        if kind not in hidden:
            counts |= {f"{kind}_{name}": counted[name] for name in _PUBLISHED if name in counted}
    return counts | _count_photos(summary)


def finish_rows(output: Output, scratch: Scratch, staging: pathlib.Path | None, summary: RowsSummary) -> None:
    """Writes the input failures, completes the plan, and frees the spool, unless a step may still be repeated.

    Args:
        output: root of the dataset, with ``plan.json`` and ``rows/``.
        scratch: has the failures.
        staging: folder as of :func:`transforms.files.publish.staged_as`.
        summary: what phase 1 reports.

    Raises:
        AccountingError: lines or rows were lost.
    """
    plan = read_record(output, layout.PLAN, Plan)
    names = [s.failures_name for s in sorted(summary.spooled)] + [b.failures_name for b in sorted(summary.joined)]
    batches = _failure_batches(scratch, names)
    ids = {tombstone.photo_id for tombstone in plan.tombstones}
    with staged_as(staging, "input.parquet") as staged:
        left = write_input_failures(batches, ids, staged, output)
    counts = account(summary)
    if ids:
        taken_down = sum(written.taken_down for written in summary.written)
        counts = recounted(counts, left, plan.inputs) | {TAKEN_DOWN: taken_down, UNKNOWN: len(ids) - taken_down}
    rows = [PlanRows(w.shard, w.rows, w.digest) for w in sorted(summary.written)]
    plan = dataclasses.replace(plan, shards=len(rows), counts=counts, rows=rows)
    remove_beyond(output, len(rows))
    output.write(layout.PLAN, plan.to_json())
    if not scratch.is_shared:
        scratch.remove()


def _failure_batches(scratch: Scratch, names: typing.Iterable[str]) -> typing.Iterator[pa.RecordBatch]:
    for name in filter(None, names):
        with scratch.reading(name) as path:
            yield from input_failure_batches([path])


def remove_beyond(output: Output, shards: int) -> None:
    """Removes files of shards that no longer exist: an earlier run may have died with more of them."""
    for folder in layout.SHARD_FOLDERS:
        for name in output.names(folder):
            stem = pathlib.PurePath(name).stem
            if stem.isdecimal() and int(stem) >= shards:
                output.remove(name)


def _count_kinds(summary: RowsSummary) -> dict[str, collections.Counter[str]]:
    """Adds up by kind, and checks that all that was spooled was joined.

    Raises:
        AccountingError: it was not.
    """
    kinds: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    joined: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for spooled in summary.spooled:
        for kind, counted in json.loads(spooled.counts).items():
            kinds[kind].update(counted)
    for bucket in summary.joined:
        for kind, counted in json.loads(bucket.counts).items():
            joined[kind].update(counted)
    for kind, counted in kinds.items():
        found = joined[kind]
        spooled_lines = counted["lines"] - counted["failures"] - counted["unmatched"]
        ended = found["kept"] + found["collapsed"] + found["duplicates"] + found["unmatched"]
        if kind in _SPOOLED and not spooled_lines == found["lines"] == ended:
            raise AccountingError(f"{kind}: {spooled_lines} spooled, {found['lines']} joined, {ended} accounted for")
        if kind in _SPOOLED:
            counted.update(unmatched=found["unmatched"], collapsed=found["collapsed"], failures=found["duplicates"])
    return kinds


def _count_photos(summary: RowsSummary) -> dict[str, int]:
    counted: collections.Counter[str] = collections.Counter()
    for bucket in summary.joined:
        counted.update(json.loads(bucket.photo_counts))
    return dict(counted)
