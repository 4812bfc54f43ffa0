"""One photo's bytes to its written images: sniff, decode, turn upright, resize, to sRGB on white, encode.

Policy, each line tested:

* A format is recognised by its first bytes, never by a name; only libjpeg-turbo and Pillow's own raster decoders run.
* ``max_pixels``, ``min_side`` and ``max_aspect_ratio`` are judged from the header, before anything is decoded; so is
  the longest side. Pixels of WebP count twice and those of JPEG 2000 three times: their decoders hold several copies.
* A JPEG is decoded by libjpeg-turbo itself, at 1/2, 1/4 or 1/8 where enough is left to the filter. What that refuses
  Pillow decodes; compressed data that is damaged, so that a part is grey or garbled, is ``corrupt_image``.
* Of several sizes each is filtered from the same decoded pixels, never from another size, so that its bytes are those
  of a run for that size alone. Only where such a run would decode a JPEG at a smaller fraction than the largest size
  permits do they differ: they are then nearer to a full decode.
* EXIF orientation is applied, unless the caller knows by how much to turn.
* Of animations and multi-page files the first frame is taken.
* 16-bit samples are scaled to 8 bits (0..65535 to 0..255), not clipped. Wider integers within that range
  likewise; beyond it, and floats, are stretched from their own minimum..maximum to 0..255.
* Alpha, transparent colours and transparent palette entries show white, before anything is filtered.
* An embedded ICC profile is converted to sRGB (perceptual intent), unless it changes no colour by more than 2 of
  255; a broken one, or one of another colour space than the pixels, is ignored; grey takes one of RGB, too. CMYK
  without a profile is converted naively; Lab is converted before it is filtered, and has no profile.
* A TIFF of which libtiff leaves pixels undefined, as it does of damaged JPEG strips and Group 4 faxes, is
  ``corrupt_image``.
* ``area`` is the mean over the area of each written pixel, rounded, whatever the format of the file.
* With ``reencode`` auto a JPEG that nothing would happen to keeps its compressed data, as it was encoded, without its
  metadata segments, once all of it has been decoded without a warning.
* ``keep_exif`` keeps EXIF, where it can be read, with the orientation set to upright.
* The output is RGB, 8 bits, otherwise without metadata. JPEG: 4:2:0, baseline, standard Huffman tables (optimised
  ones cost a second pass for about 5 % of size). PNG: compression level 6. WebP: lossy, method 4.
"""

import dataclasses
import io
import math
import typing

import numpy as np
import simplejpeg
from PIL import Image

from schemas.failures import FailureReason, PhotoError, Stage
from transforms.images.area_filter import area_average, area_average_of_rows
from transforms.images.decode_image import DecodedImage, decode_image, leaves_jpeg
from transforms.images.image_colours import to_srgb
from transforms.images.image_plan import (
    TURNED_UPRIGHT,
    Affine,
    ImageOptions,
    Plan,
    image_plans,
    orientation_of_turn,
    upright_size,
)
from transforms.images.jpeg_pixels import Pixels
from transforms.images.jpeg_segments import picture_alone, with_exif
from transforms.images.upright_exif import upright_exif

MAX_SIDE_PX = {"jpg": 65_500, "webp": 16_383, "png": 2**31 - 1}
"""Longest side that the encoder of a format takes."""

_RAW_MODE = {"L": ("L", 1), "RGB": ("RGBX", 4), "CMYK": ("CMYK", 4)}
"""Pillow's mode to the layout that the area filter gets it in, and its channels."""


class EncodedImage(typing.NamedTuple):
    """A written image and how it came from the stored one.

    Attributes:
        image_size: the ``--image_size`` that it was written for.
        data: the file.
        width, height: of the written image, px.
        original_width, original_height: of the image as stored, before orientation, px.
        original_format: lower-case: ``jpeg``, ``png``, ``gif``, ``webp``, ``bmp``, ``tiff``, ``mpo``, ...
        orientation: EXIF orientation that was applied, 1 to 8: the file's own, or that of the rotation given.
        matrix: ``(a, b, c, d, e, f)``: x' = a x + b y + c, y' = d x + e y + f, from continuous pixel
            coordinates of the stored image to those of the written one; pixel (0, 0) covers [0, 1) x [0, 1).
    """

    image_size: int
    data: bytes
    width: int
    height: int
    original_width: int
    original_height: int
    original_format: str
    orientation: int
    matrix: Affine


class Original(typing.NamedTuple):
    """The photo's own file: format, width and height as stored, and orientation, as of :class:`EncodedImage`."""

    format: str
    size: tuple[int, int]
    orientation: int


def encode_image(data: bytes, options: ImageOptions, rotation: int | None = None) -> list[EncodedImage]:
    """Decodes a photo once and encodes it in each of the ``sizes``, as the options say.

    Equal bytes, options and library versions give equal bytes. Safe to call from several threads.

    Args:
        data: the fetched file.
        options: sizes, mode, format and limits.
        rotation: degrees counter-clockwise that turn the stored pixels upright: 0, 90, 180 or 270. It takes the place
            of EXIF orientation, which counts only where this is None: there is one rotation, never two.

    Raises:
        ValueError: the rotation is no quarter turn.
        PhotoError: as :func:`decode_image` at stage decode; ``too_many_pixels`` or ``encode_error`` at stage encode,
            where an image to write is larger than the limit or the format permits.
    """
    turned = None if rotation is None else orientation_of_turn(rotation)
    decoded = decode_image(data, options, lambda size, turn: image_plans(size, turn, options), turned)
    plans = image_plans(decoded.size, decoded.orientation, options)
    files = _files(data, decoded, plans, options)
    return [
        EncodedImage(size, files[plan], *plan.written, *decoded.size, decoded.format, decoded.orientation, plan.matrix)
        for size, plan in zip(options.sizes, plans, strict=True)
    ]


