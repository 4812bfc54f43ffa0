"""From the rows kept of an old dataset to shards: how many there are, `rows/NNNNNN.parquet`, and the accounts."""

import dataclasses
import functools
import itertools
import typing

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas import layout
from schemas.elements import KeptRows, RowsFile, ShardCuts
from schemas.failures import INPUT_FAILURE_SCHEMA, AccountingError
from schemas.photo_ids import shard_bounds, within_hashes
from schemas.records import Plan, PlanRows
from schemas.rows import ROW_SCHEMA
from schemas.tombstones import TAKEN_DOWN, UNKNOWN
from transforms.files.publish import staged_as
from transforms.join.cut_rows import count_shards, publish_rows
from transforms.join.finish_rows import remove_beyond
from transforms.reprocess.keep_rows import count_dropped, find_duplicates, kept_ids, read_rows
from transforms.reprocess.rows_wanted import FROM_ORIGINALS, DeriveConfig
from transforms.stores.output import read_record


def plan_cuts(kept: typing.Sequence[KeptRows], config: DeriveConfig) -> list[ShardCuts]:
    """Finds the duplicates if they are to go, and divides the new shards by the old ones in which they begin."""
    rows = sum(k.kept for k in kept)
    if config.wanted.drop_duplicates and rows:
        rows -= find_duplicates([k.name for k in kept], config.scratch, config.folder)
    shards = config.shards or count_shards(rows, config.samples_per_shard)
    begins = [shard_bounds(shard, shards)[0] * config.old.shards >> 64 for shard in range(shards)]
    edges = [s for s in range(shards) if s == 0 or begins[s] != begins[s - 1]]
    return [ShardCuts(begin, end, shards) for begin, end in itertools.pairwise([*edges, shards])]


def cut_shards(cuts: ShardCuts, config: DeriveConfig) -> typing.Iterator[RowsFile]:
    """Writes the rows of some neighbouring shards under their final names. Holds those of one shard, old and new."""

    @functools.lru_cache(maxsize=1)
    def kept_rows(old_shard: int) -> pa.Table:
        rows = read_rows(config.rows[old_shard], config.old)
        return rows.filter(pc.is_in(rows["photo_id"], kept_ids(old_shard, config.scratch)))

    for shard in range(cuts.begin, cuts.end):
        low, high = shard_bounds(shard, cuts.shards)
        first, last = low * config.old.shards >> 64, (high - 1) * config.old.shards >> 64
        parts = [_between(kept_rows(old_shard), low, high) for old_shard in range(first, last + 1)]
        columns = pa.concat_tables(parts).columns
        rows = pa.table(columns, ROW_SCHEMA)
        yield publish_rows(rows, shard, config.output, config.folder, config.taken_down)


def complete_rows(written: list[RowsFile], kept: typing.Sequence[KeptRows], config: DeriveConfig) -> None:
    """Writes an empty table of input failures and completes the plan.

    Args:
        written: the new shards, in order.
        kept: what stays of each old one.
        config: of the run.

    Raises:
        AccountingError: rows were lost or made up.
    """
    rows, before_duplicates = sum(w.rows for w in written), sum(k.kept for k in kept)
    duplicates = count_dropped(config.scratch)
    taken_down = sum(w.taken_down for w in written)
    if rows != before_duplicates - duplicates - taken_down:
        raise AccountingError(
            f"{rows} rows were written, of {before_duplicates} kept, less {duplicates} duplicates and {taken_down} "
            "taken down"
        )
    lines = sum(k.rows for k in kept)
    counts = {
        "input_lines": lines,
        "rows": rows,
        "removed_by_filters": lines - rows,
        "removed_by_where": lines - before_duplicates,
        "removed_duplicates": duplicates,
        "collapsed_lines": 0,
        "input_failures": 0,
        FROM_ORIGINALS: sum(k.unusable for k in kept),
    }
    if config.taken_down:
        counts |= {TAKEN_DOWN: taken_down, UNKNOWN: len(config.taken_down) - taken_down}
    with staged_as(config.folder, "input.parquet") as staged:
        pq.write_table(INPUT_FAILURE_SCHEMA.empty_table(), staged, compression="zstd")
        config.output.publish(staged, layout.INPUT_FAILURES)
    planned = [PlanRows(w.shard, w.rows, w.digest) for w in written]
    plan = dataclasses.replace(
        read_record(config.output, layout.PLAN, Plan), shards=len(planned), counts=counts, rows=planned
    )
    remove_beyond(config.output, len(planned))
    config.output.write(layout.PLAN, plan.to_json())


def _between(rows: pa.Table, low: int, high: int) -> pa.Table:
    """Returns the rows whose hashes are in a half-open range."""
    return rows.filter(pa.array(within_hashes(rows["photo_id"].to_numpy(), low, high)))
