"""The end of phase 1: the accounts, `failures/input.parquet`, and the rows recorded in `plan.json`."""

import collections
import dataclasses
import json
import pathlib
import shutil
import typing

import pyarrow.parquet as pq

from schemas import layout
from schemas.elements import JoinedBucket, RowsFile, SpoolFile
from schemas.failures import INPUT_FAILURE_SCHEMA
from schemas.records import Plan, PlanRows
from schemas.yfcc import Pack
from transforms.publish import publish, write_file

FAILURE_BATCH_ROWS = 1_000


class RowsSummary(typing.NamedTuple):
    """Everything that phase 1 reports.

    Attributes:
        spooled: one per input range.
        joined: one per bucket.
        written: one per shard.
        limit: of ``--limit``, None for all.
    """

    spooled: list[SpoolFile]
    joined: list[JoinedBucket]
    written: list[RowsFile]
    limit: int | None


class AccountingError(RuntimeError):
    """Lines or rows were lost or made up: a bug."""


def account(summary: RowsSummary) -> dict[str, int]:
    """Adds up what became of every input line.

    Returns:
        ``input_lines`` (of the dataset) = ``rows`` + ``removed_by_filters`` + ``collapsed_lines`` +
        ``input_failures``; and for each other pack ``PACK_lines``, ``PACK_unmatched`` (no such photo),
        ``PACK_collapsed`` and ``PACK_failures``.

    Raises:
        AccountingError: the sum does not come out.
    """
    packs = _count_packs(summary)
    dataset = packs.pop(Pack.DATASET.value, collections.Counter())
    joined_rows = sum(bucket.rows for bucket in summary.joined)
    rows = sum(written.rows for written in summary.written)
    counts = {
        "input_lines": dataset["lines"],
        "rows": rows,
        "removed_by_filters": sum(bucket.filtered for bucket in summary.joined) + joined_rows - rows,
        "collapsed_lines": dataset["collapsed"],
        "input_failures": dataset["failures"],
    }
    lost = counts["input_lines"] - sum(counts[n] for n in counts if n != "input_lines")
    kept = joined_rows if summary.limit is None else min(joined_rows, summary.limit)
    if lost or rows != kept:
        raise AccountingError(f"{lost} of {dataset['lines']} lines are lost; {rows} rows written of {kept} joined")
    for pack, counted in sorted(packs.items()):
        counts |= {f"{pack}_{name}": counted[name] for name in ("lines", "unmatched", "collapsed", "failures")}
    return counts


def finish_rows(output: pathlib.Path, folder: pathlib.Path, summary: RowsSummary) -> None:
    """Writes the input failures, completes the plan, and frees the spool.

    Args:
        output: root of the dataset, with ``plan.json`` and ``rows/``.
        folder: of everything unfinished; removed.
        summary: what phase 1 reports.

    Raises:
        AccountingError: lines or rows were lost.
    """
    counts = account(summary)
    paths = [s.failures_path for s in sorted(summary.spooled)] + [b.failures_path for b in sorted(summary.joined)]
    _write_input_failures([p for p in paths if p], folder / "input.parquet", output / layout.INPUT_FAILURES)
    rows = [PlanRows(w.shard, w.rows, w.digest) for w in sorted(summary.written)]
    plan_path = output / layout.PLAN
    plan = Plan.from_json(plan_path.read_bytes(), str(plan_path))
    plan = dataclasses.replace(plan, shards=len(rows), counts=counts, rows=rows)
    _remove_beyond(output, len(rows))
    write_file(output, layout.PLAN, plan.to_json())
    shutil.rmtree(folder)


def _remove_beyond(output: pathlib.Path, shards: int) -> None:
    """Removes files of shards that no longer exist: an earlier run may have died with more of them."""
    for folder in layout.SHARD_FOLDERS:
        for path in (output / folder).glob("[0-9]*"):
            if int(path.stem) >= shards:
                path.unlink()


def _count_packs(summary: RowsSummary) -> dict[str, collections.Counter[str]]:
    packs: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for spooled in summary.spooled:
        packs[spooled.pack].update(lines=spooled.lines, failures=spooled.malformed)
    for bucket in summary.joined:
        for pack, counted in json.loads(bucket.counts).items():
            packs[pack].update(counted)
            packs[pack]["failures"] += counted["duplicates"]
    return packs


def _write_input_failures(paths: list[str], staged: pathlib.Path, final: pathlib.Path) -> None:
    with pq.ParquetWriter(staged, INPUT_FAILURE_SCHEMA, compression="zstd") as writer:
        for path in paths:
            for batch in pq.ParquetFile(path).iter_batches(FAILURE_BATCH_ROWS):
                writer.write_batch(batch)
    publish(staged, final)