def encode_again(data: bytes, original: Original, options: ImageOptions) -> list[EncodedImage]:
    """Encodes a photo in each of the ``sizes`` from an image that was written of it, whole and upright.

    All that is known of the images but their pixels is what :func:`encode_image` gives of the photo's own file.

    Args:
        data: the written image, on which the photo is neither cut nor padded nor smaller than it is to become.
        original: the photo's own file.
        options: sizes, mode and format; limits count for what is to be written alone.

    Raises:
        PhotoError: as :func:`encode_image`.
    """
    plans = image_plans(original.size, original.orientation, options)
    upright = {plan: plan._replace(scaled=upright_size(plan.scaled, original.orientation)) for plan in plans}
    unlimited = dataclasses.replace(options, min_side=1, max_aspect_ratio=0.0, max_pixels=0)
    decoded = decode_image(data, unlimited, lambda *_: tuple(upright.values()), orientation=1)
    files = _files(data, decoded, tuple(upright.values()), options)
    return [
        EncodedImage(
            size, files[upright[p]], *p.written, *original.size, original.format, original.orientation, p.matrix
        )
        for size, p in zip(options.sizes, plans, strict=True)
    ]


def _files(data: bytes, decoded: DecodedImage, plans: tuple[Plan, ...], options: ImageOptions) -> dict[Plan, bytes]:
    """Returns the file of each plan; those of a photo that is smaller than several sizes are one and the same."""
    for plan in plans:
        _check_written_size(plan, options)
    exif = upright_exif(decoded.exif) if options.keep_exif else b""
    return {
        plan: _kept(data, decoded, plan, options, exif)
        or _encoded(_finished(_resized(decoded, plan, options), decoded, plan), options, exif)
        for plan in dict.fromkeys(plans)
    }


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


def _resized(decoded: DecodedImage, plan: Plan, options: ImageOptions) -> Image.Image | Pixels:
    picture, (width, height) = decoded.picture, plan.scaled
    if decoded.size == plan.scaled:
        return picture
    if options.filter == "area" and width <= decoded.size[0] and height <= decoded.size[1]:
        if isinstance(picture, Image.Image):
            return _area_resized(picture, plan.scaled)
        return area_average(picture, plan.scaled, decoded.extent)
    filter_ = Image.Resampling.LANCZOS if options.filter == "lanczos" else Image.Resampling.BICUBIC
    return _image(picture).resize(plan.scaled, filter_, box=(0, 0, *decoded.extent))


def _area_resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    raw, channels = _RAW_MODE[image.mode]
    shape = (image.height, image.width, channels)

    def rows_of(first: int, end: int) -> Pixels:
        band = image.crop((0, first, image.width, end))
        return np.frombuffer(band.tobytes("raw", raw), np.uint8)

    return Image.frombytes(image.mode, size, area_average_of_rows(rows_of, shape, size).data, "raw", raw)


def _image(picture: Image.Image | Pixels) -> Image.Image:
    if isinstance(picture, Image.Image):
        return picture
    height, width, _ = picture.shape
    return Image.frombytes("RGB", (width, height), picture.data, "raw", "RGBX")


def _finished(picture: Image.Image | Pixels, decoded: DecodedImage, plan: Plan) -> Image.Image | Pixels:
    """Converts to sRGB, turns upright, then crops or pads; drops all metadata."""
    plain = isinstance(picture, np.ndarray) and not decoded.profile
    if plain and decoded.orientation == 1 and plan.written == plan.scaled:
        return picture
    image = to_srgb(_image(picture), decoded.profile)
    if decoded.orientation > 1:
        image = image.transpose(TURNED_UPRIGHT[decoded.orientation])
    if plan.written != image.size:
        canvas = Image.new("RGB", plan.written, "white")
        canvas.paste(image, plan.offset)
        image = canvas
    image.info = {}
    return image


def _kept(data: bytes, decoded: DecodedImage, plan: Plan, options: ImageOptions, exif: bytes) -> bytes:
    """Returns the file as it came, less its metadata, where nothing would happen to its picture; else nothing."""
    if not (decoded.whole_jpeg and leaves_jpeg(plan, decoded, options)):
        return b""
    return with_exif(picture_alone(data), exif)


def _encoded(picture: Image.Image | Pixels, options: ImageOptions, exif: bytes) -> bytes:
    sink = io.BytesIO()
    tags = {"exif": exif} if exif else {}
    try:
        if options.format == "jpg":
            return with_exif(_jpeg(picture, options.quality), exif)
        if options.format == "webp":
            _image(picture).save(sink, "WEBP", quality=options.quality, method=4, lossless=False, **tags)
        else:
            _image(picture).save(sink, "PNG", compress_level=6, optimize=False, **tags)
    except (OSError, ValueError) as error:
        detail = f"the pixels do not encode as {options.format} ({type(error).__name__})"
        raise PhotoError(FailureReason.ENCODE_ERROR, Stage.ENCODE, detail) from error
    return sink.getvalue()


def _jpeg(picture: Image.Image | Pixels, quality: int) -> bytes:
    if isinstance(picture, Image.Image):
        return bytes(simplejpeg.encode_jpeg(np.asarray(picture), quality, "RGB", "420"))
    return bytes(simplejpeg.encode_jpeg(picture, quality, "RGBX", "420"))
