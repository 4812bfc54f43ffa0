"""Which rows have which classes, against a plain reading of each row."""

import itertools
import random
import time
import typing

import numpy as np
import pyarrow as pa
import pytest

from schemas.classes import ChosenClass, Label
from schemas.rows import ROW_SCHEMA
from tests.factories import make_row
from transforms.join.class_evidence import Evidence, evidence, only_classes
from transforms.join.filter_rows import in_split

Row = dict[str, typing.Any]
LABELS = [
    Label("coco", "1", "cat"), Label("coco", "1", "dog"), Label("coco", "2", "dog"), Label("open_images", "/m/dog"),
    Label("open_images", "/m/apple"), Label("yfcc", "dog"), Label("yfcc", "apple"),
]  # fmt: skip
CLASSES = [
    ChosenClass("dog", (LABELS[1], LABELS[2], LABELS[3], LABELS[5])),
    ChosenClass("apple", (LABELS[4], LABELS[6])),
    ChosenClass("both", (LABELS[2], LABELS[4])),
    ChosenClass("none", (Label("open_images", "/m/pineapple"),)),
]
CUT = ("boxes", "segments", "keypoints", "image_labels", "relationships", "points")
KINDS = [kinds for n in range(1, 5) for kinds in itertools.combinations(Evidence, n)]


def _label(rnd: random.Random, side: str = "") -> Row:
    label = rnd.choice(LABELS[:5])
    name = label.label or rnd.choice([None, "Dog"])
    return {"source": label.source, f"label_id{side}": label.label_id, f"label{side}": name}


def _image_label(rnd: random.Random) -> Row:
    annotator = rnd.choice(["verification", "crowdsource-verification", "machine", None])
    return {**_label(rnd), "confidence": rnd.choice([0.0, 0.4, 0.5, 1.0, None]), "annotator": annotator}


def _random_row(photo_id: int, rnd: random.Random) -> Row:
    def some(make: typing.Callable[[random.Random], Row]) -> list[Row]:
        return [make(rnd) for _ in range(rnd.choice([0, 0, 0, 0, 1, 3]))]

    return {
        **make_row(photo_id),
        **{column: some(_label) for column in ("boxes", "segments", "keypoints", "points")},
        "image_labels": some(_image_label),
        "relationships": some(lambda r: {**(first := _label(r, "1")), **_label(r, "2"), "source": first["source"]}),
        "autotags": some(lambda r: {"name": r.choice(["Dog", "apple", "tree"]), "score": r.choice([0.4, 0.5, 0.9])}),
    }


def _is_of(element: Row, labels: typing.Collection[Label], side: str = "") -> bool:
    name = element[f"label{side}"] if element["source"] == "coco" else ""
    return (element["source"], element[f"label_id{side}"], name) in labels


def _has(row: Row, labels: typing.Collection[Label], kinds: typing.Container[Evidence], least: float) -> bool:
    people = [e for e in row["image_labels"] if e["annotator"] in ("verification", "crowdsource-verification")]
    machines = [e for e in row["image_labels"] if e not in people and (e["confidence"] or 0) >= least]
    seen = [e for e in people if e["confidence"] == 1]
    signs = {
        Evidence.BOXES: any(_is_of(e, labels) for e in row["boxes"] + row["segments"])
        or any(_is_of(e, labels, side) for e in row["relationships"] for side in "12"),
        Evidence.HUMAN: any(_is_of(e, labels) for e in seen),
        Evidence.MACHINE: any(_is_of(e, labels) for e in machines),
        Evidence.AUTOTAGS: any(
            ("yfcc", tag["name"].lower(), "") in labels and tag["score"] >= least for tag in row["autotags"]
        ),
    }
    return any(found for kind, found in signs.items() if kind in kinds)


@pytest.fixture(scope="module")
def table() -> pa.Table:
    rnd = random.Random(4)
    return pa.Table.from_pylist([_random_row(i, rnd) for i in range(300)], ROW_SCHEMA)


@pytest.mark.parametrize("kinds", KINDS, ids=lambda kinds: "-".join(kind.value for kind in kinds))
def test_evidence_equals_a_plain_reading(table: pa.Table, kinds: tuple[Evidence, ...]) -> None:
    found = evidence(table, CLASSES, kinds, 0.5)
    expected = [[_has(row, c.labels, kinds, 0.5) for row in table.to_pylist()] for c in CLASSES]
    assert found.tolist() == expected
    assert [0 < sum(row) < 300 for row in expected[:2]] == [True, True]
    assert not found[3].any()


def test_evidence_of_slices_and_of_no_rows(table: pa.Table) -> None:
    whole = evidence(table, CLASSES, list(Evidence), 0.5)
    assert (evidence(table.slice(100, 50), CLASSES, list(Evidence), 0.5) == whole[:, 100:150]).all()
    mask = np.arange(300) % 3 == 0
    assert (evidence(table.filter(pa.array(mask)), CLASSES, list(Evidence), 0.5) == whole[:, mask]).all()
    assert evidence(ROW_SCHEMA.empty_table(), CLASSES, list(Evidence), 0.5).shape == (4, 0)


def test_only_annotations_of_the_classes_stay(table: pa.Table) -> None:
    labels = {*CLASSES[1].labels, *CLASSES[2].labels}
    cut = only_classes(table.slice(50), CLASSES[1:3])
    assert cut.schema.equals(ROW_SCHEMA)
    for row, expected in zip(cut.to_pylist(), table.slice(50).to_pylist(), strict=True):
        for column in CUT:
            sides = "12" if column == "relationships" else ("",)
            expected[column] = [e for e in expected[column] if any(_is_of(e, labels, side) for side in sides)]
        assert row == expected


def test_a_group_or_a_crowd_is_evidence() -> None:
    for flags in ({"is_group_of": 1}, {"is_crowd": 1}, {"is_depiction": 1}):
        row = {**make_row(1), "boxes": [{"source": "open_images", "label_id": "/m/dog", **flags}]}
        rows = pa.Table.from_pylist([row], ROW_SCHEMA)
        assert evidence(rows, CLASSES[:1], [Evidence.BOXES], 0.5).all()


def test_splits_of_any_copy_count() -> None:
    splits = [["train2014", "validation"], ["dev"], [None], [], ["val2017"], ["train"]]
    rows = [{**make_row(i), "copies": [{"source": "coco", "split": s} for s in of]} for i, of in enumerate(splits)]
    table = pa.Table.from_pylist(rows, ROW_SCHEMA)
    assert in_split(table, "validation").tolist() == [True, True, False, False, True, False]
    assert in_split(table, "train2014").tolist() == [True, False, False, False, False, False]
    assert in_split(table).tolist() == [True, True, False, False, True, True]
    assert in_split(table.slice(3, 2), "validation").tolist() == [False, True]


def test_a_hundred_thousand_rows_take_no_time() -> None:
    rnd = random.Random(1)
    few = pa.Table.from_pylist([_random_row(i, rnd) for i in range(1000)], ROW_SCHEMA)
    many = pa.concat_tables([few] * 100).combine_chunks()
    start = time.process_time()
    evidence(many, CLASSES, list(Evidence), 0.5)
    assert time.process_time() - start < 5
