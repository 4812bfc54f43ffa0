"""One photo's bytes to one written image: sniff, decode, turn upright, resize, to sRGB on white, encode.

Policy, each line tested:

* A format is recognised by its first bytes, never by a name, and only Pillow's own raster decoders run.
* ``max_pixels`` is judged from the header, before anything is decoded; so is the longest side.
* EXIF orientation is applied, unless the caller knows by how much to turn.
* Of animations and multi-page files the first frame is taken.
* 16-bit samples are scaled to 8 bits (0..65535 to 0..255), not clipped. Wider integers within that range
  likewise; beyond it, and floats, are stretched from their own minimum..maximum to 0..255.
* Alpha, transparent colours and transparent palette entries show white.
* An embedded ICC profile is converted to sRGB (perceptual intent); a broken one, or one of another
  colour space than the pixels, is ignored. CMYK without a profile is converted naively.
* The output is RGB, 8 bits, without metadata. JPEG: 4:2:0, baseline, standard Huffman tables (optimised
  ones cost a second pass for about 5 % of size). PNG: compression level 6. WebP: lossy, method 4.
"""

import io
import math
import re
import struct
import typing
import warnings
import zlib

from PIL import IcoImagePlugin, Image

from schemas.failures import FailureReason, PhotoError, Stage
from transforms.image_colours import flat_srgb, resizable
from transforms.image_formats import sniff
from transforms.image_plan import TURNED_BACK, TURNED_UPRIGHT, Affine, Plan, orientation_of_turn, plan_image
from transforms.image_plan import ImageOptions as ImageOptions

Image.init()
# Odd metadata in a file is no news to the operator, and `warnings.catch_warnings` is not thread-safe.
warnings.filterwarnings("ignore", module=r"PIL\b")

ORIENTATION_TAG = 0x0112
MAX_SIDE_PX = {"jpg": 65_500, "webp": 16_383, "png": 2**31 - 1}
"""Longest side that the encoder of a format takes."""

MAX_STORED_SIDE_PX = 1_000_000
"""Longest side that is decoded, whatever ``max_pixels`` is. On longer lines Pillow's sizes in bits overflow, which it
calls MemoryError, and a few bytes of a run-length encoded BMP skip 255 lines: gigabytes."""

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

_LEFT_TO_FILTER = {"area": 4, "lanczos": 2, "bicubic": 2}
"""How many times larger than the written image a scaled JPEG decode is at least. Against a
full decode, the lowest PSNR seen on photographs is 38 dB for ``area`` (of a halving: 30) and 43 for ``lanczos``."""

_UNSUPPORTED_MESSAGE = re.compile(r"unsupported|not supported|cannot handle|unknown|not implemented", re.IGNORECASE)
_TRUNCATED_MESSAGE = re.compile(r"truncated|not enough (?:image )?data|unexpected end", re.IGNORECASE)


class EncodedImage(typing.NamedTuple):
    """A written image and how it came from the stored one.

    Attributes:
        data: the file.
        width, height: of the written image, px.
        original_width, original_height: of the image as stored, before orientation, px.
        original_format: lower-case: ``jpeg``, ``png``, ``gif``, ``webp``, ``bmp``, ``tiff``, ``mpo``, ...
        orientation: EXIF orientation that was applied, 1 to 8: the file's own, or that of the rotation given.
        matrix: ``(a, b, c, d, e, f)``: x' = a x + b y + c, y' = d x + e y + f, from continuous pixel
            coordinates of the stored image to those of the written one; pixel (0, 0) covers [0, 1) x [0, 1).
    """

    data: bytes
    width: int
    height: int
    original_width: int
    original_height: int
    original_format: str
    orientation: int
    matrix: Affine


class _Decoded(typing.NamedTuple):
    """Pixels as stored, perhaps DCT-scaled, in mode L, RGB, RGBa, CMYK or LAB."""

    image: Image.Image
    size: tuple[int, int]
    box: tuple[float, float, float, float]
    format: str
    orientation: int
    profile: bytes


def encode_image(data: bytes, options: ImageOptions, rotation: int | None = None) -> EncodedImage:
    """Decodes a photo and encodes it as the options say.

    Equal bytes, options and library versions give equal bytes. Safe to call from several threads.

    Args:
        data: the fetched file.
        options: size, mode, format and limits.
        rotation: degrees counter-clockwise that turn the stored pixels upright: 0, 90, 180 or 270. It takes the place
            of EXIF orientation, which counts only where this is None: there is one rotation, never two.

    Raises:
        ValueError: the rotation is no quarter turn.
        PhotoError: ``not_an_image``, ``unsupported_image``, ``too_many_pixels``, ``truncated_image`` or
            ``corrupt_image`` at stage decode; ``too_many_pixels`` or ``encode_error`` at stage encode,
            where the image to write is larger than the limit or the format permits.
    """
    turned = None if rotation is None else orientation_of_turn(rotation)
    decoded = _decode(data, options)
    if turned is not None:
        decoded = decoded._replace(orientation=turned)
    plan = plan_image(decoded.size, decoded.orientation, options)
    _check_written_size(plan, options)
    image = _finish(_resized(decoded, plan, options), decoded, plan)
    return EncodedImage(
        _encoded(image, options),
        *plan.written,
        *decoded.size,
        decoded.format,
        decoded.orientation,
        plan.matrix,
    )


def open_image(decoder: str, data: bytes) -> Image.Image:
    """Reads the header of a file with that decoder of Pillow's alone, and without Pillow's own limit of pixels.

    Raises:
        Exception: one of :data:`DECODER_ERRORS`.
    """
    return Image.OPEN[decoder][0](io.BytesIO(data), "")


