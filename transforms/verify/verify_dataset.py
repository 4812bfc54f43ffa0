"""Checks a dataset: every byte, hash, offset, count, index and order; and what should not be there."""

import collections
import typing

from schemas import layout
from schemas.failures import INPUT_FAILURE_SCHEMA, FailureReason, Stage
from schemas.records import FileDigest, totals_of
from schemas.tombstones import is_of
from transforms.datasets.dataset_records import Records, read_records
from transforms.datasets.manifest_commit import commit_by_manifest
from transforms.datasets.read_table import read_table
from transforms.datasets.remedies import MOVE_AWAY, REDO_RECORD, REDO_ROWS, SWEEP
from transforms.files.file_digest import DigestingReader
from transforms.shards.shard_indexes import shard_indexes
from transforms.stores.dataset_files import DatasetFiles, Fault, digest_problem, read_checked, unreadable
from transforms.stores.request_signers import S3Options
from transforms.verify.verify_products import check_products
from transforms.verify.verify_records import check_records, lists_its_files
from transforms.verify.verify_shards import ShardCheck, StatedShard, verify_shards
from transforms.verify.verify_sizes import check_sizes

FOLDERS = ("rows", "shards", "videos", "failures", "commits")
"""Readers take every file in these for data."""


class VerifyReport(typing.NamedTuple):
    """What was found.

    Attributes:
        faults: everything that is wrong; none if the dataset is whole.
        rows_only: whether the dataset was made without images, and ends with its rows.
        shards: how many there are.
        rows: photos in them.
        samples: photos with an image.
        videos: taken as such.
        failures: photos and videos that are neither.
        bytes: size of the shards' files.
    """

    faults: list[Fault]
    rows_only: bool
    shards: int
    rows: int
    samples: int
    videos: int
    failures: int
    bytes: int


def verify(
    root: str,
    fast: bool = False,
    *,
    only: typing.Container[int] | None = None,
    s3: S3Options | None = None,
    children: int = 1,
) -> VerifyReport:
    """Checks everything that can be checked without the inputs.

    Damage of any kind is a fault in the report and never an exception. Reads every file once; memory holds the rows of
    one shard in each process.

    Args:
        root: of the dataset, a local path or any URL that fsspec opens.
        fast: read the records alone, and look whether every file is there with its size. Where no size is
            stated, which is so of rows without images, the number of rows in the file's footer is compared.
        only: shards whose files are read; None for all. Records and listings are checked as a whole in any case.
        s3: how S3 is reached.
        children: processes that check shards, at most; small datasets are checked by this one.

    Raises:
        NoDatasetError: there is no dataset.
        PoolStoppedError: a child ended; says how, and at which shard.
    """
    dataset, faults = DatasetFiles(root, s3), list[Fault]()
    records = read_records(dataset, faults)
    sizes = {name: size for folder in FOLDERS for name, size in dataset.sizes(folder).items()}
    faults += check_sizes(dataset, records, sizes) if fast else _check_contents(dataset, records, only, children)
    faults += check_records(records)
    faults += _check_strays(sizes, records)
    faults += _check_leftovers(dataset, records)
    faults += check_products(dataset, records, fast)
    totals = totals_of(list(records.commits.values()))
    rows = sum(r.rows for r in records.planned.values()) if records.rows_only else totals.rows
    found = (totals.samples, totals.videos, totals.failed, totals.bytes)
    return VerifyReport(faults, records.rows_only, records.shards, rows, *found)


def _check_contents(
    dataset: DatasetFiles, records: Records, only: typing.Container[int] | None, children: int
) -> list[Fault]:
    """Reads every file of some shards or all, and those that are of no shard."""
    shards = (shard for shard in range(records.shards) if only is None or shard in only)
    stated = (_stated_shard(dataset, records, shard) for shard in shards)
    check = ShardCheck(dataset, records.shards, records.image_sizes(), records.taken_down())
    faults = verify_shards(check, [shard for shard in stated if shard], children)
    return [*faults, *_check_index(dataset, records), *_check_input_failures(dataset, records)]


