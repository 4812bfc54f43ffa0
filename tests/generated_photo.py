"""A photo of smooth noise in any size and mode, and files of it."""

import io
import typing

import numpy as np
from PIL import Image, ImageFilter

Named = typing.Iterator[tuple[str, bytes]]
"""Files, each by a name that says what is odd about it."""

SIDES = ((1, 1), (1, 17), (17, 1), (15, 9), (64, 48), (301, 200))


def photo(width: int = 64, height: int = 48, mode: str = "RGB") -> Image.Image:
    noise = np.random.default_rng(width * height).integers(0, 256, (height, width, 4), dtype=np.uint8)
    smooth = Image.fromarray(noise[:, :, :3]).filter(ImageFilter.GaussianBlur(3))
    if mode in ("RGBA", "LA"):
        smooth.putalpha(Image.fromarray(noise[:, :, 3]))
    return smooth.convert(mode)


def saved(image: Image.Image, format_: str, **options: typing.Any) -> bytes:
    sink = io.BytesIO()
    image.save(sink, format_, **options)
    return sink.getvalue()
