"""Checks one shard: its rows, failures and sidecar against each other, then the tar and its index."""

import collections
import typing

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas import layout
from schemas.annotations import MAPPED_COLUMNS
from schemas.failures import FAILURE_SCHEMA, FailureReason, Stage
from schemas.photo_ids import hash64, key, shards_of
from schemas.records import CommitRecord
from schemas.rows import ROW_SCHEMA
from schemas.samples import SIDECAR_SCHEMA, sidecar_schema
from schemas.videos import VIDEO_SIDECAR_SCHEMA
from transforms.datasets.read_table import read_table
from transforms.datasets.remedies import JOIN_WITHOUT, REDO_RECORD, REDO_ROWS, REDO_SHARD
from transforms.shards.write_shard import in_key_order
from transforms.stores.dataset_files import DatasetFiles, Fault, read_checked
from transforms.verify.verify_geometry import geometry_problems
from transforms.verify.verify_records import lists_its_files
from transforms.verify.verify_tar import check_idx, verify_tar
from transforms.verify.verify_videos import verify_video_tar

_REASONS = {reason.value: reason for reason in FailureReason}
_STAGES = frozenset(stage.value for stage in Stage)

Add = typing.Callable[[str, str], None]


def verify_shard(
    dataset: DatasetFiles,
    commit: CommitRecord,
    shards: int,
    sizes: typing.Sequence[int] | None,
    taken_down: typing.Container[int] = (),
) -> list[Fault]:
    """Checks every byte and count of a committed shard, unless its record lists other files than it has.

    Reads each file once; holds the rows of one shard and one sample of the tar at a time.

    Args:
        dataset: where it lies.
        commit: says what it should be.
        shards: number of shards of the dataset.
        sizes: every ``--image_size``, the first one first; None if no record says them: then what is inside the
            sidecar is not checked.
        taken_down: ids of photos that are not to be there.
    """
    shard, faults = commit.shard, list[Fault]()
    if not lists_its_files(commit):
        return []
    rows = _table(dataset, commit, layout.rows_file(shard), ROW_SCHEMA, REDO_ROWS, faults)
    if rows is not None:
        faults += check_rows(rows, shard, shards, taken_down)
    failures = _table(dataset, commit, layout.failures_file(shard), FAILURE_SCHEMA, REDO_SHARD, faults)
    if failures is not None:
        faults += _check_failures(failures, commit)
    sidecar = None
    if commit.samples:
        schema = sidecar_schema(sizes[1:], commit.added) if sizes else None
        sidecar = _table(dataset, commit, layout.sidecar_file(shard), schema, REDO_SHARD, faults)
        samples = verify_tar(dataset, commit, sidecar, sizes, faults)
        check_idx(dataset, layout.idx_file(shard), commit, samples, faults)
    elif rows is not None:
        sidecar = SIDECAR_SCHEMA.empty_table()
    videos: pa.Table | None = VIDEO_SIDECAR_SCHEMA.empty_table()
    if commit.videos:
        videos = _table(dataset, commit, layout.video_sidecar_file(shard), VIDEO_SIDECAR_SCHEMA, REDO_SHARD, faults)
        placed = verify_video_tar(dataset, commit, videos, faults)
        check_idx(dataset, layout.video_idx_file(shard), commit, placed, faults)
    if rows is not None and videos is not None:
        faults += _check_video_rows(rows, videos, layout.video_sidecar_file(shard))
    if rows is not None and sidecar is not None:
        faults += _check_against_rows(rows, sidecar, videos, failures, commit)
    return faults


def check_rows(rows: pa.Table, shard: int, shards: int, taken_down: typing.Container[int] = ()) -> list[Fault]:
    """Checks that rows are in KEY order, unique, belong into their shard, and are of no photo that was taken down."""
    faults: list[Fault] = []
    name = layout.rows_file(shard)
    if not in_key_order(_keys(rows)):
        faults.append(Fault(name, "its photos are not unique and in KEY order", REDO_ROWS))
    ids = rows["photo_id"].to_numpy().astype(np.int64)
    strays = ids[shards_of(hash64(ids), shards) != shard]
    if len(strays):
        problem = f"{len(strays):,} of its photos belong into other shards, the first is {key(int(strays[0]))}"
        faults.append(Fault(name, problem, REDO_ROWS))
    if back := [photo_id for photo_id in ids.tolist() if photo_id in taken_down]:
        problem = f"{len(back):,} of its photos were taken down, the first is {key(back[0])}"
        faults.append(Fault(name, problem, JOIN_WITHOUT))
    return faults


def _table(
    dataset: DatasetFiles, commit: CommitRecord, name: str, schema: pa.Schema | None, remedy: str, faults: list[Fault]
) -> pa.Table | None:
    data = read_checked(dataset, name, commit.files[name], remedy, faults)
    return None if data is None or schema is None else read_table(data, name, schema, remedy, faults)


def _keys(table: pa.Table) -> list[str]:
    return [key(photo_id) for photo_id in table["photo_id"].to_pylist()]


