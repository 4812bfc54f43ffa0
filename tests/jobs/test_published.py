"""Published sets by name, from a local copy of the published layout."""

import io
import json
import pathlib
import typing
import zipfile

import pyarrow.parquet as pq
import pytest

from beam_jobs import build_dataset, check_dataset, join_metadata, show
from schemas import layout
from tests.jobs.conftest import picture
from tests.published_server import PublishedServer, Served
from tests.source_files import BOX_HEADER, OPEN_IMAGES_HEADER, open_images_box, open_images_row

_ZIP = "/annotations/annotations_trainval2017.zip"
_TEST_ZIP = "/annotations/image_info_test2017.zip"


def _image(number: int, split: str) -> dict[str, typing.Any]:
    name = f"{number:012d}.jpg"
    image = {"id": number, "width": 64, "height": 48, "file_name": name, "license": 1, "date_captured": ""}
    image["coco_url"] = f"http://images.cocodataset.org/{split}/{name}"
    return image | (
        {"flickr_url": f"http://farm1.staticflickr.com/1/{9000 + number}_aa.jpg"} if split[:4] != "test" else {}
    )


def _captions(split: str, numbers: range) -> bytes:
    annotations = [{"id": 10 * n, "image_id": n, "caption": f"picture {n}"} for n in numbers]
    images = [_image(n, split) for n in numbers]
    return json.dumps({"images": images, "annotations": annotations, "licenses": []}).encode()


