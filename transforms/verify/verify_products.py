"""Checks what was made of a dataset and lies beside its shards: each file, and whether it still fits the dataset."""

import concurrent.futures
import typing

from schemas import layout
from schemas.product_records import SOURCES, TEXT, ProductRecord, made_from, product_manifest
from schemas.records import FileDigest, OtherFormatError
from transforms.datasets.dataset_records import Records
from transforms.datasets.remedies import INTO_SHARDS, MOVE_AWAY
from transforms.files.file_digest import DigestingReader, bytes_digest
from transforms.stores.dataset_files import DatasetFiles, Fault, digest_problem, unreadable

_FILES_AT_ONCE = 8


def check_products(dataset: DatasetFiles, records: Records, fast: bool) -> list[Fault]:
    """Checks every product.

    Args:
        dataset: where it lies.
        records: of the dataset.
        fast: compare sizes alone.
    """
    faults = [fault for kind in SOURCES for fault in _check_product(dataset, records, kind, fast)]
    return faults + _check_members(dataset, records)


def _check_product(dataset: DatasetFiles, records: Records, kind: str, fast: bool) -> list[Fault]:
    sizes, name = dataset.sizes(kind), product_manifest(kind)
    if not sizes:
        return []
    again = f"`photobeam {kind} OUT --overwrite` with its other flags makes it again"
    if name not in sizes:
        problem = f"there is no {name}: the product is not finished"
        return [Fault(kind, problem, f"run the same `photobeam {kind} OUT` again, or remove the folder")]
    try:
        record = ProductRecord.from_json(dataset.read(name), name)
    except OSError as error:
        return [Fault(name, unreadable(error), again)]
    except OtherFormatError as error:
        return [Fault(name, f"it {error.problem}", error.remedy)]
    except ValueError as error:
        return [Fault(name, str(error), again)]
    faults = _check_source(records, kind, record)

    def problem_of(file: str) -> str | None:
        return _file_problem(dataset, file, record.files[file], sizes, fast)

    with concurrent.futures.ThreadPoolExecutor(_FILES_AT_ONCE) as threads:
        problems = zip(record.files, threads.map(problem_of, record.files), strict=True)
        faults += [Fault(file, problem, again) for file, problem in problems if problem]
    strays = sorted(sizes.keys() - record.files.keys() - {name})
    return faults + [Fault(stray, f"it is not part of what {name} lists", MOVE_AWAY) for stray in strays]


def _check_source(records: Records, kind: str, record: ProductRecord) -> list[Fault]:
    """Checks that the dataset is what the product was made from, if its records say what it is."""
    if records.manifest:
        sha256 = {name: sha256 for shard in records.manifest.shards for name, sha256 in shard.sha256.items()}
    elif records.rows_only:
        sha256 = {layout.rows_file(shard): rows.digest for shard, rows in records.planned.items()}
    else:
        return []
    if made_from(kind, sha256) == record.made_from:
        return []
    problem = "it was made from another state of this dataset"
    return [Fault(product_manifest(kind), problem, f"run the same `photobeam {kind} OUT` again")]


def _check_members(dataset: DatasetFiles, records: Records) -> list[Fault]:
    """Checks that the words and classes that members of samples stand for are there."""
    made_from = {commit.added.made_from for commit in records.commits.values() if commit.added}
    if not made_from:
        return []
    try:
        found = bytes_digest(dataset.read(product_manifest(TEXT))).sha256
    except OSError:
        found = ""
    if made_from == {found}:
        return []
    problem = f"members of the samples were made from another {TEXT}/ than is there"
    return [Fault("shards", problem, INTO_SHARDS)]


def _file_problem(
    dataset: DatasetFiles, name: str, expected: FileDigest, sizes: typing.Mapping[str, int], fast: bool
) -> str | None:
    """Says how a file differs from the one expected, as far as asked for."""
    if name not in sizes:
        return "it is missing"
    if fast or sizes[name] != expected.bytes:
        return digest_problem(FileDigest(sizes[name], expected.sha256), expected)
    try:
        with dataset.open(name) as file:
            return digest_problem(DigestingReader(file).finish(), expected)
    except OSError as error:
        return unreadable(error)
