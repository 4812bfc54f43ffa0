"""Verification passes a whole dataset, and names the file of every fault that is seeded into one."""

import collections.abc
import dataclasses
import io
import itertools
import pathlib
import shutil
import tarfile
import typing

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from beam_jobs import check_dataset
from schemas import layout
from schemas.records import Manifest, Plan, PlanRows, Tombstone
from tests.annotated_photos import element
from tests.factories import FORMAT, make_dataset, make_jpeg, make_rows, read_commit, reseal, stage_shard
from transforms.datasets.remedies import JOIN_WITHOUT, TAKE_OUT
from transforms.files.file_digest import file_digest
from transforms.shards.tar_shard import dali_index, write_tar
from transforms.stores.dataset_files import Fault, NoDatasetError
from transforms.verify import verify_tar
from transforms.verify.verify_dataset import VerifyReport, verify

TAR, SIDECAR, IDX = layout.tar_file(1), layout.sidecar_file(1), layout.idx_file(1)
ROWS, FAILURES, COMMIT = layout.rows_file(1), layout.failures_file(1), layout.commit_file(1)
FILES = (
    layout.PLAN, layout.MANIFEST, layout.SHARD_INDEX, layout.INPUT_FAILURES, TAR, SIDECAR, IDX, ROWS, FAILURES, COMMIT,
    layout.failures_file(2), layout.tar_file(0),
)  # fmt: skip

Edit = collections.abc.Callable[[pathlib.Path], None]


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return make_dataset(tmp_path_factory.mktemp("whole") / "dataset")