def _zip(**members: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        for name, content in members.items():
            file.writestr(f"annotations/{name}.json", content)
    return data.getvalue()


@pytest.fixture
def published() -> typing.Iterator[PublishedServer]:
    """COCO's server, with six images of train, four of val and two of test."""
    with PublishedServer() as server:
        train, val = _captions("train2017", range(1, 7)), _captions("val2017", range(7, 11))
        server.files[_ZIP] = Served(_zip(captions_train2017=train, captions_val2017=val))
        test = json.dumps({"images": [_image(n, "test2017") for n in (11, 12)], "categories": []}).encode()
        server.files[_TEST_ZIP] = Served(_zip(image_info_test2017=test))
        yield server


def _flags(name: str, published: PublishedServer, tmp_path: pathlib.Path) -> list[str]:
    flags = ["--coco", name, "--mirror", f"coco={published.url}", "--cache_dir", tmp_path / "cache"]
    return [str(f) for f in (*flags, "--output", tmp_path / "out", "--progress", "none")]


def _splits(tmp_path: pathlib.Path) -> list[str]:
    return pq.read_table(tmp_path / "out/rows", columns=["coco_split"])["coco_split"].to_pylist()


@pytest.mark.parametrize(
    ("name", "splits"),
    [
        ("2017:val", ["val2017"] * 4),
        ("2017", ["train2017"] * 6 + ["val2017"] * 4),
        ("2017:test", ["test2017"] * 2),
    ],
)
def test_a_name_is_all_that_is_needed(
    name: str, splits: list[str], published: PublishedServer, tmp_path: pathlib.Path
) -> None:
    flags = [*_flags(name, published, tmp_path), "--images", "none"]
    assert build_dataset.main(flags) == 0
    assert sorted(_splits(tmp_path)) == splits
    assert len(published.asked) == 1


def test_a_second_run_downloads_and_joins_nothing(
    published: PublishedServer, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = _flags("2017:val", published, tmp_path)
    assert join_metadata.main(flags) == 0
    plan = (tmp_path / "out" / layout.PLAN).read_bytes()
    monkeypatch.setattr(build_dataset, "_run_graph", None)
    assert join_metadata.main(flags) == 0
    assert (tmp_path / "out" / layout.PLAN).read_bytes() == plan
    assert len(published.asked) == 1


def test_what_is_wrong_is_said_with_its_exit_code(
    published: PublishedServer, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert join_metadata.main(_flags("2014:val", published, tmp_path)) == 1
    assert "annotations_trainval2014.zip: there is no such file (HTTP status 404)" in capsys.readouterr().err
    assert join_metadata.main(_flags("2016", published, tmp_path)) == 2
    assert "no published set '2016'; there is 2014, 2017" in capsys.readouterr().err
    flags = _flags("2017", published, tmp_path)
    assert join_metadata.main([*flags, "--mirror", "coco=s3://bucket"]) == 2
    assert "published files are fetched over http(s) only" in capsys.readouterr().err


def test_the_cache_is_where_caches_are(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    flags = ["--coco", "2017", "--output", "out"]
    assert join_metadata.parse_args(flags).published.cache_dir == tmp_path / "photobeam"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert join_metadata.parse_args(flags).published.cache_dir == pathlib.Path.home() / ".cache/photobeam"


@pytest.mark.parametrize(
    ("mode", "line"), [("json", '{"file": "annotations_'), ("auto", "annotations_trainval2017.zip: ")]
)
def test_progress_is_shown(
    mode: str, line: str, published: PublishedServer, tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    assert join_metadata.main([*_flags("2017:val", published, tmp_path), "--progress", mode]) == 0
    assert line in capsys.readouterr().err + "\n".join(caplog.messages)


FRUIT = {"Apple": "/m/014j1m", "Orange": "/m/0cyhj_", "Pineapple": "/m/0fp6w"}
HIERARCHY = {"LabelName": "/m/0bl9f", "Subcategory": [{"LabelName": mid} for mid in FRUIT.values()]}


def _csv(*rows: typing.Sequence[str]) -> Served:
    return Served("".join(",".join(row) + "\n" for row in rows).encode())


@pytest.fixture
def open_images() -> typing.Iterator[PublishedServer]:
    """The validation split of Open Images: of six images two show an apple, one an orange, one a pineapple."""
    with PublishedServer() as server:
        ids = [f"{i:016x}" for i in range(1, 7)]
        shown = ["Apple", "Apple", "Orange", "Pineapple", None, None]
        boxes = [open_images_box(i, FRUIT[name]) for i, name in zip(ids, shown, strict=True) if name]
        images = [open_images_row(image_id, 5000 + n, split="validation") for n, image_id in enumerate(ids)]
        classes = [("LabelName", "DisplayName"), *((mid, name) for name, mid in FRUIT.items())]
        server.files |= {
            "/2018_04/validation/validation-images-with-rotation.csv": _csv(
                OPEN_IMAGES_HEADER, *([field.replace(",", "").replace('"', "") for field in row] for row in images)
            ),
            "/v5/validation-annotations-bbox.csv": _csv(BOX_HEADER, *boxes),
            "/v5/validation-annotations-human-imagelabels-boxable.csv": _csv(
                ("ImageID", "Source", "LabelName", "Confidence"), (ids[4], "verification", FRUIT["Apple"], "0")
            ),
            "/v7/oidv7-class-descriptions-boxable.csv": _csv(*classes),
            "/2018_04/bbox_labels_600_hierarchy.json": Served(json.dumps(HIERARCHY).encode()),
        }
        server.files |= {f"/validation/{image_id}.jpg": Served(picture(n)) for n, image_id in enumerate(ids)}
        yield server


def test_one_command_from_an_empty_directory_gives_the_photos_of_two_classes(
    open_images: PublishedServer, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["--open_images", "v7:validation", "--classes", "Apple,Orange", "--output", "fruit"]
    local = ["--mirror", f"open_images={open_images.url}", "--cache_dir", "cache", "--progress", "none"]
    assert build_dataset.main([*command, *local]) == 0
    table = pq.read_table("fruit/shards/000000.parquet")
    assert sorted(table["photo_id"].to_pylist()) == [5000, 5001, 5002]
    assert sorted(box["label"] for boxes in table["boxes"].to_pylist() for box in boxes) == ["Apple", "Apple", "Orange"]
    fetched = [asked.path for asked in open_images.asked if asked.path.endswith(".jpg")]
    assert len(fetched) == 3
    assert check_dataset.main(["fruit"]) == 0
    assert [show.main(["fruit", of]) for of in ("5000", f"{1:016x}", "5003")] == [0, 0, 1]
