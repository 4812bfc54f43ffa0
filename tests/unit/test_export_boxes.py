"""Boxes in each format: what is read back is what was there, within what the format can hold."""

import collections
import io
import re
import typing
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.classes import Label, UnknownClassError
from tests.boxed_dataset import boxed_row, coco_box
from transforms.export import coco, keras_yolo3, oidv4, voc, yolo
from transforms.export.classes import ExportClasses, choose_classes
from transforms.export.edges import clipped, has_area, whole_pixels
from transforms.export.export_shard import _kept_boxes
from transforms.export.formats import FORMATS
from transforms.export.images import Box, Edges, ExportedImage, copy_images, sample_image
from transforms.export.names import MAX_NAME_BYTES, file_name, one_line, one_word

CLASSES = choose_classes([Label("coco", "1", "traffic light")], {}, [])
SIDES = st.integers(1, 5_000)
EDGES = ("xmin", "ymin", "xmax", "ymax")


@st.composite
def boxed(draw: st.DrawFn) -> tuple[tuple[int, int], Edges]:
    """A size, and a box within it whose sides are a pixel at least."""
    size = draw(SIDES), draw(SIDES)
    low, high = [], []
    for side in size:
        begin = draw(st.floats(0, side - 1))
        low.append(begin)
        high.append(draw(st.floats(min(begin + 1, side), side)))
    return size, (low[0], low[1], high[0], high[1])


def image(size: tuple[int, int] | None, edges: Edges, **values: typing.Any) -> ExportedImage:
    row = {"open_images_id": None, "segments": []}
    boxes = [Box(0, edges, coco_box(1, 1, "traffic light", edges, **values))]
    return ExportedImage(7, 7, "000000000007", ".jpg", "train", size, boxes, row)


@given(boxed())
def test_voc_gives_the_box_back_within_half_a_pixel(box):
    size, edges = box
    root = ET.parse(io.BytesIO(voc.annotation(image(size, edges), CLASSES))).getroot()
    xmin, ymin, xmax, ymax = (int(root.findtext(f"object/bndbox/{edge}") or "") for edge in EDGES)
    assert 1 <= xmin <= xmax + 1 <= size[0] + 1
    assert 1 <= ymin <= ymax + 1 <= size[1] + 1
    found = xmin - 1, ymin - 1, xmax, ymax
    assert all(abs(a - b) <= 0.5 for a, b in zip(found, edges, strict=True))


@given(boxed())
def test_yolo_gives_the_box_back_within_its_decimals(box):
    size, edges = box
    number, cx, cy, width, height = yolo.label_text(image(size, edges)).split()
    x, y, w, h = float(cx) * size[0], float(cy) * size[1], float(width) * size[0], float(height) * size[1]
    found = x - w / 2, y - h / 2, x + w / 2, y + h / 2
    within = [1e-6 * side for side in (*size, *size)]
    assert number == "0"
    assert all(abs(a - b) < limit for a, b, limit in zip(found, edges, within, strict=True))
    assert all(len(value.partition(".")[2]) == 6 for value in (cx, cy, width, height))


@given(boxed())
def test_keras_lines_give_the_rounded_box_back(box):
    path, own = keras_yolo3.box_line(image(*box)).split()
    assert path == "images/train/000000000007.jpg"
    assert [int(value) for value in own.split(",")] == [*map(round, box[1]), 0]


@given(boxed())
def test_coco_gives_the_box_back_within_its_decimals(box):
    (entry,) = coco.object_entries(image(*box), CLASSES)
    x, y, width, height = entry["bbox"]
    assert all(abs(a - b) <= 1.01e-4 for a, b in zip((x, y, x + width, y + height), box[1], strict=True))
    assert entry["category_id"] == 1


@given(boxed())
def test_oidv4_gives_the_very_box_back(box):
    name, *edges = oidv4.label_text(image(*box), 0, CLASSES).rsplit(" ", 4)
    assert name == "traffic light"
    assert tuple(map(float, edges)) == tuple(map(float, box[1]))


@given(boxed(), st.floats(-50, 50), st.floats(-50, 50))
def test_what_is_cut_lies_within_the_image(box, right, down):
    (width, height), edges = box
    moved = (edges[0] + right, edges[1] + down, edges[2] + right, edges[3] + down)
    xmin, ymin, xmax, ymax = clipped(moved, (width, height))
    assert 0 <= xmin <= xmax <= width
    assert 0 <= ymin <= ymax <= height
    assert clipped(edges, (width, height)) == tuple(edges)


def test_a_thin_box_may_have_no_pixel_left():
    assert has_area((5.1, 0, 5.3, 9))
    assert not has_area(whole_pixels((5.1, 0, 5.3, 9)))
    assert whole_pixels((0.5, 1.5, 2.5, 3.5)) == (0, 2, 2, 4), "halves go to the even number, as in the scripts"


NAMES = st.text(max_size=20)


@settings(max_examples=30)
@given(st.lists(NAMES, max_size=5, unique=True))
def test_file_names_are_apart_and_safe(texts):
    names = [file_name(text) for text in texts]
    assert len({*names}) == len(texts)
    for name in names:
        assert name not in ("", ".", "..")
        assert not set(name) & {*'/\\:*?"<>|', *map(chr, range(32))}
        assert len(name.encode()) <= MAX_NAME_BYTES


