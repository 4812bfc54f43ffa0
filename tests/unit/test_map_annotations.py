"""Which affine an annotation is taken by, what is dropped and named, and what is kept as it was."""

import typing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.annotations import GEOMETRY_COLUMNS, NORMALISED
from tests.annotated_photos import OPEN_IMAGES_ID, SIZE, annotated_row, copy, element, mapped_box
from tests.unit.test_affine import LAWS
from transforms.geometry import affine
from transforms.geometry.copy_affines import CopyAffines, WrittenImage, differ_in_aspect, file_rotation
from transforms.geometry.map_annotations import map_annotations
from transforms.geometry.map_masks import decode_rle, encode_rle
from transforms.images.image_plan import RESIZE_MODES, ImageOptions, image_plans

Row = dict[str, typing.Any]
BOX = {"xmin": 10.0, "ymin": 20.0, "xmax": 30.0, "ymax": 60.0}
EDGES = tuple(BOX)


def image(
    stored: tuple[int, int] = SIZE, exif: int = 1, source: str = "flickr", image_id: str = "", **options: typing.Any
) -> WrittenImage:
    """What the codec says of a file of that size."""
    plan = image_plans(stored, exif, ImageOptions(**{"resize": "none", **options}))[0]
    return WrittenImage(stored, exif, plan.matrix, plan.written, 256, source, image_id)


def row(*copies: Row, **columns: list[Row]) -> Row:
    """A joined row, as far as it is mapped."""
    return {"sources": ["coco"], "copies": list(copies), **{c: [] for c in GEOMETRY_COLUMNS}, **columns}


def box(image_id: str = "1", **values: typing.Any) -> Row:
    return element("boxes", image_id=image_id, **{"annotation_id": 7, **BOX, **values})


def edges(element_: Row) -> list[float]:
    return [element_[edge] for edge in EDGES]


def test_copies_of_different_sizes_are_each_their_own() -> None:
    copies = copy("coco", "1", (60, 44)), copy("coco", "2", (240, 176)), copy("flickr8k", "a.jpg")
    mapped = map_annotations(row(*copies, boxes=[box("1"), box("2")]), image())
    assert [edges(b) for b in mapped.columns["boxes"]] == [[20, 40, 60, 88], [5, 10, 15, 30]]
    assert mapped.warnings == []
    assert [(t["source"], t["image_id"], t["matrix"][0]) for t in mapped.transforms] == [
        ("flickr", None, 1),
        ("coco", "1", 2),
        ("coco", "2", 0.5),
    ]


def test_another_aspect_keeps_geometry_out_and_is_named() -> None:
    copies = copy("coco", "1", (60, 44)), copy("coco", "2", (60, 60)), copy("open_images", OPEN_IMAGES_ID)
    mapped = map_annotations(row(*copies, boxes=[box("1"), box("2")]), image())
    assert [b["image_id"] for b in mapped.columns["boxes"]] == ["1"]
    assert mapped.warnings == ["geometry_mismatch:coco:2"]
    assert mapped.dropped == {"boxes unplaced": 1}
    assert [t["image_id"] for t in mapped.transforms] == [None, "1", OPEN_IMAGES_ID]
    turned = map_annotations(row(copy("coco", "1", (44, 60)), boxes=[box()]), image())
    assert (turned.columns["boxes"], turned.warnings) == ([], ["geometry_mismatch:coco:1"])


@pytest.mark.parametrize(
    ("size", "photo", "differs"),
    [
        ((640, 480), (1000, 750), False),
        ((640, 480), (1000, 757), False),
        ((640, 480), (1000, 758), True),
        ((640, 480), (1000, 743), False),
        ((640, 480), (1000, 742), True),
        ((480, 640), (757, 1000), False),
        ((480, 640), (758, 1000), True),
        ((640, 480), (100, 77), False),
        ((640, 480), (100, 78), True),
        ((480, 640), (1000, 750), True),
        ((500, 333), (640, 426), False),
        ((1, 1), (1, 1), False),
    ],
)
def test_aspects_may_differ_by_a_hundredth_or_two_pixels(
    size: tuple[int, int], photo: tuple[int, int], differs: bool
) -> None:
    assert differ_in_aspect(size, photo) == differs


