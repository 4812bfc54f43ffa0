"""From a picture to the numbers that a network takes, by the recipes under which well-known ones were trained."""

import typing

import numpy as np
import numpy.typing as npt
from PIL import Image

FILTERS: typing.Final = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
STRETCH, CROP = "stretch", "crop"

_LONGEST = 8
"""Sides to one another: of what is longer only the middle is resized, as a line of a million pixels would be wide."""

Numbers = tuple[float, float, float]


class Preprocessing(typing.NamedTuple):
    """How a picture becomes numbers: resized, then (value / divisor - mean) / std, channel by channel.

    Attributes:
        input_size: sides of what the network takes, px.
        resize: ``stretch`` to that square, or ``crop`` the middle after resizing.
        shorter: what the shorter side is resized to before the crop, px; no meaning with ``stretch``.
        interpolation: one of :data:`FILTERS`, as Pillow has them: they average where they shrink.
        divisor: of values from 0 to 255.
        mean, std: of red, green, blue, after the division.
    """

    input_size: int
    resize: str
    shorter: int
    interpolation: str
    divisor: float
    mean: Numbers
    std: Numbers


PRESETS: typing.Final = {
    "inception_v3": Preprocessing(299, STRETCH, 299, "bilinear", 127.5, (1.0, 1.0, 1.0), (1.0, 1.0, 1.0)),
    "imagenet": Preprocessing(224, CROP, 256, "bilinear", 255.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "clip": Preprocessing(
        224,
        CROP,
        224,
        "bicubic",
        255.0,
        (0.48145466, 0.4578275, 0.40821073),
        (0.26862954, 0.26130258, 0.27577711),
    ),
}
"""By name. ``inception_v3`` scales as ``preprocess_input`` of Keras' mode "tf"
(https://github.com/keras-team/keras/blob/master/keras/src/applications/imagenet_utils.py), ``imagenet`` is the recipe
of torchvision's models (https://pytorch.org/vision/stable/models.html), ``clip`` that of OpenAI's
(https://github.com/openai/CLIP/blob/main/clip/clip.py)."""


def prepare(picture: Image.Image, how: Preprocessing) -> npt.NDArray[np.float32]:
    """Returns what the network takes of a picture.

    Args:
        picture: of any mode; transparency shows black, as in ``convert("RGB")``.
        how: the recipe.

    Returns:
        Height x width x 3, red, green, blue; computed in float32 in the order of the formula.
    """
    values = np.asarray(_resized(picture.convert("RGB"), how), np.float32)
    values /= np.float32(how.divisor)
    values -= np.array(how.mean, np.float32)
    values /= np.array(how.std, np.float32)
    return values


def _resized(picture: Image.Image, how: Preprocessing) -> Image.Image:
    size, filter_ = how.input_size, FILTERS[how.interpolation]
    if how.resize == STRETCH:
        return picture.resize((size, size), filter_)
    picture = _middle(picture)
    shorter = min(picture.size)
    width, height = (how.shorter * side // shorter for side in picture.size)
    left, upper = round((width - size) / 2), round((height - size) / 2)
    return picture.resize((width, height), filter_).crop((left, upper, left + size, upper + size))


def _middle(picture: Image.Image) -> Image.Image:
    """Cuts the ends off a very long picture, far beyond what a crop leaves of it."""
    width, height = (min(side, _LONGEST * min(picture.size)) for side in picture.size)
    if (width, height) == picture.size:
        return picture
    left, upper = (picture.width - width) // 2, (picture.height - height) // 2
    return picture.crop((left, upper, left + width, upper + height))
