"""The area filter against the definition, summed pixel by pixel in double precision."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.generated_photo import photo
from transforms.images import area_filter
from transforms.images.area_filter import area_average


def shares(stored: int, extent: float, written: int) -> npt.NDArray[np.float64]:
    """How much of each written pixel each stored one covers."""
    matrix = np.zeros((written, stored))
    for j in range(written):
        low, high = j * extent / written, (j + 1) * extent / written
        for i in range(stored):
            matrix[j, i] = max(0.0, min(high, i + 1) - max(low, i)) * written / extent
    return matrix


def defined(
    pixels: npt.NDArray[np.uint8], size: tuple[int, int], extent: tuple[float, float]
) -> npt.NDArray[np.float64]:
    height, width, _ = pixels.shape
    down, across = shares(height, extent[1], size[1]), shares(width, extent[0], size[0])
    return np.einsum("yh,hwc,xw->yxc", down, pixels.astype(np.float64), across, optimize=True)


@given(
    st.integers(1, 90), st.integers(1, 90), st.sampled_from([1, 3, 4]), st.floats(0, 1), st.floats(0, 1), st.booleans()
)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_it_is_the_mean_by_area(width: int, height: int, channels: int, across: float, down: float, cut: bool) -> None:
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, channels), np.uint8)
    extent = (width - 0.75, height - 0.5) if cut else (float(width), float(height))
    size = max(1, int(extent[0] * across)), max(1, int(extent[1] * down))
    result = area_average(pixels, size, extent if cut else None)
    assert result.shape == (size[1], size[0], channels)
    ratios = [stored / written for stored, written in zip(extent, size, strict=True)]
    of_weights = sum(255 * (ratio + 2) / (512 if ratio <= 16 else 2**17) for ratio in ratios)
    assert np.abs(result - defined(pixels, size, extent)).max() < 1.001 + of_weights


def test_a_photograph_differs_by_a_rounding() -> None:
    pixels = np.asarray(photo(640, 480))
    error = area_average(pixels, (341, 256)) - defined(pixels, (341, 256), (640, 480))
    assert np.abs(error).max() < 1.5
    assert 10 * np.log10(255**2 / (error**2).mean()) > 52
    assert abs(error.mean()) < 0.05


@pytest.mark.parametrize("stored", [582, 941, 1828, 3900, 5520, 9_000])
def test_stripes_become_grey(stored: int) -> None:
    stripes = np.zeros((1, stored, 1), np.uint8)
    stripes[:, ::2] = 255
    exact = defined(stripes, (256, 1), (stored, 1))
    assert np.abs(area_average(stripes, (256, 1)) - exact).max() < 5


@pytest.mark.parametrize("value", [0, 1, 254, 255])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_flat_picture_stays_as_it_is(value: int, channels: int) -> None:
    pixels = np.full((517, 333, channels), value, np.uint8)
    assert (area_average(pixels, (101, 77)) == value).all()


def test_bands_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (700, 50, 4), np.uint8)
    whole = area_average(pixels, (31, 333))
    monkeypatch.setattr(area_filter, "_BAND_BYTES", 1)
    assert (area_average(pixels, (31, 333)) == whole).all()
