"""`--classes`, `--split` and their kin in whole jobs, on COCO files made here."""

import json
import pathlib
import random
import typing

import pyarrow.dataset as ds
import pytest

from beam_jobs import build_dataset, check_dataset, join_metadata
from schemas import layout
from schemas.records import CommitRecord, Plan
from tests.fault_server import Answer, FaultServer
from tests.jobs.conftest import picture, write_lines
from tests.source_files import BOX_HEADER, OPEN_IMAGES_HEADER, open_images_box, open_images_row, write_csv
from tests.yfcc_corpus import dataset_line, mirror_path

Json = dict[str, typing.Any]
CATEGORIES = {1: "cat", 2: "hot dog", 3: "cow"}
PHOTOS = 60


def _image(number: int) -> Json:
    split = ("train2017", "val2017", "train2014", "")[number % 4]
    return {
        "id": number, "width": 64, "height": 48, "file_name": f"{number:012d}.jpg",
        "flickr_url": f"http://farm1.staticflickr.com/1/{1_000 + number}_ab_z.jpg",
        **({"coco_url": f"http://images.cocodataset.org/{split}/{number:012d}.jpg"} if split else {}),
    }  # fmt: skip


def _annotations() -> list[Json]:
    """Every third photo has a cat, every fifth a hot dog, the eleventh a cow; many have several."""
    wanted = [(n, c) for n in range(PHOTOS) for c, step in ((1, 3), (1, 6), (2, 5), (3, 11)) if n % step == 0]
    outline = {"bbox": [1, 1, 9, 9], "area": 81, "iscrowd": 0, "segmentation": [[1, 1, 10, 1, 10, 10]]}
    return [{"id": i, "image_id": n, "category_id": c, **outline} for i, (n, c) in enumerate(wanted, 1)]


@pytest.fixture
def coco(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "in/instances.json"
    path.parent.mkdir()
    write_coco(path)
    return path


def write_coco(path: pathlib.Path, seed: int = 0) -> None:
    images, annotations = [_image(n) for n in range(PHOTOS)], _annotations()
    random.Random(seed).shuffle(images)
    random.Random(seed).shuffle(annotations)
    categories = [{"id": i, "name": name, "supercategory": "animal"} for i, name in CATEGORIES.items()]
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))


def join(source: pathlib.Path, output: pathlib.Path, *flags: typing.Any) -> int:
    arguments = ["--coco", source, "--output", output, "--progress", "none", "--samples_per_shard", 10, *flags]
    return join_metadata.main([str(a) for a in arguments])


def rows_of(output: pathlib.Path) -> list[Json]:
    rows: list[Json] = ds.dataset(output / "rows").to_table().sort_by("photo_id").to_pylist()
    return rows


def ids_of(output: pathlib.Path) -> list[int]:
    return [row["photo_id"] for row in rows_of(output)]


def plan_of(output: pathlib.Path) -> Plan:
    return Plan.from_json((output / layout.PLAN).read_bytes(), "plan.json")


