"""Which labels a class stands for that is asked for by name or id."""

import json
import pathlib
import re

import pytest

from schemas.class_hierarchy import Hierarchy
from schemas.classes import ChosenClass, KnownClasses, Label, UnknownClassError
from schemas.sources import Source
from schemas.splits import UnknownSplitError, read_split, split_pattern
from transforms.join.filter_rows import RowSelection
from transforms.join.read_classes import choose_classes
from transforms.sources.input_files import InputError, InputFile

NAMES = {
    "/m/fruit": "Fruit", "/m/apple": "Apple", "/m/pine": "Pineapple", "/m/clock": "Alarm clock", "/m/bat1": "Bat",
    "/m/bat2": "Bat", "/m/wheel": "Wheel", "/m/car": "Car",
}  # fmt: skip
TREE = {"/m/root": {"/m/fruit", "/m/car"}, "/m/fruit": {"/m/apple", "/m/pine"}, "/m/apple": set(), "/m/pine": set(),
        "/m/car": set(), "/m/wheel": set()}  # fmt: skip
COCO = [("53", "apple"), ("3", "car"), ("7", "53")]


def oi(*mids: str) -> list[Label]:
    return [Label("open_images", mid) for mid in mids]


def ids(chosen: ChosenClass) -> list[str]:
    return [label.label_id for label in chosen.labels]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Apple", ["53", "/m/apple"]),
        ("aPPLE", ["53", "/m/apple"]),
        ("pineapple", ["/m/pine"]),
        ("alarm CLOCK", ["/m/clock"]),
        ("bat", ["/m/bat1", "/m/bat2"]),
        ("fruit", ["/m/apple", "/m/fruit", "/m/pine"]),
        ("/m/FRUIT", ["/m/apple", "/m/fruit", "/m/pine"]),
        ("/m/root", ["/m/apple", "/m/car", "/m/fruit", "/m/pine", "/m/root"]),
        ("Car", ["3", "/m/car"]),
        ("53", ["53", "7"]),
    ],
)
def test_a_class_is_known_by_name_or_id_in_any_case_with_its_subclasses(name: str, expected: list[str]) -> None:
    chosen = KnownClasses(NAMES, [Hierarchy(TREE)], COCO).choose(name)
    assert (chosen.name, ids(chosen)) == (name, expected)


def test_categories_of_coco_are_known_by_id_and_name() -> None:
    known = KnownClasses({}, coco=[("1", "cat"), ("1", "dog"), ("2", "dog")])
    assert known.choose("dog").labels == (Label("coco", "1", "dog"), Label("coco", "2", "dog"))
    assert known.choose("1").labels == (Label("coco", "1", "cat"), Label("coco", "1", "dog"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Aple", "none of the 8 known classes is 'Aple'; did you mean Apple"),
        ("alarmclock", "did you mean Alarm clock?"),
        ("zzz", "Classes are named by class-descriptions-boxable.csv"),
        ("/m/nobody", "none of the 8 known"),
        ("Appl", "Apple"),
    ],
)
def test_an_unknown_class_is_refused_with_suggestions(name: str, message: str) -> None:
    with pytest.raises(UnknownClassError, match=re.escape(message)):
        KnownClasses(NAMES, coco=COCO).choose(name)


def test_without_lists_of_classes_ids_are_taken_and_names_refused() -> None:
    known = KnownClasses({}, [Hierarchy(TREE)], any_mid=True)
    assert ids(known.choose("/m/fruit")) == ["/m/apple", "/m/fruit", "/m/pine"]
    assert ids(known.choose("/m/other")) == ["/m/other"]
    with pytest.raises(UnknownClassError, match="class-descriptions-boxable.csv"):
        known.choose("Fruit")
    with pytest.raises(UnknownClassError, match="no class is known as 'Fruit'"):
        KnownClasses({}).choose("Fruit")