def _check_failures(failures: pa.Table, commit: CommitRecord) -> list[Fault]:
    """Checks order, keys, reasons and counts of the failures."""
    keys = _keys(failures)
    reasons = failures["reason"].to_pylist()
    retryable = [_REASONS[r].retryable for r in reasons if r in _REASONS]
    problems = {
        "its photos are not unique and in KEY order": not in_key_order(keys),
        "its keys are not those of its photo ids": failures["key"].to_pylist() != keys,
        f"it has reasons that do not exist: {sorted(set(reasons) - _REASONS.keys())}": bool(
            set(reasons) - _REASONS.keys()
        ),
        "it has stages that do not exist": bool(set(failures["stage"].to_pylist()) - _STAGES),
        "its column 'retryable' does not fit its reasons": failures["retryable"].to_pylist() != retryable,
        f"it has {len(keys):,} failures, the commit record says {commit.failed:,}": len(keys) != commit.failed,
        "its reasons are not counted as in the commit record": collections.Counter(reasons)
        != commit.failures_by_reason,
    }
    name = layout.failures_file(commit.shard)
    return [Fault(name, problem, REDO_SHARD) for problem, found in problems.items() if found]


def _check_against_rows(
    rows: pa.Table, sidecar: pa.Table, videos: pa.Table | None, failures: pa.Table | None, commit: CommitRecord
) -> list[Fault]:
    """Checks that each row is a sample, a video or a failure, and that the samples repeat their rows."""
    shard, faults = commit.shard, list[Fault]()

    def add(name: str, problem: str) -> None:
        faults.append(Fault(name, problem, REDO_SHARD))

    if commit.rows != rows.num_rows:
        problem = f"it says {commit.rows:,} rows, there are {rows.num_rows:,}"
        faults.append(Fault(layout.commit_file(shard), problem, REDO_RECORD))
    if sidecar.num_rows != commit.samples:
        problem = f"it has {sidecar.num_rows:,} samples, the commit record says {commit.samples:,}"
        add(layout.sidecar_file(shard), problem)
    if failures is not None and videos is not None:
        _check_accounted(rows, [sidecar, videos, failures], shard, add)
        _check_failed_videos(rows, failures, commit, add)
    _check_repeats_rows(rows, sidecar, layout.sidecar_file(shard), add)
    return faults


def _check_accounted(rows: pa.Table, tables: typing.Iterable[pa.Table], shard: int, add: Add) -> None:
    results = collections.Counter(photo_id for table in tables for photo_id in table["photo_id"].to_pylist())
    ids = set(rows["photo_id"].to_pylist())
    wrong = sorted(ids - results.keys() | {photo_id for photo_id, n in results.items() if n > 1 or photo_id not in ids})
    if wrong:
        problem = (
            f"{len(wrong):,} photos have not exactly one row and one sample or failure, the first is {key(wrong[0])}"
        )
        add(layout.failures_file(shard), problem)


def _check_failed_videos(rows: pa.Table, failures: pa.Table, commit: CommitRecord, add: Add) -> None:
    is_video = pc.is_in(failures["photo_id"], rows.filter(rows["is_video"])["photo_id"].combine_chunks())
    reasons = failures["reason"].filter(is_video).to_pylist()
    failed = len(reasons) - reasons.count(FailureReason.IS_VIDEO.value)
    if failed != commit.failed_videos:
        problem = f"it has {failed:,} failed videos, the commit record says {commit.failed_videos:,}"
        add(layout.failures_file(commit.shard), problem)


def _check_repeats_rows(rows: pa.Table, sidecar: pa.Table, name: str, add: Add) -> None:
    expected = _check_repeated(rows, sidecar, [n for n in rows.column_names if n not in MAPPED_COLUMNS], name, add)
    if expected is not None:
        for problem in geometry_problems(expected, sidecar):
            add(name, problem)


def _check_video_rows(rows: pa.Table, videos: pa.Table, name: str) -> list[Fault]:
    """Checks that videos repeat their rows, and are videos by these."""
    faults = list[Fault]()

    def add(name: str, problem: str) -> None:
        faults.append(Fault(name, problem, REDO_SHARD))

    _check_repeated(rows, videos, rows.column_names, name, add)
    if not all(videos["is_video"].to_pylist()):
        add(name, "it has photos that are no videos")
    return faults


def _check_repeated(
    rows: pa.Table, sidecar: pa.Table, columns: typing.Iterable[str], name: str, add: Add
) -> pa.Table | None:
    """Checks order, keys and repeated columns; returns the rows of a sidecar, None if some are not there."""
    keys = _keys(sidecar)
    if not in_key_order(keys):
        add(name, "its samples are not unique and in KEY order")
    if sidecar["key"].to_pylist() != keys:
        add(name, "its keys are not those of its photo ids")
    place = {photo_id: i for i, photo_id in enumerate(rows["photo_id"].to_pylist())}
    places = [place[i] for i in sidecar["photo_id"].to_pylist() if i in place]
    if len(places) != sidecar.num_rows:
        return None
    expected = rows.take(pa.array(places, pa.int64()))
    differing = [n for n in columns if not expected[n].equals(sidecar[n])]
    if differing:
        add(name, f"it does not repeat the rows in {', '.join(differing)}")
    return expected
