"""Photos that were taken down leave every file of a dataset; each shard is replaced as one.

The plan's tombstones come first, so that whatever ends a run on the way, the next one goes on from them.
"""

import collections
import concurrent.futures
import dataclasses
import logging
import pathlib
import shutil
import typing

import numpy as np
import pyarrow as pa

from schemas import layout
from schemas.photo_ids import hash64, shards_of
from schemas.records import CommitRecord, Plan, PlanRows, rows_digest
from schemas.tombstones import TAKEN_DOWN, UNKNOWN
from schemas.videos import takes_videos
from transforms.building.finish_shards import finish_again
from transforms.datasets.has_photos import UNREADABLE, has_photos
from transforms.datasets.remedies import REDO_ROWS
from transforms.files.file_digest import bytes_digest, file_digest
from transforms.files.publish import OutputError
from transforms.files.read_parquet import read_parquet
from transforms.join.input_failure_counts import input_failure_batches, recounted, write_input_failures
from transforms.join.rows_file import without_photos, write_rows
from transforms.reprocess.purge_lists import purge_lists
from transforms.shards.image_spool import ImageSpool
from transforms.shards.read_shard import DamagedShardError, MissingFileError, failures_of, read_failures, spool_samples
from transforms.shards.write_shard import ShardRows, write_shard
from transforms.stores.intents import begin_rewrites, end_rewrites, replace_shard
from transforms.stores.output import Output, read_record
from transforms.videos.spool_videos import spool_videos
from transforms.workers import progress

_log = logging.getLogger("photobeam")

FOLDER = "take_down"
"""Of what is unfinished, as the name of a run."""

Ids = frozenset[int]


def take_down(output: Output, workers: int, drop_missing: bool = False) -> None:
    """Carries out the tombstones of a plan: afterwards no file holds those photos.

    A shard with such a photo goes if a file of it is damaged, for a build to make it again; so do its rows and the
    input failures, and then the plan's rows count as not joined yet.

    Args:
        output: the dataset, held by this run.
        workers: shards at once.
        drop_missing: what is missing was not moved, but is lost, and counts as damaged.

    Raises:
        FileNotFoundError: there is no plan.
        ValueError: the plan is damaged.
        OutputError: files are missing; from all others the photos are gone.
    """
    plan = read_record(output, layout.PLAN, Plan)
    begin_rewrites(output)
    folder = output.run_folder(FOLDER)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        ids = frozenset(tombstone.photo_id for tombstone in plan.tombstones)
        if plan.rows is None:
            _drop_shards(output, ids, _shards_with(ids, plan.shards or 0))
        else:
            plan = _without_photos(output, plan, ids, folder, workers, drop_missing)
        purge_lists(output, ids)
        output.write(layout.PLAN, plan.to_json())
        finish_again(output, plan)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    end_rewrites(output)


def _shards_with(ids: Ids, shards: int) -> list[int]:
    """Returns the shards that these photos belong into, whether they are there or not."""
    return np.unique(shards_of(hash64(np.array(sorted(ids), np.int64)), shards)).tolist() if shards else []


def _without_photos(
    output: Output, plan: Plan, ids: Ids, folder: pathlib.Path, workers: int, drop_missing: bool
) -> Plan:
    """Rewrites what holds the photos; returns the plan that fits, without rows if some of these were dropped."""
    rows = {r.shard: r for r in plan.rows or []}
    concerned = [rows[shard] for shard in _shards_with(ids, len(rows))]
    progress.count("rows", sum(planned.rows for planned in concerned))

    def rewrite(planned: PlanRows) -> PlanRows | None:
        try:
            left = _rewrite(output, planned, ids, plan.format, folder, drop_missing)
            progress.count("samples", planned.rows)
            return left
        except DamagedShardError as error:
            if isinstance(error, MissingFileError) and not drop_missing:
                _log.error("%s", error)
                raise
            _log.warning("%s: the rows go, since they may have a photo that is taken down", error)
            _remove_built(output, planned.shard)
            output.remove(layout.rows_file(planned.shard))
            return None

    with concurrent.futures.ThreadPoolExecutor(workers) as threads:
        ends = [threads.submit(rewrite, planned) for planned in concerned]
    rewritten = [end.result() for end in ends]
    left = _without_input_failures(output, ids, folder / "input.parquet", drop_missing)
    if left is None or None in rewritten:
        return dataclasses.replace(plan, counts={}, rows=None)
    rows |= {r.shard: r for r in rewritten if r}
    gone = plan.counts["rows"] - sum(r.rows for r in rows.values())
    counts = recounted(plan.counts, left, plan.inputs)
    taken = counts.get(TAKEN_DOWN, 0) + gone
    counts |= {
        "rows": counts["rows"] - gone,
        "removed_by_filters": counts["removed_by_filters"] + gone,
        TAKEN_DOWN: taken,
        UNKNOWN: len(plan.tombstones) - taken,
    }
    return dataclasses.replace(plan, counts=counts, rows=[rows[shard] for shard in sorted(rows)])