@pytest.mark.parametrize(
    ("classes", "step"), [("cat", 3), ("CAT", 3), ("1", 3), ("Hot  Dog", 5), (" cow , cow", 11), ("2", 5)]
)
def test_photos_with_a_class_are_kept(coco: pathlib.Path, tmp_path: pathlib.Path, classes: str, step: int) -> None:
    assert join(coco, tmp_path / "out", "--classes", classes) == 0
    kept = range(1_000, 1_000 + PHOTOS, step)
    assert ids_of(tmp_path / "out") == list(kept)
    plan = plan_of(tmp_path / "out")
    assert plan.shards == -(-len(kept) // 10)
    assert plan.counts["rows"] == PHOTOS - plan.counts["removed_by_filters"] == len(kept)
    assert {b["label"] for r in rows_of(tmp_path / "out") for b in r["boxes"]} == set(CATEGORIES.values())


def test_several_classes_and_only_their_annotations(coco: pathlib.Path, tmp_path: pathlib.Path) -> None:
    join(coco, tmp_path / "all", "--where", "true")
    join(coco, tmp_path / "out", "--classes", "cat,hot dog", "--only_these_classes", "--where", "len(boxes) > 1")
    expected = [r for r in rows_of(tmp_path / "all") if len(r["boxes"]) > 1]
    for row in expected:
        for column in ("boxes", "segments"):
            row[column] = [e for e in row[column] if e["label"] != "cow"]
    assert rows_of(tmp_path / "out") == [row for row in expected if row["boxes"]]
    assert any(len(row["boxes"]) == 1 for row in rows_of(tmp_path / "out"))


@pytest.mark.parametrize("flags", [("--per_class_limit", 4), ("--per_class_limit", 6, "--limit", 9)])
def test_limits_choose_the_same_rows_for_any_buckets_and_order(
    coco: pathlib.Path, tmp_path: pathlib.Path, flags: tuple[typing.Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    classes = ("--classes", "cat,hot dog,cow", "--samples_per_shard", 4)
    assert join(coco, tmp_path / "a", *classes, *flags) == 0
    write_coco(coco, seed=9)
    monkeypatch.setattr("transforms.sources.find_inputs.BUCKET_BYTES", 500)
    assert join(coco, tmp_path / "b", *classes, *flags) == 0
    files = sorted(p.name for p in (tmp_path / "a/rows").iterdir())
    assert files == sorted(p.name for p in (tmp_path / "b/rows").iterdir())
    assert all((tmp_path / "a/rows" / f).read_bytes() == (tmp_path / "b/rows" / f).read_bytes() for f in files)
    rows = rows_of(tmp_path / "a")
    assert len(rows) == 9 if "--limit" in flags else 4 <= len(rows) <= 12
    assert len(files) == -(-len(rows) // 4)
    for name in CATEGORIES.values():
        having = [r for r in rows if any(b["label"] == name for b in r["boxes"])]
        assert len(having) >= (0 if "--limit" in flags else 4)


TREE = {"LabelName": "/m/0bl9f", "Subcategory": [
    {"LabelName": "/m/fruit", "Subcategory": [{"LabelName": "/m/apple"}], "Part": [{"LabelName": "/m/stem"}]},
    {"LabelName": "/m/pineapple"},
]}  # fmt: skip
LABEL_HEADER = ("ImageID", "Source", "LabelName", "Confidence")


@pytest.fixture
def open_images(tmp_path: pathlib.Path) -> pathlib.Path:
    """Photos 1 to 6 with boxes, 7 to 9 with image labels."""
    folder = tmp_path / "open_images"
    ids = [f"{number:016x}" for number in range(10)]
    splits = ["train", "validation", "test"]
    images = [open_images_row(ids[i], i, split=splits[i % 3]) for i in range(1, 10)]
    write_csv(folder / "images.csv", OPEN_IMAGES_HEADER, *images)
    labels = ["/m/fruit", "/m/apple", "/m/pineapple", "/m/stem", "/m/orange", "/m/apple"]
    boxes = [open_images_box(ids[i], label) for i, label in enumerate(labels, 1)]
    write_csv(folder / "boxes.csv", BOX_HEADER, *boxes, open_images_box(ids[6], "/m/orange"))
    signs = [("verification", "1"), ("verification", "0"), ("machine", "0.8")]
    lines = [(ids[i], source, "/m/apple", confidence) for i, (source, confidence) in enumerate(signs, 7)]
    write_csv(folder / "labels.csv", LABEL_HEADER, *lines)
    names = ["/m/fruit,Fruit", "/m/apple,Apple", "/m/pineapple,Pineapple", "/m/stem,Stem", "/m/orange,Orange"]
    write_lines(folder / "classes.csv", names)
    (folder / "hierarchy.json").write_text(json.dumps(TREE))
    return folder


def join_open_images(folder: pathlib.Path, output: pathlib.Path, *flags: typing.Any) -> int:
    arguments = ["--open_images", folder, "--output", output, "--progress", "none", *flags]
    return join_metadata.main([str(a) for a in arguments])


@pytest.mark.parametrize(
    ("flags", "kept"),
    [
        (["Apple,ORANGE"], [2, 5, 6, 7]),
        (["fruit"], [1, 2, 6, 7]),
        (["/m/0bl9f"], [1, 2, 3, 6, 7]),
        (["Apple", "--class_evidence", "boxes"], [2, 6]),
        (["Apple", "--class_evidence", "machine", "--min_confidence", 0.8], [9]),
        (["Apple", "--class_evidence", "machine", "--min_confidence", 0.9], []),
        (["Apple", "--class_evidence", "boxes,human,machine"], [2, 6, 7, 9]),
        (["Apple", "--split", "val"], [7]),
    ],
)
def test_classes_of_open_images(
    open_images: pathlib.Path, tmp_path: pathlib.Path, flags: list[typing.Any], kept: list[int]
) -> None:
    assert join_open_images(open_images, tmp_path / "out", "--classes", *flags) == 0
    assert plan_of(tmp_path / "out").counts["rows"] == len(kept)
    assert not kept or ids_of(tmp_path / "out") == kept


def test_annotations_of_other_classes_are_left_out(open_images: pathlib.Path, tmp_path: pathlib.Path) -> None:
    assert join_open_images(open_images, tmp_path / "out", "--classes", "apple", "--only_these_classes") == 0
    labels = {row["photo_id"]: [b["label"] for b in row["boxes"]] for row in rows_of(tmp_path / "out")}
    assert labels == {2: ["Apple"], 6: ["Apple"], 7: []}


def test_without_lists_of_classes_ids_stand(
    open_images: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (open_images / "classes.csv").unlink()
    assert join_open_images(open_images, tmp_path / "out", "--classes", "Apple") == 2
    assert "no class is known as 'Apple'. Classes are named by class-descriptions" in capsys.readouterr().err
    assert join_open_images(open_images, tmp_path / "out", "--classes", "/m/fruit") == 0
    assert ids_of(tmp_path / "out") == [1, 2, 6, 7]


def test_without_a_list_of_images_the_split_is_that_of_the_flag(
    open_images: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (open_images / "images.csv").unlink()
    assert join_open_images(open_images, tmp_path / "out", "--split", "validation") == 0
    assert {row["open_images_split"] for row in rows_of(tmp_path / "out")} == {"validation"}
    assert join_open_images(open_images, tmp_path / "many", "--by_split") == 2
    assert "nothing says which split the images of" in capsys.readouterr().err
    assert not (tmp_path / "many").exists()
    for name in ("boxes", "labels"):
        (open_images / f"{name}.csv").rename(open_images / f"train-{name}.csv")
    assert join_open_images(open_images, tmp_path / "many", "--by_split") == 0
    assert [p.name for p in (tmp_path / "many").iterdir()] == ["train"]
    for repair in ([], ["--repair"]):
        assert check_dataset.main([str(tmp_path / "many"), *repair]) == 2
        assert f"holds no dataset: neither plan.json nor manifest.json is there; name {tmp_path}/many/train\n" in (
            capsys.readouterr().err
        )


def test_autotags_count_only_where_they_are_asked_for(tmp_path: pathlib.Path) -> None:
    rnd = random.Random(1)
    packs = tmp_path / "packs"
    write_lines(packs / "yfcc100m_dataset", [dataset_line(i, 100 + i, rnd) for i in range(4)])
    write_lines(packs / "yfcc100m_autotags", ["100\tdog:0.9", "101\tDog:0.6,cat:0.9", "102\tbulldog:0.9", "103\t"])
    flags = ["--yfcc", packs, "--output", tmp_path / "out", "--progress", "none", "--classes", "dog"]
    by_tags = ["--class_evidence", "autotags", "--min_confidence", 0.8]
    assert join_metadata.main([str(f) for f in flags]) == 2
    assert not (tmp_path / "out").exists()
    assert join_metadata.main([str(f) for f in (*flags, *by_tags[:2])]) == 0
    assert ids_of(tmp_path / "out") == [100, 101]
    assert join_metadata.main([str(f) for f in (*flags, *by_tags)]) == 0
    assert ids_of(tmp_path / "out") == [100]


@pytest.mark.parametrize(
    ("split", "kept"),
    [("train", {0, 2}), ("val", {1}), ("dev", {1}), ("VALIDATION", {1}), ("train2014", {2}), ("val2014", set())],
)
def test_photos_of_a_split_are_kept(coco: pathlib.Path, tmp_path: pathlib.Path, split: str, kept: set[int]) -> None:
    assert join(coco, tmp_path / "out", "--split", split) == 0
    assert not kept or ids_of(tmp_path / "out") == [1_000 + n for n in range(PHOTOS) if n % 4 in kept]
    assert plan_of(tmp_path / "out").counts["rows"] == PHOTOS // 4 * len(kept)


@pytest.fixture
def build_flags(coco: pathlib.Path, tmp_path: pathlib.Path, mirror: FaultServer) -> list[typing.Any]:
    """A build whose photos are YFCC's, of which COCO knows the first."""
    rnd = random.Random(2)
    lines = [dataset_line(i, 1_000 + i, rnd) for i in range(PHOTOS + 5)]
    for i, line in enumerate(lines):
        mirror.answers[mirror_path(line)] = Answer(picture(i))
    packs = write_lines(tmp_path / "packs/yfcc100m_dataset", lines)
    return ["--yfcc", packs, "--coco", coco, "--mirror", f"yfcc={mirror.url}", "--progress", "none",
            "--samples_per_shard", 8, "--workers", 1]  # fmt: skip


def build(*flags: typing.Any) -> int:
    return build_dataset.main([str(f) for f in flags])


def test_one_dataset_for_each_split(
    build_flags: list[typing.Any],
    tmp_path: pathlib.Path,
    mirror: FaultServer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flags = [*build_flags, "--output", tmp_path / "out", "--classes", "cat", "--by_split"]
    assert build(*flags) == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["train", "validation"]
    assert ids_of(tmp_path / "out/train") == [1_000 + n for n in range(0, PHOTOS, 3) if n % 4 in (0, 2)]
    assert ids_of(tmp_path / "out/validation") == [1_000 + n for n in range(0, PHOTOS, 3) if n % 4 == 1]
    assert "no photo is in split test" in caplog.text
    assert "20 photos are in no split" in caplog.text
    assert [check_dataset.main([str(tmp_path / "out" / split)]) for split in ("train", "validation")] == [0, 0]
    assert build(*build_flags, "--output", tmp_path / "one", "--classes", "cat", "--split", "train") == 0
    commits = [(tmp_path / f / layout.commit_file(0)).read_bytes() for f in ("one", "out/train")]
    assert commits[0] == commits[1]
    mirror.asked.clear()
    assert build(*flags) == 0
    assert mirror.asked == []


def test_other_classes_redo_only_the_shards_that_change(
    build_flags: list[typing.Any], tmp_path: pathlib.Path, mirror: FaultServer
) -> None:
    output = tmp_path / "out"
    flags = [*build_flags, "--output", output, "--samples_per_shard", 2]
    assert build(*flags, "--classes", "cat") == 0
    before = _commits(output)
    mirror.asked.clear()
    assert build(*flags, "--classes", "cat,cow") == 0
    assert check_dataset.main([str(output)]) == 0
    changed = [new.rows for old, new in zip(before, _commits(output), strict=True) if old != new]
    assert 0 < len(changed) < len(before)
    assert len(mirror.asked) == sum(changed)
    mirror.asked.clear()
    for same in ("cat,cow", "1,3"):
        assert build(*flags, "--classes", same) == 0
    assert mirror.asked == []


def _commits(output: pathlib.Path) -> list[CommitRecord]:
    return [CommitRecord.from_json(p.read_bytes(), p.name) for p in sorted((output / "commits").iterdir())]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--classes", "caat"], "--classes: none of the 3 known classes is 'caat'; did you mean cat?"),
        (["--classes", "cat,hotdog"], "'hotdog'; did you mean hot dog? Classes are named by class-descriptions"),
        (["--classes", "/m/014j1m"], "'/m/014j1m'"),
        (["--classes", " ,"], "--classes ' ,' names none; give names or ids with commas between them"),
        (["--classes", "cat", "--class_evidence", "boxes,people"], "--class_evidence boxes,people: 'people' is none"),
        (["--classes", "cat", "--class_evidence", "autotags"], "no yfcc100m_autotags among the files of --yfcc"),
        (["--classes", "cat", "--min_confidence", "2"], "argument --min_confidence: 2 is not a number from 0 to 1"),
        (["--classes", "cat", "--min_confidence", "0.7"], "--min_confidence has no effect without machine or autotags"),
        (["--classes", "cat", "--per_class_limit", "0"], "argument --per_class_limit: 0 is not a positive number"),
        (["--per_class_limit", "5"], "--per_class_limit has no effect without --classes; name some"),
        (["--only_these_classes"], "--only_these_classes has no effect without --classes; name some"),
        (["--class_evidence", "human"], "--class_evidence has no effect without --classes; name some"),
        (["--split", "valid"], "argument --split: 'valid' is no split; did you mean validation?"),
        (["--split", "train", "--by_split"], "--split train and --by_split exclude each other; leave one out"),
    ],
)  # fmt: skip
def test_bad_values_are_refused_before_anything_is_written(
    coco: pathlib.Path,
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    message: str,
) -> None:
    assert join(coco, tmp_path / "out", *flags) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_single_dataset_takes_no_splits_and_splits_no_dataset(
    coco: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert join(coco, tmp_path / "one") == join(coco, tmp_path / "many", "--by_split") == 0
    assert join(coco, tmp_path / "one", "--by_split") == join(coco, tmp_path / "many") == 2
    errors = capsys.readouterr().err
    assert "holds something else than splits" in errors
    assert "holds something else (train, validation)" in errors


def test_classes_may_be_a_list_in_a_config_file(coco: pathlib.Path, tmp_path: pathlib.Path) -> None:
    config = tmp_path / "flags.yaml"
    config.write_text("classes: [hot dog, cow]\nper_class_limit: 100\n")
    assert join(coco, tmp_path / "out", "--config", config) == 0
    assert ids_of(tmp_path / "out") == [1_000 + n for n in range(PHOTOS) if n % 5 == 0 or n % 11 == 0]
