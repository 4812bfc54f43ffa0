"""Outlines and masks drawn in images, written by the codec in every way, are found by colour where they land."""

import typing

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from pycocotools import mask as coco_mask

from tests.unit.test_affine import LAWS, WAYS, affines, written
from transforms.geometry import affine
from transforms.geometry.map_masks import (
    decode_rle,
    encode_rle,
    map_ids,
    map_polygons,
    map_rle,
    panoptic_ids,
    panoptic_pixels,
)
from transforms.images.image_plan import ImageOptions, image_plans

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
"""Of pycocotools' decoder, which is only used here, as another reader."""

SIZE = (60, 44)
OUTLINE = [4, 4, 50, 4, 54, 30, 38, 30, 34, 18, 20, 18, 18, 38, 4, 38]
"""Not convex, and cut by a crop of the middle."""

masks = st.tuples(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32)).map(
    lambda drawn: np.random.default_rng(drawn[2]).random(drawn[:2]) < drawn[2] % 7 / 6
)
coordinates = st.integers(-30, 50)
outlines = st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=9)


def drawn(polygons: list[list[float]], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Pixels within the polygons, as pycocotools fills them, shape (height, width)."""
    if not polygons:
        return np.zeros(size[::-1], dtype=np.bool_)
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, size[1], size[0]))) != 0


def beyond_a_pixel(found: npt.NDArray[np.bool_], expected: npt.NDArray[np.bool_]) -> int:
    """Number of found pixels that have no expected one beside them."""
    grown = np.pad(expected, 1)
    near = [np.roll(grown, (down, across), (0, 1)) for down in (-1, 0, 1) for across in (-1, 0, 1)]
    return int((found & ~np.any(near, axis=0)[1:-1, 1:-1]).sum())


@pytest.mark.parametrize(("mode", "upscale", "orientation"), WAYS)
def test_drawn_shapes_are_found_where_they_are_mapped_to(mode: str, upscale: bool, orientation: int) -> None:
    shape = drawn([[float(c) for c in OUTLINE]], SIZE)
    stored = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    stored[shape] = (0, 200, 0)
    encoded, pixels = written(stored, orientation, resize=mode, upscale=upscale, image_size=66 if upscale else 33)
    size = encoded.width, encoded.height
    found = (pixels[:, :, 1] > 100) & (pixels[:, :, 0] < 100)

    polygons = map_polygons([OUTLINE], encoded.matrix, size)
    filled = drawn(polygons.polygons, size)
    mapped = map_rle(encode_rle(shape), encoded.matrix, size)
    mask = decode_rle(mapped.rle)
    ids = map_ids(np.where(shape, 70_000, 0), encoded.matrix, size)
    for expected in (filled, mask, ids == 70_000):
        assert expected.shape == found.shape
        assert beyond_a_pixel(found, expected) == beyond_a_pixel(expected, found) == 0
    assert mapped.area == mask.sum() == coco_mask.area(typing.cast(typing.Any, mapped.rle))
    assert polygons.area == pytest.approx(filled.sum(), rel=0.06, abs=25)
    assert mapped.visible == pytest.approx(polygons.visible, abs=0.04)
    assert (mapped.visible == 1) == (mode != "crop")


@given(masks)
@LAWS
def test_run_lengths_are_those_of_pycocotools(mask: npt.NDArray[np.bool_]) -> None:
    encoded = encode_rle(mask)
    theirs: typing.Any = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    assert encoded == {"size": [*mask.shape], "counts": theirs["counts"].decode()}
    column_major = mask.T.ravel()
    starts = np.flatnonzero(np.diff(column_major, prepend=False))
    counts = np.diff([0, *starts, mask.size]).tolist()
    for rle in (encoded, {**encoded, "counts": theirs["counts"]}, {**encoded, "counts": counts}):
        assert np.array_equal(decode_rle(rle), mask)
    assert coco_mask.frPyObjects({"size": [*mask.shape], "counts": counts}, *mask.shape) == theirs
    mapped = map_rle(encoded, affine.IDENTITY, (mask.shape[1], mask.shape[0]))
    assert (mapped.rle, mapped.area) == (encoded, coco_mask.area(theirs))
    assert mapped.visible == float(mask.any())


def test_large_counts_are_read_as_pycocotools_reads_them() -> None:
    mask = np.zeros((3000, 2000), dtype=np.bool_)
    mask[1, 1], mask[2999, 1500:], mask[5:2900, 700:703] = True, True, True
    assert np.array_equal(decode_rle(encode_rle(mask)), mask)
    mapped = map_rle(encode_rle(mask), (0.5, 0.0, 0.0, 0.0, 0.5, 0.0), (1000, 1500))
    assert np.array_equal(decode_rle(mapped.rle), mask[1::2, 1::2])


@pytest.mark.parametrize(
    ("rle", "message"),
    [
        ({"size": [4, 4], "counts": "12"}, "do not fill 4 x 4"),
        ({"size": [4, 4], "counts": [3, 2]}, "do not fill"),
        ({"size": [4, 4], "counts": [3, 14]}, "do not fill"),
        ({"size": [4, 4], "counts": []}, "neither"),
        ({"size": [4, 4], "counts": ""}, "damaged"),
        ({"size": [4, 4], "counts": [2**63 - 1, 2**63 - 1, 18]}, "do not fill"),
        ({"size": [4, 4], "counts": "o"}, "damaged"),
        ({"size": [4, 4], "counts": "oooooooo0"}, "damaged"),
        ({"size": [4, 4], "counts": "3 ="}, "damaged"),
        ({"size": [4, 4], "counts": "é"}, "damaged"),
        ({"size": [4, 4], "counts": "O"}, "do not fill"),
        ({"size": [4, 4], "counts": [-3, 19]}, "do not fill"),
        ({"size": [4, 4], "counts": [8.0, 8.0]}, "neither"),
        ({"size": [4, 4], "counts": None}, "neither"),
        ({"size": [4, 4]}, "neither"),
        ({"size": [4], "counts": [4]}, "is not"),
        ({"size": [0, 4], "counts": [0]}, "is not"),
        ({"counts": [4]}, "is not"),
        ({"size": [10**6, 10**6], "counts": [10**12]}, "larger than"),
    ],
)
def test_broken_run_lengths_are_refused(rle: dict[str, typing.Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode_rle(rle)


@given(st.text(st.characters(min_codepoint=48, max_codepoint=111), max_size=12))
@LAWS
def test_any_string_is_a_mask_or_refused(counts: str) -> None:
    try:
        mask = decode_rle({"size": [3, 5], "counts": counts})
    except ValueError:
        return
    assert np.array_equal(mask, coco_mask.decode({"size": [3, 5], "counts": counts.encode()}))


@given(masks, st.sampled_from(range(1, 9)), st.sampled_from([1, 2, 3, 6]))
@LAWS
def test_whole_enlargements_and_turns_are_undone(mask: npt.NDArray[np.bool_], exif: int, times: int) -> None:
    height, width = mask.shape
    plan = image_plans((width, height), exif, ImageOptions(image_size=times * min(mask.shape), upscale=True))[0]
    there = map_ids(mask, plan.matrix, plan.written)
    assert there.shape == plan.written[::-1]
    assert there.sum() == mask.sum() * times**2
    assert np.array_equal(map_ids(there, affine.inverse(plan.matrix), (width, height)), mask)


@given(affines, masks, st.integers(1, 20), st.integers(1, 20))
@LAWS
def test_written_pixels_take_the_pixel_of_their_centre(
    matrix: affine.Affine, mask: npt.NDArray[np.bool_], width: int, height: int
) -> None:
    ids = np.arange(1, mask.size + 1, dtype=np.uint32).reshape(mask.shape)
    mapped = map_ids(ids, matrix, (width, height))
    rows, columns = np.divmod(np.arange(width * height), width)
    sources = np.floor(affine.apply(affine.inverse(matrix), np.stack([columns, rows], axis=1) + 0.5) + 1e-9)
    for (column, row), value in zip(sources, mapped.ravel(), strict=True):
        inside = 0 <= column < mask.shape[1] and 0 <= row < mask.shape[0]
        assert value == (ids[int(row), int(column)] if inside else 0)


def test_centres_between_two_pixels_take_the_right_and_lower_one() -> None:
    """However the inverse of the scale is rounded; here it is not, and is a little too small."""
    ids = np.arange(400).reshape(20, 20)
    for count in (2, 10):
        matrix = affine.scale((20, 20), (count, count))
        middle = 10 // count
        assert np.array_equal(map_ids(ids, matrix, (count, count)), ids[middle :: 2 * middle, middle :: 2 * middle])


def test_masks_outside_and_too_thin_are_empty() -> None:
    mask = np.zeros((8, 8), dtype=np.bool_)
    mask[:, 0] = True
    outside = map_rle(encode_rle(mask), (1.0, 0.0, -4.0, 0.0, 1.0, 0.0), (4, 8))
    assert (outside.area, outside.visible, outside.rle["size"]) == (0, 0, [8, 4])
    thin = map_rle(encode_rle(mask), (0.25, 0.0, 0.0, 0.0, 0.25, 0.0), (2, 2))
    assert (thin.area, thin.visible) == (0, 1)
    half = map_rle(encode_rle(mask), (1.0, 0.0, 0.0, 0.0, 1.0, -4.0), (8, 4))
    assert (half.area, half.visible) == (4, 0.5)


def windings(polygon: typing.Any, x: float, y: float) -> int:
    """How often a polygon goes round a point that is on none of its lines."""
    angles = [np.arctan2(py - y, px - x) for px, py in np.reshape(polygon, (-1, 2))]
    turns = (np.diff([*angles, angles[0]]) + np.pi) % (2 * np.pi) - np.pi
    return round(float(turns.sum() / (2 * np.pi)))


@given(outlines)
@LAWS
def test_clipping_keeps_the_winding_of_every_point_within(outline: list[tuple[int, int]]) -> None:
    """Whatever the outline, crossing itself or not."""
    flat = [float(c) for point in outline for c in point]
    mapped = map_polygons([flat], affine.IDENTITY, (20, 16))
    for x, y in [(0.137, 0.213), (3.031, 7.117), (10.173, 8.291), (19.811, 1.119), (12.457, 15.873)]:
        assert sum(windings(part, x, y) for part in mapped.polygons) == windings(flat, x, y)
    for part in mapped.polygons:
        points = np.reshape(part, (-1, 2))
        assert len(points) >= 3
        assert (points >= 0).all()
        assert (points <= (20, 16)).all()
    assert 0 <= mapped.visible <= 1
    assert len(mapped.polygons) + mapped.outside == 1


@given(affines, outlines)
@LAWS
def test_an_outline_within_comes_back_by_the_inverse(matrix: affine.Affine, outline: list[tuple[int, int]]) -> None:
    centred = affine.compose(matrix, (1.0, 0.0, 1e5, 0.0, 1.0, 1e5))
    flat = [c + 100.0 for point in outline for c in point]
    there = map_polygons([flat], centred, (300_000, 300_000))
    back = map_polygons(there.polygons, affine.inverse(centred), (200, 200))
    assert back.polygons[0] == pytest.approx(flat, abs=1e-5)
    before = map_polygons([flat], affine.IDENTITY, (200, 200)).area
    assert there.area == pytest.approx(abs(affine.determinant(matrix)) * before, rel=1e-6, abs=1e-2)
    assert there.visible == 1


def test_parts_are_dropped_and_told() -> None:
    inside, half, outside = [1, 1, 3, 1, 3, 3, 1, 3], [8, 0, 12, 0, 12, 4, 8, 4], [20, 0, 24, 0, 24, 4]
    bad: list[list[float]] = [[1, 1, 2, 2], [1, 1, 2, 2, 3, 1, 4], [1, 1, 2, np.nan, 3, 1], []]
    mapped = map_polygons([inside, half, outside, *bad], affine.IDENTITY, (10, 10))
    assert mapped.polygons == [inside, [8, 0, 10, 0, 10, 4, 8, 4]]
    assert (mapped.area, mapped.visible) == (12, pytest.approx(12 / 28))
    assert (mapped.outside, mapped.invalid) == (1, 4)
    assert map_polygons([], affine.IDENTITY, (10, 10)).visible == 0


def test_an_outline_that_touches_the_edge_from_without_is_outside() -> None:
    mapped = map_polygons([[10, 0, 10, 2, 10, 4, 14, 4]], affine.IDENTITY, (10, 10))
    assert (mapped.polygons, mapped.area, mapped.visible, mapped.outside) == ([], 0, 0, 1)


def test_a_corner_on_the_edge_is_not_doubled() -> None:
    mapped = map_polygons([[5, 0, 10, 5, 12, 8, 5, 8]], affine.IDENTITY, (10, 10))
    assert mapped.polygons == [[5, 0, 10, 5, 10, 8, 5, 8]]


def test_an_outline_without_area_is_kept_within_and_dropped_without() -> None:
    line: list[float] = [1, 1, 3, 3, 2, 2]
    assert map_polygons([line], affine.IDENTITY, (10, 10)).polygons == [line]
    beyond = map_polygons([line], (1.0, 0.0, 20.0, 0.0, 1.0, 0.0), (10, 10))
    assert (beyond.polygons, beyond.outside, beyond.visible) == ([], 1, 0)


def test_rounding_at_the_edge_cuts_nothing() -> None:
    flat = [0.0, 0.0, 333.0, 0.0, 333.0, 500.0, 0.0, 500.0]
    plan = image_plans((333, 500), 6, ImageOptions(image_size=256))[0]
    mapped = map_polygons([flat], plan.matrix, plan.written)
    assert mapped.visible == 1
    assert len(mapped.polygons[0]) == 8
    mapped = map_polygons([[-1e-9, 0, 5, 0, 5, 5, -1e-9, 5]], affine.IDENTITY, (10, 10))
    assert (mapped.polygons, mapped.visible) == ([[0, 0, 5, 0, 5, 5, 0, 5]], 1)


def test_panoptic_ids_are_read_and_written_back() -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    ids = panoptic_ids(pixels)
    red, green, blue = (int(v) for v in pixels[2, 3])
    assert (ids.dtype, ids[2, 3]) == (np.uint32, red + 256 * green + 256**2 * blue)
    assert np.array_equal(panoptic_pixels(ids), pixels)
    assert panoptic_ids(np.asarray(Image.new("RGB", (1, 1), (255, 255, 255))))[0, 0] == 2**24 - 1


def test_panoptic_images_are_mapped_without_mixing_ids() -> None:
    image = Image.new("RGB", (40, 30))
    ImageDraw.Draw(image).rectangle((10, 5, 24, 19), fill=(1, 2, 3))
    ids = panoptic_ids(np.asarray(image))
    plan = image_plans((40, 30), 6, ImageOptions(image_size=17, resize="pad"))[0]
    mapped = map_ids(ids, plan.matrix, plan.written)
    assert mapped.dtype == np.uint32
    assert set(mapped.ravel().tolist()) == {0, 1 + 2 * 256 + 3 * 65536}
    rows, columns = np.nonzero(mapped)
    corners = np.sort(affine.apply(plan.matrix, [[10, 5], [25, 20]]), axis=0).ravel()
    assert corners == pytest.approx((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1), abs=0.5)
