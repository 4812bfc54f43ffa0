"""Damage done to image files, and whether what the codec makes of them is right: by Pillow's full decode."""

import io
import random
import time
import typing
import warnings
from unittest import mock

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageOps

from schemas.failures import FailureReason, PhotoError
from tests.process_memory import memory_bytes, reset_peak_memory
from transforms.images.image_codec import EncodedImage, ImageOptions, encode_image
from transforms.images.image_formats import sniff

LEAST_DB = {"png": 40.0, "jpg": 30.0}
SLOWEST_S = 10.0
MOST_BYTES = 1 << 30
LIMITS = (FailureReason.TOO_MANY_PIXELS, FailureReason.ENCODE_ERROR)


def mutations(data: bytes, seed: int) -> typing.Iterator[tuple[str, bytes]]:
    """Endlessly many damaged copies of a file, the cuts at each kilobyte first; equal seeds give equal ones."""
    yield "whole", data
    yield "with rubbish behind", data + b"\xff\xd8\0rubbish" * 99
    yield "behind rubbish", b"\0rubbish" + data
    for cut in range(0, len(data), 1024):
        yield f"cut at {cut}", data[:cut]
    dice = random.Random(seed)
    while len(data) > 1:
        place, kind = dice.randrange(len(data)), dice.randrange(9)
        span = min(len(data) - place, dice.choice((1, 4, 50, 1000)))
        if kind < 3:
            if kind == 0:
                place = dice.randrange(min(len(data), 200))
            bit = dice.randrange(8)
            yield f"bit {bit} of byte {place}", data[:place] + bytes((data[place] ^ 1 << bit,)) + data[place + 1 :]
        elif kind == 3:
            value = dice.choice((0, 0x7F, 0x80, 0xFF))
            yield f"{span} times {value} at {place}", data[:place] + bytes((value,)) * span + data[place + span :]
        elif kind == 4:
            yield f"cut at {place}", data[:place]
        elif kind == 5:
            yield f"without {span} at {place}", data[:place] + data[place + span :]
        elif kind == 6:
            yield f"{span} twice at {place}", data[: place + span] + data[place:]
        elif kind == 7:
            place, marker = dice.choice((place, max(0, len(data) - span))), dice.randrange(0xC0, 0xFF)
            yield f"marker {marker:#x} at {place}", data[:place] + bytes((0xFF, marker)) + data[place + 2 :]
        else:
            yield f"noise of {span} at {place}", data[:place] + dice.randbytes(span) + data[place + span :]


class Verdict(typing.NamedTuple):
    """What came of a file.

    Attributes:
        outcome: ``sample``, or the failure's reason.
        wrong: what is wrong with that, '' for nothing.
        detail: of the failure, or of what is wrong.
    """

    outcome: str
    wrong: str = ""
    detail: str = ""


def judge(data: bytes, options: ImageOptions, began: typing.Callable[[str], None] = lambda _: None) -> Verdict:
    """Compares what the codec makes of a file with Pillow's full decode.

    Args:
        data: the file.
        options: of the codec.
        began: called with ``encode``, then ``compare``, as each begins.
    """
    began("encode")
    reset_peak_memory()
    before_bytes, began_s = memory_bytes("VmRSS"), time.monotonic()
    failure, encoded = None, list[EncodedImage]()
    try:
        encoded = encode_image(data, options)
    except PhotoError as error:
        failure = error
    except Exception as error:  # noqa: BLE001
        return Verdict("exception", "exception", f"{type(error).__name__}: {error}")
    taken_s, taken_bytes = time.monotonic() - began_s, memory_bytes("VmHWM") - before_bytes
    outcome = failure.reason.value if failure else "sample"
    began("compare")
    if taken_s > SLOWEST_S:
        return Verdict(outcome, "slow", f"{taken_s:.1f} s")
    if taken_bytes > MOST_BYTES:
        return Verdict(outcome, "memory", f"{taken_bytes >> 20} MB")
    return _judge_failure(data, failure) if failure else _judge_sample(data, encoded[0], options)


def _judge_failure(data: bytes, failure: PhotoError) -> Verdict:
    outcome = failure.reason.value
    if failure.reason in LIMITS or not _is_decoded(data):
        return Verdict(outcome, detail=failure.detail)
    try:
        full_decode(data)
    except Exception as error:  # noqa: BLE001
        return Verdict(outcome, detail=f"{type(error).__name__}: {error}")
    complains = failure.reason is FailureReason.CORRUPT_IMAGE and "Corrupt JPEG data" in failure.detail
    return Verdict(outcome, "" if complains else "Pillow decodes", failure.detail)


