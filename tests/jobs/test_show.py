"""`photobeam show`: one photo by any of its ids."""

import json
import pathlib
import shutil
import typing

import numpy as np
import pyarrow.parquet as pq
import pytest

from beam_jobs import cli
from schemas import layout
from schemas.photo_ids import hash64, key, shards_of
from schemas.samples import SAMPLE_SCHEMA, sample_json
from tests import factories
from transforms.datasets.show_photo import IdKind, find_photo, read_picture
from transforms.stores.dataset_files import DatasetFiles


def _of_shard(shard: int) -> list[int]:
    ids = np.array(factories.PHOTO_IDS, np.int64)
    return sorted(ids[shards_of(hash64(ids), factories.SHARDS) == shard].tolist(), key=key)


SAMPLES = _of_shard(0)
FAILED = _of_shard(1)[0]
BUILT_LATER = _of_shard(1)[-1]
COCO, OPEN_IMAGES, FLICKR8K = SAMPLES[0], BUILT_LATER, _of_shard(2)[0]

_COPIES = {
    COCO: [
        {"source": "coco", "image_id": "391895", "file_name": "000000391895.jpg"},
        {"source": "coco", "image_id": "7", "file_name": "COCO_val2014_000000000007.jpg"},
        {"source": "open_images", "image_id": "555"},
    ],
    OPEN_IMAGES: [{"source": "open_images", "image_id": "0001eeaf4aed83f9"}],
    FLICKR8K: [{"source": "flickr8k", "image_id": "a_b.jpg", "file_name": "a_b.jpg"}],
}
_ANNOTATIONS = {
    COCO: {
        "boxes": [{"source": "coco", "image_id": "391895", "annotation_id": 1200}],
        "captions": [{"source": "coco", "image_id": "391895", "caption_id": 1300, "text": "a"}],
    },
    OPEN_IMAGES: {
        "boxes": [{"source": "open_images", "image_id": "0001eeaf4aed83f9", "annotation_id": 1201}],
        "segments": [{"source": "coco", "annotation_id": 1300}, {"source": "coco", "annotation_id": 391895}],
        "keypoints": [{"source": "coco", "annotation_id": 1400}],
    },
}