def _without_input_failures(
    output: Output, ids: Ids, staged: pathlib.Path, drop_missing: bool
) -> "collections.Counter[str] | None":
    """Writes the input failures again; returns how many are left of each input file, None if they are damaged."""
    name = layout.INPUT_FAILURES
    is_there = output.exists(name)
    if not is_there and not drop_missing:
        raise OutputError(f"{output}/{name} is missing: bring it back if it was moved, else {REDO_ROWS}")
    try:
        batches = list(input_failure_batches([pa.BufferReader(output.read(name) if is_there else b"")]))
    except UNREADABLE:
        _log.warning("%s/%s goes, since it is damaged and may name a photo that is taken down", output, name)
        output.remove(name)
        return None
    return write_input_failures(batches, ids, staged, output)


def _rewrite(
    output: Output,
    planned: PlanRows,
    ids: Ids,
    plan_format: dict[str, typing.Any],
    folder: pathlib.Path,
    drop_missing: bool,
) -> PlanRows:
    """Takes photos out of a shard, built or not. One that was made from other rows goes: it is to be built again."""
    shard, name = planned.shard, layout.rows_file(planned.shard)
    data = _read_rows(output, name)
    digest, commit = bytes_digest(data), _commit_of(output, shard)
    is_built = commit is not None and commit.rows_digest == rows_digest(digest.sha256, plan_format)
    if commit and not is_built and digest.sha256 != planned.digest:
        raise DamagedShardError(f"{output}/{name} is damaged or was replaced; {REDO_ROWS}")
    try:
        table = read_parquet(data)
    except UNREADABLE as error:
        raise DamagedShardError(f"{output}/{name} is damaged; {REDO_ROWS}") from error
    left = without_photos(table, ids)
    if not is_built:
        _remove_built(output, shard)
    if left.num_rows == table.num_rows:
        return PlanRows(shard, table.num_rows, digest.sha256)
    staging = folder / layout.shard_name(shard)
    staged = staging / name
    staged.parent.mkdir(parents=True)
    write_rows(left, staged)
    rows = ShardRows(shard, left, file_digest(staged))
    new = _write_left(output, commit, rows, plan_format, staging, drop_missing) if commit and is_built else None
    if new:
        replace_shard(new, new.files, staging, output, takes_videos(plan_format))
    else:
        _remove_built(output, shard)
        output.publish(staged, name)
    shutil.rmtree(staging)
    return PlanRows(shard, left.num_rows, rows.file.sha256)


def _read_rows(output: Output, name: str) -> bytes:
    try:
        return output.read(name)
    except FileNotFoundError as error:
        raise MissingFileError(
            f"{output}/{name} is missing, and a photo is to be taken out of its shard: bring it back if it was moved, "
            f"else {REDO_ROWS}"
        ) from error


def _write_left(
    output: Output,
    old: CommitRecord,
    rows: ShardRows,
    plan_format: dict[str, typing.Any],
    staging: pathlib.Path,
    drop_missing: bool,
) -> CommitRecord | None:
    """Writes a shard with what it has of those rows; returns its record, None if it is damaged and to be dropped."""
    ids = set(rows.table["photo_id"].to_pylist())
    try:
        failures = [failure for failure in failures_of(read_failures(output, old)) if failure.photo_id in ids]
        with ImageSpool(staging / "images") as spool:
            images = spool_samples(output, old, rows.table, plan_format, spool)
            videos = spool_videos(output, old, rows.table, staging)
            return write_shard(rows, images, failures, spool, staging, plan_format, videos, old.added)
    except DamagedShardError as error:
        if isinstance(error, MissingFileError) and not drop_missing:
            raise
        _log.warning("%s: the shard goes, since a photo of it is taken down; a build makes it again", error)
        return None


def _commit_of(output: Output, shard: int) -> CommitRecord | None:
    """Reads the record of a shard; a damaged one counts as none."""
    try:
        return read_record(output, layout.commit_file(shard), CommitRecord)
    except (FileNotFoundError, ValueError):
        return None


def _drop_shards(output: Output, ids: Ids, shards: typing.Iterable[int]) -> None:
    """Removes what holds one of the photos while the rows are not complete; all of it is to be made again."""
    for shard in shards:
        rows = layout.rows_file(shard)
        if output.exists(rows) and has_photos(output, rows, ids):
            output.remove(rows)
        tables = (layout.sidecar_file(shard), layout.video_sidecar_file(shard), layout.failures_file(shard))
        if any(output.exists(name) and has_photos(output, name, ids) for name in tables):
            _remove_built(output, shard)


def _remove_built(output: Output, shard: int) -> None:
    for name in (layout.commit_file(shard), *layout.shard_files(shard, videos=1)):
        output.remove(name)
