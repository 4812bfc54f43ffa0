"""TIFFs to pixels, and the damage of which libtiff says nothing: what is not there is grey, or undefined."""

import contextlib
import ctypes
import hashlib
import io
import operator
import threading
import typing

from PIL import TiffImagePlugin

from schemas.failures import FailureReason, PhotoError, Stage
from transforms.images.image_colours import bands

_JPEG = ("jpeg", "tiff_jpeg")
_SILENT = (*_JPEG, "group4")

_STRIPS = (
    (TiffImagePlugin.STRIPOFFSETS, TiffImagePlugin.STRIPBYTECOUNTS),
    (TiffImagePlugin.TILEOFFSETS, TiffImagePlugin.TILEBYTECOUNTS),
)

_M_PERTURB = -6
_FILLS = (0x55, 0xAA)

_mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
_filling = threading.Lock()


def load_tiff(image: TiffImagePlugin.TiffImageFile, data: bytes) -> None:
    """Loads the pixels of a TIFF.

    Where libtiff gives up within JPEG or Group 4 fax data it leaves the rest of the strip as it found the memory. So
    these are decoded twice, into memory that glibc fills differently (`M_PERTURB`); with another allocator than glibc's
    that damage is not seen.

    Args:
        image: of the file; nothing but its header was read.
        data: the file.

    Raises:
        PhotoError: ``truncated_image`` or ``corrupt_image`` at stage decode.
        Exception: one of :data:`transforms.images.decode_image.DECODER_ERRORS`.
    """
    compression = image.info.get("compression")
    if compression not in _SILENT:
        image.load()
        return
    expected = _loaded(TiffImagePlugin.TiffImageFile(io.BytesIO(data)), _FILLS[0])
    if compression in _JPEG:
        _check_strips(image, len(data))
    if _loaded(image, _FILLS[1]) != expected:
        raise PhotoError(FailureReason.CORRUPT_IMAGE, Stage.DECODE, f"tiff: damaged {compression} data")


def _check_strips(image: TiffImagePlugin.TiffImageFile, file_bytes: int) -> None:
    """Refuses JPEG strips or tiles beyond the file's end: libtiff silently makes grey what is not there."""
    for places, lengths in _STRIPS:
        ends = map(operator.add, image.tag_v2.get(places, ()), image.tag_v2.get(lengths, ()))
        if max(ends, default=0) > file_bytes:
            raise PhotoError(FailureReason.TRUNCATED_IMAGE, Stage.DECODE, "tiff: pixels beyond the end of the file")


def _loaded(image: TiffImagePlugin.TiffImageFile, fill: int) -> bytes:
    """Loads the pixels into memory filled with that byte; returns their digest."""
    with _filled_memory(fill):
        image.load()
    digest = hashlib.sha256()
    for samples in bands(image):
        digest.update(samples.data)
    return digest.digest()


@contextlib.contextmanager
def _filled_memory(fill: int) -> typing.Iterator[None]:
    if _mallopt is None:
        yield
        return
    with _filling:
        _mallopt(_M_PERTURB, fill)
        try:
            yield
        finally:
            _mallopt(_M_PERTURB, 0)
