"""Several sizes of one photo: each as in a run of its own, all of them from one decode."""

import dataclasses
import functools
import io
import itertools
import types
import typing

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from schemas.failures import PhotoError
from tests.generated_photo import photo, saved
from tests.unit.test_keep_jpegs import compressed, exif
from transforms.images import jpeg_pixels
from transforms.images.image_codec import EncodedImage, ImageOptions, encode_image
from transforms.images.image_plan import FILTERS, FORMATS, RESIZE_MODES

SCALED = [mode for mode in RESIZE_MODES if mode != "none"]


@functools.cache
def files() -> dict[str, bytes]:
    translucent = photo(211, 160).convert("RGBA")
    translucent.putalpha(photo(211, 160).convert("L"))
    return {
        "jpeg": saved(photo(301, 200), "JPEG", quality=95),
        "turned": saved(photo(301, 200), "JPEG", exif=exif(6)),
        "grey": saved(photo(160, 211).convert("L"), "JPEG"),
        "cmyk": saved(photo(160, 130).convert("CMYK"), "JPEG"),
        "small": saved(photo(50, 40), "JPEG"),
        "png": saved(translucent, "PNG"),
        "gif": saved(photo(150, 120), "GIF"),
    }


def alone(data: bytes, options: ImageOptions, rotation: int | None = None) -> list[EncodedImage]:
    """What runs for each size alone give."""
    runs = (dataclasses.replace(options, image_size=size, further_sizes=()) for size in options.sizes)
    return [image for run in runs for image in encode_image(data, run, rotation)]


@pytest.mark.parametrize(("mode", "upscale", "name"), list(itertools.product(SCALED, (False, True), files())))
def test_each_size_is_as_in_a_run_of_its_own(mode: str, upscale: bool, name: str) -> None:
    options = ImageOptions(image_size=64, further_sizes=(120, 33, 180), resize=mode, upscale=upscale)
    assert encode_image(files()[name], options) == alone(files()[name], options)


@pytest.mark.parametrize(("filter_", "format_"), list(itertools.product(FILTERS, FORMATS)))
def test_so_it_is_with_every_filter_and_format(filter_: str, format_: str) -> None:
    options = ImageOptions(image_size=120, further_sizes=(64,), filter=filter_, format=format_, keep_exif=True)
    for name in ("turned", "png", "small"):
        assert encode_image(files()[name], options, 90) == alone(files()[name], options, 90)


def test_a_photo_within_both_sizes_keeps_its_data_twice() -> None:
    data = files()["small"]
    first, second = encode_image(data, ImageOptions(image_size=256, further_sizes=(512,)))
    assert first == second._replace(image_size=256)
    assert compressed(first.data) == compressed(data)


def test_a_photo_between_two_sizes_is_kept_for_the_larger_alone() -> None:
    data = files()["jpeg"]
    first, second = encode_image(data, ImageOptions(image_size=64, further_sizes=(256,)))
    assert (first.width, first.height, second.width, second.height) == (96, 64, 301, 200)
    assert compressed(second.data) == compressed(data)
    assert (first.matrix[0], second.matrix[0]) == (96 / 301, 1)


def _decodes(monkeypatch: pytest.MonkeyPatch, data: bytes, *sizes: int) -> tuple[list[bytes], list[tuple[int, ...]]]:
    """Encodes; also returns the shape of each decode."""
    shapes: list[tuple[int, ...]] = []

    def counted(*args: typing.Any, **options: typing.Any) -> typing.Any:
        pixels = simplejpeg.decode_jpeg(*args, **options)
        shapes.append(pixels.shape[:2])
        return pixels

    with monkeypatch.context() as patch:
        patch.setattr(jpeg_pixels, "simplejpeg", types.SimpleNamespace(decode_jpeg=counted))
        options = ImageOptions(image_size=sizes[0], further_sizes=sizes[1:], format="png")
        return [image.data for image in encode_image(data, options)], shapes


def _loss(data: bytes, full: Image.Image) -> float:
    written = Image.open(io.BytesIO(data))
    reference = full.resize(written.size, Image.Resampling.BOX)
    return float(np.square(np.asarray(written, np.float64) - np.asarray(reference, np.float64)).mean())


def test_a_large_jpeg_is_decoded_once_at_the_fraction_of_the_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """The smaller size is then nearer to a full decode than alone; the larger one is as alone."""
    data = saved(photo(1280, 960), "JPEG", quality=80)
    (small,), small_decodes = _decodes(monkeypatch, data, 64)
    (large,), large_decodes = _decodes(monkeypatch, data, 320)
    (first, second), decodes = _decodes(monkeypatch, data, 64, 320)
    turned, turned_decodes = _decodes(monkeypatch, data, 320, 64)
    assert (small_decodes, large_decodes, decodes, turned_decodes) == ([(480, 640)], *[[(960, 1280)]] * 3)
    assert turned == [second, first]
    assert second == large
    assert first != small
    full = Image.open(io.BytesIO(data))
    assert _loss(first, full) < _loss(small, full)


def test_a_photo_fails_if_one_of_its_sizes_cannot_be_written() -> None:
    with pytest.raises(PhotoError, match="would be made with 602 x 400 pixels"):
        encode_image(
            files()["jpeg"], ImageOptions(image_size=64, further_sizes=(400,), upscale=True, max_pixels=99_999)
        )
    options = ImageOptions(image_size=64, further_sizes=(17_000,), upscale=True, max_pixels=0, format="webp")
    with pytest.raises(PhotoError, match="webp has at most 16383"):
        encode_image(files()["small"], options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 256, "further_sizes": (512, 256)}, "--image_size 256,512,256 names a size twice"),
        ({"further_sizes": (0,)}, "--image_size 0 is out of range"),
        ({"further_sizes": (512,), "resize": "none"}, "--image_size 256,512 with --resize none"),
    ],
)
def test_sizes_that_make_no_sense_are_refused(options: dict[str, typing.Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ImageOptions(**options)
