"""Checks a dataset: every byte, hash, offset, count, index and order; and what should not be there."""

import collections
import typing

from schemas import layout
from schemas.failures import INPUT_FAILURE_SCHEMA, FailureReason, Stage
from schemas.records import (
    CommitRecord,
    FileDigest,
    Manifest,
    OtherFormatError,
    Plan,
    PlanRows,
    Record,
    manifest_shard,
    root_hash,
    rows_digest,
    totals_of,
)
from schemas.rows import ROW_SCHEMA
from transforms.dataset_files import DatasetFiles, digest_problem, read_checked, unreadable
from transforms.dataset_files import Fault as Fault
from transforms.dataset_files import NoDatasetError as NoDatasetError
from transforms.file_digest import DigestingReader, bytes_digest
from transforms.request_signers import S3Options
from transforms.tar_shard import indexed_tar, wids_index
from transforms.verify_shard import (
    JOINED_AGAIN,
    REDO_RECORD,
    REDO_ROWS,
    check_rows,
    read_table,
    verify_shard,
)

GO_ON = "run the same build again: it goes on"
REDO_MANIFEST = f"remove {layout.MANIFEST} and run the same build again: it and {layout.SHARD_INDEX} are written anew"
REDO_INPUT_FAILURES = f"remove it and {layout.rows_file(0)} and run the same build again: {JOINED_AGAIN}"
FOLDERS = ("rows", "shards", "failures", "commits")
"""Readers take every file in these for data."""

_IMAGE_FLAG = "image_size"
R = typing.TypeVar("R", bound=Record)


class VerifyReport(typing.NamedTuple):
    """What was found.

    Attributes:
        faults: everything that is wrong; none if the dataset is whole.
        rows_only: whether the dataset was made without images, and ends with its rows.
        shards: how many were read.
        rows: photos in them.
        samples: photos with an image.
        failures: photos without one.
        bytes: size of the shards' files.
    """

    faults: list[Fault]
    rows_only: bool
    shards: int
    rows: int
    samples: int
    failures: int
    bytes: int


class _Records(typing.NamedTuple):
    """The records of a dataset, as far as they are whole."""

    plan: Plan | None
    planned: dict[int, PlanRows]
    manifest: Manifest | None
    commits: dict[int, CommitRecord]
    shards: int
    rows_only: bool


def verify(root: str, *, s3: S3Options | None = None) -> VerifyReport:
    """Checks everything that can be checked without the inputs.

    Damage of any kind is a fault in the report and never an exception. Reads every file once, one
    shard after the other; memory holds the rows of one shard.

    Args:
        root: of the dataset, a local path or any URL that fsspec opens.
        s3: how S3 is reached.

    Raises:
        NoDatasetError: there is no dataset.
    """
    dataset, faults = DatasetFiles(root, s3), list[Fault]()
    records = _read_records(dataset, root, faults)
    sizes = _image_sizes(records)
    for shard in range(records.shards):
        if shard in records.commits and not _is_outdated(records, shard):
            faults += verify_shard(dataset, records.commits[shard], records.shards, sizes)
        else:
            faults += _check_planned_rows(dataset, records, shard)
    faults += _check_plan(records)
    if records.manifest:
        faults += _check_manifest(records, records.manifest)
    faults += _check_index(dataset, records)
    faults += _check_input_failures(dataset, records)
    faults += _check_strays(dataset, records)
    totals = totals_of(list(records.commits.values()))
    rows = sum(r.rows for r in records.planned.values()) if records.rows_only else totals.rows
    return VerifyReport(faults, records.rows_only, records.shards, rows, totals.samples, totals.failed, totals.bytes)


def _read_records(dataset: DatasetFiles, root: str, faults: list[Fault]) -> _Records:
    has_manifest = dataset.exists(layout.MANIFEST)
    if not has_manifest and not dataset.exists(layout.PLAN):
        raise NoDatasetError(f"{root} holds no dataset: neither {layout.PLAN} nor {layout.MANIFEST} is there")
    plan = _read_record(dataset, layout.PLAN, Plan, REDO_ROWS, faults)
    rows_only = bool(plan and plan.rows is not None and _IMAGE_FLAG not in plan.format and not has_manifest)
    manifest = None
    if not rows_only:
        manifest = _read_record(dataset, layout.MANIFEST, Manifest, REDO_RECORD, faults)
    shards = _count_shards(dataset, plan, manifest)
    commits: dict[int, CommitRecord] = {}
    for shard in range(0 if rows_only else shards):
        name = layout.commit_file(shard)
        commit = _read_record(dataset, name, CommitRecord, REDO_RECORD, faults)
        if commit and commit.shard == shard:
            commits[shard] = commit
        elif commit:
            faults.append(Fault(name, f"it is the record of shard {commit.shard}", REDO_RECORD))
    planned = {rows.shard: rows for rows in (plan and plan.rows) or []}
    return _Records(plan, planned, manifest, commits, shards, rows_only)


