"""COCO's JSON: kinds, splits, ids, run lengths, and that every annotation is read or has a named fault."""

import copy
import datetime
import itertools
import random
import typing

import numpy as np
import pyarrow as pa
import pytest
from pycocotools import mask as coco_mask

from schemas.coco import (
    Category,
    CocoKind,
    License,
    copy_of,
    image_fault,
    photo_id_of,
    read_categories,
    read_licenses,
    recognise,
    split_of,
)
from schemas.coco_annotations import BadAnnotationError, panoptic_segments, read_annotations
from schemas.coco_faults import find_fault
from schemas.coco_rle import MAX_SIDE, decompress, read_run_lengths
from schemas.flickr_urls import flickr_id, flickr_ids
from schemas.surrogate_ids import surrogate_id

CATEGORIES = {1: Category("1", "person", ("nose", "left_eye")), 18: Category("18", "dog")}
INSTANCE = {
    "id": 7, "image_id": 5, "category_id": 18, "iscrowd": 0, "area": 12.5, "bbox": [1.5, 2, 30.25, 4],
    "segmentation": [[1.5, 2, 31.75, 2, 31.75, 6], [1, 2, 3, 4, 5, 6, 7, 8]],
}  # fmt: skip
CROWD = {**INSTANCE, "id": 8, "iscrowd": 1, "segmentation": {"size": [3, 4], "counts": [2, 3, 4, 3]}}
PERSON = {**INSTANCE, "category_id": 1, "keypoints": [10, 20.5, 2, 0, 0, 0], "num_keypoints": 1}
CAPTION = {"id": 3, "image_id": 5, "caption": " A dog. \n"}
PANOPTIC = {
    "image_id": 5,
    "file_name": "000000000005.png",
    "segments_info": [
        {"id": 3226956, "category_id": 18, "area": 9, "bbox": [0, 0, 3, 3], "iscrowd": 0},
        {"id": 0, "category_id": 1, "area": 4, "bbox": [1, 1, 2, 2], "iscrowd": 1},
    ],
}
KINDS = [
    (CocoKind.INSTANCES, INSTANCE),
    (CocoKind.INSTANCES, CROWD),
    (CocoKind.STUFF, CROWD),
    (CocoKind.PERSON_KEYPOINTS, PERSON),
    (CocoKind.CAPTIONS, CAPTION),
    (CocoKind.PANOPTIC, PANOPTIC),
]


def _read(annotation: typing.Any, kind: CocoKind) -> dict[str, list[dict[str, typing.Any]]]:
    items = panoptic_segments(annotation) if kind is CocoKind.PANOPTIC else [annotation]
    return {e.column: e.elements.to_pylist() for e in read_annotations(items, kind, CATEGORIES)}


@pytest.mark.parametrize(
    ("annotation", "supercategories", "kind"),
    [
        (INSTANCE, {"animal", "person"}, CocoKind.INSTANCES),
        (CROWD, {"sky", "furniture-stuff"}, CocoKind.STUFF),
        (CROWD, {"sky", "animal"}, CocoKind.INSTANCES),
        (PERSON, {"person"}, CocoKind.PERSON_KEYPOINTS),
        (CAPTION, set(), CocoKind.CAPTIONS),
        (PANOPTIC, {"sky"}, CocoKind.PANOPTIC),
        (None, {"animal"}, CocoKind.IMAGE_INFO),
        ({"image_id": 1, "question": "Why?"}, set(), None),
        ([1, 2], set(), None),
        ({"caption": "of no image"}, set(), None),
    ],
)
def test_the_first_annotation_tells_the_kind(annotation: typing.Any, supercategories: set[str], kind: CocoKind) -> None:
    assert recognise(annotation, supercategories) is kind


@pytest.mark.parametrize(
    ("url", "file_name", "json_name", "split"),
    [
        ("http://images.cocodataset.org/train2017/000000391895.jpg", "000000391895.jpg", "x.json", "train2017"),
        ("http://mscoco.org/images/391895", "COCO_train2014_000000391895.jpg", "x.json", "train2014"),
        (None, "000000000001.jpg", "a/annotations/instances_val2017.json", "val2017"),
        (None, None, "image_info_test-dev2015.json", "test2015"),
        ("http://[bad/train2017/?x", None, "captions_val.json", "train2017"),
        (None, "test2015/1.jpg", "captions_val.json", "val"),
        (None, "constrained2014.jpg", "latest.json", None),
        (7, 8, "zip://annotations/captions_train2017.json::annotations_trainval2017.zip", "train2017"),
    ],
)
def test_splits(url: typing.Any, file_name: typing.Any, json_name: str, split: str | None) -> None:
    assert split_of(url, file_name, json_name) == split


