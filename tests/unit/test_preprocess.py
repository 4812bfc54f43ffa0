"""Pictures to numbers, against the formulas and the published numbers of those who trained the networks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from transforms.features.preprocess import PRESETS, prepare

# What black and white become, as it is known of these recipes: (0 - mean) / std and (1 - mean) / std.
_ENDS = {
    "inception_v3": ([-1, -1, -1], [1, 1, 1]),
    "imagenet": ([-2.117904, -2.035714, -1.804444], [2.2489083, 2.4285715, 2.64]),
    "clip": ([-1.7922626, -1.7520971, -1.4802198], [1.9303361, 2.0748837, 2.1458969]),
}


def _coordinates(width, height):
    """A picture whose red is the column and whose green is the row, both halved."""
    rows, columns = np.indices((height, width)) // 2
    return Image.fromarray(np.stack([columns, rows, 0 * rows], -1).astype(np.uint8))


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("is_white", [False, True])
def test_black_and_white_become_the_known_numbers(name, is_white):
    colour = (255, 255, 255) if is_white else (0, 0, 0)
    numbers = prepare(Image.new("RGB", (300, 200), colour), PRESETS[name])
    assert numbers.dtype == np.float32
    np.testing.assert_allclose(numbers[100, 100], _ENDS[name][is_white], rtol=2e-6)


def test_inception_v3_is_what_keras_does_to_the_last_bit():
    pixels = np.random.default_rng(3).integers(0, 256, (299, 299, 3), dtype=np.uint8)
    expected = pixels.astype(np.float32)
    expected /= 127.5
    expected -= 1.0
    assert np.array_equal(prepare(Image.fromarray(pixels), PRESETS["inception_v3"]), expected)


def test_inception_v3_squeezes_the_whole_picture():
    numbers = prepare(_coordinates(400, 200), PRESETS["inception_v3"])
    assert numbers.shape == (299, 299, 3)
    np.testing.assert_allclose(((numbers[0, 0] + 1) * 127.5)[:2], [0, 0], atol=1)
    np.testing.assert_allclose(((numbers[-1, -1] + 1) * 127.5)[:2], [199, 99], atol=1)


@pytest.mark.parametrize(
    ("size", "corner"),
    [((341, 256), (58, 16)), ((343, 256), (60, 16)), ((256, 256), (16, 16)), ((256, 511), (16, 144))],
)
def test_imagenet_takes_the_middle_as_torchvision_does(size, corner):
    """Sizes at which nothing is resized; `int(round((side - 224) / 2.0))` of both sides, halves to the even number."""
    how = PRESETS["imagenet"]
    numbers = prepare(_coordinates(*size), how) * np.array(how.std, np.float32) + np.array(how.mean, np.float32)
    pixels = np.rint(numbers * 255)
    assert pixels.shape == (224, 224, 3)
    assert pixels[0, 0, :2].tolist() == [side // 2 for side in corner]
    assert pixels[-1, -1, :2].tolist() == [(side + 223) // 2 for side in corner]


def test_imagenet_resizes_as_torchvision_does():
    """Its `Resize(256)` on a Pillow image is Pillow's own: the shorter side to 256, the other one cut to an integer."""
    pixels = np.random.default_rng(4).integers(0, 256, (333, 500, 3), dtype=np.uint8)
    resized = Image.fromarray(pixels).resize((int(256 * 500 / 333), 256), Image.Resampling.BILINEAR)
    cropped = np.asarray(resized, np.float32)[16:240, 80:304]
    expected = (cropped / np.float32(255) - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])
    assert np.array_equal(prepare(Image.fromarray(pixels), PRESETS["imagenet"]), expected)


@settings(max_examples=20, deadline=None)
@given(name=st.sampled_from(sorted(PRESETS)), width=st.integers(1, 900), height=st.integers(1, 900))
def test_any_picture_becomes_numbers_between_black_and_white(name, width, height):
    how = PRESETS[name]
    numbers = prepare(_coordinates(width, height).convert("L"), how)
    assert numbers.shape == (how.input_size, how.input_size, 3)
    black, white = _ENDS[name]
    assert (numbers >= np.float32(black) - 1e-5).all()
    assert (numbers <= np.float32(white) + 1e-5).all()


def test_a_line_of_pixels_takes_no_memory_to_speak_of():
    line = Image.fromarray(np.full((1, 65_000, 3), 255, np.uint8))
    numbers = prepare(line, PRESETS["clip"])
    np.testing.assert_allclose(numbers[0, 0], _ENDS["clip"][1], rtol=2e-6)
