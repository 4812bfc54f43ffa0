"""`photobeam diff`: photos, columns, states and images that are not the same in two datasets."""

import io
import json
import pathlib
import shutil
import typing

import fsspec
import pyarrow.parquet as pq
import pytest
from PIL import Image

from beam_jobs import cli
from schemas import layout
from schemas.failures import FailureReason
from schemas.photo_ids import key
from schemas.records import Manifest, Plan
from tests import factories
from tests.factories import PHOTO_IDS, make_dataset, read_commit
from tests.fault_server import FaultServer
from tests.jobs.conftest import write_lines
from tests.jobs.test_build_yfcc import build
from tests.store_servers import S3Server

ODD, EVEN = 6_985_418_911, 6_985_418_912
FAILED = PHOTO_IDS[4:7]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return make_dataset(tmp_path_factory.mktemp("diff") / "a", failed=FAILED)


def _diff(capsys: pytest.CaptureFixture[str], a: object, b: object) -> dict[str, typing.Any]:
    """What `--json` says; the exit code and the text agree with it."""
    code = cli.main(["diff", str(a), str(b), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert (found["equal"], found["differences"] == []) == (code == 0, code == 0)
    assert len(found["differences"]) == found["added"] + found["removed"] + found["changed"]
    assert cli.main(["diff", str(a), str(b)]) == code
    text = capsys.readouterr().out
    assert ("no photo differs" in text) == found["equal"]
    assert all(f"  {d['key']} {d['change']}" in text for d in found["differences"][:10])
    return found


def _edited(monkeypatch: pytest.MonkeyPatch, photo_id: int, **changes: typing.Any) -> None:
    """Lets datasets that are made from now on have another row of a photo."""
    make_row = factories.make_row
    monkeypatch.setattr(factories, "make_row", lambda i: make_row(i) | (changes if i == photo_id else {}))


def _repainted(
    monkeypatch: pytest.MonkeyPatch, photo_id: int, paint: typing.Callable[[Image.Image, io.BytesIO], typing.Any]
) -> None:
    """Lets datasets that are made from now on have other images of a photo."""
    make_jpeg = factories.make_jpeg

    def repaint(i: int, width: int = 32, height: int = 24) -> bytes:
        out, data = io.BytesIO(), make_jpeg(i, width, height)
        paint(Image.open(io.BytesIO(data)), out)
        return out.getvalue() if i == photo_id else data

    monkeypatch.setattr(factories, "make_jpeg", repaint)


def _rewritten_losslessly(image: Image.Image, out: io.BytesIO) -> None:
    image.save(out, "JPEG", quality="keep", comment=b"another file")


def _darkened(image: Image.Image, out: io.BytesIO) -> None:
    image.point(lambda value: value // 2).save(out, "JPEG", quality=90)


def _cropped(image: Image.Image, out: io.BytesIO) -> None:
    image.crop((0, 0, image.width, image.height - 1)).save(out, "JPEG", quality=90)


def test_a_dataset_equals_itself_and_nothing_of_it_is_read(
    whole: pathlib.Path, capsys: pytest.CaptureFixture[str], read_names: list[str]
) -> None:
    found = _diff(capsys, whole, whole)
    assert (found["compared"], found["a"]["photos"], found["a"]["shards"]) == ("samples", len(PHOTO_IDS), 3)
    assert set(read_names) == {layout.PLAN, layout.MANIFEST}


@pytest.mark.parametrize("shards", [1, 2, 4, 7])
def test_other_shards_of_the_same_photos_are_equal(
    whole: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], shards: int
) -> None:
    other = make_dataset(tmp_path / "b", shards=shards, failed=FAILED)
    assert _diff(capsys, whole, other)["b"]["shards"] == shards
    _diff(capsys, other, whole)


@pytest.mark.parametrize("shards", [3, 5])
def test_added_and_removed_photos_are_listed(
    whole: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], shards: int
) -> None:
    other = make_dataset(tmp_path / "b", photo_ids=[*PHOTO_IDS[2:], 99], shards=shards, failed=FAILED)
    found = _diff(capsys, whole, other)
    changes = {d["photo_id"]: d["change"] for d in found["differences"]}
    assert changes == {PHOTO_IDS[0]: "removed", PHOTO_IDS[1]: "removed", 99: "added"}
    assert (found["added"], found["removed"], found["changed"]) == (1, 2, 0)
    assert _diff(capsys, other, whole)["added"] == 2


@pytest.mark.parametrize("shards", [3, 5])
def test_columns_that_changed_are_named_with_counts(
    whole: pathlib.Path,
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    shards: int,
) -> None:
    _edited(monkeypatch, ODD, title="another", places=[])
    _edited(monkeypatch, EVEN, title="another")
    _edited(monkeypatch, FAILED[0], latitude=1.5)
    found = _diff(capsys, whole, make_dataset(tmp_path / "b", shards=shards, failed=FAILED))
    assert found["columns"] == {"rows.latitude": 1, "rows.places": 1, "rows.title": 2}
    columns = {d["photo_id"]: d["columns"] for d in found["differences"]}
    expected = {ODD: {"rows": ["title", "places"]}, EVEN: {"rows": ["title"]}, FAILED[0]: {"rows": ["latitude"]}}
    assert columns == expected
    assert found["images"] == {}
    assert found["states"] == []


def test_columns_of_samples_and_failures_count_by_themselves(
    whole: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    columns, failure = factories.image_columns, factories.make_failure
    monkeypatch.setattr(factories, "image_columns", lambda *a: columns(*a) | {"fetched_from": "flickr"})
    monkeypatch.setattr(factories, "make_failure", lambda i: failure(i)._replace(detail="other"))
    found = _diff(capsys, whole, make_dataset(tmp_path / "b", failed=FAILED))
    samples = len(PHOTO_IDS) - len(FAILED)
    assert found["columns"] == {"failures.detail": len(FAILED), "samples.fetched_from": samples}


@pytest.mark.parametrize("shards", [3, 5])
def test_states_that_changed_are_counted(
    whole: pathlib.Path,
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    shards: int,
) -> None:
    failure = factories.make_failure
    monkeypatch.setattr(factories, "make_failure", lambda i: failure(i)._replace(reason=FailureReason.GONE))
    found = _diff(capsys, whole, make_dataset(tmp_path / "b", shards=shards, failed=[*FAILED[1:], ODD]))
    assert {d["photo_id"]: d["states"] for d in found["differences"]} == {
        FAILED[0]: ["not_found", "sample"],
        FAILED[1]: ["not_found", "gone"],
        FAILED[2]: ["not_found", "gone"],
        ODD: ["sample", "gone"],
    }
    counts = {(s["a"], s["b"]): s["photos"] for s in found["states"]}
    assert counts == {("not_found", "gone"): 2, ("not_found", "sample"): 1, ("sample", "gone"): 1}
    assert found["columns"] == {}


@pytest.mark.parametrize(
    ("paint", "change", "text"),
    [
        (_rewritten_losslessly, "bytes", "image with other bytes, but the same pixels"),
        (_darkened, "pixels", "image with other pixels (by up to "),
        (_cropped, "size", "image of another size (32 x 24 px became 32 x 23 px)"),
    ],
)
@pytest.mark.parametrize("shards", [3, 5])
def test_images_that_changed_are_told_apart(
    whole: pathlib.Path,
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    paint: typing.Callable[[Image.Image, io.BytesIO], typing.Any],
    change: str,
    text: str,
    shards: int,
) -> None:
    _repainted(monkeypatch, ODD, paint)
    other = make_dataset(tmp_path / "b", shards=shards, failed=FAILED)
    found = _diff(capsys, whole, other)
    (image,) = next(d["images"] for d in found["differences"] if d["photo_id"] == ODD)
    assert (image["image"], image["change"], found["images"]["image"][change]) == ("image", change, 1)
    assert (image["max_difference"] or 0) > 0 if change == "pixels" else not image["max_difference"]
    cli.main(["diff", str(whole), str(other)])
    assert text in capsys.readouterr().out


def test_further_sizes_are_compared_each(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make_dataset(tmp_path / "a", (64,), failed=FAILED)
    make_jpeg = factories.make_jpeg
    monkeypatch.setattr(
        factories, "make_jpeg", lambda i, *size: make_jpeg(i + 1 if (i, *size) == (ODD, 64, 48) else i, *size)
    )
    found = _diff(capsys, first, make_dataset(tmp_path / "b", (64,), failed=FAILED))
    assert [(d["photo_id"], [i["image"] for i in d["images"]]) for d in found["differences"]] == [(ODD, ["image_64"])]
    samples = len(PHOTO_IDS) - len(FAILED)
    found = _diff(capsys, first, make_dataset(tmp_path / "c", (16,), failed=FAILED))
    assert found["settings"] == {"image_size": [[32, 64], [32, 16]]}
    assert (found["images"]["image_64"]["removed"], found["images"]["image_16"]["added"]) == (samples, samples)
    assert "image" not in found["images"]


def _rows_only(source: pathlib.Path, target: pathlib.Path) -> pathlib.Path:
    """The same rows as `join` leaves them."""
    shutil.copytree(source / "rows", target / "rows")
    plan = Plan.from_json((source / layout.PLAN).read_bytes(), layout.PLAN)
    values = {**vars(plan), "format": {"base": "yfcc", "samples_per_shard": 8}}
    (target / layout.PLAN).write_bytes(Plan(**values).to_json())
    return target


def test_rows_without_images_are_compared_by_rows(
    whole: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    joined = _rows_only(whole, tmp_path / "joined")
    assert _diff(capsys, whole, joined)["compared"] == "rows"
    cli.main(["diff", str(whole), str(joined)])
    out = capsys.readouterr().out
    assert "compared by their rows alone" in out
    assert "made without images" in out
    _edited(monkeypatch, ODD, title="another")
    other = _rows_only(make_dataset(tmp_path / "b", shards=4), tmp_path / "other")
    for a in (whole, joined):
        found = _diff(capsys, a, other)
        assert [(d["photo_id"], d["columns"]) for d in found["differences"]] == [(ODD, {"rows": ["title"]})]


def test_datasets_without_photos_are_equal(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = make_dataset(tmp_path / "a", photo_ids=[], shards=0)
    _diff(capsys, empty, empty)
    found = _diff(capsys, empty, make_dataset(tmp_path / "b", photo_ids=[1, 2, 3], shards=2))
    assert (found["added"], found["removed"]) == (3, 0)


def test_urls_are_compared_too(whole: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    memory = fsspec.filesystem("memory")
    for path in whole.rglob("*"):
        if path.is_file():
            memory.pipe_file(f"/diff/{path.relative_to(whole)}", path.read_bytes())
    _diff(capsys, whole, "memory://diff")


@pytest.mark.usefixtures("no_credentials")
def test_a_bucket_is_verified_and_compared(
    whole: pathlib.Path,
    s3: S3Server,
    bucket: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in (("ENDPOINT_URL", s3.url), ("ACCESS_KEY_ID", s3.key_id), ("SECRET_ACCESS_KEY", s3.secret)):
        monkeypatch.setenv(f"AWS_{name}", value)
    s3.put(bucket, {f"out/{p.relative_to(whole)}": p.read_bytes() for p in whole.rglob("*") if p.is_file()})
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    url = f"s3://{bucket}/out"
    assert cli.main(["verify", url]) == 0
    assert cli.main(["verify", url, "--fast"]) == 0
    capsys.readouterr()
    _diff(capsys, whole, url)
    s3.put(bucket, {f"out/{layout.tar_file(1)}": b"short"})
    assert cli.main(["verify", url, "--fast"]) == 1
    assert f"{layout.tar_file(1)}: it has 5 bytes" in capsys.readouterr().out


def test_the_text_names_a_few_photos_only(
    whole: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = make_dataset(tmp_path / "b", photo_ids=PHOTO_IDS[:3], failed=())
    assert cli.main(["diff", str(whole), str(few)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"A: 23 photos, 20 with an image, in 3 shards: {whole}"
    assert lines[2] == "0 added, 20 removed, 0 changed"
    assert len([line for line in lines if line.endswith(" removed")]) == 10
    assert lines[-1] == "  and 10 more: --json lists all"


def _no_manifest(root: pathlib.Path) -> None:
    (root / layout.MANIFEST).unlink()


def _other_rows_joined(root: pathlib.Path) -> None:
    plan = Plan.from_json((root / layout.PLAN).read_bytes(), layout.PLAN)
    rows = [plan.rows[1], *plan.rows[1:]]  # type: ignore[index]
    (root / layout.PLAN).write_bytes(Plan(**{**vars(plan), "rows": rows}).to_json())


def _rows_not_complete(root: pathlib.Path) -> None:
    plan = Plan.from_json((root / layout.PLAN).read_bytes(), layout.PLAN)
    (root / layout.PLAN).write_bytes(Plan(**{**vars(plan), "rows": None}).to_json())


def _newer_manifest(root: pathlib.Path) -> None:
    manifest = Manifest.from_json((root / layout.MANIFEST).read_bytes(), layout.MANIFEST)
    (root / layout.MANIFEST).write_bytes(Manifest(**{**vars(manifest), "format_version": 99}).to_json())


def _flip(name: str) -> typing.Callable[[pathlib.Path], None]:
    def flip(root: pathlib.Path) -> None:
        data = bytearray((root / name).read_bytes())
        data[len(data) // 2] ^= 4
        (root / name).write_bytes(data)

    return flip


def _edit_json(root: pathlib.Path) -> None:
    """Damage of a tar that only its hash shows."""
    path = root / layout.tar_file(1)
    path.write_bytes(path.read_bytes().replace(b'"photo_id":', b'"photo_ID":', 1))


def _delete(name: str) -> typing.Callable[[pathlib.Path], None]:
    return lambda root: (root / name).unlink()


def _break_scan(root: pathlib.Path) -> None:
    """An image that does not decode, though all hashes fit."""
    row = pq.read_table(root / layout.sidecar_file(1)).to_pylist()[0]
    path, begin = root / layout.tar_file(1), row["image_offset"]
    tar, end = path.read_bytes(), row["image_offset"] + row["image_bytes"]
    scan = tar.index(b"\xff\xda", begin) + 2
    path.write_bytes(tar[:scan] + bytes(end - scan) + tar[end:])
    factories.reseal(root)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "holds no dataset: neither plan.json nor manifest.json is there"),
        (_no_manifest, "is not finished; run the same build again"),
        (_other_rows_joined, "is not finished; run the same build again"),
        (_rows_not_complete, "is not finished; run the same build again"),
        (_newer_manifest, "manifest.json was written by a newer photobeam"),
        (_flip(layout.PLAN), "plan.json is damaged"),
        (_flip(layout.MANIFEST), "manifest.json is damaged"),
        (_delete(layout.PLAN), "plan.json"),
        (_flip(layout.rows_file(1)), "rows/000001.parquet: its bytes have changed"),
        (_delete(layout.sidecar_file(1)), "shards/000001.parquet: it is missing"),
        (_flip(layout.failures_file(1)), "failures/000001.parquet: its bytes have changed"),
        (_edit_json, "shards/000001.tar: its bytes have changed"),
        (_delete(layout.tar_file(1)), "shards/000001.tar: it is missing"),
        (_break_scan, "shards/000001.tar: an image of photo"),
    ],
)
@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_what_is_unfinished_or_damaged_is_no_difference(
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    damage: typing.Callable[[pathlib.Path], typing.Any],
    message: str,
    flags: list[str],
) -> None:
    good = make_dataset(tmp_path / "good", failed=FAILED)
    make_jpeg = factories.make_jpeg
    monkeypatch.setattr(factories, "make_jpeg", lambda i, *size: make_jpeg(i + 1, *size))
    bad = make_dataset(tmp_path / "bad", failed=[*FAILED, *_of_shard_1(good)[-1:]])
    assert cli.main(["diff", str(good), str(bad), *flags]) == 1
    capsys.readouterr()
    damage(bad)
    for pair in ((good, bad), (bad, good)):
        assert cli.main(["diff", *map(str, pair), *flags]) == 2
        written = capsys.readouterr()
        assert str(bad) in written.err
        assert message in written.err
        with pytest.raises(json.JSONDecodeError):
            json.loads(written.out)


def _of_shard_1(root: pathlib.Path) -> list[int]:
    assert read_commit(root, 1).samples
    return pq.read_table(root / layout.sidecar_file(1))["photo_id"].to_pylist()


@pytest.mark.parametrize("argv", [[], ["{}"], ["{}", "{}", "{}"], ["{}", "{}", "--all"], ["{}", "zork://x"]])
def test_a_wrong_command_line_is_refused(
    whole: pathlib.Path, capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    assert cli.main(["diff", *(a.format(whole) for a in argv)]) == 2
    written = capsys.readouterr()
    assert (written.out, written.err.startswith("photobeam: ")) == ("", True)


def test_builds_that_differ_in_their_flags_are_compared(
    tmp_path: pathlib.Path, lines: list[str], mirror: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_lines(tmp_path / "in", lines[:20])
    flags = {
        "a": ["--samples_per_shard", 10, "--image_size", 32],
        "resharded": ["--samples_per_shard", 4, "--image_size", 32],
        "coarse": ["--samples_per_shard", 10, "--image_size", 32, "--quality", 10],
        "png": ["--samples_per_shard", 10, "--image_size", 32, "--format", "png"],
        "smaller": ["--samples_per_shard", 4, "--image_size", 24],
        "half": ["--samples_per_shard", 10, "--image_size", 32, "--limit", 10],
    }
    for name, own in flags.items():
        assert build(source, mirror, tmp_path / name, *own) == 0
    capsys.readouterr()
    found = {name: _diff(capsys, tmp_path / "a", tmp_path / name) for name in list(flags)[1:]}
    assert found["resharded"]["settings"] == {"samples_per_shard": [10, 4]}
    assert found["resharded"]["equal"]
    assert found["coarse"]["images"]["image"]["pixels"] > 0
    assert found["coarse"]["columns"] == {}
    assert found["png"]["images"]["image"]["format"] == 18
    assert found["smaller"]["images"]["image"]["size"] == 18
    assert found["smaller"]["columns"].keys() == {"samples.width", "samples.height", "samples.transforms"}
    assert (found["half"]["removed"], found["half"]["added"], found["half"]["changed"]) == (10, 0, 0)
    assert found["half"]["differences"][0]["key"] == key(found["half"]["differences"][0]["photo_id"])
