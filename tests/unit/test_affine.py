"""Laws of affines, and their agreement with the pixels that Pillow and the codec move."""

import io
import itertools
import typing

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from transforms.geometry import affine
from transforms.images.image_codec import EncodedImage, ImageOptions, encode_image
from transforms.images.image_plan import RESIZE_MODES, TURNED_UPRIGHT

Pixels = npt.NDArray[np.int64]

ORIENTATIONS = range(1, 9)
WAYS = list(itertools.product(RESIZE_MODES, (False, True), ORIENTATIONS))
"""Every mode of resizing, with and without enlarging, and every EXIF orientation."""

TURNS = {0: None, 90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}
LAWS = settings(max_examples=100, deadline=None, derandomize=True)

numbers = st.floats(-1000, 1000)
factors = st.floats(0.01, 100) | st.floats(-100, -0.01)
affines = st.one_of(
    st.tuples(factors, st.just(0.0), numbers, st.just(0.0), factors, numbers),
    st.tuples(st.just(0.0), factors, numbers, factors, st.just(0.0), numbers),
)
"""Flips and quarter turns with scales and shifts."""


def written(stored: npt.NDArray[np.uint8], orientation: int, **options: typing.Any) -> tuple[EncodedImage, Pixels]:
    """Writes an image with an EXIF orientation; returns what the codec says of it and its pixels."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    sink = io.BytesIO()
    Image.fromarray(stored).save(sink, "PNG", exif=exif)
    encoded = encode_image(sink.getvalue(), ImageOptions(**{"format": "png", "filter": "bicubic", **options}))[0]
    return encoded, np.asarray(Image.open(io.BytesIO(encoded.data))).astype(np.int64)


@given(affines, st.lists(st.tuples(numbers, numbers)))
@LAWS
def test_forward_then_inverse_is_the_identity(matrix: affine.Affine, points: list[tuple[float, float]]) -> None:
    forward = affine.apply(matrix, np.reshape(points, (-1, 2)))
    assert affine.apply(affine.inverse(matrix), forward) == pytest.approx(np.reshape(points, (-1, 2)), abs=1e-6)
    assert affine.compose(matrix, affine.inverse(matrix)) == pytest.approx(affine.IDENTITY, abs=1e-6)
    assert affine.inverse(affine.inverse(matrix)) == pytest.approx(matrix, rel=1e-9, abs=1e-6)


@given(affines, affines, affines, numbers, numbers)
@LAWS
def test_composing_is_associative_and_applies_in_order(
    first: affine.Affine, second: affine.Affine, third: affine.Affine, x: float, y: float
) -> None:
    whole = affine.compose(first, second, third)
    close = {"rel": 1e-9, "abs": 1e-3}
    assert affine.compose(affine.compose(first, second), third) == pytest.approx(whole, **close)
    assert affine.compose(first, affine.compose(second, third)) == pytest.approx(whole, **close)
    stepwise = affine.apply(third, affine.apply(second, affine.apply(first, [[x, y]])))
    assert affine.apply(whole, [[x, y]]) == pytest.approx(stepwise, **close)
    assert affine.swaps_axes(whole) == (sum(map(affine.swaps_axes, (first, second, third))) % 2 == 1)


@given(affines, affines)
@LAWS
def test_determinants_multiply(first: affine.Affine, second: affine.Affine) -> None:
    product = affine.determinant(first) * affine.determinant(second)
    assert affine.determinant(affine.compose(first, second)) == pytest.approx(product)


def test_nothing_composed_is_the_identity() -> None:
    assert affine.compose() == affine.IDENTITY
    assert affine.inverse(affine.IDENTITY) == affine.IDENTITY
    assert affine.apply(affine.IDENTITY, []).shape == (0, 2)


def assert_moves_pixels(matrix: affine.Affine, before: npt.NDArray[typing.Any], after: npt.NDArray[typing.Any]) -> None:
    """Every pixel's centre lands on the centre of the pixel of the same value; all values differ."""
    rows, columns = np.divmod(np.arange(before.size), before.shape[1])
    moved = affine.apply(matrix, np.stack([columns, rows], axis=1) + 0.5) - 0.5
    assert (after[moved[:, 1].astype(int), moved[:, 0].astype(int)] == before.ravel()).all()
    assert moved == pytest.approx(moved.round())


@pytest.mark.parametrize("exif", ORIENTATIONS)
def test_orientations_move_pixels_as_pillow_does(exif: int) -> None:
    image = Image.fromarray(np.arange(35, dtype=np.uint8).reshape(5, 7))
    upright = image.transpose(TURNED_UPRIGHT[exif]) if exif > 1 else image
    assert_moves_pixels(affine.orientation(exif, 7, 5), np.asarray(image), np.asarray(upright))


