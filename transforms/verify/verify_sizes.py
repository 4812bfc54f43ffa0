"""Checks that every file of a dataset is there with the size that its records say; reads no data."""

import typing

import pyarrow as pa

from schemas import layout
from schemas.records import CommitRecord, FileDigest
from transforms.datasets.dataset_records import Records
from transforms.datasets.remedies import REDO_RECORD, REDO_ROWS, REDO_SHARD
from transforms.files.read_parquet import open_parquet
from transforms.stores.dataset_files import DatasetFiles, Fault, digest_problem, unreadable
from transforms.verify.verify_records import lists_its_files


def check_sizes(dataset: DatasetFiles, records: Records, sizes: typing.Mapping[str, int]) -> list[Fault]:
    """Checks the files by a listing.

    A Parquet file of which no record says the size, as rows without images, is opened for the number of rows in its
    footer, which is the end of the file.

    Args:
        dataset: where the files lie.
        records: of the dataset.
        sizes: of every file that is there, bytes, by name.
    """
    faults: list[Fault] = []
    for shard in range(records.shards):
        if records.is_current(shard):
            faults += _check_shard(records.commits[shard], sizes)
        elif shard in records.planned:
            name, rows = layout.rows_file(shard), records.planned[shard].rows
            faults += _check_footer(dataset, name, rows, "the plan says", REDO_ROWS)
    files = records.manifest.files if records.manifest else {}
    for name, expected in files.items():
        remedy = REDO_ROWS if name == layout.INPUT_FAILURES else REDO_RECORD
        faults += _check_size(name, expected, sizes, remedy)
    counted = records.input_failures()
    if layout.INPUT_FAILURES not in files and counted is not None:
        faults += _check_footer(dataset, layout.INPUT_FAILURES, counted, "failures counted are", REDO_ROWS)
    return faults


def _check_shard(commit: CommitRecord, sizes: typing.Mapping[str, int]) -> list[Fault]:
    if not lists_its_files(commit):
        return []
    faults: list[Fault] = []
    for name, expected in commit.files.items():
        remedy = REDO_ROWS if name == layout.rows_file(commit.shard) else REDO_SHARD
        faults += _check_size(name, expected, sizes, remedy)
    return faults


def _check_size(name: str, expected: FileDigest, sizes: typing.Mapping[str, int], remedy: str) -> list[Fault]:
    if name not in sizes:
        return [Fault(name, "it is missing", remedy)]
    problem = digest_problem(FileDigest(sizes[name], expected.sha256), expected)
    return [Fault(name, problem, remedy)] if problem else []


def _check_footer(dataset: DatasetFiles, name: str, rows: int, stated: str, remedy: str) -> list[Fault]:
    try:
        with dataset.open(name) as file:
            found = open_parquet(file).metadata.num_rows
    except OSError as error:
        return [Fault(name, unreadable(error), remedy)]
    except (pa.ArrowException, ValueError) as error:
        return [Fault(name, f"it is no readable Parquet file: {error}", remedy)]
    return [] if found == rows else [Fault(name, f"it has {found:,} rows, {stated} {rows:,}", remedy)]