def test_what_looks_encoded_is_apart_from_what_is():
    assert [file_name(text) for text in ("a/b", "a%2Fb", 'it\'s 100% "é"')] == [
        "a%2Fb",
        "a%252Fb",
        "it's 100%25 %22é%22",
    ]


def test_long_names_are_cut_and_stay_apart():
    names = {file_name("é" * 300), file_name("é" * 299 + "x")}
    assert len(names) == 2
    assert all(len(name.encode()) <= MAX_NAME_BYTES for name in names)


@given(NAMES)
def test_a_line_is_one_line_and_fits_into_xml(text):
    assert len(one_line(text).splitlines()) <= 1
    assert one_word(text).split() in ([one_word(text)], [])
    root = ET.Element("name")
    root.text = one_line(text)
    assert (ET.fromstring(ET.tostring(root, encoding="utf-8")).text or "") == one_line(text)


COCO = [Label("coco", str(n), name) for n, name in ((1, "person"), (2, "bicycle"), (18, "dog"))]
OPEN_IMAGES = [Label("open_images", "/m/01", "Dog"), Label("open_images", "/m/02", "dog"), Label("open_images", "/m/9")]


def test_classes_are_in_order_of_categories_then_of_labels():
    classes = choose_classes([*COCO, *OPEN_IMAGES], {COCO[0]: ("nose",)}, [])
    assert classes.names == ("person", "bicycle", "dog", "Dog", "/m/9")
    assert classes.category_ids == (1, 2, 18, 1_001, 1_002)
    assert classes.numbers[OPEN_IMAGES[1]] == 2, "the same name is the same class"
    assert classes.keypoint_names == {0: ("nose",)}


def test_categories_that_clash_are_numbered_anew():
    assert choose_classes([*COCO, Label("coco", "1", "cat")], {}, []).category_ids == (1, 2, 3, 4)


def test_chosen_classes_keep_the_order():
    classes = choose_classes([*COCO, *OPEN_IMAGES], {}, ["/M/9", "DOG", "person"])
    assert classes.names == ("person", "dog", "Dog", "/m/9")
    assert classes.category_ids == (1, 18, 1_001, 1_002)
    with pytest.raises(UnknownClassError, match="did you mean dog"):
        choose_classes(COCO, {}, ["dgo"])


@pytest.mark.parametrize(
    ("labels", "remedy"),
    [
        (
            [*COCO, *OPEN_IMAGES],
            "the first are person, bicycle, dog; export.json of an export without the flag has all",
        ),
        (COCO, "give of person, bicycle, dog"),
        ([], "leave the flag out"),
    ],
)
def test_a_class_like_no_other_is_refused_with_some_that_are_there(labels, remedy):
    count = len({(label.label or label.label_id).lower() for label in labels})
    message = f"none of the {count} classes of the dataset's boxes is 'Animal'; {remedy}"
    with pytest.raises(UnknownClassError, match=re.escape(message)):
        choose_classes(labels, {}, ["Animal"])


def test_copies_of_a_photo_have_their_own_boxes():
    row = boxed_row(6_985_418_911)
    row["boxes"][5] |= {"units": "normalised", "xmin": 0.25, "ymin": 0.5, "xmax": 1.0, "ymax": 1.0}
    row["copies"][0]["file_name"] = "000000000001.png"
    labels = {Label(b["source"], b["label_id"], b["label"]) for b in row["boxes"]}
    classes = choose_classes(sorted(labels), {}, [])
    ours, theirs = copy_images(row, classes, "")
    assert (ours.image_id, ours.file, ours.split, ours.size) == (1, "000000000001.png", "validation", (64, 48))
    assert [box.edges for box in ours.boxes[:1]] == [(1.375, 2.5, 11.625, 12.75)]
    assert len(ours.boxes) == 5
    assert (theirs.name, theirs.split, theirs.size) == ("00a1", "validation", None)
    assert [box.edges for box in theirs.boxes] == [(0.25, 0.5, 1.0, 1.0)]
    assert [image.name for image in copy_images(row, classes, "test")] == ["000006985418911"[-12:]]


@pytest.mark.parametrize(("name", "kept"), [("yolo", 1), ("coco", 0), ("voc", 0)])
def test_normalised_boxes_are_never_taken_for_pixels(name, kept):
    counts = collections.Counter()
    unsized = image(None, (0.25, 0.5, 1.0, 1.0))
    unsized.row["boxes"] = [unsized.boxes[0].element]
    assert len(_kept_boxes(unsized, FORMATS[name], CLASSES, counts).boxes) == kept
    assert counts["boxes_of_unknown_place"] == 1 - kept


def test_a_sample_is_one_image_with_all_boxes():
    row = {**boxed_row(6_985_418_912), "width": 32, "height": 24}
    classes = ExportClasses((), {}, (), {})
    found = sample_image(row, classes, "", ".webp")
    assert (found.image_id, found.file, found.split) == (6_985_418_912, "006985418912.webp", "train")
    assert found.boxes == []
    assert sample_image(row, classes, "val2017", ".webp").split == "validation"