def _read_record(dataset: DatasetFiles, name: str, record: type[R], remedy: str, faults: list[Fault]) -> R | None:
    try:
        return record.from_json(dataset.read(name), name)
    except FileNotFoundError as error:
        faults.append(Fault(name, unreadable(error), GO_ON))
    except OSError as error:
        faults.append(Fault(name, unreadable(error), remedy))
    except OtherFormatError as error:
        faults.append(Fault(name, f"it {error.problem}", error.remedy))
    except ValueError as error:
        faults.append(Fault(name, str(error), remedy))
    return None


def _count_shards(dataset: DatasetFiles, plan: Plan | None, manifest: Manifest | None) -> int:
    if plan and plan.shards is not None:
        return plan.shards
    return len(manifest.shards) if manifest else len(dataset.names("commits"))


def _image_sizes(records: _Records) -> list[int] | None:
    """Returns every size by the plan, or by the manifest where the plan is damaged; None if neither says them."""
    stated = records.plan.format if records.plan else records.manifest.configuration if records.manifest else {}
    sizes = stated.get(_IMAGE_FLAG)
    return sizes if isinstance(sizes, list) and all(isinstance(size, int) for size in sizes) else None


def _is_outdated(records: _Records, shard: int) -> bool:
    """Tells whether a shard was made from other rows than the plan names: a join with another selection followed."""
    planned, made_from = records.planned.get(shard), records.commits[shard].files.get(layout.rows_file(shard))
    return planned is not None and made_from is not None and planned.digest != made_from.sha256


def _check_planned_rows(dataset: DatasetFiles, records: _Records, shard: int) -> list[Fault]:
    """Checks the rows of a shard that is not built, or from other rows, as far as the plan tells."""
    planned = records.planned.get(shard)
    name, faults = layout.rows_file(shard), list[Fault]()
    if planned is None:
        return []
    data = read_checked(dataset, name, None, REDO_ROWS, faults)
    if data is None:
        return faults
    problem = digest_problem(bytes_digest(data), FileDigest(len(data), planned.digest))
    if problem:
        return [Fault(name, problem, REDO_ROWS)]
    rows = read_table(data, name, ROW_SCHEMA, REDO_ROWS, faults)
    if rows is not None:
        faults += check_rows(rows, shard, records.shards)
        if rows.num_rows != planned.rows:
            faults.append(Fault(name, f"it has {rows.num_rows:,} rows, the plan says {planned.rows:,}", REDO_ROWS))
    return faults


def _check_plan(records: _Records) -> list[Fault]:
    """Checks the plan against the commit records, and its accounts."""
    plan = records.plan
    if plan is None:
        return []
    if plan.rows is None:
        return [Fault(layout.PLAN, "its rows are not complete", GO_ON)]
    faults = _check_counts(plan)
    if list(records.planned) != list(range(records.shards)):
        faults.append(Fault(layout.PLAN, f"it does not list the rows of {records.shards:,} shards", REDO_ROWS))
    if records.commits and not _image_sizes(records):
        faults.append(Fault(layout.PLAN, f"its format has no list of sizes as {_IMAGE_FLAG}", REDO_ROWS))
    for shard, commit in records.commits.items():
        rows, name = records.planned.get(shard), layout.rows_file(shard)
        file = commit.files.get(name)
        if rows is None or file is None:
            continue
        if _is_outdated(records, shard):
            problem = "its shard was made from other rows than the plan names"
            faults.append(
                Fault(layout.commit_file(shard), problem, "run the same build again: the shard is built again")
            )
        elif rows.rows != commit.rows:
            problem = (
                f"it lists {rows.rows:,} rows of shard {layout.shard_name(shard)}, the commit record {commit.rows:,}"
            )
            faults.append(Fault(layout.PLAN, problem, REDO_ROWS))
        elif commit.rows_digest != rows_digest(file.sha256, plan.format):
            problem = "its rows_digest does not fit its rows and the plan's format"
            faults.append(Fault(layout.commit_file(shard), problem, REDO_RECORD))
    return faults


def _check_counts(plan: Plan) -> list[Fault]:
    """Checks that every input line became something: ``input_lines`` = rows + filtered + collapsed + failures."""
    parts = ("rows", "removed_by_filters", "collapsed_lines", "input_failures")
    missing = [name for name in ("input_lines", *parts) if name not in plan.counts]
    if missing:
        return [Fault(layout.PLAN, f"its counts lack {', '.join(missing)}", REDO_ROWS)]
    faults: list[Fault] = []
    lines, accounted = plan.counts["input_lines"], sum(plan.counts[name] for name in parts)
    if lines != accounted:
        problem = f"it counts {lines:,} input lines, but {accounted:,} rows, filtered, repeated and failed ones"
        faults.append(Fault(layout.PLAN, problem, REDO_ROWS))
    rows = sum(r.rows for r in plan.rows or [])
    if plan.counts["rows"] != rows:
        problem = f"it counts {plan.counts['rows']:,} rows, but lists {rows:,} in its shards"
        faults.append(Fault(layout.PLAN, problem, REDO_ROWS))
    return faults


