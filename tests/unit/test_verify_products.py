"""Verification names what is damaged, lost, strange or out of date among what was made of a dataset."""

import pathlib
import shutil
import typing

import pytest

from schemas.product_records import ProductRecord, made_from
from schemas.records import Manifest, root_hash
from tests.factories import make_dataset
from transforms.files.file_digest import bytes_digest
from transforms.verify.verify_dataset import verify

FILE, RECORD = "text/000001.parquet", "text/manifest.json"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    root = make_dataset(tmp_path_factory.mktemp("products") / "dataset")
    manifest = Manifest.from_json((root / "manifest.json").read_bytes(), "manifest.json")
    hashes = {name: sha256 for shard in manifest.shards for name, sha256 in shard.sha256.items()}
    record = ProductRecord(
        kind="text",
        options={"max_tokens": 8, "tokenizer": "nltk"},
        made_from=made_from("text", hashes),
        software={"nltk": "3.9"},
        counts={"captions": 3},
        files={FILE: bytes_digest(b"table")},
    )
    (root / "text").mkdir()
    (root / FILE).write_bytes(b"table")
    (root / RECORD).write_bytes(record.to_json())
    return root


@pytest.fixture
def dataset(whole: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    return pathlib.Path(shutil.copytree(whole, tmp_path / "dataset"))


def _rewrite_record(root: pathlib.Path, **changes: typing.Any) -> None:
    record = ProductRecord.from_json((root / RECORD).read_bytes(), RECORD)
    (root / RECORD).write_bytes(ProductRecord(**{**vars(record), **changes}).to_json())


@pytest.mark.parametrize("fast", [False, True])
def test_a_product_that_fits_is_no_fault(whole: pathlib.Path, fast: bool) -> None:
    assert verify(str(whole), fast).faults == []


@pytest.mark.parametrize(
    ("damage", "file", "problem", "remedy", "in_fast"),
    [
        (lambda r: (r / FILE).unlink(), FILE, "missing", "--overwrite", True),
        (lambda r: (r / FILE).write_bytes(b"tab"), FILE, "3 bytes, 5 were written", "--overwrite", True),
        (lambda r: (r / FILE).write_bytes(b"tabla"), FILE, "its bytes have changed", "--overwrite", False),
        (lambda r: (r / "text/stray.npy").write_bytes(b""), "text/stray.npy", "not part of", "move it", True),
        (lambda r: (r / RECORD).write_bytes(b"{}"), RECORD, "damaged", "--overwrite", True),
        (lambda r: (r / RECORD).unlink(), "text", "not finished", "run the same `photobeam text OUT`", True),
        (lambda r: _rewrite_record(r, made_from="0"), RECORD, "another state", "run the same", True),
        (lambda r: _rewrite_record(r, format_version=9), RECORD, "newer photobeam", "upgrade", True),
    ],
)  # fmt: skip
def test_a_fault_is_named(
    dataset: pathlib.Path,
    damage: typing.Callable[[pathlib.Path], object],
    file: str,
    problem: str,
    remedy: str,
    in_fast: bool,
) -> None:
    damage(dataset)
    [fault] = verify(str(dataset)).faults
    assert fault.file == file
    assert problem in fault.problem
    assert remedy in fault.remedy
    assert verify(str(dataset), fast=True).faults == ([fault] if in_fast else [])


def test_the_record_of_another_product_does_not_fit(dataset: pathlib.Path) -> None:
    (dataset / "text").rename(dataset / "features")
    problems = {fault.file: fault.problem for fault in verify(str(dataset)).faults}
    assert problems["features/manifest.json"] == "it was made from another state of this dataset"


def test_a_product_depends_on_its_sources_alone() -> None:
    files = {"rows/000000.parquet": "a", "failures/000000.parquet": "b", "shards/000000.tar": "c"}
    assert made_from("text", files) == root_hash({k: v for k, v in files.items() if not k.startswith("shards")})
    assert made_from("features", files) == root_hash({"shards/000000.tar": "c"})