@pytest.mark.parametrize(
    ("url", "photo_id"),
    [
        ("http://farm4.staticflickr.com/3448/3176652494_ba19663418_z.jpg", 3176652494),
        ("https://c8.staticflickr.com/1/2/3_a_o.jpg?zz=1#x", 3),
        ("http://farm4.staticflickr.com/3448/9999999999999999999_ba.jpg", None),
        ("http://farm4.staticflickr.com/3448/0_ba.jpg", None),
        ("http://farm4.staticflickr.com/3448/3176652494.jpg", None),
        ("http://a\u2100b[/3_a.jpg", 3),
        ("http://farm1.staticflickr.com/1/photo.jpg?id=/3_a.jpg", None),
        ("", None),
        (None, None),
        (3176652494, None),
    ],
)
def test_flickr_ids(url: typing.Any, photo_id: int | None) -> None:
    assert flickr_id(url) == photo_id
    assert flickr_ids(pa.array([url if isinstance(url, str) else None], pa.string())).to_pylist() == [photo_id]


def test_an_image_without_flickr_url_gets_a_surrogate() -> None:
    assert photo_id_of({"id": 581929}) == surrogate_id("coco", "581929")


def test_a_copy_names_the_fields_that_cannot_be_read() -> None:
    image = {
        "id": 5, "file_name": "COCO_val2014_000000000005.jpg", "coco_url": 9, "width": -640, "height": 480,
        "date_captured": "2013-11-14T17:02:52+01:00", "license": 3,
    }  # fmt: skip
    found, unreadable = copy_of(image, {3: License("Some rights", None)}, "instances.json")
    assert unreadable == ["url", "width"]
    assert (found["width"], found["height"], found["split"]) == (None, 480, "val2014")
    assert found["date_captured"] == datetime.datetime(2013, 11, 14, 16, 2, 52)
    assert (found["license_name"], found["license_url"]) == ("Some rights", None)


def test_images_that_cannot_be_told_apart_have_a_fault() -> None:
    assert all(image_fault(image) for image in [None, [], {}, {"id": "5"}, {"id": -1}, {"id": 2**63}, {"id": True}])
    assert image_fault({"id": 0}) is None


def test_lists_with_rubbish_in_them_are_read_without() -> None:
    assert read_licenses([None, {"id": 1, "name": "\ud800", "url": "u"}, {"name": "no id"}]) == {1: License(None, "u")}
    assert read_categories([3, {"id": 1}, {"id": 2, "name": "cat", "keypoints": [1]}]) == {2: Category("2", "cat")}
    assert read_licenses(None) == read_categories({}) == {}


def test_an_instance_gives_a_box_and_its_outline_as_published() -> None:
    found = _read(INSTANCE, CocoKind.INSTANCES)
    box, segment = found["boxes"][0], found["segments"][0]
    assert [box[k] for k in ("xmin", "ymin", "xmax", "ymax")] == [1.5, 2.0, 31.75, 6.0]
    assert (box["source"], box["image_id"], box["units"], box["label"]) == ("coco", "5", "pixels", "dog")
    assert (box["is_crowd"], box["is_occluded"], box["area"], box["confidence"]) == (0, -1, 12.5, None)
    assert segment["polygons"] == INSTANCE["segmentation"]
    assert (segment["kind"], segment["rle_counts"], segment["mask_file"]) == ("instance", None, None)


def test_a_crowd_gives_its_mask_compressed() -> None:
    segment = _read(CROWD, CocoKind.STUFF)["segments"][0]
    assert (segment["kind"], segment["polygons"], segment["is_crowd"]) == ("stuff", [], 1)
    assert (segment["rle_counts"], segment["rle_height"], segment["rle_width"]) == ("2340", 3, 4)


def test_a_person_gives_named_points() -> None:
    found = _read(PERSON, CocoKind.PERSON_KEYPOINTS)
    assert sorted(found) == ["boxes", "keypoints", "segments"]
    points = found["keypoints"][0]
    assert (points["x"], points["y"], points["visibility"]) == ([10.0, 0.0], [20.5, 0.0], [2, 0])
    assert (points["names"], points["num_keypoints"]) == (["nose", "left_eye"], 1)


def test_a_panoptic_annotation_gives_a_segment_per_colour() -> None:
    segments = _read(PANOPTIC, CocoKind.PANOPTIC)["segments"]
    assert [(s["mask_file"], s["mask_value"]) for s in segments] == [("000000000005.png", v) for v in (3226956, 0)]
    assert [(s["kind"], s["label"], s["annotation_id"]) for s in segments] == [
        ("panoptic", "dog", 3226956),
        ("panoptic", "person", 0),
    ]


def test_captions_lose_white_space_at_their_ends() -> None:
    assert _read(CAPTION, CocoKind.CAPTIONS)["captions"][0]["text"] == "A dog."


def test_an_object_may_be_boxed_only() -> None:
    boxed = [{**INSTANCE, "segmentation": nothing, "area": None} for nothing in ([], {}, None)]
    boxes, segments = read_annotations([*boxed, INSTANCE], CocoKind.INSTANCES, CATEGORIES)
    assert len(boxes.elements) == 4
    assert segments.owners.tolist() == [3]