def _decode(data: bytes, options: ImageOptions) -> _Decoded:
    name = sniff(data)
    try:
        return _load(name, data, options)
    except DECODER_ERRORS as error:
        raise PhotoError(
            _decoder_reason(error, data, name), Stage.DECODE, f"{name.lower()} does not decode ({type(error).__name__})"
        ) from error


def _load(name: str, data: bytes, options: ImageOptions) -> _Decoded:
    if name == "ICO":
        _check_claim(_icon_claim(data), options.max_pixels)
    image = open_image(name, data)
    _check_claim(image.size, options.max_pixels)
    format_, size = (image.format or name).lower(), image.size
    tiff_orientation = _orientation(image) if name == "TIFF" else 1
    box = _draft(image, options)
    image.load()
    orientation = tiff_orientation if name == "TIFF" else _orientation(image)
    if tiff_orientation > 1:  # Pillow turns TIFFs upright as it loads them; back to as stored.
        image = image.transpose(TURNED_BACK[tiff_orientation])
    if box is None:  # Only now is the stored size known of turned TIFFs and of icons.
        size = image.size
    profile = image.info.get("icc_profile") or b""
    return _Decoded(resizable(image), size, box or (0, 0, *size), format_, orientation, profile)


def _draft(image: Image.Image, options: ImageOptions) -> tuple[float, float, float, float] | None:
    """Lets a JPEG decode at 1/2, 1/4 or 1/8, as long as enough is left to the filter."""
    width, height = plan_image(image.size, 1, options).scaled
    left = _LEFT_TO_FILTER[options.filter]
    if image.format not in ("JPEG", "MPO") or min(image.width // width, image.height // height) < 2 * left:
        return None
    drafted = typing.cast(typing.Any, image).draft(image.mode, (left * width, left * height))
    return drafted[1] if drafted else None


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(ORIENTATION_TAG, 1)
    except DECODER_ERRORS:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _icon_claim(data: bytes) -> tuple[int, int]:
    """Returns the size of the PNG or bitmap within an icon, which Pillow decodes as it opens the icon."""
    data = data[IcoImagePlugin.IcoFile(io.BytesIO(data)).entry[0].offset :]
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return open_image("PNG", data).size
    width, height = open_image("DIB", data).size
    return width, height // 2  # The mask is the other half.


def _check_claim(size: tuple[int, int], max_pixels: int) -> None:
    if max_pixels and size[0] * size[1] > max_pixels:
        detail = f"{size[0]} x {size[1]} pixels, more than --max_pixels {max_pixels}"
        raise PhotoError(FailureReason.TOO_MANY_PIXELS, Stage.DECODE, detail)
    if max(size) > MAX_STORED_SIDE_PX:
        detail = f"{size[0]} x {size[1]} pixels; sides beyond {MAX_STORED_SIDE_PX} are not decoded"
        raise PhotoError(FailureReason.UNSUPPORTED_IMAGE, Stage.DECODE, detail)


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


def _check_written_size(plan: Plan, options: ImageOptions) -> None:
    """Bounds the written image and the one it is cut from, which `crop` may make far larger."""
    width, height = max(plan.written, plan.scaled, key=math.prod)
    if options.max_pixels and width * height > options.max_pixels:
        detail = f"would be made with {width} x {height} pixels, more than --max_pixels {options.max_pixels}"
        raise PhotoError(FailureReason.TOO_MANY_PIXELS, Stage.ENCODE, detail)
    longest = max(*plan.scaled, *plan.written)
    if longest > MAX_SIDE_PX[options.format]:
        detail = f"a side of {longest} pixels, but {options.format} has at most {MAX_SIDE_PX[options.format]}"
        raise PhotoError(FailureReason.ENCODE_ERROR, Stage.ENCODE, detail)


def _resized(decoded: _Decoded, plan: Plan, options: ImageOptions) -> Image.Image:
    width, height = plan.scaled
    if decoded.image.size == plan.scaled:
        return decoded.image
    enlarges = width > decoded.size[0] or height > decoded.size[1]
    filters = {
        "area": Image.Resampling.BICUBIC if enlarges else Image.Resampling.BOX,
        "lanczos": Image.Resampling.LANCZOS,
        "bicubic": Image.Resampling.BICUBIC,
    }
    return decoded.image.resize((width, height), filters[options.filter], box=decoded.box)


def _finish(image: Image.Image, decoded: _Decoded, plan: Plan) -> Image.Image:
    """Flattens, converts to sRGB, turns upright, then crops or pads; drops all metadata."""
    image = flat_srgb(image, decoded.profile)
    if decoded.orientation > 1:
        image = image.transpose(TURNED_UPRIGHT[decoded.orientation])
    if plan.written != image.size:
        canvas = Image.new("RGB", plan.written, "white")
        canvas.paste(image, plan.offset)
        image = canvas
    image.info = {}
    return image


def _encoded(image: Image.Image, options: ImageOptions) -> bytes:
    sink = io.BytesIO()
    try:
        if options.format == "jpg":
            image.save(sink, "JPEG", quality=options.quality, subsampling="4:2:0", progressive=False, optimize=False)
        elif options.format == "webp":
            image.save(sink, "WEBP", quality=options.quality, method=4, lossless=False)
        else:
            image.save(sink, "PNG", compress_level=6, optimize=False)
    except (OSError, ValueError) as error:
        detail = f"{image.width} x {image.height} pixels do not encode as {options.format} ({type(error).__name__})"
        raise PhotoError(FailureReason.ENCODE_ERROR, Stage.ENCODE, detail) from error
    return sink.getvalue()
