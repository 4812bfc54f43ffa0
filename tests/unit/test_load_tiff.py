"""Damaged TIFFs: libtiff says nothing of what it could not decode."""

import pytest

from schemas.failures import FailureReason, PhotoError
from tests.generated_photo import photo, saved
from transforms.images.image_codec import ImageOptions, encode_image

PNG = ImageOptions(format="png", resize="none")


@pytest.mark.parametrize(
    ("compression", "mode"), [("group3", "1"), ("group4", "1"), ("tiff_ccitt", "1"), ("jpeg", "RGB")]
)
def test_what_libtiff_left_undefined_is_never_written(compression: str, mode: str) -> None:
    data = saved(photo(300, 200, "L").convert(mode), "TIFF", compression=compression)
    assert encode_image(data, PNG) == encode_image(data, PNG)
    damaged = [data[:place] + bytes(50) + data[place + 50 :] for place in range(200, len(data) - 50, 97)]
    outcomes = [_outcome(copy) for copy in damaged]
    assert outcomes == [_outcome(copy) for copy in damaged]
    if compression == "group4":
        assert FailureReason.CORRUPT_IMAGE in outcomes


def _outcome(data: bytes) -> FailureReason | bytes:
    try:
        return encode_image(data, PNG)[0].data
    except PhotoError as error:
        return error.reason
