"""One file's bytes to pixels as they are stored, perhaps at a fraction of the size, or the reason why not.

Limits are judged from the header, before anything is decoded. JPEGs go the fast way of
:mod:`transforms.images.jpeg_pixels`; everything else, and what that refuses, through Pillow.
"""

import contextlib
import io
import re
import struct
import typing
import warnings
import zlib

from PIL import IcoImagePlugin, Image, TiffImagePlugin

from schemas.failures import FailureReason, PhotoError, Stage
from transforms.images.image_colours import is_srgb, resizable
from transforms.images.image_formats import sniff
from transforms.images.image_plan import TURNED_BACK, ImageOptions, Plan
from transforms.images.jpeg_pixels import (
    Pixels,
    RefusedJpegError,
    check_jpeg,
    decoded_fraction,
    jpeg_damage,
    jpeg_pixels,
)
from transforms.images.load_tiff import load_tiff
from transforms.images.upright_exif import ORIENTATION_TAG

Size = tuple[int, int]

Image.init()
# Odd metadata in a file is no news to the operator, and `warnings.catch_warnings` is not thread-safe.
warnings.filterwarnings("ignore", module=r"PIL\b")

MAX_STORED_SIDE_PX = 1_000_000
"""Longest side that is decoded, whatever ``max_pixels`` is. On longer lines Pillow's sizes in bits overflow, which it
calls MemoryError, and a few bytes of a run-length encoded BMP skip 255 lines: gigabytes."""

DECODERS: typing.Final = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}
"""Of the images of a dataset, by extension."""

PIXEL_COPIES = {"WEBP": 2, "JPEG2000": 3}
"""Decoders that hold a picture several times over while they decode it: there each pixel counts so many times."""

DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    BufferError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What Pillow raises on hostile bytes. Its plugins document no errors and let through whatever their parsing
meets: asserts, divisions by a zero in the file. No MemoryError: that tells of the machine, not of the photo."""

_UNSUPPORTED_MESSAGE = re.compile(r"unsupported|not supported|cannot handle|unknown|not implemented", re.IGNORECASE)
_TRUNCATED_MESSAGE = re.compile(r"truncated|not enough (?:image )?data|unexpected end", re.IGNORECASE)


class DecodedImage(typing.NamedTuple):
    """A picture as stored.

    Attributes:
        picture: a Pillow image of mode L, RGB or CMYK; or, of a JPEG that was decoded the fast way, an
            array of height x width x 4: red, green, blue and a filler. It is not loaded where nothing happens to it.
        size: stored width and height, px.
        extent: those of the picture, px: less than stored, and fractions, where it is decoded at a fraction.
        format: lower-case: ``jpeg``, ``png``, ``gif``, ``webp``, ``bmp``, ``tiff``, ``mpo``, ...
        orientation: EXIF orientation to apply, 1 to 8.
        profile: its ICC profile, empty without one.
        exif: its EXIF, a TIFF structure, empty without one.
        whole_jpeg: whether the file is an RGB JPEG of which libjpeg-turbo decoded all data without a warning.
    """

    picture: Image.Image | Pixels
    size: tuple[int, int]
    extent: tuple[float, float]
    format: str
    orientation: int
    profile: bytes
    exif: bytes
    whole_jpeg: bool = False


PlansOf = typing.Callable[[Size, int], typing.Sequence[Plan]]
"""From an image's stored size, px, and the orientation to apply, to what is to become of it."""


def decode_image(data: bytes, options: ImageOptions, plans_of: PlansOf, orientation: int | None = None) -> DecodedImage:
    """Decodes a file for what it is to become.

    Args:
        data: the file.
        options: limits, filter, and what decides whether a JPEG stays as it is.
        plans_of: called for JPEGs alone.
        orientation: EXIF orientation that counts instead of the file's own.

    Raises:
        PhotoError: ``not_an_image``, ``unsupported_image``, ``too_many_pixels``, ``too_small``, ``aspect_ratio``,
            ``truncated_image`` or ``corrupt_image`` at stage decode.
    """
    name = sniff(data)
    try:
        if name == "JPEG":
            return _load_jpeg(data, options, plans_of, orientation)
        return _load(name, data, options, orientation)
    except DECODER_ERRORS as error:
        raise PhotoError(
            _decoder_reason(error, data, name), Stage.DECODE, f"{name.lower()} does not decode ({type(error).__name__})"
        ) from error


def leaves_jpeg(plan: Plan, stored: DecodedImage, options: ImageOptions) -> bool:
    """Tells whether nothing happens to the picture of an RGB JPEG, so that its compressed data can stay."""
    same_place = stored.orientation == 1 and plan.scaled == plan.written == stored.size
    return options.reencode == "auto" and options.format == "jpg" and same_place and is_srgb(stored.profile)


def open_image(decoder: str, data: bytes) -> Image.Image:
    """Reads the header of a file with that decoder of Pillow's alone, and without Pillow's own limit of pixels.

    Raises:
        Exception: one of :data:`DECODER_ERRORS`.
    """
    return Image.OPEN[decoder][0](io.BytesIO(data), "")


