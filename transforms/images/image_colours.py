"""Modes and colours: on white, to what filters mix rightly, and to sRGB."""

import functools
import io
import math
import typing

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

_SAME_LEVELS = 2
"""Of 255: sRGB profiles of all makers differ by at most 1 from each other, others that cameras embed by 60 and more."""

_BAND_SAMPLES = 1 << 20
"""Wide samples that are brought to 8 bits at a time."""


def resizable(image: Image.Image) -> Image.Image:
    """Returns the picture in a mode that filters mix rightly: L, RGB or CMYK; what is transparent shows white.

    Lab becomes sRGB at once: what Pillow gives out of its a and b is signed.
    """
    if image.mode.startswith("I") or image.mode == "F":
        return _grey8(image)
    if image.mode in ("RGB", "L", "1") and "transparency" in image.info:
        image.info["transparency"] = _transparency8(image.info["transparency"])
    if image.has_transparency_data:
        return _on_white(image if image.mode == "RGBA" else image.convert("RGBA"))
    if image.mode == "LAB":
        return typing.cast(Image.Image, ImageCms.applyTransform(image, _lab_transform()))
    if image.mode in ("L", "RGB", "CMYK"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Returns a picture that :func:`resizable` gave as RGB: its ICC profile is applied."""
    space = profile[16:20]
    if image.mode == "L" and space == b"RGB ":
        image = image.convert("RGB")
    if {"L": b"GRAY", "RGB": b"RGB ", "CMYK": b"CMYK"}[image.mode] == space:
        try:
            transform = _srgb_transform(profile, image.mode)
            if transform is not None:
                return typing.cast(Image.Image, ImageCms.applyTransform(image, transform))
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            return image.convert("RGB")
    return image.convert("RGB")


def is_srgb(profile: bytes) -> bool:
    """Tells whether RGB pixels with that ICC profile are sRGB already; without a profile they are."""
    if not profile:
        return True
    try:
        return profile[16:20] == b"RGB " and _srgb_transform(profile, "RGB") is None
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return False


def _transparency8(value: typing.Any) -> typing.Any:
    """Brings the transparent colour of a 16-bit PNG to the 8 bits that its pixels were decoded to."""
    if isinstance(value, tuple) and max(value) > 255:
        return tuple(v >> 8 for v in value)
    return value


def _grey8(image: Image.Image) -> Image.Image:
    bounds = [(samples.min().item(), samples.max().item()) for samples in bands(image)]
    low, high = map(float, (np.min(bounds), np.max(bounds)))
    if image.mode != "F" and low >= 0 and high <= 65535:
        table = ((np.arange(65536, dtype=np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
        transparent = image.info.get("transparency")
        if isinstance(transparent, int):
            table[transparent & 0xFFFF] = 255
        return _joined(table[samples.astype(np.uint16, copy=False)] for samples in bands(image))
    if not math.isfinite(high - low):
        raise ValueError("samples are not finite")
    scale = 255 / (high - low) if high > low else 0.0
    return _joined(((samples - np.float64(low)) * scale).round().astype(np.uint8) for samples in bands(image))


def bands(image: Image.Image) -> typing.Iterator[npt.NDArray[typing.Any]]:
    """Yields the samples, some rows at a time: so that they are not in memory several times over."""
    rows = max(1, _BAND_SAMPLES // image.width)
    for top in range(0, image.height, rows):
        yield np.asarray(image.crop((0, top, image.width, min(top + rows, image.height))))


def _joined(bands: typing.Iterable[npt.NDArray[np.uint8]]) -> Image.Image:
    return Image.fromarray(np.concatenate(list(bands)))


def _on_white(image: Image.Image) -> Image.Image:
    flat = Image.new("RGB", image.size, "white")
    flat.paste(image, mask=image)
    return flat


@functools.lru_cache(maxsize=32)
def _srgb_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Returns the transform to sRGB; None where the profile is sRGB already."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    return None if mode == "RGB" and _changes_nothing(transform) else transform


@functools.cache
def _lab_transform() -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Judges a profile by what it does to colours from all over the cube: its name may be anything."""
    steps = np.linspace(0, 255, 17).round().astype(np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(17 * 17, 17, 3)
    shown = np.asarray(ImageCms.applyTransform(Image.fromarray(colours), transform))
    return bool(np.abs(shown.astype(np.int16) - colours).max() <= _SAME_LEVELS)
