"""Labels as arrays, against what the annotations say one by one."""

import json
import pathlib
import typing

import numpy as np
import pyarrow as pa
import pytest

from schemas.class_names import read_class_names
from schemas.coco_categories import COCO_CATEGORIES
from schemas.rows import ROW_SCHEMA
from transforms.text.label_maps import LabelMap, autotag_labels, coco_labels, open_images_labels
from transforms.text.labels import autotag_values, coco_values, one_hot, open_images_values

INSTANCES = "coco/Obmutescence_COCO-MINI/annotations/instances_{}2017.json"
CLASSES = "open_images/enjoy82_pytorch-ssd_c5931ee4/class-descriptions-boxable.csv"
HIERARCHY = "open_images/openimages_dataset/assets/bbox_hierarchy.json"


def rows_of(*photos: dict[str, typing.Any]) -> pa.Table:
    """Rows with the columns that labels are in."""
    names = ("boxes", "image_labels", "autotags")
    schema = pa.schema([ROW_SCHEMA.field(name) for name in names])
    return pa.Table.from_pylist([{name: photo.get(name, []) for name in names} for photo in photos], schema)


def coco_box(category: int, name: str | None = None) -> dict[str, typing.Any]:
    return {"source": "coco", "label_id": str(category), "label": name or COCO_CATEGORIES.get(category, "")}


def verdict(mid: str, confidence: float, annotator: str = "verification") -> dict[str, typing.Any]:
    return {"source": "open_images", "label_id": mid, "confidence": confidence, "annotator": annotator}


def test_categories_are_those_that_coco_publishes(shared_data: pathlib.Path):
    for split in ("train", "val"):
        published = json.loads((shared_data / INSTANCES.format(split)).read_text())["categories"]
        assert {c["id"]: c["name"] for c in published} == COCO_CATEGORIES


@pytest.mark.parametrize("keep_ids", [False, True])
def test_coco(shared_data: pathlib.Path, keep_ids: bool):
    file = json.loads((shared_data / INSTANCES.format("val")).read_text())
    images = [image["id"] for image in file["images"]]
    boxes = {i: [coco_box(a["category_id"]) for a in file["annotations"] if a["image_id"] == i] for i in images}
    labels = coco_labels(keep_ids)
    found = coco_values(rows_of(*({"boxes": boxes[i]} for i in images)), labels)
    assert found.values.shape == (len(images), 91 if keep_ids else 80)
    ids = sorted(COCO_CATEGORIES)
    for row, image in zip(found.values, images, strict=True):
        columns = {int(b["label_id"]) if keep_ids else ids.index(int(b["label_id"])) for b in boxes[image]}
        assert set(np.flatnonzero(row)) == columns
    assert found.values.dtype == np.uint8
    assert (found.unknown, found.by_machine) == (0, 0)


def test_coco_label_map():
    contiguous, original = coco_labels(False), coco_labels(True)
    assert [c.id for c in contiguous.classes] == list(range(80))
    assert [c.id for c in original.classes] == [int(c.original_id) for c in original.classes] == [*COCO_CATEGORIES]
    assert json.loads(contiguous.to_json())[79] == {"id": 79, "name": "toothbrush", "original_id": "90"}


def test_other_classes_and_other_sources_are_not_cocos():
    rows = rows_of({"boxes": [coco_box(1), coco_box(12, "hat"), coco_box(3, "lorry"), {**coco_box(2), "source": "x"}]})
    found = coco_values(rows, coco_labels(False))
    assert np.flatnonzero(found.values[0]).tolist() == [0]
    assert found.unknown == 2


def test_single_classes_are_one_hot():
    rows = rows_of({"boxes": [coco_box(3), coco_box(3)]}, {}, {"boxes": [coco_box(1), coco_box(3)]})
    found = coco_values(rows, coco_labels(False))
    assert found.class_ids.tolist() == [2, -1, -1]
    hot = one_hot(found.class_ids, 80)
    np.testing.assert_array_equal(hot[0], np.eye(80)[2])
    assert not hot[1:].any()


def below(tree: dict[str, typing.Any], above: tuple[str, ...] = ()) -> typing.Iterator[tuple[str, set[str]]]:
    """Each place of a class in the published tree, and the classes above it there, the root left out."""
    for child in tree.get("children", []):
        yield child["name"], set(above)
        yield from below(child, (*above, child["name"]))