def test_autotags_take_any_name_and_those_of_subclasses() -> None:
    known = KnownClasses(NAMES, [Hierarchy(TREE)], any_name=True)
    tags = [label.label_id for label in known.choose("Fruit").labels if label.source == "yfcc"]
    assert tags == ["apple", "fruit", "pineapple"]
    assert known.choose("Sunset").labels == (Label("yfcc", "sunset"),)


def _file(path: pathlib.Path, source: Source, kind: str, text: str) -> InputFile:
    path.write_text(text)
    return InputFile(str(path), source, kind, 0, len(text), False, "")


def test_classes_are_read_from_files(tmp_path: pathlib.Path) -> None:
    tree = {"LabelName": "/m/fruit", "Subcategory": [{"LabelName": "/m/apple"}], "Part": [{"LabelName": "/m/wheel"}]}
    files = [
        _file(tmp_path / "n.csv", Source.OPEN_IMAGES, "class_names", "/m/fruit,Fruit\n/m/apple,Apple\n/m/wheel,Wheel"),
        _file(tmp_path / "h.json", Source.OPEN_IMAGES, "hierarchy", json.dumps(tree)),
        _file(
            tmp_path / "c.json",
            Source.COCO,
            "annotations",
            json.dumps({"annotations": [{"a": 1}], "categories": [{"id": 5, "name": "apple"}], "images": []}),
        ),
        _file(tmp_path / "d.json", Source.COCO, "annotations", json.dumps({"images": []})),
    ]
    fruit, apple = choose_classes(RowSelection(classes=("fruit", "apple")), files)
    assert fruit.labels == tuple(oi("/m/apple", "/m/fruit"))
    assert apple.labels == (Label("coco", "5", "apple"), *oi("/m/apple"))
    assert choose_classes(RowSelection(), []) == ()
    with pytest.raises(InputError, match="--classes: none of the 3 known classes is 'Frut'; did you mean Fruit"):
        choose_classes(RowSelection(classes=("Frut",)), files)


def test_names_by_a_tree_of_names(tmp_path: pathlib.Path) -> None:
    tree = {"name": "Fruit", "children": [{"name": "Apple"}]}
    files = [
        _file(tmp_path / "n.csv", Source.OPEN_IMAGES, "class_names", "/m/fruit,Fruit\n/m/apple,Apple\n"),
        _file(tmp_path / "h.json", Source.OPEN_IMAGES, "hierarchy", json.dumps(tree)),
    ]
    assert choose_classes(RowSelection(classes=("fruit",)), files)[0].labels == tuple(oi("/m/apple", "/m/fruit"))


def test_what_cannot_be_read_is_refused(tmp_path: pathlib.Path) -> None:
    damaged = _file(tmp_path / "c.json", Source.COCO, "annotations", '{"annotations": [{"a": ')
    with pytest.raises(InputError, match=r"--classes: .*c\.json"):
        choose_classes(RowSelection(classes=("dog",)), [damaged])
    with pytest.raises(InputError, match="no yfcc100m_autotags among the files"):
        choose_classes(RowSelection(classes=("dog",), class_evidence=("autotags",)), [])


@pytest.mark.parametrize(
    ("name", "matching", "others"),
    [
        ("TRAIN", ["train", "train2014", "train2017"], ["val", "test", "training"]),
        ("val", ["val2017", "validation", "dev", "val"], ["train2017", "test"]),
        ("dev", ["val2017", "dev"], ["device"]),
        ("test", ["test", "test2015"], ["dev"]),
        ("val2014", ["val2014"], ["val2017", "validation"]),
        ("train2017", ["train2017"], ["train", "train2014"]),
    ],
)
def test_splits_are_known_by_the_names_of_all_sources(name: str, matching: list[str], others: list[str]) -> None:
    pattern = split_pattern(read_split(name))
    assert [n for n in matching + others if re.search(pattern, n)] == matching


@pytest.mark.parametrize("name", ["", "valid", "all", "train17", "dev2017", "test-dev2017"])
def test_an_unknown_split_is_refused(name: str) -> None:
    with pytest.raises(UnknownSplitError, match="There are train, validation, test"):
        read_split(name)