def _load_jpeg(data: bytes, options: ImageOptions, plans_of: PlansOf, orientation: int | None) -> DecodedImage:
    image = open_image("JPEG", data)
    _check_claim(image.size, options.max_pixels)
    _check_shape(image.size, options)
    stored = DecodedImage(
        image,
        image.size,
        image.size,
        (image.format or "jpeg").lower(),
        orientation or _orientation(image),
        image.info.get("icc_profile") or b"",
        _exif(image),
    )
    plans = plans_of(stored.size, stored.orientation)
    if image.mode == "RGB" and all(leaves_jpeg(plan, stored, options) for plan in plans):
        with contextlib.suppress(RefusedJpegError):
            check_jpeg(data, image.size)
            return stored._replace(whole_jpeg=True)
    return _load_jpeg_pixels(
        data, image, stored, min(decoded_fraction(image.size, p.scaled, options.filter) for p in plans)
    )


def _load_jpeg_pixels(data: bytes, image: Image.Image, stored: DecodedImage, divisor: int) -> DecodedImage:
    width, height = stored.size
    try:
        if image.mode not in ("L", "RGB"):
            raise RefusedJpegError(image.mode)
        pixels = jpeg_pixels(data, stored.size, divisor)
        whole = image.mode == "RGB" and divisor == 1
        return stored._replace(picture=pixels, extent=(width / divisor, height / divisor), whole_jpeg=whole)
    except RefusedJpegError:
        image.load()
        picture = resizable(image)
        if damage := jpeg_damage(data, image.mode):
            raise PhotoError(FailureReason.CORRUPT_IMAGE, Stage.DECODE, f"jpeg: {damage}") from None
        return stored._replace(picture=picture)


def _load(name: str, data: bytes, options: ImageOptions, orientation: int | None) -> DecodedImage:
    if name == "ICO":
        _check_claim(_icon_claim(data), options.max_pixels)
    image = open_image(name, data)
    _check_claim(image.size, options.max_pixels, PIXEL_COPIES.get(name, 1))
    _check_shape(image.size, options)
    format_ = (image.format or name).lower()
    tiff_orientation = _orientation(image) if name == "TIFF" else 1
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        load_tiff(image, data)
    else:
        image.load()
    own_orientation = tiff_orientation if name == "TIFF" else _orientation(image)
    if tiff_orientation > 1:  # Pillow turns TIFFs upright as it loads them; back to as stored.
        image = image.transpose(TURNED_BACK[tiff_orientation])
    size = image.size  # Only now is it known of turned TIFFs and of icons.
    profile = b"" if image.mode == "LAB" else image.info.get("icc_profile") or b""
    return DecodedImage(resizable(image), size, size, format_, orientation or own_orientation, profile, _exif(image))


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(ORIENTATION_TAG, 1)
    except DECODER_ERRORS:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _exif(image: Image.Image) -> bytes:
    exif = image.info.get("exif")
    return exif.removeprefix(b"Exif\0\0") if isinstance(exif, bytes) else b""


def _icon_claim(data: bytes) -> tuple[int, int]:
    """Returns the size of the PNG or bitmap within an icon, which Pillow decodes as it opens the icon."""
    data = data[IcoImagePlugin.IcoFile(io.BytesIO(data)).entry[0].offset :]
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return open_image("PNG", data).size
    width, height = open_image("DIB", data).size
    return width, height // 2  # The mask is the other half.


def _check_claim(size: tuple[int, int], max_pixels: int, copies: int = 1) -> None:
    if max_pixels and copies * size[0] * size[1] > max_pixels:
        counted = f", each counted {copies} times," if copies > 1 else ","
        detail = f"{size[0]} x {size[1]} pixels{counted} more than --max_pixels {max_pixels}"
        raise PhotoError(FailureReason.TOO_MANY_PIXELS, Stage.DECODE, detail)
    if max(size) > MAX_STORED_SIDE_PX:
        detail = f"{size[0]} x {size[1]} pixels; sides beyond {MAX_STORED_SIDE_PX} are not decoded"
        raise PhotoError(FailureReason.UNSUPPORTED_IMAGE, Stage.DECODE, detail)


def _check_shape(size: tuple[int, int], options: ImageOptions) -> None:
    shape, shorter, longer = f"{size[0]} x {size[1]} pixels", min(size), max(size)
    if shorter < options.min_side:
        detail = f"{shape}, a side shorter than --min_side {options.min_side}"
        raise PhotoError(FailureReason.TOO_SMALL, Stage.DECODE, detail)
    if options.max_aspect_ratio and longer > options.max_aspect_ratio * shorter:
        detail = f"{shape}, longer than --max_aspect_ratio {options.max_aspect_ratio:g} allows"
        raise PhotoError(FailureReason.ASPECT_RATIO, Stage.DECODE, detail)


def _decoder_reason(error: BaseException, data: bytes, name: str) -> FailureReason:
    """Tells apart why a decoder gave up, by its message, else by whether the end of the file is missing."""
    if isinstance(error, Image.DecompressionBombError):
        return FailureReason.TOO_MANY_PIXELS
    if _TRUNCATED_MESSAGE.search(str(error)) or isinstance(error, EOFError) or _lacks_end(data, name):
        return FailureReason.TRUNCATED_IMAGE
    if _UNSUPPORTED_MESSAGE.search(str(error)):
        return FailureReason.UNSUPPORTED_IMAGE
    return FailureReason.CORRUPT_IMAGE


def _lacks_end(data: bytes, name: str) -> bool:
    if name == "WEBP":
        return len(data) < struct.unpack_from("<I", data, 4)[0] + 8
    end = {"JPEG": b"\xff\xd9", "PNG": b"IEND", "GIF": b";"}.get(name)
    return end is not None and end not in data[-4096:]