def test_real_hierarchy_expands_as_the_challenge_does(shared_data: pathlib.Path):
    tree = json.loads((shared_data / HIERARCHY).read_text())
    class_names = read_class_names((shared_data / CLASSES).read_text())
    labels = open_images_labels(class_names, tree)
    mids = {name: mid for mid, name in class_names.items()}
    expected: dict[str, set[str]] = {}
    for name, above in below(tree):
        expected.setdefault(name, set()).update(above - {name})
    shown = sorted(name for name in expected if name in mids)
    assert labels.columns == 601
    assert len(shown) > 500
    photos = [{"image_labels": [verdict(mids[name], 1)]} for name in shown]
    found = open_images_values(rows_of(*photos), labels)
    for name, row, class_id in zip(shown, found.values, found.class_ids, strict=True):
        wanted = {mids[n] for n in {name, *expected[name]} if n in mids}
        assert {labels.classes[i].original_id for i in np.flatnonzero(row)} == wanted
        assert labels.classes[class_id].name == name
    denied = open_images_values(rows_of({"image_labels": [verdict(mids["Fruit"], 0)]}), labels)
    fruits = {name for name, above in expected.items() if "Fruit" in above and name in mids} | {"Fruit"}
    assert {labels.classes[i].name for i in np.flatnonzero(denied.absent[0])} == fruits
    assert not denied.values.any()


TREE = {
    "LabelName": "/m/0bl9f",
    "Subcategory": [
        {"LabelName": "/m/a", "Subcategory": [{"LabelName": "/m/b", "Subcategory": [{"LabelName": "/m/c"}]}]},
        {"LabelName": "/m/d", "Subcategory": [{"LabelName": "/m/b"}], "Part": [{"LabelName": "/m/p"}]},
    ],
}


def six(tree: object = TREE) -> LabelMap:
    return open_images_labels({f"/m/{x}": x.upper() for x in ("0bl9f", "a", "b", "c", "d", "p")}, tree)


def names_in(row: np.ndarray) -> str:
    return "".join(c.name.lower() for c in six().classes if row[c.id])


@pytest.mark.parametrize(
    ("mid", "present", "absent"),
    [
        ("/m/a", "a", "abc"),
        ("/m/b", "abd", "bc"),
        ("/m/c", "abc", "c"),
        ("/m/d", "d", "bd"),
        ("/m/p", "p", "p"),
        ("/m/0bl9f", "0bl9f", "0bl9f"),
    ],
)
def test_expansion_by_place_without_root_and_parts(mid: str, present: str, absent: str):
    """c stands below b at the first place of b alone, so that d does not follow from it."""
    rows = rows_of({"image_labels": [verdict(mid, 1)]}, {"image_labels": [verdict(mid, 0)]})
    found = open_images_values(rows, six())
    assert names_in(found.values[0]) == present
    assert names_in(found.absent[1]) == absent
    assert not found.values[1].any()
    assert not found.absent[0].any()


def test_without_a_hierarchy_nothing_follows():
    rows = rows_of({"image_labels": [verdict("/m/c", 1)], "boxes": [{"source": "open_images", "label_id": "/m/p"}]})
    found = open_images_values(rows, six(None))
    assert names_in(found.values[0]) == "cp"


def test_machines_and_unknown_classes_do_not_count():
    image_labels = [verdict("/m/a", 0.9, "machine"), verdict("/m/a", 1, "machine"), verdict("/m/zz", 1)]
    found = open_images_values(rows_of({"image_labels": image_labels}), six())
    assert not found.values.any()
    assert (found.unknown, found.by_machine) == (1, 2)


def test_autotags_have_their_scores():
    tags = [[("dog", 0.9), ("dune", 0.51), ("dog", 0.7)], [], [("sky", 0.8), ("dog", 0.8)], [("cat", 1.0)]]
    rows = rows_of(*({"autotags": [{"name": n, "score": s} for n, s in photo]} for photo in tags))
    labels = autotag_labels(["sky", "dog", "dune", "dog"])
    assert [c.name for c in labels.classes] == ["dog", "dune", "sky"]
    found = autotag_values(rows, labels)
    expected = np.array([[0.9, 0.51, 0], [0, 0, 0], [0.8, 0, 0.8], [0, 0, 0]], np.float32)
    np.testing.assert_array_equal(found.values, expected)
    assert found.values.dtype == np.float32
    assert found.class_ids.tolist() == [0, -1, -1, -1]
    assert found.unknown == 1


def test_no_photos_and_no_classes():
    empty = rows_of()
    assert coco_values(empty, coco_labels(False)).values.shape == (0, 80)
    assert open_images_values(empty, six()).absent.shape == (0, 6)
    assert autotag_values(empty, autotag_labels([])).values.shape == (0, 0)
    assert autotag_values(rows_of({}), autotag_labels([])).class_ids.tolist() == [-1]
