"""Marks drawn in images, written by the codec in every way, are found by colour at their mapped points."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.test_affine import LAWS, WAYS, affines, written
from transforms.geometry import affine
from transforms.geometry.map_boxes import map_boxes
from transforms.geometry.map_points import map_keypoints, map_pairs, map_points, map_trace
from transforms.images.image_plan import ImageOptions, image_plans

SIZE = (60, 44)
MARKS = {0: (33, 17), 1: (3, 30), 2: (48, 6)}
"""Channel to the pixel about which a mark of 5 x 5 pixels is drawn in it; a crop cuts the second off."""

coordinates = st.floats(-300, 300)
point_lists = st.lists(st.tuples(coordinates, coordinates), max_size=8)


@pytest.mark.parametrize(("mode", "upscale", "orientation"), WAYS)
def test_marks_are_found_at_their_mapped_points(mode: str, upscale: bool, orientation: int) -> None:
    stored = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    for channel, (x, y) in MARKS.items():
        stored[y - 2 : y + 3, x - 2 : x + 3, channel] = 255
    encoded, pixels = written(stored, orientation, resize=mode, upscale=upscale, image_size=130 if upscale else 33)
    size = encoded.width, encoded.height
    marked = np.array([*MARKS.values()], dtype=np.float64)
    keypoints = map_keypoints(np.column_stack([marked, [2, 1, 2]]), encoded.matrix, size)
    normalised = affine.compose(affine.scale((1, 1), SIZE), encoded.matrix)
    points = map_points((marked + 0.5) / SIZE, normalised, size)
    trace = map_trace(np.column_stack([(marked + 0.5) / SIZE, [0, 1, 2]]), normalised, size)

    pixels[pixels.min(axis=2) > 128] = 0  # The padding is white.
    rows, columns = np.mgrid[: size[1], : size[0]] + 0.5
    for channel, v in enumerate((2, 1, 2)):
        weight = pixels[:, :, channel]
        if points.outside[channel]:
            assert keypoints.keypoints[channel].tolist() == [0, 0, 0]
            continue
        found = (weight * columns).sum() / weight.sum(), (weight * rows).sum() / weight.sum()
        assert points.points[channel] == pytest.approx(found, abs=1)
        assert keypoints.keypoints[channel] == pytest.approx((found[0] - 0.5, found[1] - 0.5, v), abs=1)
    assert points.outside.any() == (mode == "crop")
    assert keypoints.labelled == points.kept.sum() == 3 - keypoints.outside
    assert np.array_equal(trace.trace, np.column_stack([points.points, [0, 1, 2]])[points.kept])
    assert trace.outside == points.outside.sum()


@given(affines, point_lists)
@LAWS
def test_points_within_come_back_by_the_inverse(matrix: affine.Affine, points: list[tuple[float, float]]) -> None:
    start = np.reshape(points, (-1, 2)) + 300
    centred = affine.compose(matrix, (1.0, 0.0, 1e5, 0.0, 1.0, 1e5))
    there = map_points(start, centred, (200_000, 200_000))
    assert there.kept.all()
    assert map_points(there.points, affine.inverse(centred), (600, 600)).points == pytest.approx(start, abs=1e-5)
    keypoints = np.column_stack([start, np.ones(len(start))])
    continuous = map_keypoints(keypoints, centred, (200_000, 200_000), of_pixels=False)
    assert continuous.keypoints == pytest.approx(np.column_stack([there.points, np.ones(len(start))]))


@given(
    st.integers(1, 90),
    st.integers(1, 90),
    st.floats(0, 1, exclude_max=True),
    st.floats(0, 1, exclude_max=True),
    st.sampled_from(range(1, 9)),
    st.integers(1, 99),
)
@LAWS
def test_every_pixel_of_an_image_stays_in_it(
    width: int, height: int, across: float, down: float, exif: int, image_size: int
) -> None:
    """Whatever is done that cuts nothing, and comes back where only turned."""
    x, y = int(across * width), int(down * height)
    for options in (ImageOptions(image_size=image_size, upscale=True), ImageOptions(resize="none")):
        plan = image_plans((width, height), exif, options)[0]
        mapped = map_keypoints([x, y, 2], plan.matrix, plan.written)
        assert (mapped.labelled, mapped.outside) == (1, 0)
        assert (mapped.keypoints[0, :2] >= 0).all()
        assert (mapped.keypoints[0, :2] <= np.array(plan.written) - 1).all()
    back = map_keypoints(mapped.keypoints, affine.inverse(plan.matrix), (width, height))
    assert back.keypoints.tolist() == [[x, y, 2]]


def test_edges_belong_to_the_image() -> None:
    points = [[0, 0], [10, 20], [10.1, 5], [5, -0.1], [10 + 1e-9, -1e-9], [np.nan, 1], [1, np.inf]]
    mapped = map_points(points, affine.IDENTITY, (10, 20))
    assert mapped.outside.tolist() == [False, False, True, True, False, False, False]
    assert mapped.invalid.tolist() == [False] * 5 + [True] * 2
    assert mapped.points[mapped.kept].tolist() == [[0, 0], [10, 20], [10, 0]]
    assert np.isnan(mapped.points[~mapped.kept]).all()
    assert map_points([], affine.IDENTITY, (10, 20)).points.shape == (0, 2)


def test_keypoints_are_counted() -> None:
    flat = [1, 2, 2, 0, 0, 0, 5, 5, 0, 30, 3, 1, np.nan, 1, 2, 3, 4, 7, 9, 19, 1]
    mapped = map_keypoints(flat, affine.IDENTITY, (10, 20))
    nothing = [0, 0, 0]
    assert mapped.keypoints.tolist() == [[1, 2, 2], nothing, nothing, nothing, nothing, nothing, [9, 19, 1]]
    assert (mapped.labelled, mapped.outside, mapped.invalid) == (2, 1, 2)
    assert map_keypoints([], affine.IDENTITY, (10, 20)).keypoints.shape == (0, 3)


def test_an_unlabelled_keypoint_is_never_outside() -> None:
    mapped = map_keypoints([0, 0, 0], (1.0, 0.0, -50.0, 0.0, 1.0, -50.0), (10, 20))
    assert (mapped.keypoints.tolist(), mapped.outside) == ([[0, 0, 0]], 0)


def test_traces_lose_what_is_outside_and_keep_their_times() -> None:
    trace = [
        (0.1, 0.2, 0.0),
        (1.2, 0.5, 0.5),
        (0.5, 1.0, 0.75),
        (np.nan, 0, 1),
        (0.5, 0.5, np.nan),
        (0.3, -0.1, np.nan),
    ]
    mapped = map_trace(trace, affine.scale((1, 1), (10, 20)), (10, 20))
    assert mapped.trace.tolist() == [[1, 4, 0], [5, 20, 0.75]]
    assert (mapped.outside, mapped.invalid) == (1, 3)
    assert map_trace([], affine.IDENTITY, (10, 20)).trace.shape == (0, 3)


def test_a_relationship_needs_both_boxes() -> None:
    inside, beyond, broken = (1, 1, 5, 5), (30, 0, 40, 5), (5, 5, 1, 1)
    first = [inside, inside, beyond, beyond, broken, inside]
    second = [inside, beyond, inside, broken, inside, broken]
    mapped = map_pairs(first, second, affine.IDENTITY, (10, 20))
    assert mapped.kept.tolist() == [True, False, False, False, False, False]
    assert mapped.outside.tolist() == [False, True, True, False, False, False]
    assert mapped.invalid.tolist() == [False, False, False, True, True, True]
    assert np.array_equal(mapped.first.boxes, map_boxes(first, affine.IDENTITY, (10, 20)).boxes, equal_nan=True)
    assert np.array_equal(mapped.second.boxes, map_boxes(second, affine.IDENTITY, (10, 20)).boxes, equal_nan=True)
