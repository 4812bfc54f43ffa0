"""`verify --fast` finds what records, counts and sizes show, opens no data, and leaves the rest to the full check."""

import dataclasses
import pathlib
import shutil
import typing

import pyarrow.parquet as pq
import pytest

from beam_jobs import check_dataset
from schemas import layout
from schemas.records import Manifest, Plan
from tests.factories import make_dataset, read_commit, reseal
from transforms.verify.verify_dataset import verify

TAR, SIDECAR, IDX = layout.tar_file(1), layout.sidecar_file(1), layout.idx_file(1)
ROWS, FAILURES, COMMIT = layout.rows_file(1), layout.failures_file(1), layout.commit_file(1)
DATA = (TAR, SIDECAR, IDX, ROWS, FAILURES, layout.SHARD_INDEX, layout.INPUT_FAILURES)
RECORDS = (COMMIT, layout.PLAN, layout.MANIFEST)

Edit = typing.Callable[[pathlib.Path, str], typing.Any]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return make_dataset(tmp_path_factory.mktemp("fast") / "dataset")


@pytest.fixture
def dataset(whole: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """A copy that may be damaged."""
    return pathlib.Path(shutil.copytree(whole, tmp_path / "dataset"))


def _faults(root: pathlib.Path, fast: bool) -> dict[str, str]:
    return {fault.file: fault.problem for fault in verify(str(root), fast).faults}


def _delete(root: pathlib.Path, name: str) -> None:
    (root / name).unlink()


def _truncate(root: pathlib.Path, name: str) -> None:
    (root / name).write_bytes((root / name).read_bytes()[:-1])


def _lengthen(root: pathlib.Path, name: str) -> None:
    (root / name).write_bytes((root / name).read_bytes() + b"\0")


def _flip(root: pathlib.Path, name: str) -> None:
    data = bytearray((root / name).read_bytes())
    data[len(data) // 2] ^= 4
    (root / name).write_bytes(data)


def _stray(root: pathlib.Path, name: str) -> None:
    (root / f"{name}.part").write_bytes(b"x")


def test_a_whole_dataset_has_no_fault(whole: pathlib.Path) -> None:
    assert verify(str(whole), fast=True) == verify(str(whole))


@pytest.mark.parametrize("name", [*DATA, *RECORDS])
@pytest.mark.parametrize("damage", [_delete, _truncate, _lengthen])
def test_lost_and_cut_files_are_found(dataset: pathlib.Path, damage: Edit, name: str) -> None:
    damage(dataset, name)
    assert name in _faults(dataset, fast=True)
    assert name in _faults(dataset, fast=False)


@pytest.mark.parametrize("name", DATA)
def test_changed_bytes_of_data_are_found_by_the_full_check_only(dataset: pathlib.Path, name: str) -> None:
    _flip(dataset, name)
    assert _faults(dataset, fast=True) == {}
    assert name in _faults(dataset, fast=False)


@pytest.mark.parametrize("name", RECORDS)
def test_changed_bytes_of_records_are_found(dataset: pathlib.Path, name: str) -> None:
    _flip(dataset, name)
    assert name in _faults(dataset, fast=True)


def test_a_stray_file_is_found(dataset: pathlib.Path) -> None:
    (dataset / f"{TAR}.part").write_bytes(b"x")
    assert _faults(dataset, fast=True) == {f"{TAR}.part": "it is not part of this dataset"}


def test_a_folder_in_place_of_a_file_is_found(dataset: pathlib.Path) -> None:
    (dataset / TAR).unlink()
    (dataset / TAR).mkdir()
    assert TAR in _faults(dataset, fast=True)


def _swap_with_shard_0(root: pathlib.Path) -> None:
    data = (root / COMMIT).read_bytes()
    (root / COMMIT).write_bytes((root / layout.commit_file(0)).read_bytes())
    (root / layout.commit_file(0)).write_bytes(data)


def _edit_commit(**changes: typing.Any) -> typing.Callable[[pathlib.Path], None]:
    return lambda root: (root / COMMIT).write_bytes(dataclasses.replace(read_commit(root, 1), **changes).to_json())  # type: ignore[func-returns-value]


def _edit_plan(change: typing.Callable[[Plan], dict[str, typing.Any]]) -> typing.Callable[[pathlib.Path], None]:
    def edit(root: pathlib.Path) -> None:
        plan = Plan.from_json((root / layout.PLAN).read_bytes(), layout.PLAN)
        (root / layout.PLAN).write_bytes(dataclasses.replace(plan, **change(plan)).to_json())

    return edit


def _edit_manifest(**changes: typing.Any) -> typing.Callable[[pathlib.Path], None]:
    def edit(root: pathlib.Path) -> None:
        manifest = Manifest.from_json((root / layout.MANIFEST).read_bytes(), layout.MANIFEST)
        (root / layout.MANIFEST).write_bytes(dataclasses.replace(manifest, **changes).to_json())

    return edit


RECORD_FAULTS: dict[str, tuple[typing.Callable[[pathlib.Path], None], str, str]] = {
    "records swapped": (_swap_with_shard_0, COMMIT, "it is the record of shard 0"),
    "rows miscounted": (lambda root: reseal(root, rows=99), COMMIT, "it says 99 rows, but"),
    "samples miscounted": (lambda root: reseal(root, samples=1), COMMIT, "but 1 samples"),
    "failures miscounted": (lambda root: reseal(root, failed=5), COMMIT, "it says 5 failures, but 2 by their reasons"),
    "reasons miscounted": (_edit_commit(failures_by_reason={"gone": 1}), COMMIT, "but 1 by their reasons"),
    "files missing": (_edit_commit(files={}), COMMIT, "it lists other files"),
    "another format": (
        _edit_plan(lambda p: {"format": {**p.format, "quality": 1}}),
        COMMIT,
        "rows_digest does not fit",
    ),
    "lines lost": (_edit_plan(lambda p: {"counts": {**p.counts, "input_lines": 1}}), layout.PLAN, "1 input lines"),
    "one shard too many": (_edit_plan(lambda p: {"shards": 4}), layout.commit_file(3), "it is missing"),
    "newer version": (_edit_plan(lambda _: {"format_version": 99}), layout.PLAN, "a newer photobeam"),
    "root hash": (_edit_manifest(root_hash="0" * 64), layout.MANIFEST, "root hash"),
    "shards not listed": (_edit_manifest(shards=[]), layout.MANIFEST, "does not list the 3 shards"),
    "newer manifest": (_edit_manifest(format_version=99), layout.MANIFEST, "a newer photobeam"),
}


@pytest.mark.parametrize("name", RECORD_FAULTS)
def test_records_that_do_not_fit_are_found_by_both(dataset: pathlib.Path, name: str) -> None:
    edit, file, problem = RECORD_FAULTS[name]
    edit(dataset)
    for fast in (True, False):
        found = [f for f in verify(str(dataset), fast).faults if f.file == file and problem in f.problem]
        assert found, verify(str(dataset), fast).faults


def test_an_image_that_does_not_decode_is_found_by_the_full_check_only(dataset: pathlib.Path) -> None:
    """Though all hashes fit: the scan of a JPEG is lost, its header is not."""
    rows = pq.read_table(dataset / SIDECAR).to_pylist()
    tar = (dataset / TAR).read_bytes()
    begin = rows[0]["image_offset"]
    scan = tar.index(b"\xff\xda", begin)
    end = begin + rows[0]["image_bytes"]
    (dataset / TAR).write_bytes(tar[: scan + 2] + bytes(end - scan - 2) + tar[end:])
    reseal(dataset)
    assert _faults(dataset, fast=True) == {}
    assert "does not decode" in _faults(dataset, fast=False)[TAR]


def test_no_data_is_opened(dataset: pathlib.Path, read_names: list[str]) -> None:
    assert verify(str(dataset), fast=True).faults == []
    assert sorted(read_names) == sorted([layout.PLAN, layout.MANIFEST, *(layout.commit_file(s) for s in range(3))])


def _make_rows_only(root: pathlib.Path) -> None:
    for name in ("shards", "commits"):
        shutil.rmtree(root / name)
    for name in (layout.MANIFEST, *map(layout.failures_file, range(3))):
        (root / name).unlink()
    _edit_plan(lambda _: {"format": {"base": "yfcc", "samples_per_shard": 8}})(root)


@pytest.mark.parametrize(
    ("damage", "problem"), [(_delete, "it is missing"), (_truncate, "no readable Parquet file"), (_stray, None)]
)
@pytest.mark.parametrize("name", [ROWS, layout.INPUT_FAILURES])
def test_rows_without_images_are_checked_by_their_footers(
    dataset: pathlib.Path, damage: Edit, problem: str | None, name: str
) -> None:
    _make_rows_only(dataset)
    assert _faults(dataset, fast=True) == {}
    damage(dataset, name)
    found = _faults(dataset, fast=True)
    assert problem in found[name] if problem else list(found) == [f"{name}.part"]


def test_rows_without_images_of_another_number_are_found(dataset: pathlib.Path) -> None:
    _make_rows_only(dataset)
    for name in (ROWS, layout.INPUT_FAILURES):
        pq.write_table(pq.read_table(dataset / name).slice(1), dataset / name)
    found = _faults(dataset, fast=True)
    assert found.keys() == {ROWS, layout.INPUT_FAILURES}
    assert "the plan says" in found[ROWS]
    assert found[layout.INPUT_FAILURES] == "it has 1 rows, failures counted are 2"


def test_an_unfinished_dataset_is_a_fault(dataset: pathlib.Path) -> None:
    for name in (layout.MANIFEST, COMMIT):
        (dataset / name).unlink()
    assert {layout.MANIFEST, COMMIT} <= _faults(dataset, fast=True).keys()


def test_the_command_says_what_it_looked_at(dataset: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check_dataset.main([str(dataset), "--fast"]) == 0
    assert capsys.readouterr().out.startswith("no fault of records and sizes in 3 shards: 23 rows = ")
    (dataset / TAR).unlink()
    assert check_dataset.main([str(dataset), "--fast"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{TAR}: it is missing; `photobeam verify OUT --repair` makes the shard again"
    assert lines[1].startswith("1 fault of records and sizes in 3 shards: ")
    assert check_dataset.main([str(dataset / "nowhere"), "--fast"]) == 2
