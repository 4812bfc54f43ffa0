"""Pictures for the demo: seeded landscapes in the formats and orientations that photos come in, and broken files."""

import io
import math
import random
import struct
import typing
import zlib

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from schemas.failures import FailureReason
from transforms.images.image_plan import TURNED_BACK
from transforms.images.upright_exif import ORIENTATION_TAG

SIZES_PX = ((500, 375), (375, 500), (500, 333), (640, 480), (240, 180), (1024, 683), (500, 281), (800, 800))
"""Upright width and height; mostly Flickr's medium, whose longer side is 500."""

BOMB_SIDE_PX = 60_000
_HORIZON = 0.55
_STEP_PX = 6
_SKIES = (("#1d2b64", "#f8cdda"), ("#2980b9", "#d6eaf8"), ("#0f2027", "#f7971e"), ("#536976", "#e0eafc"))
_GROUNDS = ("#2d572c", "#3d4f3a", "#6b4f2a", "#1f3b4d", "#7d8f3a")


class Encoding(typing.NamedTuple):
    """One way to store a picture: the file's extension, and what makes its bytes from pixels and orientation."""

    extension: str
    encode: typing.Callable[[Image.Image, int], bytes]


def draw_scene(size: tuple[int, int], rnd: random.Random) -> Image.Image:
    """Draws a sky, a sun, some ranges of hills and a few trees.

    Args:
        size: width and height, px.
        rnd: decides everything else.
    """
    width, height = size
    top, bottom = rnd.choice(_SKIES)
    scene = ImageOps.colorize(Image.linear_gradient("L").resize(size), top, bottom)
    draw = ImageDraw.Draw(scene)
    radius, x, y = height * rnd.uniform(0.04, 0.1), width * rnd.random(), height * rnd.uniform(0.1, 0.5)
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill="#ffe9a8")
    for level, ground in enumerate(rnd.sample(_GROUNDS, 3)):
        crest = _crest(size, _HORIZON + 0.15 * level, rnd)
        draw.polygon([(0, height), *crest, (width, height)], fill=ground)
        for foot in rnd.sample(crest, 4):
            _draw_tree(draw, foot, height * rnd.uniform(0.05, 0.12))
    return scene


def _crest(size: tuple[int, int], level: float, rnd: random.Random) -> list[tuple[float, float]]:
    """Returns the outline of a range of hills from left to right: two waves around a height."""
    width, height = size
    waves = [(rnd.uniform(0.02, 0.06), rnd.uniform(1, 4), rnd.uniform(0, math.tau)) for _ in range(2)]
    return [
        (x, height * (level + sum(a * math.sin(math.tau * n * x / width + phase) for a, n, phase in waves)))
        for x in range(0, width + _STEP_PX, _STEP_PX)
    ]


def _draw_tree(draw: ImageDraw.ImageDraw, foot: tuple[float, float], height_px: float) -> None:
    x, y = foot
    draw.polygon([(x - height_px / 3, y), (x, y - height_px), (x + height_px / 3, y)], fill="#16331c")


def _jpeg(picture: Image.Image, orientation: int, mode: str = "RGB", *, progressive: bool = False) -> bytes:
    """Stores a picture turned as a camera of that orientation would, and says so in its EXIF."""
    stored = picture.transpose(TURNED_BACK[orientation]) if orientation > 1 else picture
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    file = io.BytesIO()
    stored.convert(mode).save(file, "JPEG", quality=88, progressive=progressive, exif=exif)
    return file.getvalue()


def _saved(picture: Image.Image, format_name: str) -> bytes:
    file = io.BytesIO()
    picture.save(file, format_name)
    return file.getvalue()


def _deep_png(picture: Image.Image) -> bytes:
    """Stores a picture in 16 bits of grey."""
    return _saved(Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257), "PNG")


ENCODINGS: typing.Final[dict[str, Encoding]] = {
    "jpeg": Encoding("jpg", _jpeg),
    "progressive jpeg": Encoding("jpg", lambda p, o: _jpeg(p, o, progressive=True)),
    "greyscale jpeg": Encoding("jpg", lambda p, o: _jpeg(p, o, "L")),
    "CMYK jpeg": Encoding("jpg", lambda p, o: _jpeg(p, o, "CMYK")),
    "png": Encoding("png", lambda p, _: _saved(p, "PNG")),
    "16-bit png": Encoding("png", lambda p, _: _deep_png(p)),
    "gif": Encoding("gif", lambda p, _: _saved(p, "GIF")),
    "webp": Encoding("webp", lambda p, _: _saved(p, "WEBP")),
}
"""Formats by name. Only JPEGs are stored turned."""


def _truncated(photo: bytes) -> bytes:
    return photo[: len(photo) * 3 // 5]


def _web_page(_: bytes) -> bytes:
    return b"<!DOCTYPE html><html><body>This photo is no longer available.</body></html>\n"


def _bomb(_: bytes) -> bytes:
    """Returns a PNG of some hundred bytes whose header claims 3.6 billion pixels."""
    header = struct.pack(">IIBBBBB", BOMB_SIDE_PX, BOMB_SIDE_PX, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(100_000))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


FAULTS: typing.Final[dict[FailureReason, typing.Callable[[bytes], bytes] | None]] = {
    FailureReason.NOT_FOUND: None,
    FailureReason.TRUNCATED_IMAGE: _truncated,
    FailureReason.NOT_AN_IMAGE: _web_page,
    FailureReason.TOO_MANY_PIXELS: _bomb,
}
"""What to do to a good JPEG so that it fails for a reason; None: leave it out."""