@pytest.fixture
def dataset(whole: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """A copy that may be damaged."""
    return pathlib.Path(shutil.copytree(whole, tmp_path / "dataset"))


def _faults(root: pathlib.Path) -> list[Fault]:
    faults = verify(str(root)).faults
    assert all(f.file and f.problem and f.remedy for f in faults)
    return faults


def _files_at_fault(root: pathlib.Path) -> set[str]:
    return {fault.file for fault in _faults(root)}


def test_a_whole_dataset_has_no_fault(whole: pathlib.Path) -> None:
    report = verify(str(whole))
    assert report.faults == []
    assert (report.rows_only, report.shards, report.rows) == (False, 3, 23)
    assert report.samples + report.failures == report.rows
    assert report.samples > 10
    files = [p for f in ("rows", "shards", "failures") for p in (whole / f).iterdir() if p.stem.isdigit()]
    assert report.bytes == sum(p.stat().st_size for p in files)


def test_resealing_changes_nothing(dataset: pathlib.Path) -> None:
    before = {p: p.read_bytes() for p in dataset.rglob("*") if p.is_file()}
    reseal(dataset)
    assert {p: p.read_bytes() for p in dataset.rglob("*") if p.is_file()} == before


def test_a_url_is_verified_too(whole: pathlib.Path) -> None:
    memory = fsspec.filesystem("memory")
    for path in whole.rglob("*"):
        if path.is_file():
            memory.pipe(f"/verified/{path.relative_to(whole)}", path.read_bytes())
    assert verify("memory://verified").faults == []
    memory.pipe("/verified/shards/stray.tar", b"x")
    assert [f.file for f in verify("memory://verified").faults] == ["shards/stray.tar"]


def test_the_list_of_files_is_whole(whole: pathlib.Path) -> None:
    kinds = {p.parent.name + p.suffix for p in whole.rglob("*") if p.is_file()}
    assert kinds == {(whole / name).parent.name + pathlib.Path(name).suffix for name in FILES}


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_anywhere_is_a_fault_of_that_file(dataset: pathlib.Path, name: str) -> None:
    good = (dataset / name).read_bytes()
    for position in (0, len(good) // 3, len(good) // 2, len(good) * 4 // 5, len(good) - 1):
        damaged = bytearray(good)
        damaged[position] ^= 4
        (dataset / name).write_bytes(damaged)
        assert name in _files_at_fault(dataset)


@pytest.mark.parametrize("name", FILES)
def test_a_deleted_file_is_a_fault(dataset: pathlib.Path, name: str) -> None:
    (dataset / name).unlink()
    assert any(f.file == name and f.problem == "it is missing" for f in _faults(dataset))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_a_fault(dataset: pathlib.Path, name: str, kept: float) -> None:
    data = (dataset / name).read_bytes()
    (dataset / name).write_bytes(data[: int(len(data) * kept)])
    assert name in _files_at_fault(dataset)


@pytest.mark.parametrize("name", [layout.tar_file, layout.sidecar_file, layout.idx_file, layout.rows_file,
                                  layout.failures_file, layout.commit_file])  # fmt: skip
def test_files_swapped_between_shards_are_faults(dataset: pathlib.Path, name: typing.Callable[[int], str]) -> None:
    first, second = dataset / name(0), dataset / name(1)
    data = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(data)
    assert {name(0), name(1)} <= _files_at_fault(dataset)


def test_a_folder_in_place_of_a_file_is_a_fault(dataset: pathlib.Path) -> None:
    (dataset / TAR).unlink()
    (dataset / TAR).mkdir()
    assert TAR in _files_at_fault(dataset)


def test_a_broken_tar_does_not_hide_a_broken_failures_file(dataset: pathlib.Path) -> None:
    (dataset / TAR).write_bytes(b"x" * 1000)
    (dataset / FAILURES).write_bytes(b"PAR1 no Parquet PAR1")
    assert {TAR, FAILURES} <= _files_at_fault(dataset)


@pytest.mark.parametrize("name", ["shards/000007.tar", "rows/x.parquet", "failures/old.parquet", "commits/000003.json",
                                  "shards/sub/a.tar", "shards/.000000.tar.part", "rows/000003.parquet"])  # fmt: skip
def test_a_stray_file_is_named(dataset: pathlib.Path, name: str) -> None:
    (dataset / name).parent.mkdir(exist_ok=True)
    (dataset / name).write_bytes(b"x")
    assert [f.file for f in _faults(dataset)] == [name]


def test_the_tar_of_a_shard_without_samples_is_a_stray(dataset: pathlib.Path) -> None:
    shutil.copy(dataset / TAR, dataset / layout.tar_file(2))
    assert _files_at_fault(dataset) == {layout.tar_file(2)}


def test_the_lease_and_logs_are_not_data(dataset: pathlib.Path) -> None:
    for name in ("_tmp/lease.json", "log/000000.json", "README.md"):
        (dataset / name).parent.mkdir(parents=True, exist_ok=True)
        (dataset / name).write_bytes(b"x")
    assert _faults(dataset) == []


def _edit_tar(change: collections.abc.Callable[[list[tuple[str, list[tuple[str, bytes]]]]], typing.Any]) -> Edit:
    """Rewrites the tar of shard 1, and an idx that fits it."""

    def edit(root: pathlib.Path) -> None:
        with tarfile.open(root / TAR) as tar:
            members = [(m.name.split(".", 1), tar.extractfile(m).read()) for m in tar]  # type: ignore[union-attr]
        samples = [
            (key, [(name[1], data) for name, data in own])
            for key, own in itertools.groupby(members, lambda member: member[0][0])
        ]
        change(samples)
        written = write_tar(root / TAR, samples)
        (root / IDX).write_bytes(dali_index(written.samples))

    return edit


def _set_member(sample: int, member: int, data: bytes) -> Edit:
    return _edit_tar(lambda s: s[sample][1].__setitem__(member, (s[sample][1][member][0], data)))


def _swap_samples(samples: list[typing.Any]) -> None:
    samples[0], samples[1] = samples[1], samples[0]


def _swap_images(samples: list[typing.Any]) -> None:
    first, second = samples[0][1], samples[1][1]
    first[0], second[0] = second[0], first[0]


def _copied(source: str, target: str) -> Edit:
    def edit(root: pathlib.Path) -> None:
        (root / target).write_bytes((root / source).read_bytes())

    return edit


def _edit_table(name: str, change: collections.abc.Callable[[pa.Table], pa.Table]) -> Edit:
    def edit(root: pathlib.Path) -> None:
        pq.write_table(change(pq.read_table(root / name)), root / name, compression="zstd")

    return edit


def _set_column(name: str, column: str, change: collections.abc.Callable[[pa.ChunkedArray], typing.Any]) -> Edit:
    def change_table(table: pa.Table) -> pa.Table:
        field = table.schema.field(column)
        values = change(table[column])
        return table.set_column(
            table.schema.get_field_index(column), field, pa.chunked_array([pa.array(values, field.type)])
        )

    return _edit_table(name, change_table)


def _first(value: typing.Any) -> collections.abc.Callable[[pa.ChunkedArray], list[typing.Any]]:
    return lambda column: [value, *column.to_pylist()[1:]]


def _emptied(column: pa.ChunkedArray) -> list[typing.Any]:
    return [[]] * len(column)


BOX = {"xmin": 0.0, "ymin": 1.0, "xmax": 32.0, "ymax": 2.0}
PAIR = {f"{edge}{part}": value for edge, value in BOX.items() for part in (1, 2)}
POINT = {"x": 32.0, "y": 24.0}
MASK = {"rle_counts": "1", "rle_height": 24, "rle_width": 32}


def _geometry(column: str, published: typing.Any, mapped: typing.Any) -> Edit:
    """Gives the first sample one element of geometry, and its row one or none."""

    def edit(root: pathlib.Path) -> None:
        first = pq.read_table(root / SIDECAR)["photo_id"][0].as_py()
        ids = pq.read_table(root / ROWS)["photo_id"].to_pylist()
        of_row = [element(column, **published)] if published else []
        _set_column(ROWS, column, lambda c: [of_row if i == first else [] for i in ids])(root)
        _set_column(SIDECAR, column, _first([element(column, **mapped)]))(root)

    return edit


def _added(amount: int) -> collections.abc.Callable[[pa.ChunkedArray], typing.Any]:
    return lambda column: pc.add(column, amount).combine_chunks()


def _reversed(table: pa.Table) -> pa.Table:
    return table.take(list(range(table.num_rows))[::-1])


def _as_pax(root: pathlib.Path) -> None:
    out = io.BytesIO()
    with tarfile.open(root / TAR) as tar, tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as pax:
        for member in tar:
            member.mtime = 1.5  # type: ignore[assignment]
            pax.addfile(member, tar.extractfile(member))
    (root / TAR).write_bytes(out.getvalue())


def _as_other_owner(root: pathlib.Path) -> None:
    out = io.BytesIO()
    with tarfile.open(root / TAR) as tar, tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as ustar:
        for member in tar:
            member.uname = "bigdata"
            ustar.addfile(member, tar.extractfile(member))
    (root / TAR).write_bytes(out.getvalue())


def _without_end_marker(root: pathlib.Path) -> None:
    data = (root / TAR).read_bytes()
    (root / TAR).write_bytes(data.rstrip(b"\0").ljust(-(-len(data.rstrip(b"\0")) // 512) * 512, b"\0"))


SEALED_FAULTS: dict[str, tuple[Edit, str, str]] = {
    "samples swapped": (_edit_tar(_swap_samples), TAR, "out of KEY order"),
    "sample lost": (_edit_tar(lambda s: s.pop()), TAR, "samples, the commit record says"),
    "member lost": (_edit_tar(lambda s: s[0][1].pop()), TAR, "are not an image, its JSON and its text"),
    "last member lost": (_edit_tar(lambda s: s[-1][1].pop()), TAR, "ends within the sample"),
    "members in another order": (_edit_tar(lambda s: s[0][1].reverse()), TAR, "are not an image"),
    "keys of one sample differ": (
        _edit_tar(lambda s: s.__setitem__(slice(0, 1), [(s[0][0], s[0][1][:1]), ("000000000008", s[0][1][1:])])),
        TAR,
        "are not of one sample",
    ),
    "JSON changed": (_set_member(0, 1, b"{}"), TAR, "JSON is not that of the sidecar"),
    "text changed": (_set_member(0, 2, b"other"), TAR, "text is not that of the sidecar"),
    "image of no format": (_set_member(0, 0, b"no image"), TAR, "does not decode"),
    "image cut short": (_set_member(0, 0, make_jpeg(1)[:-200]), TAR, "does not decode"),
    "image of another size": (_set_member(0, 0, make_jpeg(1, 40, 24)), TAR, "40 x 24 px, the sidecar says 32 x 24"),
    "PAX headers": (_as_pax, TAR, "not plain USTAR"),
    "another owner": (_as_other_owner, TAR, "not plain USTAR"),
    "no end marker": (_without_end_marker, TAR, "end marker"),
    "idx of another tar": (_copied(layout.idx_file(0), IDX), IDX, "not the index"),
    "offset wrong": (_set_column(SIDECAR, "image_offset", _added(1)), TAR, "do not point to its image"),
    "size wrong": (_set_column(SIDECAR, "image_bytes", _added(-1)), TAR, "do not point to its image"),
    "sidecar differs from rows": (_set_column(SIDECAR, "secret", _first("x")), SIDECAR, "repeat the rows in secret"),
    "warnings lost": (_set_column(SIDECAR, "warnings", _emptied), SIDECAR, "warnings do not repeat"),
    "a box too many": (_geometry("boxes", (), BOX), SIDECAR, "more boxes than the rows"),
    "a box beyond the edge": (_geometry("boxes", BOX, {**BOX, "xmax": 33.0}), SIDECAR, "boxes do not all lie within"),
    "a box turned over": (_geometry("boxes", BOX, {**BOX, "ymin": 3.0}), SIDECAR, "boxes do not all lie within"),
    "half a box": (_geometry("segments", BOX, {**BOX, "xmin": None}), SIDECAR, "segments do not all lie within"),
    "a box normalised": (_geometry("boxes", BOX, {**BOX, "units": "normalised"}), SIDECAR, "boxes are not all in pix"),
    "a box of no units": (_geometry("boxes", BOX, {**BOX, "units": None}), SIDECAR, "boxes are not all in pixels"),
    "a point beyond": (_geometry("points", POINT, {**POINT, "y": -1.0}), SIDECAR, "points do not all lie within"),
    "a pair beyond": (_geometry("relationships", PAIR, {**PAIR, "xmax2": 99.0}), SIDECAR, "relationships do not all"),
    "a mask of another size": (_geometry("segments", MASK, {**MASK, "rle_width": 24}), SIDECAR, "masks are not all of"),
    "sidecar key wrong": (_set_column(SIDECAR, "key", _first("000000000001")), SIDECAR, "keys are not those"),
    "sidecar reversed": (_edit_table(SIDECAR, _reversed), SIDECAR, "not unique and in KEY order"),
    "sidecar shorter": (_edit_table(SIDECAR, lambda t: t.slice(1)), SIDECAR, "samples, the commit record says"),
    "sidecar lacks a column": (_edit_table(SIDECAR, lambda t: t.drop_columns(["width"])), SIDECAR, "another schema"),
    "rows reversed": (_edit_table(ROWS, _reversed), ROWS, "not unique and in KEY order"),
    "row twice": (_edit_table(ROWS, lambda t: pa.concat_tables([t.slice(0, 1), t])), ROWS, "not unique"),
    "row lost": (_edit_table(ROWS, lambda t: t.slice(1)), COMMIT, "rows"),
    "row of another shard": (
        _edit_table(ROWS, lambda t: pa.concat_tables([t, make_rows([2**62 + 9, 2**62 + 10, 2**62 + 11, 2**62 + 12])])),
        ROWS,
        "belong into other shards",
    ),
    "failure lost": (_edit_table(FAILURES, lambda t: t.slice(1)), FAILURES, "have not exactly one row"),
    "failure twice": (_edit_table(FAILURES, lambda t: pa.concat_tables([t.slice(0, 1), t])), FAILURES, "not unique"),
    "failure of a sample": (
        _set_column(FAILURES, "photo_id", _first(1)), FAILURES, "have not exactly one row and one sample or failure"
    ),
    "reason unknown": (_set_column(FAILURES, "reason", _first("cosmic rays")), FAILURES, "cosmic rays"),
    "reason miscounted": (_set_column(FAILURES, "reason", _first("gone")), FAILURES, "not counted as in the commit"),
    "stage unknown": (_set_column(FAILURES, "stage", _first("x")), FAILURES, "stages that do not exist"),
    "retryable wrong": (_set_column(FAILURES, "retryable", _first(True)), FAILURES, "'retryable'"),
    "failures are text": (_copied(layout.PLAN, FAILURES), FAILURES, "no readable Parquet"),
    "input failure lost": (
        _edit_table(layout.INPUT_FAILURES, lambda t: t.slice(1)), layout.INPUT_FAILURES, "failures were counted"
    ),
    "input reason unknown": (
        _set_column(layout.INPUT_FAILURES, "reason", _first("x")), layout.INPUT_FAILURES, "do not exist"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SEALED_FAULTS)
def test_a_wrong_file_is_found_though_every_hash_fits(dataset: pathlib.Path, name: str) -> None:
    edit, file, problem = SEALED_FAULTS[name]
    edit(dataset)
    reseal(dataset)
    faults = _faults(dataset)
    assert [f for f in faults if f.file == file and problem in f.problem], faults


@pytest.mark.parametrize("edit", [
    _geometry("boxes", BOX, BOX), _geometry("segments", MASK, MASK), _geometry("segments", BOX, BOX),
    _geometry("relationships", PAIR, PAIR), _geometry("points", POINT, POINT),
])  # fmt: skip
def test_geometry_within_the_image_is_no_fault_of_the_sidecar(dataset: pathlib.Path, edit: Edit) -> None:
    edit(dataset)
    reseal(dataset)
    assert SIDECAR not in _files_at_fault(dataset)


@pytest.fixture(scope="session")
def whole_of_sizes(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return make_dataset(tmp_path_factory.mktemp("sizes") / "dataset", (64, 16))


@pytest.fixture
def dataset_of_sizes(whole_of_sizes: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """A copy that may be damaged."""
    return pathlib.Path(shutil.copytree(whole_of_sizes, tmp_path / "dataset"))


def _swap_sizes(samples: list[typing.Any]) -> None:
    """Swaps the second and the third image of every sample, and leaves them their names."""
    for _, members in samples:
        members[1:3] = [(members[1][0], members[2][1]), (members[2][0], members[1][1])]


def _swap_second_images(samples: list[typing.Any]) -> None:
    first, second = samples[0][1], samples[1][1]
    first[1], second[1] = second[1], first[1]


def _point_to_images(root: pathlib.Path) -> None:
    """Makes the sidecar's places fit the tar."""
    with tarfile.open(root / TAR) as tar:
        places = {m.name: (m.offset_data, m.size) for m in tar}
    keys = pq.read_table(root / SIDECAR)["key"].to_pylist()
    for of, extension in (("", "jpg"), ("_64", "64.jpg"), ("_16", "16.jpg")):
        for i, what in enumerate(("offset", "bytes")):
            values = [places[f"{key}.{extension}"][i] for key in keys]
            _set_column(SIDECAR, f"image{of}_{what}", lambda _, values=values: values)(root)


def _and_places(edit: Edit) -> Edit:
    def both(root: pathlib.Path) -> None:
        edit(root)
        _point_to_images(root)

    return both


def _transforms_of(*sizes: int) -> Edit:
    return _set_column(
        SIDECAR, "transforms", lambda column: [[t for t in ts if t["size"] in sizes] for ts in column.to_pylist()]
    )


SEALED_FAULTS_OF_SIZES: dict[str, tuple[Edit, str, str]] = {
    "sizes swapped": (_edit_tar(_swap_sizes), TAR, ".64.jpg has 16 x 12 px, the sidecar's transforms place"),
    "sizes swapped everywhere": (_and_places(_edit_tar(_swap_sizes)), TAR, ".64.jpg has 16 x 12 px"),
    "size of no format": (_and_places(_set_member(0, 2, b"no image")), TAR, ".16.jpg does not decode"),
    "size cut short": (_and_places(_set_member(0, 1, make_jpeg(1, 64, 48)[:-200])), TAR, ".64.jpg does not decode"),
    "size two pixels off": (_and_places(_set_member(0, 1, make_jpeg(1, 64, 50))), TAR, ".64.jpg has 64 x 50 px"),
    "size lost in one": (_edit_tar(lambda s: s[1][1].pop(1)), TAR, "json txt"),
    "size lost in the first": (_edit_tar(lambda s: s[0][1].pop(1)), TAR, "jpg 64.jpg 16.jpg json txt"),
    "size lost in all": (_edit_tar(lambda s: [m.pop(2) for _, m in s]), TAR, "jpg 64.jpg 16.jpg json txt"),
    "sizes in another order": (
        _edit_tar(lambda s: [m.insert(1, m.pop(2)) for _, m in s]), TAR, "jpg 64.jpg 16.jpg json txt"
    ),
    "offset wrong": (_set_column(SIDECAR, "image_16_offset", _added(1)), TAR, "image_16_offset and image_16_bytes do"),
    "sidecar lacks half a place": (
        _edit_table(SIDECAR, lambda t: t.drop_columns(["image_64_bytes"])), SIDECAR, "another schema"
    ),
    "sidecar lacks a size": (
        _edit_table(SIDECAR, lambda t: t.select(t.column_names[:-2])), SIDECAR, "image_16_bytes, image_16_offset"
    ),
    "transforms lack a size": (_transforms_of(32, 64), TAR, "the sidecar's transforms have none of size 16"),
}  # fmt: skip


def test_a_dataset_of_several_sizes_has_no_fault(dataset_of_sizes: pathlib.Path) -> None:
    assert _faults(dataset_of_sizes) == []
    _edit_tar(lambda _: None)(dataset_of_sizes)
    _point_to_images(dataset_of_sizes)
    reseal(dataset_of_sizes)
    assert _faults(dataset_of_sizes) == []


@pytest.mark.parametrize("name", SEALED_FAULTS_OF_SIZES)
def test_a_wrong_size_is_found_though_every_hash_fits(dataset_of_sizes: pathlib.Path, name: str) -> None:
    edit, file, problem = SEALED_FAULTS_OF_SIZES[name]
    edit(dataset_of_sizes)
    reseal(dataset_of_sizes)
    faults = _faults(dataset_of_sizes)
    assert [f for f in faults if f.file == file and problem in f.problem], faults


def test_a_damaged_sidecar_does_not_make_the_tar_of_several_sizes_wrong(dataset_of_sizes: pathlib.Path) -> None:
    (dataset_of_sizes / SIDECAR).write_bytes(b"PAR1 no Parquet PAR1")
    assert _files_at_fault(dataset_of_sizes) == {SIDECAR}


@pytest.mark.parametrize("left", [(64,), ()])
def test_a_shard_sealed_with_fewer_sizes_than_the_plan_names_is_a_fault(
    dataset_of_sizes: pathlib.Path, left: tuple[int, ...]
) -> None:
    rows = pq.read_table(dataset_of_sizes / ROWS)
    failed = pq.read_table(dataset_of_sizes / FAILURES)["photo_id"].to_pylist()
    stage_shard(1, rows, dataset_of_sizes, failed, further_sizes=left)
    reseal(dataset_of_sizes)
    faults = _faults(dataset_of_sizes)
    assert {f.file for f in faults} == {SIDECAR, TAR}
    assert any("another schema than this format's, in image_16_bytes, image_16_offset" in f.problem for f in faults)


def test_a_plan_without_sizes_is_a_fault(dataset: pathlib.Path) -> None:
    plan = _plan(dataset)
    for sizes in ({}, {"image_size": 32}, {"image_size": ["32"]}):
        format_ = {**{k: v for k, v in plan.format.items() if k != "image_size"}, **sizes}
        (dataset / layout.PLAN).write_bytes(dataclasses.replace(plan, format=format_).to_json())
        reseal(dataset)
        assert _files_at_fault(dataset) == {layout.PLAN}


def test_the_manifest_says_the_sizes_where_the_plan_is_gone(dataset: pathlib.Path) -> None:
    _set_column(SIDECAR, "width", _added(1))(dataset)
    reseal(dataset)
    (dataset / layout.PLAN).unlink()
    assert _files_at_fault(dataset) == {layout.PLAN, TAR}
    (dataset / layout.MANIFEST).write_bytes(b"{}")
    assert _files_at_fault(dataset) == {layout.PLAN, layout.MANIFEST}


def test_second_images_of_equal_size_swapped_are_a_fault(dataset_of_sizes: pathlib.Path) -> None:
    _edit_tar(_swap_second_images)(dataset_of_sizes)
    assert _files_at_fault(dataset_of_sizes) == {TAR}


def test_images_beyond_the_limit_of_pillow_are_no_fault(dataset: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--max_pixels 0 --resize none` writes them."""
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 32 * 24 // 3)
    assert _faults(dataset) == []


def test_two_images_of_equal_size_swapped_are_a_fault(dataset: pathlib.Path) -> None:
    _edit_tar(_swap_images)(dataset)
    assert _files_at_fault(dataset) == {TAR}


@pytest.mark.parametrize(
    ("changes", "file"),
    [
        ({"rows": 99}, COMMIT),
        ({"samples": 4}, TAR),
        ({"samples": 0}, COMMIT),
        ({"failed": 5}, FAILURES),
        ({"rows_digest": "0" * 64}, COMMIT),
    ],
)
def test_a_commit_record_that_is_wrong_is_a_fault(
    dataset: pathlib.Path, changes: dict[str, typing.Any], file: str
) -> None:
    reseal(dataset, **changes)
    assert file in _files_at_fault(dataset)


def test_a_commit_record_of_other_files_is_a_fault(dataset: pathlib.Path) -> None:
    commit = read_commit(dataset, 1)
    files = {**commit.files, "_tmp/run/000001.tar": commit.files[TAR]}
    (dataset / COMMIT).write_bytes(dataclasses.replace(commit, files=files).to_json())
    assert [f for f in _faults(dataset) if f.file == COMMIT and "it lists other files" in f.problem]


def _plan(root: pathlib.Path) -> Plan:
    return Plan.from_json((root / layout.PLAN).read_bytes(), layout.PLAN)


@pytest.mark.parametrize(
    ("change", "file", "problem"),
    [
        (lambda p: {"counts": {**p.counts, "input_lines": 1}}, layout.PLAN, "it counts 1 input lines"),
        (lambda p: {"counts": {"rows": 23}}, layout.PLAN, "its counts lack input_lines"),
        (lambda p: {"counts": {**p.counts, "rows": 22, "collapsed_lines": 3}}, layout.PLAN, "lists 23 in its shards"),
        (lambda p: {"counts": {**p.counts, "other": 1}}, layout.MANIFEST, "counts are not the plan's"),
        (lambda p: {"rows": None}, layout.PLAN, "rows are not complete"),
        (lambda p: {"rows": p.rows[:2]}, layout.PLAN, "does not list the rows of 3 shards"),
        (lambda p: {"rows": [*p.rows[:1], PlanRows(1, p.rows[1].rows, "0"), *p.rows[2:]]}, COMMIT, "other rows"),
        (lambda p: {"rows": [*p.rows[:1], PlanRows(1, p.rows[1].rows, "0"), *p.rows[2:]]}, ROWS, "bytes have changed"),
        (
            lambda p: {"rows": [*p.rows[:1], PlanRows(1, 99, p.rows[1].digest), *p.rows[2:]]},
            layout.PLAN,
            "lists 99 rows",
        ),
        (lambda p: {"format": {**FORMAT, "quality": 1}}, COMMIT, "rows_digest does not fit"),
        (lambda p: {"shards": 2}, layout.MANIFEST, "does not list the 2 shards"),
        (lambda p: {"shards": 4}, layout.commit_file(3), "it is missing"),
        (lambda p: {"format_version": 9}, layout.PLAN, "it was written by a newer photobeam"),
        (lambda p: {"format_version": 1}, layout.PLAN, "it was written by an older photobeam"),
    ],
)
def test_a_plan_that_does_not_fit_is_a_fault(
    dataset: pathlib.Path, change: typing.Callable[[Plan], dict[str, typing.Any]], file: str, problem: str
) -> None:
    plan = _plan(dataset)
    (dataset / layout.PLAN).write_bytes(dataclasses.replace(plan, **change(plan)).to_json())
    assert [f for f in _faults(dataset) if f.file == file and problem in f.problem]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"root_hash": "0" * 64}, "root hash"),
        ({"shards": []}, "does not list the 3 shards"),
        ({"files": {}}, "it lacks shards/index.json"),
        ({"counts": {}}, "counts are not the plan's"),
    ],
)
def test_a_manifest_that_does_not_fit_is_a_fault(
    dataset: pathlib.Path, change: dict[str, typing.Any], problem: str
) -> None:
    path = dataset / layout.MANIFEST
    manifest = Manifest.from_json(path.read_bytes(), layout.MANIFEST)
    path.write_bytes(dataclasses.replace(manifest, **change).to_json())
    assert [f for f in _faults(dataset) if f.file == layout.MANIFEST and problem in f.problem]


def test_a_manifest_of_other_shards_is_a_fault(dataset: pathlib.Path) -> None:
    commit = read_commit(dataset, 1)
    other = dataclasses.replace(commit, rows=commit.rows + 1, rows_digest="0" * 64)
    (dataset / COMMIT).write_bytes(other.to_json())
    problems = [f.problem for f in _faults(dataset) if f.file == layout.MANIFEST]
    assert "its totals are not the sums over its shards" in problems
    assert "what it says of shard 000001 is not what the commit record says" in problems


def test_a_shard_full_of_wrong_samples_is_a_few_faults(dataset: pathlib.Path) -> None:
    def break_all(samples: list[typing.Any]) -> None:
        for _, members in samples:
            members[2] = ("txt", b"other")

    _edit_tar(break_all)(dataset)
    reseal(dataset)
    problems = [f.problem for f in _faults(dataset) if f.file == TAR]
    assert len(problems) == verify_tar.MAX_NAMED_SAMPLES + 1
    assert problems[-1].startswith("and ")


def _make_rows_only(root: pathlib.Path) -> None:
    for name in ("shards", "commits"):
        shutil.rmtree(root / name)
    (root / layout.MANIFEST).unlink()
    for shard in range(3):
        (root / layout.failures_file(shard)).unlink()
    plan = dataclasses.replace(_plan(root), format={"base": "yfcc", "samples_per_shard": 8})
    (root / layout.PLAN).write_bytes(plan.to_json())


def test_rows_without_images_are_verified(dataset: pathlib.Path) -> None:
    _make_rows_only(dataset)
    report = verify(str(dataset))
    assert report.faults == []
    assert (report.rows_only, report.rows, report.samples) == (True, 23, 0)
    (dataset / ROWS).write_bytes(b"x" + (dataset / ROWS).read_bytes()[1:])
    (dataset / layout.rows_file(2)).unlink()
    assert _files_at_fault(dataset) == {ROWS, layout.rows_file(2)}


def test_an_unfinished_dataset_is_not_whole(dataset: pathlib.Path) -> None:
    (dataset / layout.MANIFEST).unlink()
    (dataset / COMMIT).unlink()
    assert {layout.MANIFEST, COMMIT} <= _files_at_fault(dataset)


def test_rows_of_another_selection_over_a_finished_build_are_not_damaged(dataset: pathlib.Path) -> None:
    """As `join` leaves them: rows and plan are new, the shards are not, and there is no manifest."""
    pq.write_table(pq.read_table(dataset / ROWS).slice(1), dataset / ROWS)
    plan = _plan(dataset)
    rows, counts = list(plan.rows or []), dict(plan.counts)
    rows[1] = PlanRows(1, rows[1].rows - 1, file_digest(dataset / ROWS).sha256)
    counts |= {"rows": counts["rows"] - 1, "removed_by_filters": counts["removed_by_filters"] + 1}
    (dataset / layout.PLAN).write_bytes(dataclasses.replace(plan, rows=rows, counts=counts).to_json())
    (dataset / layout.MANIFEST).unlink()
    faults = _faults(dataset)
    assert {f.file for f in faults} == {COMMIT, layout.MANIFEST}
    assert all("run the same build again" in f.remedy for f in faults)


@pytest.mark.parametrize(
    "name",
    [layout.PLAN, layout.MANIFEST, layout.INPUT_FAILURES, layout.SHARD_INDEX, COMMIT, ROWS, TAR, SIDECAR, FAILURES],
)
def test_the_remedy_of_damage_is_repair(dataset: pathlib.Path, name: str) -> None:
    (dataset / name).write_bytes(b"damaged")
    remedies = {f.remedy for f in _faults(dataset) if f.file == name}
    assert remedies, "the damage was not found"
    assert all(r.startswith("`photobeam verify OUT --repair` ") for r in remedies), remedies
    (dataset / name).unlink()
    assert not [f for f in _faults(dataset) if "--overwrite" in f.remedy]


def test_what_runs_left_is_named(dataset: pathlib.Path) -> None:
    for name in ("_tmp/run-1/shard-000001/images", "_tmp/run-1/x", "_tmp/lease.json", "log/000001.json"):
        (dataset / name).parent.mkdir(parents=True, exist_ok=True)
        (dataset / name).write_bytes(b"x")
    assert _files_at_fault(dataset) == {"_tmp/run-1"}
    (dataset / "log/000003.json").write_bytes(b"x")
    assert _files_at_fault(dataset) == {"_tmp/run-1", "log/000003.json"}


def test_photos_that_were_taken_down_and_are_there_are_faults(dataset: pathlib.Path) -> None:
    photo_id, plan = pq.read_table(dataset / ROWS)["photo_id"][0].as_py(), _plan(dataset)
    plan = dataclasses.replace(plan, tombstones=[Tombstone(photo_id, "2026-01-01")])
    (dataset / layout.PLAN).write_bytes(plan.to_json())
    assert {fault.remedy for fault in _faults(dataset)} == {JOIN_WITHOUT, TAKE_OUT}
    assert [fault.remedy for fault in verify(str(dataset), fast=True).faults] == [TAKE_OUT]
    assert check_dataset.main([str(dataset), "--repair", "--workers=1", "--progress=none"]) == 0
    assert photo_id not in pq.read_table(dataset / ROWS)["photo_id"].to_pylist()
    assert _faults(dataset) == []


@pytest.mark.parametrize("root", ["nowhere", "", "zork://x"])
def test_no_dataset_is_told_from_a_damaged_one(tmp_path: pathlib.Path, root: str) -> None:
    with pytest.raises(NoDatasetError):
        verify(root if "://" in root else str(tmp_path / root))


def test_the_command_says_that_all_is_well(whole: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check_dataset.main([str(whole)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("no fault in 3 shards: 23 rows = ")
    assert out.count("\n") == 1


def test_the_command_prints_one_line_a_fault(dataset: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    (dataset / TAR).unlink()
    assert check_dataset.main([str(dataset)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{TAR}: it is missing; `photobeam verify OUT --repair` makes the shard again"
    assert lines[-1].startswith("1 fault in 3 shards")


def test_one_of_a_thing_is_not_many() -> None:
    one = VerifyReport([], False, shards=1, rows=2, samples=1, videos=0, failures=1, bytes=5_000)
    assert check_dataset.describe(one) == "no fault in 1 shard: 2 rows = 1 sample + 1 failure, 5,000 bytes\n"
    rows = one._replace(rows_only=True, rows=1)
    assert check_dataset.describe(rows) == "no fault in 1 shard of rows, made without images: 1 row\n"


@pytest.mark.parametrize("argv", [["{}/nowhere"], [], ["{}", "--whatever"]])
def test_the_command_refuses_what_is_no_dataset(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    assert check_dataset.main([a.format(tmp_path) for a in argv]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("photobeam: ")