def test_pixels_of_a_copy_without_size_are_not_placed_unless_it_is_the_file() -> None:
    of_coco = row(copy("coco", "1"), boxes=[box()], keypoints=[element("keypoints", x=[1.0], y=[1.0], visibility=[2])])
    elsewhere = map_annotations(of_coco, image())
    assert (elsewhere.columns["boxes"], elsewhere.columns["keypoints"]) == ([], [])
    assert elsewhere.warnings == ["geometry_unplaced:coco:1"]
    assert elsewhere.dropped == {"boxes unplaced": 1, "keypoints unplaced": 1}
    assert len(elsewhere.transforms) == 1
    for image_id in ("1", ""):
        own = map_annotations(of_coco, image(source="coco", image_id=image_id))
        assert (edges(own.columns["boxes"][0]), own.warnings) == (edges(BOX), [])
    another = map_annotations(of_coco, image(source="coco", image_id="2"))
    assert another.warnings == ["geometry_unplaced:coco:1"]
    assert map_annotations(row(copy("coco", "1")), image()).warnings == [], "nothing is missing"


def test_annotations_of_a_copy_that_is_not_listed() -> None:
    normalised = element(
        "boxes", source="open_images", image_id="a", units=NORMALISED, xmin=0.5, ymin=0.0, xmax=1.0, ymax=0.25
    )
    mapped = map_annotations(row(boxes=[box(), normalised]), image())
    assert [edges(b) for b in mapped.columns["boxes"]] == [[60, 0, 120, 22]]
    assert mapped.warnings == ["geometry_unplaced:coco:1"]


@pytest.mark.parametrize("exif", range(1, 9))
def test_a_coco_file_of_the_published_size_as_stored_is_annotated_as_stored(exif: int) -> None:
    """Else its size is that of the upright picture."""
    upright = (44, 60) if exif >= 5 else (60, 44)
    of_stored = row(copy("coco", "1", (60, 44)), boxes=[box(xmax=11.0, ymax=22.0)])
    of_upright = row(copy("coco", "1", upright), boxes=[box(xmax=11.0, ymax=22.0)])
    own = image((60, 44), exif, "coco", "1")
    expected = mapped_box(affine.orientation(exif, 60, 44) if exif >= 5 else affine.IDENTITY, (10, 20, 11, 22))
    assert edges(map_annotations(of_stored, own).columns["boxes"][0]) == pytest.approx(expected)
    assert edges(map_annotations(of_upright, own).columns["boxes"][0]) == pytest.approx([10, 20, 11, 22])
    elsewhere = map_annotations(of_stored, image((60, 44), exif))
    assert elsewhere.warnings == (["geometry_mismatch:coco:1"] if exif >= 5 else [])


@pytest.mark.parametrize("exif", [1, 6])
@pytest.mark.parametrize("rotation", [None, 0, 90, 180, 270])
def test_a_published_size_of_open_images_is_that_before_its_rotation(exif: int, rotation: int | None) -> None:
    upright = (44, 60) if exif >= 5 else (60, 44)
    as_stored = upright[::-1] if rotation in (90, 270) else upright
    for size, fits in ((as_stored, True), (as_stored[::-1], False)):
        affines = CopyAffines([copy("open_images", "a", size, rotation)], image((60, 44), exif))
        assert (affines.place("open_images", "a", NORMALISED) is not None) == fits
    own = CopyAffines([copy("open_images", "a", (60, 44), rotation)], image((60, 44), exif, "open_images", "a"))
    assert own.place("open_images", "a", NORMALISED) is not None


def test_the_file_of_open_images_is_turned_by_its_rotation() -> None:
    copies = [copy("open_images", "a", rotation=90), copy("coco", "1", SIZE), copy("open_images", "b", rotation=180)]
    assert file_rotation(copies, "open_images", "a") == 90
    assert file_rotation(copies, "open_images", "b") == 180
    assert file_rotation(copies, "open_images", "") is None, "which of the two is not known"
    assert file_rotation(copies[:2], "open_images", "") == 90
    for source, image_id in (("open_images", "c"), ("coco", "1"), ("flickr", ""), ("yfcc", "")):
        assert file_rotation(copies, source, image_id) is None
    assert file_rotation([copy("open_images", "a", rotation=45)], "open_images", "a") is None