ODD = [
    None, True, -1, 0, 1, 2, 3.5, -(2**63), 2**63 - 1, 2**63, 10**400, float("nan"), float("inf"), "", "7", "\ud800",
    [], {}, [None], [[]], [[1, 2, 3]], [[1, 2, 3, 4, 5, "6"]], [[1, 2, 3, 4, 5, True]], [[1, 2, 3, 4, 5, float("nan")]],
    [{}], [[1, 2, 3, 4, 5, 2**63 - 1]], [2**63 - 1, 2, 1], [1, 2, 2**63 - 1, 4], [1, 2, 3], [1, 2, -3, 4],
    [1, 2, float("nan"), 4], [1, 2, 3, True], [1, 2, "3", 4], [0, 0, 0, 0],
    [1, 2, 7], {"size": [3, 4], "counts": "2340"}, {"size": [3, 4], "counts": [12]}, {"size": [3, 4], "counts": [13]},
    {"size": [3, 4], "counts": "~~~~"}, {"size": [3, 4], "counts": [2, -2, 12]}, {"size": [3], "counts": [3]},
    {"size": [2**40, 2**40], "counts": [2**80]}, {"counts": [1]}, {"size": [3, 4], "counts": None},
]  # fmt: skip


@pytest.mark.parametrize(("kind", "annotation"), KINDS)
def test_what_is_read_is_exactly_what_has_no_fault(kind: CocoKind, annotation: dict[str, typing.Any]) -> None:
    fields = [*annotation, *(annotation.get("segments_info") or [{}])[0]]
    refused = 0
    for field, value in itertools.product(dict.fromkeys(fields), [*ODD, "absent"]):
        changed = copy.deepcopy(annotation)
        place = changed if field in changed else changed["segments_info"][0]
        place[field] = value
        if value == "absent":
            del place[field]
        items = panoptic_segments(changed) if kind is CocoKind.PANOPTIC else [changed]
        fault = next(filter(None, (find_fault(item, kind, CATEGORIES) for item in items)), None)
        refused += fault is not None
        try:
            read_annotations(items, kind, CATEGORIES)
        except BadAnnotationError:
            assert fault, f"{field}={value!r} is refused without a fault"
        else:
            assert not fault, f"{field}={value!r} is read although {fault}"
    assert refused > 50


@pytest.mark.parametrize("rubbish", [None, 1, "x", [], [INSTANCE], {}])
@pytest.mark.parametrize("kind", [kind for kind in CocoKind if kind is not CocoKind.IMAGE_INFO])
def test_rubbish_for_an_annotation_has_a_fault(kind: CocoKind, rubbish: typing.Any) -> None:
    assert find_fault(rubbish, kind, CATEGORIES)
    with pytest.raises(BadAnnotationError):
        read_annotations([rubbish], kind, CATEGORIES)


def test_run_lengths_equal_those_of_pycocotools() -> None:
    rng = np.random.default_rng(0)
    for height, width in [(1, 1), (3, 4), (480, 640), (7, 300)]:
        for share in (0.0, 0.001, 0.5, 1.0):
            mask = np.asfortranarray(rng.random((height, width)) < share, np.uint8)
            encoded = coco_mask.encode(mask)
            text = encoded["counts"].decode()
            decoded = decompress(text)
            assert decoded.sum() == height * width
            assert decoded[1::2].sum() == mask.sum()
            found = read_run_lengths({"counts": decoded.tolist(), "size": [height, width]})
            assert found.counts == text
            assert coco_mask.area({"counts": found.counts, "size": [height, width]}) == mask.sum()


def _compressed(runs: list[int]) -> str:
    """The inverse of ``decompress``, for runs of any size."""
    text = ""
    for i, run in enumerate(runs):
        rest, has_more = run - (runs[i - 2] if i > 2 else 0), True
        while has_more:
            group, rest = rest & 31, rest >> 5
            has_more = rest != (-1 if group & 16 else 0)
            text += chr(ord("0") + (group | 32 * has_more))
    return text


def test_runs_that_add_up_only_in_64_bits_are_refused() -> None:
    step, steps = 2**38, 2**13
    ramp = [step * k for k in [*range(1, steps + 1), *range(steps - 1, 0, -1)]]
    runs = [0, 0, *itertools.chain.from_iterable((0, run) for run in ramp), 0, 0, 12]
    assert sum(runs) == 2**64 + 12
    assert _compressed([2, 3, 4, 3]) == "2340"
    with pytest.raises(ValueError, match="do not add up"):
        read_run_lengths({"counts": _compressed(runs), "size": [3, 4]})


def test_damaged_run_lengths_are_refused() -> None:
    rng = random.Random(0)
    text = "2340"
    for _ in range(300):
        damaged = "".join(rng.choice([c, chr(rng.randrange(32, 130))]) for c in text * rng.randrange(1, 5))
        try:
            found = read_run_lengths({"counts": damaged, "size": [3, 4]})
        except ValueError:
            continue
        assert 0 <= coco_mask.area({"counts": found.counts, "size": [3, 4]}) <= 12
    for side in (0, -1, MAX_SIDE + 1, 3.0, True):
        with pytest.raises(ValueError, match="size of the mask"):
            read_run_lengths({"counts": "2340", "size": [side, 4]})
