"""Modes and colours: to what filters mix rightly, and to sRGB on white."""

import functools
import io
import math
import typing

import numpy as np
from PIL import Image, ImageCms


def resizable(image: Image.Image) -> Image.Image:
    """Returns the picture in a mode that filters mix rightly: L, RGB, RGBa (premultiplied), CMYK or LAB."""
    if image.mode.startswith("I") or image.mode == "F":
        return _grey8(image)
    if image.mode in ("RGB", "L", "1") and "transparency" in image.info:
        image.info["transparency"] = _transparency8(image.info["transparency"])
    if image.has_transparency_data:
        return image.convert("RGBA").convert("RGBa")
    if image.mode in ("L", "RGB", "CMYK", "LAB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def flat_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Returns a picture that :func:`resizable` gave as RGB: transparency shows white, the ICC profile is applied."""
    if image.mode == "RGBa":
        straight = image.convert("RGBA")
        image = Image.new("RGB", image.size, "white")
        image.paste(straight, mask=straight.getchannel("A"))
    return _to_srgb(image, profile)


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
    samples = np.asarray(image)
    low, high = samples.min().item(), samples.max().item()
    if samples.dtype.kind != "f" and low >= 0 and high <= 65535:
        table = ((np.arange(65536, dtype=np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
        transparent = image.info.get("transparency")
        if isinstance(transparent, int):
            table[transparent & 0xFFFF] = 255
        return Image.fromarray(table[samples.astype(np.uint16, copy=False)])
    if not math.isfinite(high - low):
        raise ValueError("samples are not finite")
    scale = 255 / (high - low) if high > low else 0.0
    return Image.fromarray(((samples.astype(np.float64) - low) * scale).round().astype(np.uint8))


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    space = profile[16:20]
    if image.mode == "L" and space == b"RGB ":
        image = image.convert("RGB")
    if image.mode == "LAB" or {"L": b"GRAY", "RGB": b"RGB ", "CMYK": b"CMYK"}.get(image.mode) == space:
        try:
            transform = _srgb_transform(b"" if image.mode == "LAB" else profile, image.mode)
            if transform is not None:
                return typing.cast(Image.Image, ImageCms.applyTransform(image, transform))
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            return image.convert("RGB")
    return image.convert("RGB")


@functools.lru_cache(maxsize=32)
def _srgb_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Returns the transform to sRGB; None where the profile is sRGB already. No profile means Lab."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile)) if profile else ImageCms.createProfile("LAB")
    if mode == "RGB" and ImageCms.getProfileDescription(source).startswith("sRGB"):
        return None
    return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