def test_a_copy_that_files_of_two_years_list_is_one() -> None:
    listed = copy("coco", "1"), {**copy("coco", "1", (60, 44)), "split": "train2014"}
    mapped = map_annotations(row(*listed, boxes=[box()]), image(source="coco"))
    assert [edges(b) for b in mapped.columns["boxes"]] == [[20, 40, 60, 88]]
    assert [(t["source"], t["image_id"]) for t in mapped.transforms] == [("coco", None), ("coco", "1")]
    twice = [copy("open_images", "a"), copy("open_images", "a", rotation=270)]
    assert file_rotation(twice, "open_images", "a") == file_rotation(twice, "open_images", "") == 270


def test_what_is_outside_is_counted() -> None:
    beyond = {"xmin": 200.0, "xmax": 210.0, "ymin": 0.0, "ymax": 5.0}
    broken = {"xmin": 5.0, "xmax": 1.0}
    polygon: list[float] = [200, 0, 210, 0, 210, 5]
    trace = {"x": [5.0, 130.0, 131.0], "y": [5.0, 5.0, 5.0], "time_s": [0.5, 1.0, 1.5]}
    mapped = map_annotations(
        row(
            copy("coco", "1", SIZE),
            boxes=[box(**beyond), box(**broken), box()],
            segments=[element("segments", polygons=[polygon]), element("segments", polygons=[polygon[:4]])],
            keypoints=[
                element("keypoints", x=[200.0, 5.0], y=[0.0, 5.0], visibility=[2, 1]),
                element("keypoints", x=[200.0, 0.0], y=[0.0, 0.0], visibility=[2, 0]),
                element("keypoints", x=[0.0, 0.0], y=[0.0, 0.0], visibility=[0, 0]),
            ],
            points=[element("points", x=121.0, y=5.0), element("points", x=120.0, y=5.0), element("points", y=5.0)],
            narratives=[element("narratives", text="a", traces=[trace, {"x": [130.0], "y": [0.0], "time_s": [2.0]}])],
        ),
        image(),
    )
    assert mapped.warnings == [
        "boxes:1 invalid",
        "boxes:1 outside",
        "keypoints:2 outside",
        "narratives:3 outside",
        "points:1 invalid",
        "points:1 outside",
        "segments:1 invalid",
        "segments:1 outside",
    ]
    assert mapped.dropped == {
        f"{column} {why}": int(n) for column, n, why in (w.replace(":", " ").split() for w in mapped.warnings)
    }
    assert [(k["num_keypoints"], k["x"]) for k in mapped.columns["keypoints"]] == [(1, [0, 5]), (0, [0, 0])]
    assert mapped.columns["narratives"][0]["traces"] == [{"x": [5.0], "y": [5.0], "time_s": [0.5]}]


def test_narratives_keep_their_words_without_a_place() -> None:
    narrative = element("narratives", text="A cat.", traces=[{"x": [1.0], "y": [1.0], "time_s": [0.0]}])
    mapped = map_annotations(row(copy("coco", "1"), narratives=[narrative]), image())
    assert [(n["text"], n["traces"]) for n in mapped.columns["narratives"]] == [("A cat.", [])]
    assert mapped.warnings == ["geometry_unplaced:coco:1"]


def test_the_area_of_an_outline_is_its_boxs_too() -> None:
    polygon: list[float] = [100, 0, 140, 0, 140, 30]
    mapped = map_annotations(
        row(
            copy("coco", "1", SIZE),
            boxes=[box(xmin=100.0, xmax=140.0, area=600.0), box(annotation_id=8, area=300.0), box(annotation_id=None)],
            segments=[
                element("segments", annotation_id=7, polygons=[polygon], area=600.0),
                element("segments", annotation_id=8, polygons=[], mask_file="a.png", mask_value=3, area=99.0),
                element("segments", annotation_id=None, polygons=[polygon], area=600.0),
            ],
        ),
        image(resize="shorter", image_size=44),
    )
    assert [b["area"] for b in mapped.columns["boxes"]] == pytest.approx([150 / 4, 300 / 4, 20 * 40 / 4])
    assert [s["area"] for s in mapped.columns["segments"]] == pytest.approx([150 / 4, 99 / 4, 150 / 4])
    assert mapped.columns["segments"][1]["mask_value"] == 3


