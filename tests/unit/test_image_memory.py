"""How much memory one photo takes at most, whatever its format."""

import io
import typing

import numpy as np
import pytest
from PIL import Image

from tests.process_memory import memory_bytes, reset_peak_memory
from transforms.images.decode_image import PIXEL_COPIES
from transforms.images.image_codec import ImageOptions, encode_image

SIDE_PX = 2600
WITH_ALPHA = ("PNG", "TIFF", "WEBP", "AVIF", "JPEG2000")
KINDS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "JPEG2000", "16 bits", "floats", "JPEG strips")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("resize", ["shorter", "crop"])
def test_memory_stays_below_twelve_bytes_a_counted_pixel(kind: str, resize: str) -> None:
    """At most 1 GB at the default ``max_pixels``."""
    format_ = {"16 bits": "PNG", "floats": "TIFF", "JPEG strips": "TIFF"}.get(kind, kind)
    data = _file(kind, format_)
    reset_peak_memory()
    before_bytes = memory_bytes("VmRSS")
    encode_image(data, ImageOptions(resize=resize))
    taken_bytes = memory_bytes("VmHWM") - before_bytes
    assert taken_bytes < 12 * PIXEL_COPIES.get(format_, 1) * SIDE_PX**2 + 10_000_000


def _file(kind: str, format_: str) -> bytes:
    wide = {"16 bits": np.uint16, "floats": np.float32}.get(kind)
    ramp = np.tile(np.arange(SIDE_PX, dtype=wide or np.uint8), (SIDE_PX, 1))
    image = Image.fromarray(ramp)
    if not wide:
        image = image.convert("RGBA" if kind in WITH_ALPHA else "RGB")
    sink = io.BytesIO()
    options: dict[str, typing.Any] = {"AVIF": {"speed": 10}, "JPEG strips": {"compression": "jpeg"}}.get(kind, {})
    image.save(sink, format_, **options)
    return sink.getvalue()