@pytest.mark.parametrize("degrees", TURNS)
def test_turns_move_pixels_as_pillow_does(degrees: int) -> None:
    image = Image.fromarray(np.arange(35, dtype=np.uint8).reshape(5, 7))
    turn = TURNS[degrees]
    turned = image.transpose(turn) if turn is not None else image
    assert_moves_pixels(affine.quarter_turn(float(degrees), 7, 5), np.asarray(image), np.asarray(turned))
    assert np.array_equal(np.asarray(turned), np.rot90(np.asarray(image), degrees // 90))


@pytest.mark.parametrize("exif", ORIENTATIONS)
def test_the_codec_turns_by_the_same_affine(exif: int) -> None:
    encoded, _ = written(np.zeros((5, 7, 3), np.uint8), exif, resize="none")
    assert encoded.matrix == affine.orientation(exif, 7, 5)


@pytest.mark.parametrize("exif", ORIENTATIONS)
def test_normalised_coordinates_turn_as_pixels_do(exif: int) -> None:
    upright = (30, 40) if exif >= 5 else (40, 30)
    normalised = affine.compose(affine.orientation(exif, 1, 1), affine.scale((1, 1), upright))
    assert normalised == affine.compose(affine.scale((1, 1), (40, 30)), affine.orientation(exif, 40, 30))


@pytest.mark.parametrize("degrees", TURNS)
@pytest.mark.parametrize("exif", [1, 3, 6, 7])
def test_a_turned_copy_of_another_size_lands_on_the_written_photo(degrees: int, exif: int) -> None:
    """The chain of the module's docstring, on a mark whose place in both pictures is known."""
    upright = np.zeros((90, 60, 3), np.uint8)
    upright[20:26, 10:16] = (255, 0, 0)
    stored = upright.copy()
    if exif > 1:
        back = affine.inverse(affine.orientation(exif, *((90, 60) if exif >= 5 else (60, 90))))
        stored = np.zeros(((60, 90, 3) if exif >= 5 else (90, 60, 3)), np.uint8)
        corners = np.sort(affine.apply(back, [[10, 20], [16, 26]]), axis=0).astype(int)
        stored[corners[0, 1] : corners[1, 1], corners[0, 0] : corners[1, 0]] = (255, 0, 0)
    encoded, pixels = written(stored, exif, resize="crop", image_size=45)

    copy_size = (60, 40) if degrees in (90, 270) else (40, 60)
    in_copy = affine.apply(affine.inverse(affine.quarter_turn(degrees, *copy_size)), [[13 * 2 / 3, 23 * 2 / 3]])
    stored_size = (encoded.original_width, encoded.original_height)
    chain = affine.compose(
        affine.scale((1, 1), copy_size),
        affine.quarter_turn(degrees, *copy_size),
        affine.scale((40, 60), (60, 90)),
        affine.inverse(affine.orientation(exif, *stored_size)),
        encoded.matrix,
    )
    rows, columns = np.nonzero(pixels[:, :, 0] > 128)
    assert affine.apply(chain, in_copy / copy_size)[0] == pytest.approx(
        [columns.mean() + 0.5, rows.mean() + 0.5], abs=1
    )


@pytest.mark.parametrize(
    "matrix", [(1, 1, 0, 1, 1, 0), (0, 0, 0, 0, 0, 0), (np.nan, 0, 0, 0, 1, 0), (1, 0, np.inf, 0, 1, 0)]
)
def test_what_cannot_be_undone_is_refused(matrix: typing.Any) -> None:
    with pytest.raises(ValueError, match="no inverse"):
        affine.inverse(matrix)


@pytest.mark.parametrize("matrix", [(1, 1, 0, -1, 1, 0), (0, 0, 0, 0, 1, 0), (1, 0, 0, 0.5, 1, 0)])
def test_what_tilts_rectangles_is_refused(matrix: typing.Any) -> None:
    with pytest.raises(ValueError, match="upright"):
        affine.swaps_axes(matrix)


def test_predictions_go_back_by_the_numbers_of_the_json() -> None:
    assert affine.to_source([2, 0, 10, 0, 4, 20], [[10, 20], [12, 24]]).tolist() == [[0, 0], [1, 1]]
    with pytest.raises(ValueError, match="5 numbers is no affine"):
        affine.to_source([2, 0, 10, 0, 4], [[10, 20]])
    with pytest.raises(ValueError, match="no inverse"):
        affine.to_source([0] * 6, [[10, 20]])


def test_wrong_turns_orientations_and_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="rotation 45 is no quarter turn"):
        affine.quarter_turn(45, 2, 3)
    with pytest.raises(ValueError, match="rotation nan"):
        affine.quarter_turn(float("nan"), 2, 3)
    with pytest.raises(ValueError, match="orientation 9 is unknown"):
        affine.orientation(9, 2, 3)
    with pytest.raises(ValueError, match="give sides above 0"):
        affine.scale((0, 3), (1, 1))