def test_masks_have_a_size_of_their_own() -> None:
    mask = np.zeros((11, 15), np.bool_)
    mask[2:5, 3:9] = True
    rle = {"rle_counts": encode_rle(mask)["counts"], "rle_height": 11, "rle_width": 15, "polygons": []}
    broken = {**rle, "rle_counts": "1", "annotation_id": 2}
    segments = [element("segments", **rle), element("segments", **broken)]
    mapped = map_annotations(row(copy("coco", "1", (60, 44)), segments=segments), image())
    (segment,) = mapped.columns["segments"]
    assert (segment["rle_height"], segment["rle_width"], segment["area"]) == (88, 120, 18 * 64)
    counts = {"size": [88, 120], "counts": segment["rle_counts"]}
    assert np.array_equal(decode_rle(counts), mask.repeat(8, axis=0).repeat(8, axis=1))
    assert mapped.warnings == ["segments:1 invalid"]


def test_a_mask_of_another_aspect_than_its_copy_is_not_stretched() -> None:
    rle = encode_rle(np.ones((60, 44)))
    mask = element("segments", image_id="1", rle_counts=rle["counts"], rle_height=60, rle_width=44)
    mapped = map_annotations(row(copy("coco", "1", (60, 44)), segments=[mask]), image())
    assert mapped.columns["segments"] == []
    assert mapped.warnings == ["segments:1 invalid"]


def test_a_photo_without_annotations_has_the_affine_of_its_file() -> None:
    own = image((40, 30), 6, "yfcc", resize="shorter", image_size=15)
    mapped = map_annotations(row(), own)
    assert not any(mapped.columns.values())
    assert (mapped.warnings, mapped.dropped) == ([], {})
    assert mapped.transforms == [
        {"source": "yfcc", "image_id": None, "units": "pixels", "size": 256, "matrix": [0, -0.5, 15, 0.5, 0, 0]}
    ]
    assert "-0.0" not in str(mapped.transforms)


def test_what_is_published_is_not_changed() -> None:
    published = annotated_row(1, 90)
    before = repr(published)
    mapped = map_annotations(published, image(resize="crop", image_size=33))
    assert repr(published) == before
    kept = {"copies", "captions", "image_labels", "ratings", "warnings"}
    assert not kept & mapped.columns.keys()


corners = st.tuples(st.floats(0, 50), st.floats(0, 30), st.floats(1, 10), st.floats(1, 14))


@given(
    corners,
    st.sampled_from(range(1, 9)),
    st.sampled_from([None, 0, 90, 180, 270]),
    st.sampled_from([m for m in RESIZE_MODES if m != "crop"]),
    st.sampled_from(["yfcc", "coco", "open_images"]),
)
@LAWS
def test_forward_then_inverse_is_identity(
    corner: tuple[float, ...], exif: int, rotation: int | None, mode: str, source: str
) -> None:
    upright = (44, 60) if exif >= 5 else (60, 44)
    x, y, width, height = corner
    values = dict(zip(EDGES, (x, y, min(x + width, 44), min(y + height, 44)), strict=True))
    values["xmin"] = min(values["xmin"], 43.0)
    scaled = {edge: value / 60 for edge, value in values.items()}
    own = element("boxes", source="open_images", image_id="a", units=NORMALISED, **scaled)
    copies = copy("coco", "1", upright), copy("open_images", "a", rotation=rotation)
    file = image((60, 44), exif, source, {"coco": "1", "open_images": "a"}.get(source, ""), resize=mode, image_size=30)
    mapped = map_annotations(row(*copies, boxes=[element("boxes", **values), own]), file)
    assert mapped.warnings == []
    published = {"pixels": values, NORMALISED: scaled}
    for transform in mapped.transforms[1:]:
        (of_copy,) = (b for b in mapped.columns["boxes"] if b["source"] == transform["source"])
        back = np.sort(affine.to_source(transform["matrix"], np.reshape(edges(of_copy), (2, 2))), axis=0)
        assert back.ravel() == pytest.approx([*published[transform["units"]].values()], abs=1e-9)