def _check_manifest(records: _Records, manifest: Manifest) -> list[Fault]:
    """Checks the manifest against the commit records, the plan and itself."""
    commits = [records.commits[shard] for shard in sorted(records.commits)]
    problems: list[str] = []
    if records.plan and manifest.counts != records.plan.counts:
        problems.append("its counts are not the plan's")
    if [s.name for s in manifest.shards] != [layout.shard_name(i) for i in range(records.shards)]:
        problems.append(f"it does not list the {records.shards:,} shards in order")
    entries = {entry.name: entry for entry in manifest.shards}
    problems += [
        f"what it says of shard {layout.shard_name(c.shard)} is not what the commit record says"
        for c in commits
        if entries.get(layout.shard_name(c.shard)) != manifest_shard(c)
    ]
    if len(commits) == records.shards and manifest.totals != totals_of(commits):
        problems.append("its totals are not the sums over its shards")
    hashes = {name: sha256 for entry in manifest.shards for name, sha256 in entry.sha256.items()}
    if layout.SHARD_INDEX in manifest.files:
        hashes[layout.SHARD_INDEX] = manifest.files[layout.SHARD_INDEX].sha256
    if manifest.root_hash != root_hash(hashes):
        problems.append("its root hash is not that of the files it lists")
    problems += [f"it lacks {n}" for n in (layout.SHARD_INDEX, layout.INPUT_FAILURES) if n not in manifest.files]
    return [Fault(layout.MANIFEST, problem, REDO_MANIFEST) for problem in problems]


def _check_index(dataset: DatasetFiles, records: _Records) -> list[Fault]:
    """Checks the shard index, and other files that the manifest lists and that are of no shard."""
    if records.rows_only:
        return []
    faults: list[Fault] = []
    for name, expected in (records.manifest.files if records.manifest else {}).items():
        if name != layout.INPUT_FAILURES:
            faults += _check_digest(dataset, name, expected)
    if faults or len(records.commits) < records.shards:
        return faults
    found = read_checked(dataset, layout.SHARD_INDEX, None, REDO_MANIFEST, faults)
    index = wids_index(indexed_tar(c) for c in records.commits.values() if layout.tar_file(c.shard) in c.files)
    if found is not None and found != index:
        faults.append(Fault(layout.SHARD_INDEX, "it is not the index of the shards", REDO_MANIFEST))
    return faults


def _check_digest(dataset: DatasetFiles, name: str, expected: FileDigest) -> list[Fault]:
    try:
        with dataset.open(name) as file:
            problem = digest_problem(DigestingReader(file).finish(), expected)
    except OSError as error:
        problem = unreadable(error)
    return [Fault(name, problem, REDO_MANIFEST)] if problem else []


def _check_input_failures(dataset: DatasetFiles, records: _Records) -> list[Fault]:
    """Checks the table of input lines that became no row, and that it has as many as were counted."""
    name, faults = layout.INPUT_FAILURES, list[Fault]()
    expected = records.manifest.files.get(name) if records.manifest else None
    data = read_checked(dataset, name, expected, REDO_INPUT_FAILURES, faults)
    table = None if data is None else read_table(data, name, INPUT_FAILURE_SCHEMA, REDO_INPUT_FAILURES, faults)
    if table is None:
        return faults
    values = collections.Counter(zip(table["reason"].to_pylist(), table["stage"].to_pylist(), strict=True))
    known = {(reason.value, stage.value) for reason in FailureReason for stage in Stage}
    if values.keys() - known:
        faults.append(Fault(name, "it has reasons or stages that do not exist", REDO_INPUT_FAILURES))
    counts = records.plan.counts if records.plan else {}
    counted = sum(count for what, count in counts.items() if what.endswith("_failures"))
    if counts and table.num_rows != counted:
        problem = f"it has {table.num_rows:,} lines, {counted:,} failures were counted"
        faults.append(Fault(name, problem, REDO_INPUT_FAILURES))
    return faults


def _check_strays(dataset: DatasetFiles, records: _Records) -> list[Fault]:
    """Names every file in the folders of data that is not part of the dataset."""
    own = {layout.SHARD_INDEX, layout.INPUT_FAILURES}
    for shard in range(records.shards):
        commit = records.commits.get(shard)
        own.update([layout.rows_file(shard), layout.commit_file(shard)])
        own.update(layout.shard_files(shard, commit.samples if commit else 1))
    remedy = "move it elsewhere: readers take every file there for data"
    found = [name for folder in FOLDERS for name in dataset.names(folder)]
    return [Fault(name, "it is not part of this dataset", remedy) for name in found if name not in own]
