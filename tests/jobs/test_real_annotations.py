"""The published files through `photobeam join`: every annotation is that of an independent reader."""

import collections
import csv
import pathlib
import typing

import pytest
import yaml
from pycocotools import mask
from pycocotools.coco import COCO

from beam_jobs import export_annotations
from schemas.surrogate_ids import surrogate_id
from tests.jobs.test_join_sources import counts_of, join, rows_of

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

Json = dict[str, typing.Any]


@pytest.fixture(scope="module")
def coco_output(shared_data: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    output = tmp_path_factory.mktemp("coco") / "out"
    assert join(output, {"coco": shared_data / "coco/Obmutescence_COCO-MINI/annotations"}) == 0
    return output


@pytest.fixture(scope="module")
def coco_rows(coco_output: pathlib.Path) -> dict[int, Json]:
    return rows_of(coco_output)


@pytest.fixture(scope="module")
def coco_files(shared_data: pathlib.Path) -> list[COCO]:
    return [
        COCO(str(path)) for path in sorted((shared_data / "coco/Obmutescence_COCO-MINI/annotations").glob("*.json"))
    ]


def _photo_of(image: Json) -> int:
    return int(image["flickr_url"].rsplit("/", 1)[1].split("_")[0])


def test_every_photo_of_coco_is_a_row(coco_rows: dict[int, Json], coco_files: list[COCO]) -> None:
    images = {_photo_of(image): image for coco in coco_files for image in coco.imgs.values()}
    assert coco_rows.keys() == images.keys()
    for photo_id, image in images.items():
        (copy,) = coco_rows[photo_id]["copies"]
        stated = (image["id"], image["width"], image["height"], image["file_name"], image["coco_url"])
        assert (int(copy["image_id"]), copy["width"], copy["height"], copy["file_name"], copy["url"]) == stated
        assert coco_rows[photo_id]["coco_image_id"] == image["id"]


def test_every_annotation_of_coco_is_there_once(coco_rows: dict[int, Json], coco_files: list[COCO]) -> None:
    expected: dict[str, dict[int, set[int]]] = collections.defaultdict(lambda: collections.defaultdict(set))
    for coco in coco_files:
        for annotation in coco.anns.values():
            photo_id = _photo_of(coco.imgs[annotation["image_id"]])
            columns = ["captions"] if "caption" in annotation else ["boxes", "segments"]
            for column in [*columns, *(["keypoints"] if "keypoints" in annotation else [])]:
                expected[column][photo_id].add(annotation["id"])
    for column, ids in expected.items():
        name = "caption_id" if column == "captions" else "annotation_id"
        got = {photo_id: [e[name] for e in row[column]] for photo_id, row in coco_rows.items() if row[column]}
        assert got == {photo_id: sorted(found) for photo_id, found in ids.items()}, column


def test_boxes_and_categories_of_coco_are_those_published(coco_rows: dict[int, Json], coco_files: list[COCO]) -> None:
    boxes = {box["annotation_id"]: box for row in coco_rows.values() for box in row["boxes"]}
    for coco in coco_files:
        for annotation in coco.anns.values():
            if "bbox" in annotation:
                box = boxes[annotation["id"]]
                x, y, width, height = annotation["bbox"]
                assert [box[e] for e in ("xmin", "ymin", "xmax", "ymax")] == [x, y, x + width, y + height]
                assert box["label"] == coco.cats[annotation["category_id"]]["name"]
                assert box["area"] == pytest.approx(annotation["area"], rel=1e-9)
                assert box["is_crowd"] == annotation["iscrowd"]


def test_coco_is_exported_as_it_was_published(
    coco_output: pathlib.Path, coco_files: list[COCO], tmp_path: pathlib.Path
) -> None:
    assert export_annotations.main([str(coco_output), "--to", "coco", "--output", str(tmp_path / "coco")]) == 0
    exported = [COCO(str(path)) for path in sorted((tmp_path / "coco/annotations").glob("*.json"))]
    assert len(exported) == len(coco_files) == 6
    for ours, theirs in zip(exported, coco_files, strict=True):
        sides = ("file_name", "width", "height")
        assert {i: [image[side] for side in sides] for i, image in ours.imgs.items()} == {
            i: [image[side] for side in sides] for i, image in theirs.imgs.items()
        }
        assert {i: cat["name"] for i, cat in ours.cats.items()} == {i: cat["name"] for i, cat in theirs.cats.items()}
        assert ours.anns.keys() == {*range(1, len(theirs.anns) + 1)}
        own = {annotation["source_id"]: annotation for annotation in ours.anns.values()}
        assert own.keys() == theirs.anns.keys()
        for annotation_id, published in theirs.anns.items():
            assert _comparable(own[annotation_id]) == _comparable(published)


def _comparable(annotation: Json) -> Json:
    """An annotation without its id, numbers as the export rounds them, masks as they are painted."""
    segmentation = annotation.get("segmentation")
    if isinstance(segmentation, dict):
        is_text = isinstance(segmentation["counts"], str)
        rle = segmentation if is_text else mask.frPyObjects(segmentation, *segmentation["size"])
        segmentation = mask.decode(rle).tolist()
    elif segmentation:
        segmentation = [[round(value, 4) for value in polygon] for polygon in segmentation]
    fields = ("image_id", "category_id", "iscrowd", "keypoints", "num_keypoints")
    return {
        **{field: annotation.get(field) for field in fields},
        "caption": annotation.get("caption", "").strip(),
        "bbox": [round(value, 4) for value in annotation.get("bbox", ())],
        "area": pytest.approx(annotation.get("area", 0), rel=1e-9),
        "segmentation": segmentation,
    }


def test_yolo_lines_of_open_images_are_the_published_boxes(
    open_images_output: pathlib.Path, shared_data: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    assert export_annotations.main([str(open_images_output), "--to", "yolo", "--output", str(tmp_path / "yolo")]) == 0
    names = yaml.safe_load((tmp_path / "yolo/data.yaml").read_text())["names"]
    found, wanted = collections.defaultdict(set), collections.defaultdict(set)
    for path in (tmp_path / "yolo/labels").rglob("*.txt"):
        for line in path.read_text().splitlines():
            number, *place = line.split()
            found[path.stem].add((names[int(number)], *place))
    classes, boxes = _open_images_files(shared_data)
    of_mid = dict(csv.reader(classes.open()))
    for row in csv.DictReader(boxes.open()):
        x, y, right, bottom = (float(row[edge]) for edge in ("XMin", "YMin", "XMax", "YMax"))
        place = ((x + right) / 2, (y + bottom) / 2, right - x, bottom - y)
        wanted[row["ImageID"]].add((of_mid[row["LabelName"]], *(f"{value:.6f}" for value in place)))
    assert found == wanted


def _open_images_files(shared_data: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """Names of classes, and boxes."""
    folder = shared_data / "open_images"
    classes = next(folder.glob("enjoy82*/class-descriptions-boxable.csv"))
    return classes, folder / "sysaster_dataset/data/test-annotations-bbox.csv"


@pytest.fixture(scope="module")
def open_images_output(shared_data: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    output = tmp_path_factory.mktemp("open_images") / "out"
    classes, boxes = _open_images_files(shared_data)
    assert join(output, {"open_images": boxes}, "--open_images", classes) == 0
    return output


def test_every_box_of_open_images_is_there(open_images_output: pathlib.Path, shared_data: pathlib.Path) -> None:
    classes, boxes = _open_images_files(shared_data)
    names = dict(csv.reader(classes.open()))
    published = collections.defaultdict(list)
    for row in csv.DictReader(boxes.open()):
        edges = tuple(float(row[edge]) for edge in ("XMin", "YMin", "XMax", "YMax"))
        flags = tuple(int(row[f]) for f in ("IsOccluded", "IsTruncated", "IsGroupOf", "IsDepiction", "IsInside"))
        published[surrogate_id("open_images", row["ImageID"])].append((names[row["LabelName"]], *edges, *flags))
    fields = ("label", "xmin", "ymin", "xmax", "ymax", "is_occluded", "is_truncated", "is_group_of", "is_depiction",
              "is_inside")  # fmt: skip
    got = {i: sorted(tuple(b[f] for f in fields) for b in r["boxes"]) for i, r in rows_of(open_images_output).items()}
    assert got == {photo_id: sorted(set(found)) for photo_id, found in published.items()}
    assert counts_of(open_images_output)["open_images_boxes_collapsed"] == sum(
        len(found) - len(set(found)) for found in published.values()
    )


def test_every_flickr_id_of_open_images_is_found(shared_data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    images = shared_data / "open_images/transcribed/images-with-rotation_3rows.csv"
    assert join(tmp_path / "out", {"open_images": images}) == 0
    rows = list(csv.DictReader(images.open()))
    expected = {int(r["OriginalURL"].rsplit("/", 1)[1].split("_")[0]): r["ImageID"] for r in rows}
    assert {photo_id: row["open_images_id"] for photo_id, row in rows_of(tmp_path / "out").items()} == expected


def test_every_caption_and_split_of_flickr8k_is_there(shared_data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    folder = shared_data / "flickr8k"
    token, dev = folder / "Flickr8k.token.first2000.txt", folder / "Flickr_8k.devImages.first300.txt"
    assert join(tmp_path / "out", {"flickr8k": token}, "--flickr8k", dev) == 0
    published = collections.defaultdict(list)
    for line in token.read_text().splitlines():
        name, text = line.split("\t", 1)
        published[int(name.split("_")[0])].append(text.strip())
    rows = rows_of(tmp_path / "out")
    assert {i: [c["text"] for c in r["captions"]] for i, r in rows.items() if r["captions"]} == published
    in_dev = {int(name.split("_")[0]) for name in dev.read_text().split()}
    assert {i for i, r in rows.items() if r["flickr8k_split"] == "dev"} == in_dev