def _judge_sample(data: bytes, encoded: EncodedImage, options: ImageOptions) -> Verdict:
    try:
        expected = full_decode(data)
    except Exception as error:  # noqa: BLE001
        return Verdict("sample", "Pillow refuses", f"{type(error).__name__}: {error}")
    shown = Image.open(io.BytesIO(encoded.data))
    if (encoded.width, encoded.height) != shown.size or (options.resize == "none" and shown.size != expected.size):
        return Verdict("sample", "size", f"{shown.size}, expected {expected.size}")
    filter_ = {"area": Image.Resampling.BOX, "lanczos": Image.Resampling.LANCZOS}.get(options.filter)
    resized = expected.resize(shown.size, filter_ or Image.Resampling.BICUBIC)
    near = psnr(np.asarray(shown), np.asarray(resized))
    if options.format == "jpg" and near < LEAST_DB["jpg"]:  # It may be its encoder that differs.
        near = psnr(np.asarray(shown), np.asarray(_as_jpeg(resized, options.quality)))
    return Verdict("sample", "" if near >= LEAST_DB[options.format] else "pixels", f"{near:.1f} dB")


def _as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    sink = io.BytesIO()
    image.save(sink, "JPEG", quality=quality, subsampling="4:2:0")
    return Image.open(sink)


def full_decode(data: bytes) -> Image.Image:
    """Pillow's picture of the first frame: whole, upright, sRGB, on white.

    Raises:
        Exception: of many kinds: Pillow does not decode it.
    """
    with warnings.catch_warnings(), mock.patch.object(Image, "MAX_IMAGE_PIXELS", None):
        warnings.simplefilter("ignore")
        image = Image.open(io.BytesIO(data))
        image.load()
        profile = image.info.get("icc_profile")
        if image.mode in ("I", "F") or image.mode.startswith("I;"):
            image = _eight_bits(image)
        elif image.mode == "RGB" and isinstance(image.info.get("transparency"), tuple):
            transparent = image.info["transparency"]
            image.info["transparency"] = tuple(v >> 8 if max(transparent) > 255 else v for v in transparent)
        orientation = _orientation(image)
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
        elif image.mode not in ("L", "RGB", "CMYK", "LAB"):
            image = image.convert("RGB")
        return _turned(_srgb(image, profile), orientation)


def psnr(left: npt.NDArray[typing.Any], right: npt.NDArray[typing.Any]) -> float:
    """Peak signal to noise, dB; 99 for equal pictures."""
    error = ((left.astype(np.float32) - right.astype(np.float32)) ** 2).mean()
    return float(min(99.0, 10 * np.log10(255**2 / max(error, 1e-9))))


def _eight_bits(image: Image.Image) -> Image.Image:
    samples = np.asarray(image).astype(np.float64)
    low, high = (
        (0, 65_535)
        if image.mode != "F" and samples.min() >= 0 and samples.max() <= 65_535
        else (samples.min(), samples.max())
    )
    if not np.isfinite(high - low):
        raise ValueError("not finite")
    grey = Image.fromarray(np.round((samples - low) * 255 / max(high - low, 1e-300)).astype(np.uint8))
    if isinstance(transparent := image.info.get("transparency"), int):
        grey.paste(255, mask=Image.fromarray(samples == transparent))
    grey.info = {k: v for k, v in image.info.items() if k == "exif"}
    return grey


def _orientation(image: Image.Image) -> int:
    if image.format == "TIFF":
        return 1  # Pillow has turned it.
    try:
        value = image.getexif().get(0x0112, 1)
    except Exception:  # noqa: BLE001
        return 1
    return value if value in range(1, 9) else 1


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.info = {"exif": exif.tobytes()}
    image._exif = None  # type: ignore[attr-defined]
    return ImageOps.exif_transpose(image)


def _srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    source: typing.Any = None
    if image.mode == "L" and profile and profile[16:20] == b"RGB ":
        image = image.convert("RGB")
    if image.mode == "LAB":
        source = ImageCms.createProfile("LAB")
    elif profile and {"L": b"GRAY", "RGB": b"RGB ", "CMYK": b"CMYK"}.get(image.mode) == profile[16:20]:
        source = io.BytesIO(profile)
    if source:
        try:
            done = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            return done or image
        except ImageCms.PyCMSError:
            pass
    return image.convert("RGB")


def _is_decoded(data: bytes) -> bool:
    try:
        sniff(data)
    except PhotoError:
        return False
    return True
