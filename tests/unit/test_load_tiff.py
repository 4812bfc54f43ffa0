"""Damaged TIFFs: libtiff says nothing of what it could not decode, and leaves it undefined."""

import re

import pytest

from schemas.failures import FailureReason, PhotoError
from tests.generated_photo import photo, saved
from transforms.images.image_codec import ImageOptions, encode_image

PNG = ImageOptions(format="png", resize="none")


def test_what_a_damaged_fax_leaves_undefined_is_never_written() -> None:
    data = saved(photo(300, 200, "L").convert("1"), "TIFF", compression="group4")
    encode_image(data, PNG)
    damaged = [data[:place] + bytes(50) + data[place + 50 :] for place in range(200, len(data) - 50, 97)]
    outcomes = [_outcome(copy) for copy in damaged]
    assert FailureReason.CORRUPT_IMAGE in outcomes
    assert outcomes == [_outcome(copy) for copy in damaged]


@pytest.mark.parametrize("height", [8, 36, 71])
def test_what_a_low_jpeg_strip_leaves_undefined_is_never_written(height: int) -> None:
    data = saved(photo(300, 200), "TIFF", compression="jpeg")
    encode_image(data, PNG)
    frame = re.search(b"\xff\xc0\0\x11\x08", data)
    assert frame
    place = frame.end()
    assert height < int.from_bytes(data[place : place + 2], "big")
    low = data[:place] + height.to_bytes(2, "big") + data[place + 2 :]
    assert _outcome(low) is FailureReason.CORRUPT_IMAGE


def _outcome(data: bytes) -> FailureReason | bytes:
    try:
        return encode_image(data, PNG)[0].data
    except PhotoError as error:
        return error.reason
