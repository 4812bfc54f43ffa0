"""Checks what was made of a dataset and lies beside its shards: each file, and whether it still fits the dataset."""

import typing

from schemas import layout
from schemas.product_records import SOURCES, ProductRecord, made_from, product_manifest
from schemas.records import FileDigest, OtherFormatError
from transforms.dataset_files import DatasetFiles, Fault, digest_problem, unreadable
from transforms.dataset_records import Records
from transforms.file_digest import DigestingReader
from transforms.remedies import MOVE_AWAY


def check_products(dataset: DatasetFiles, records: Records, fast: bool) -> list[Fault]:
    """Checks every product.

    Args:
        dataset: where it lies.
        records: of the dataset.
        fast: compare sizes alone.
    """
    return [fault for kind in SOURCES for fault in _check_product(dataset, records, kind, fast)]


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
    faults = _check_source(records, record)
    for file, expected in record.files.items():
        found = _size_or_digest(dataset, file, expected, sizes, fast)
        wrong = found if isinstance(found, str) else digest_problem(found, expected)
        if wrong:
            faults.append(Fault(file, wrong, again))
    strays = sorted(sizes.keys() - record.files.keys() - {name})
    return faults + [Fault(stray, f"it is not part of what {name} lists", MOVE_AWAY) for stray in strays]


def _check_source(records: Records, record: ProductRecord) -> list[Fault]:
    """Checks that the dataset is what the product was made from, if its records say what it is."""
    if records.manifest:
        sha256 = {name: sha256 for shard in records.manifest.shards for name, sha256 in shard.sha256.items()}
    elif records.rows_only:
        sha256 = {layout.rows_file(shard): rows.digest for shard, rows in records.planned.items()}
    else:
        return []
    if record.kind in SOURCES and made_from(record.kind, sha256) == record.made_from:
        return []
    problem = "it was made from another state of this dataset"
    return [Fault(product_manifest(record.kind), problem, f"run the same `photobeam {record.kind} OUT` again")]


def _size_or_digest(
    dataset: DatasetFiles, name: str, expected: FileDigest, sizes: typing.Mapping[str, int], fast: bool
) -> FileDigest | str:
    """Returns what a file is, as far as asked for, or why that cannot be said."""
    if name not in sizes:
        return "it is missing"
    if fast or sizes[name] != expected.bytes:
        return FileDigest(sizes[name], expected.sha256)
    try:
        with dataset.open(name) as file:
            return DigestingReader(file).finish()
    except OSError as error:
        return unreadable(error)
