"""Boxes drawn in images, written by the codec in every way, are found by colour where they are mapped to."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.test_affine import LAWS, WAYS, affines, written
from transforms.geometry import affine
from transforms.geometry.map_boxes import map_areas, map_boxes
from transforms.images.image_plan import ImageOptions, image_plans

SIZE = (60, 44)
COLOURED_BOXES = {
    0: (24, 18, 36, 30),
    1: (2, 14, 20, 26),
    2: (38, 0, 60, 10),
}
"""Channel to the box that is drawn in it."""

coordinates = st.floats(-300, 300)
box_lists = st.lists(st.tuples(coordinates, coordinates, coordinates, coordinates), max_size=8)


def upright_boxes(boxes: list[tuple[float, float, float, float]]) -> np.ndarray:
    corners = np.sort(np.reshape(np.array(boxes, dtype=np.float64), (-1, 2, 2)), axis=1)
    return corners.reshape(-1, 4)


@pytest.mark.parametrize(("mode", "upscale", "orientation"), WAYS)
def test_coloured_boxes_are_found_where_they_are_mapped_to(mode: str, upscale: bool, orientation: int) -> None:
    stored = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    for channel, (left, top, right, bottom) in COLOURED_BOXES.items():
        stored[top:bottom, left:right, channel] = 255
    for image_size in (33, 130):
        encoded, pixels = written(stored, orientation, resize=mode, upscale=upscale, image_size=image_size)
        size = encoded.width, encoded.height
        mapped = map_boxes(list(COLOURED_BOXES.values()), encoded.matrix, size)
        pixels[pixels.min(axis=2) > 128] = 0  # The padding is white; no two boxes overlap.
        for channel in COLOURED_BOXES:
            rows, columns = np.nonzero(pixels[:, :, channel] > 128)
            assert mapped.outside[channel] == (len(rows) == 0)
            if len(rows):
                found = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
                assert mapped.boxes[channel] == pytest.approx(found, abs=1)


@pytest.mark.parametrize(
    ("box", "clipped", "visible"),
    [
        ((2, 3, 5, 7), (2, 3, 5, 7), 1),
        ((0, 0, 10, 20), (0, 0, 10, 20), 1),
        ((-5, 3, 5, 7), (0, 3, 5, 7), 0.5),
        ((5, 15, 15, 25), (5, 15, 10, 20), 0.25),
        ((-10, -20, 20, 40), (0, 0, 10, 20), 1 / 9),
        ((3, 3, 3, 9), (3, 3, 3, 9), 1),
        ((10, 20, 10, 20), (10, 20, 10, 20), 1),
        ((3, 15, 3, 25), (3, 15, 3, 20), 0.5),
        ((0, 0, 10 + 1e-9, 20), (0, 0, 10, 20), 1),
        ((0, -1e-9, 10, 20), (0, 0, 10, 20), 1),
    ],
)
def test_edges_clip(box: tuple[float, ...], clipped: tuple[float, ...], visible: float) -> None:
    mapped = map_boxes([box], affine.IDENTITY, (10, 20))
    assert mapped.kept.tolist() == [True]
    assert mapped.boxes[0] == pytest.approx(clipped, abs=0)
    assert mapped.visible[0] == pytest.approx(visible, abs=0)


@pytest.mark.parametrize(
    "box", [(10, 0, 12, 5), (-3, 0, 0, 5), (3, 20, 5, 22), (11, 3, 11, 3), (9.9999999999, 0, 12, 5)]
)
def test_boxes_outside_are_told(box: tuple[float, ...]) -> None:
    mapped = map_boxes([box], affine.IDENTITY, (10, 20))
    assert (mapped.outside[0], mapped.invalid[0], mapped.kept[0], mapped.visible[0]) == (True, False, False, 0)
    assert np.isnan(mapped.boxes[0]).all()


@pytest.mark.parametrize("box", [(np.nan, 0, 1, 1), (0, 0, np.inf, 1), (5, 0, 1, 1), (0, 5, 1, 1), (0, -np.inf, 1, 1)])
def test_what_is_no_box_is_told(box: tuple[float, ...]) -> None:
    mapped = map_boxes([box, (0, 0, 1, 1)], (-1.0, 0.0, 10.0, 0.0, 1.0, 0.0), (10, 20))
    assert mapped.invalid.tolist() == [True, False]
    assert mapped.outside.tolist() == [False, False]
    assert mapped.kept.tolist() == [False, True]
    assert np.isnan(mapped.boxes[0]).all()
    assert mapped.visible.tolist() == [0, 1]


def test_no_boxes_are_no_boxes() -> None:
    assert map_boxes([], affine.IDENTITY, (10, 20)).boxes.shape == (0, 4)
    assert map_areas([], map_boxes([], affine.IDENTITY, (10, 20)), affine.IDENTITY).shape == (0,)


def test_a_tilting_affine_is_refused() -> None:
    with pytest.raises(ValueError, match="upright"):
        map_boxes([(0, 0, 1, 1)], (1.0, 0.5, 0.0, 0.0, 1.0, 0.0), (10, 20))


def test_areas_follow_the_published_ones_else_the_box() -> None:
    matrix = (0.0, -0.5, 10.0, 2.0, 0.0, 0.0)
    mapped = map_boxes([(2, 4, 6, 10), (-2, 0, 2, 4), (0, 0, 2, 4), (0, 30, 1, 31), (5, 0, 1, 1)], matrix, (10, 20))
    areas = map_areas([17.5, 8, np.nan, 1, 1], mapped, matrix)
    assert areas[:3].tolist() == [17.5, 4, 8]
    assert np.isnan(areas[3:]).all()
    assert map_areas([-1, 0, 3, 1, 1], mapped, matrix)[:3].tolist() == [24, 0, 3]


@given(affines, box_lists)
@LAWS
def test_a_box_within_comes_back_by_the_inverse(matrix: affine.Affine, boxes: list[tuple[float, ...]]) -> None:
    """Both images are shifted so that nothing is clipped."""
    start = upright_boxes(boxes) + 300
    extent = 100_000
    centred = affine.compose(matrix, (1.0, 0.0, extent, 0.0, 1.0, extent))
    there = map_boxes(start, centred, (3 * extent, 3 * extent))
    back = map_boxes(there.boxes, affine.inverse(centred), (600, 600))
    assert there.kept.all()
    assert back.boxes == pytest.approx(start, abs=1e-5)
    assert map_areas(np.full(len(start), np.nan), there, centred) == pytest.approx(
        abs(affine.determinant(matrix)) * (start[:, 2:] - start[:, :2]).prod(axis=1), rel=1e-6, abs=1e-3
    )


@given(affines, box_lists, st.integers(1, 300), st.integers(1, 300))
@LAWS
def test_visible_is_the_share_of_the_area(
    matrix: affine.Affine, boxes: list[tuple[float, ...]], width: int, height: int
) -> None:
    start = upright_boxes(boxes)
    mapped = map_boxes(start, matrix, (width, height))
    assert ((mapped.visible >= 0) & (mapped.visible <= 1)).all()
    assert not (mapped.kept & mapped.outside).any()
    kept = mapped.boxes[mapped.kept]
    assert (kept >= 0).all()
    assert (kept[:, :2] <= kept[:, 2:]).all()
    assert (kept[:, 2:] <= (width, height)).all()
    whole = abs(affine.determinant(matrix)) * (start[:, 2:] - start[:, :2]).prod(axis=1)
    seen = np.where(mapped.kept, np.nan_to_num(mapped.boxes[:, 2:] - mapped.boxes[:, :2]).prod(axis=1), 0)
    assert seen == pytest.approx(mapped.visible * whole, rel=1e-6, abs=1e-2)


@given(box_lists, st.sampled_from(range(1, 9)), st.sampled_from([0, 90, 180, 270]))
@LAWS
def test_normalised_boxes_equal_those_in_pixels(boxes: list[tuple[float, ...]], orientation: int, degrees: int) -> None:
    start = upright_boxes(boxes)
    plan = image_plans((64, 32), orientation, ImageOptions(image_size=16, resize="crop"))[0]
    in_pixels = map_boxes(start, plan.matrix, plan.written).boxes
    normalised = affine.compose(affine.scale((1, 1), (64, 32)), plan.matrix)
    mapped = map_boxes(start / (64, 32, 64, 32), normalised, plan.written).boxes
    assert mapped == pytest.approx(in_pixels, nan_ok=True)
    there_and_back = affine.quarter_turn(degrees, 64, 32), affine.inverse(affine.quarter_turn(degrees, 64, 32))
    mapped = map_boxes(start, affine.compose(*there_and_back, plan.matrix), plan.written).boxes
    assert mapped == pytest.approx(in_pixels, nan_ok=True)
