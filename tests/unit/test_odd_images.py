"""Some 800 odd files of other projects' tests: each a picture or a failure with a reason, none a crash."""

import io
import pathlib
import time
import warnings

from PIL import Image

from schemas.failures import FailureReason, PhotoError
from transforms.images.image_codec import ImageOptions, encode_image

LIMITS = (FailureReason.TOO_MANY_PIXELS, FailureReason.ENCODE_ERROR)
SLOWEST_S = 5.0
GARBLED = {"hopper_bad_exif.jpg"}
"""Pillow shows stripes of noise where libjpeg warns."""


def test_what_pillow_decodes_whole_is_written_and_the_rest_has_a_reason(shared_data: pathlib.Path) -> None:
    files = [path for path in sorted((shared_data / "images").rglob("*")) if path.is_file()]
    assert len(files) > 700
    wrong = []
    for path in files:
        data, begun_s = path.read_bytes(), time.monotonic()
        outcome: Image.Image | PhotoError
        try:
            outcome = Image.open(io.BytesIO(encode_image(data, ImageOptions())[0].data))
            outcome.load()
        except PhotoError as error:
            outcome = error
        if time.monotonic() - begun_s > SLOWEST_S:
            wrong.append((path.name, "slow"))
        lost = isinstance(outcome, PhotoError) and outcome.reason not in LIMITS
        if lost == (_decodes_whole(data) and path.name not in GARBLED):
            wrong.append((path.name, str(outcome)))
    assert not wrong


def _decodes_whole(data: bytes) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            Image.open(io.BytesIO(data)).load()
        except Image.DecompressionBombError:
            return True
        except (OSError, SyntaxError, ValueError):
            return False
    return True
