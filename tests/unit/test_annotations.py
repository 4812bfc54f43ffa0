"""Annotation columns: their order is total, and merging knows neither input order nor repetition."""

import itertools
import random
import typing

import numpy as np
import pyarrow as pa
import pytest

from schemas.annotations import ANNOTATION_COLUMNS, ELEMENTS, SORT_FIELDS, SOURCE_IMAGE_COLUMNS
from schemas.columns import schema_of
from schemas.merge_annotations import merge_elements, merge_lists
from schemas.photo_ids import MAX_FLICKR_ID, key
from schemas.surrogate_ids import surrogate_id

Element = dict[str, typing.Any]


def _blank(column: str, **values: typing.Any) -> Element:
    return {**{f.name: None for f in ELEMENTS[column]}, "source": "coco", "image_id": "1", **values}


def test_surrogates_are_part_of_the_format() -> None:
    assert surrogate_id("coco", "581929") == 4785235287105243805
    assert surrogate_id("open_images", "000a1249af2bc5f0") == 7587181282425120056
    assert MAX_FLICKR_ID < surrogate_id("coco", "1") < 2**63
    assert len(key(surrogate_id("coco", "1"))) == 19


def test_own_ids_and_sources_do_not_run_into_each_other() -> None:
    assert len({surrogate_id(*pair) for pair in [("a", "bc"), ("ab", "c"), ("", "abc"), ("b", "bc")]}) == 4


def test_columns_are_documented_and_lists_never_null() -> None:
    columns = (*ANNOTATION_COLUMNS, *SOURCE_IMAGE_COLUMNS)
    assert all(c.doc for c in columns)
    assert [f.nullable for f in schema_of(ANNOTATION_COLUMNS)] == [False] * len(ANNOTATION_COLUMNS)


@pytest.mark.parametrize("column", ELEMENTS)
def test_every_field_takes_part_in_the_order(column: str) -> None:
    assert sorted(SORT_FIELDS[column]) == sorted(f.name for f in ELEMENTS[column])
    assert SORT_FIELDS[column][:2] == ("source", "image_id")


def test_an_element_is_kept_once_per_content() -> None:
    box = _blank("boxes", annotation_id=7, xmin=1.0)
    other = {**box, "xmin": 2.0}
    assert merge_elements("boxes", [other, box, box, other]) == [box, other]


def test_elements_that_differ_in_lists_alone_are_both_kept() -> None:
    outlines = [[[3.0, 1.0]], [[2.0, 1.0], [5.0]], [[2.0, 1.0]], [], None]
    segments = [_blank("segments", annotation_id=7, polygons=outline) for outline in outlines]
    merged = [e["polygons"] for e in merge_elements("segments", segments * 2)]
    assert merged == [[], [[2.0, 1.0]], [[2.0, 1.0], [5.0]], [[3.0, 1.0]], None]


def test_areas_that_differ_by_rounding_are_one() -> None:
    areas = [17376.91885, 17376.918849999995, None, 17377.0]
    for column, more in (("boxes", {}), ("segments", {"polygons": [[1.0]]}), ("segments", {"polygons": [[2.0]]})):
        elements = [_blank(column, annotation_id=1, area=area, **more) for area in areas]
        elements += [{**elements[0], "area": 5.0, "annotation_id": 2}]
        if more:
            elements += [{**element, "polygons": [[1.5]]} for element in elements]
        for shuffled in (elements, elements[::-1]):
            merged = [e["area"] for e in merge_elements(column, shuffled) if e.get("polygons") != [[1.5]]]
            assert merged == [17376.918849999995, 17377.0, None, 5.0]


def test_names_that_are_null_compare_after_names() -> None:
    points = [_blank("keypoints", annotation_id=1, x=[1.0], names=names) for names in (None, ["nose"], ["eye"])]
    for shuffled in itertools.permutations(points):
        assert [e["names"] for e in merge_elements("keypoints", shuffled)] == [["eye"], ["nose"], None]


def _drawn(column: str, rng: random.Random) -> list[Element]:
    """Elements of few values each, so that many collide."""
    values: dict[pa.DataType, typing.Callable[[], typing.Any]] = {
        pa.string(): lambda: rng.choice([None, "a", "Z", "é"]),
        pa.float64(): lambda: rng.choice([None, 0.5, 1.0]),
        pa.bool_(): lambda: rng.random() < 0.5,
    }

    def value(type_: pa.DataType) -> typing.Any:
        if pa.types.is_list(type_):
            return rng.choice([None, [value(type_.value_type) or _zero(type_.value_type) for _ in range(2)]])
        if pa.types.is_struct(type_):
            return {f.name: value(f.type) for f in type_}
        return values.get(type_, lambda: rng.choice([None, 0, 1]))()

    few = [{f.name: value(f.type) for f in ELEMENTS[column]} for _ in range(20)]
    last = ELEMENTS[column][ELEMENTS[column].num_fields - 1]
    near = [{**element, last.name: value(last.type)} for element in few]
    return [*few, *near, *rng.sample(few, 10)]


def _zero(type_: pa.DataType) -> typing.Any:
    if pa.types.is_list(type_):
        return []
    return "" if type_ == pa.string() else 0


@pytest.mark.parametrize("column", ELEMENTS)
def test_the_order_of_input_does_not_show(column: str) -> None:
    rng = random.Random(column)
    elements = _drawn(column, rng)
    stored = pa.array(elements, ELEMENTS[column]).to_pylist()
    merged = merge_elements(column, elements)
    assert sorted(map(repr, merged)) == sorted({repr(e) for e in stored})
    for _ in range(5):
        rng.shuffle(elements)
        assert merge_elements(column, elements) == merged


def test_photos_are_merged_apart_and_may_have_nothing() -> None:
    captions = pa.array(
        [_blank("captions", caption_id=i % 2, text="A cat", is_lemma=False) for i in range(6)], ELEMENTS["captions"]
    )
    lists = merge_lists(np.array([3, 3, 0, 0, 3, 0]), captions, "captions", 5)
    assert [[e["caption_id"] for e in photo] for photo in lists.to_pylist()] == [[0, 1], [], [], [0, 1], []]
    assert lists.type == pa.list_(ELEMENTS["captions"])


def test_nothing_merges_to_nothing() -> None:
    assert merge_elements("ratings", []) == []