@pytest.fixture
def dataset(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """The factory's dataset of three shards, of which some photos have annotations."""
    make_row = factories.make_row

    def annotated(photo_id: int) -> dict[str, typing.Any]:
        return make_row(photo_id) | {"copies": _COPIES.get(photo_id, [])} | _ANNOTATIONS.get(photo_id, {})

    monkeypatch.setattr(factories, "make_row", annotated)
    return factories.make_dataset(tmp_path / "out")


def _show(capsys: pytest.CaptureFixture[str], dataset: object, *arguments: object) -> dict[str, typing.Any]:
    assert cli.main(["show", str(dataset), *map(str, arguments)]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_sample_is_shown_as_its_tar_has_it(dataset: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = next(r for r in pq.read_table(dataset / layout.sidecar_file(0)).to_pylist() if r["photo_id"] == COCO)
    shown = _show(capsys, dataset, COCO)
    assert {name: shown[name] for name in SAMPLE_SCHEMA.names} == json.loads(sample_json(row))
    assert shown["image_offset"] == row["image_offset"]
    assert shown["image_bytes"] == len(factories.make_jpeg(COCO))


@pytest.mark.parametrize("photo_id", factories.PHOTO_IDS)
def test_every_photo_is_found_by_id_and_key(
    photo_id: int, dataset: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    by_id = _show(capsys, dataset, photo_id)
    assert by_id["photo_id"] == photo_id
    assert _show(capsys, dataset, key(photo_id)) == by_id
    assert ("reason" in by_id) == (photo_id not in [*SAMPLES, *_of_shard(1)[2:]])


def test_a_failure_is_shown_with_its_row(dataset: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = _show(capsys, dataset, FAILED)
    expected = {"photo_id": FAILED, "key": key(FAILED), "reason": "not_found", "stage": "fetch", "retryable": False}
    assert shown.items() >= {**expected, "http_status": 404, "detail": "HTTP 404"}.items()
    assert shown["row"]["download_url"] == factories.make_row(FAILED)["download_url"]


@pytest.mark.parametrize(
    ("text", "photo_id"),
    [
        ("391895", COCO),  # an image id before an annotation id
        ("000000391895", COCO),
        ("000000391895.jpg", COCO),
        ("COCO_train2014_000000391895.jpg", COCO),
        ("val2017/000000000007.jpg", COCO),
        ("7", 7),  # a photo id before an image id
        ("1200", COCO),
        ("1300", OPEN_IMAGES),  # an instance before a caption
        ("1400", OPEN_IMAGES),
        ("0001eeaf4aed83f9", OPEN_IMAGES),
        ("0001EEAF4AED83F9.jpg", OPEN_IMAGES),
        ("a_b.jpg", FLICKR8K),
        (f"{COCO}_df7747990d.jpg", COCO),
        (f"{COCO}_df7747990d_o.jpg", COCO),
        (f"{key(BUILT_LATER)}.jpg", BUILT_LATER),
    ],
)
def test_other_ids_lead_to_the_photo(
    text: str, photo_id: int, dataset: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _show(capsys, dataset, text)["photo_id"] == photo_id


@pytest.mark.parametrize(
    ("text", "kind", "photo_id"),
    [("7", "coco_image_id", COCO), ("391895", "coco_annotation_id", OPEN_IMAGES), ("7", "photo_id", 7)],
)
def test_the_kind_of_id_can_be_said(
    text: str, kind: str, photo_id: int, dataset: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _show(capsys, dataset, text, "--as", kind)["photo_id"] == photo_id


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["12345"], "no photo has '12345' as photo_id or coco_image_id or coco_annotation_id"),
        (["555"], "no photo has '555' as"),
        (["1201"], "no photo has '1201' as"),
        (["nosuch.jpg"], "no photo has 'nosuch.jpg' as file_name"),
        (["nosuch.jpg", "--as", "photo_id"], "no photo has 'nosuch.jpg' as any of the ids asked for"),
        (["99999999999999999999"], "no photo has '99999999999999999999' as file_name"),
    ],
)
def test_what_is_not_there_is_said(
    arguments: list[str], message: str, dataset: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["show", str(dataset), *arguments]) == 1
    written = capsys.readouterr()
    assert (written.out, message in written.err) == ("", True)


def test_no_dataset_is_a_wrong_command(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["show", str(tmp_path), "1"]) == 2
    assert f"{tmp_path} holds no dataset: neither plan.json nor manifest.json is there" in capsys.readouterr().err
    assert cli.main(["show", "nosuch://x", "1"]) == 2


def test_a_photo_id_reads_the_files_of_its_shard_alone(dataset: pathlib.Path, read_names: list[str]) -> None:
    find_photo(DatasetFiles(str(dataset)), str(COCO))
    assert read_names == [layout.PLAN, layout.rows_file(0), layout.sidecar_file(0)]


def test_a_dataset_of_rows_alone_shows_rows(dataset: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("shards", "commits", "failures"):
        shutil.rmtree(dataset / folder)
    (dataset / layout.MANIFEST).unlink()
    shown = _show(capsys, dataset, "000000391895.jpg")
    assert shown["photo_id"] == COCO
    assert "sha256" not in shown
    assert cli.main(["show", str(dataset), str(COCO), "--save", str(dataset / "x.jpg")]) == 1
    assert f"photo {COCO} has no picture (its shard is not built yet)" in capsys.readouterr().err


def test_without_a_plan_the_manifest_will_do(dataset: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    (dataset / layout.PLAN).unlink()
    assert _show(capsys, dataset, COCO)["photo_id"] == COCO


@pytest.mark.parametrize("photo_id", SAMPLES)
def test_the_picture_is_saved(
    photo_id: int, dataset: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _show(capsys, dataset, photo_id, "--save", tmp_path / "photo.jpg")
    assert (tmp_path / "photo.jpg").read_bytes() == factories.make_jpeg(photo_id)


def test_the_picture_is_one_read_of_any_file_system(dataset: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    for path in dataset.rglob("*"):
        if path.is_file():
            memory.pipe_file(f"/show/{path.relative_to(dataset)}", path.read_bytes())
    read: list[tuple[str, int, int]] = []
    real = type(memory).cat_file

    def cat_file(
        self: typing.Any, path: str, start: int | None = None, end: int | None = None, **rest: typing.Any
    ) -> bytes:
        if start is not None and end is not None:
            read.append((path, start, end))
        return real(self, path, start=start, end=end, **rest)

    monkeypatch.setattr(type(memory), "cat_file", cat_file)
    files = DatasetFiles("memory://show")
    photo = find_photo(files, "391895")
    assert photo.found_as is IdKind.COCO_IMAGE_ID
    read.clear()
    assert list(read_picture(files, photo)) == [factories.make_jpeg(COCO)]
    assert [(name.rpartition("/")[2], end - start) for name, start, end in read] == [
        ("000000.tar", photo.row["image_bytes"])
    ]


def test_a_picture_that_cannot_be_had_or_kept_is_said(
    dataset: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["show", str(dataset), str(FAILED), "--save", str(tmp_path / "x")]) == 1
    assert "has no picture (not_found: HTTP 404)" in capsys.readouterr().err
    assert cli.main(["show", str(dataset), str(COCO), "--save", str(tmp_path / "no/x")]) == 1
    assert "--save" in capsys.readouterr().err
    (dataset / layout.tar_file(0)).write_bytes(b"short")
    assert cli.main(["show", str(dataset), str(COCO), "--save", str(tmp_path / "x")]) == 1
    assert "000000.tar cannot be read: it ends before byte" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_damage_is_said(dataset: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    (dataset / layout.rows_file(0)).write_bytes(b"PAR1")
    assert cli.main(["show", str(dataset), str(COCO)]) == 1
    assert "rows/000000.parquet cannot be read" in capsys.readouterr().err
    (dataset / layout.rows_file(0)).unlink()
    assert cli.main(["show", str(dataset), "nosuch.jpg"]) == 1
    assert "`photobeam verify` says what to do" in capsys.readouterr().err
    (dataset / layout.PLAN).write_bytes(b"{}")
    assert cli.main(["show", str(dataset), str(COCO)]) == 1
    assert "plan.json is damaged" in capsys.readouterr().err