def _stated_shard(dataset: DatasetFiles, records: Records, shard: int) -> StatedShard | None:
    """Returns what a shard should be; that which is not built, or from other rows, as far as the plan tells."""
    commit = records.commits[shard] if records.is_current(shard) else commit_by_manifest(dataset, records, shard)
    return commit or records.planned.get(shard)


def _check_index(dataset: DatasetFiles, records: Records) -> list[Fault]:
    """Checks the shard indexes, and other files that the manifest lists and that are of no shard."""
    if records.rows_only:
        return []
    faults: list[Fault] = []
    for name, expected in (records.manifest.files if records.manifest else {}).items():
        if name != layout.INPUT_FAILURES:
            faults += _check_digest(dataset, name, expected)
    if faults or len(records.commits) < records.shards:
        return faults
    whole = [commit for commit in records.commits.values() if lists_its_files(commit)]
    for name, index in shard_indexes(whole, records.takes_videos()).items():
        found = read_checked(dataset, name, None, REDO_RECORD, faults)
        if found is not None and found != index:
            faults.append(Fault(name, "it is not the index of the shards", REDO_RECORD))
    return faults


def _check_digest(dataset: DatasetFiles, name: str, expected: FileDigest) -> list[Fault]:
    try:
        with dataset.open(name) as file:
            problem = digest_problem(DigestingReader(file).finish(), expected)
    except OSError as error:
        problem = unreadable(error)
    return [Fault(name, problem, REDO_RECORD)] if problem else []


def _check_input_failures(dataset: DatasetFiles, records: Records) -> list[Fault]:
    """Checks the table of input lines that became no row, and that it has as many as were counted."""
    name, faults = layout.INPUT_FAILURES, list[Fault]()
    expected = records.manifest.files.get(name) if records.manifest else None
    data = read_checked(dataset, name, expected, REDO_ROWS, faults)
    table = None if data is None else read_table(data, name, INPUT_FAILURE_SCHEMA, REDO_ROWS, faults)
    if table is None:
        return faults
    values = collections.Counter(zip(table["reason"].to_pylist(), table["stage"].to_pylist(), strict=True))
    known = {(reason.value, stage.value) for reason in FailureReason for stage in Stage}
    if values.keys() - known:
        faults.append(Fault(name, "it has reasons or stages that do not exist", REDO_ROWS))
    ids = records.taken_down()
    lines = zip(table["photo_id"].to_pylist(), table["raw"].to_pylist(), strict=True)
    if ids and any(is_of(ids, *line) for line in lines):
        faults.append(Fault(name, "it has lines of photos that were taken down", REDO_ROWS))
    counted = records.input_failures()
    if counted is not None and table.num_rows != counted:
        problem = f"it has {table.num_rows:,} lines, {counted:,} failures were counted"
        faults.append(Fault(name, problem, REDO_ROWS))
    return faults


def _check_strays(found: typing.Iterable[str], records: Records) -> list[Fault]:
    """Names every file in the folders of data that is not part of the dataset."""
    own = {layout.SHARD_INDEX, layout.INPUT_FAILURES, *([layout.VIDEO_INDEX] if records.takes_videos() else [])}
    for shard in range(records.shards):
        commit = records.commits.get(shard)
        own.update([layout.rows_file(shard), layout.commit_file(shard)])
        own.update(layout.shard_files(shard, *((commit.samples, commit.videos) if commit else (1, 1))))
    return [Fault(name, "it is not part of this dataset", MOVE_AWAY) for name in sorted(found) if name not in own]


def leftovers(dataset: DatasetFiles, shards: int) -> list[str]:
    """Lists what runs that died, or are under way, left: folders and files below `_tmp`, and logs of no shard."""
    unfinished = filter(layout.is_unfinished, {"/".join(name.split("/")[:2]) for name in dataset.names(layout.TMP)})
    logs = set(dataset.names(layout.LOG)) - {layout.log_file(shard) for shard in range(shards)}
    return sorted([*unfinished, *(name for name in logs if layout.shard_of(name) is not None)])


def _check_leftovers(dataset: DatasetFiles, records: Records) -> list[Fault]:
    return [Fault(name, "it is left of a run", SWEEP) for name in leftovers(dataset, records.shards)]
