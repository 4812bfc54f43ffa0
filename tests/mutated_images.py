"""Damage done to image files, and whether what the codec makes of them is right: by Pillow's full decode."""

import io
import itertools
import random
import time
import typing

import numpy as np
import numpy.typing as npt
from PIL import Image

from schemas.failures import FailureReason, PhotoError
from tests.pillow_pictures import StoredPicture, picture_at_a_fraction, stored_picture
from tests.process_memory import memory_bytes, reset_peak_memory
from transforms.images.image_codec import EncodedImage, ImageOptions, encode_image
from transforms.images.image_formats import sniff

LEAST_DB = {"png": 40.0, "jpg": 30.0}
SLOWEST_S = 10.0
MOST_BYTES = 1 << 30
UNHEARD = ("Corrupt JPEG data", "pixels beyond the end of the file", "tiff: damaged")
"""Details of failures that are of damage of which Pillow says nothing."""

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
        picture = stored_picture(data)
        picture.shown(picture.upright_size)
    except Exception as error:  # noqa: BLE001
        return Verdict(outcome, detail=f"{type(error).__name__}: {error}")
    hears = any(damage in failure.detail for damage in UNHEARD)
    return Verdict(outcome, "" if hears else "Pillow decodes", failure.detail)


def _judge_sample(data: bytes, encoded: EncodedImage, options: ImageOptions) -> Verdict:
    size, near = (encoded.width, encoded.height), 0.0
    try:
        picture = stored_picture(data)
        expected = picture.shown(size, options.filter)
    except Exception as error:  # noqa: BLE001
        return Verdict("sample", "Pillow refuses", f"{type(error).__name__}: {error}")
    shown = Image.open(io.BytesIO(encoded.data))
    if shown.size != (picture.upright_size if options.resize == "none" else size):
        return Verdict("sample", "size", f"{shown.size} of {picture.upright_size}")
    for reference in itertools.chain([expected], _other_references(data, picture, encoded, expected, options)):
        near = max(near, psnr(np.asarray(shown), np.asarray(reference)))
        if near >= LEAST_DB[options.format]:
            return Verdict("sample", detail=f"{near:.1f} dB")
    return Verdict("sample", "pixels", f"{near:.1f} dB")


def _other_references(
    data: bytes, picture: StoredPicture, encoded: EncodedImage, expected: Image.Image, options: ImageOptions
) -> typing.Iterator[Image.Image]:
    if options.format == "jpg":  # It may be its encoder that differs.
        yield _as_jpeg(expected, options.quality)
    if encoded.original_format == "jpeg":  # Noise looks otherwise in full.
        yield picture_at_a_fraction(data, expected.size, options.filter)
    if picture.is_nearly_srgb:  # Its profile is ignored.
        yield picture._replace(profile=None).shown(expected.size, options.filter)


def _as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    sink = io.BytesIO()
    image.save(sink, "JPEG", quality=quality, subsampling="4:2:0")
    return Image.open(sink)


def psnr(left: npt.NDArray[typing.Any], right: npt.NDArray[typing.Any]) -> float:
    """Peak signal to noise, dB; 99 for equal pictures."""
    error = ((left.astype(np.float32) - right.astype(np.float32)) ** 2).mean()
    return float(min(99.0, 10 * np.log10(255**2 / max(error, 1e-9))))


def _is_decoded(data: bytes) -> bool:
    try:
        sniff(data)
    except PhotoError:
        return False
    return True
