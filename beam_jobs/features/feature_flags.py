"""The flags that say which features are made: how pictures become a network's numbers, and what it is asked for."""

import argparse
import math
import typing

from beam_jobs.command.errors import UsageError
from beam_jobs.command.flags import FlagParser, positive
from transforms.features.onnx_model import LAYOUTS, PROVIDERS
from transforms.features.preprocess import CROP, FILTERS, PRESETS, STRETCH, Numbers, Preprocessing

BATCH_SIZE = 32
_MAX_INPUT_PX, _MAX_NUMBER = 10_000, 1e9
_NUMBERS = ("input_size", "mean", "std")
"""Flags that stand in place of a preset, all of them."""


def add_feature_flags(parser: FlagParser) -> None:
    """Adds them."""
    group = parser.add_argument_group("model")
    group.add_argument(
        "--model", required=True, metavar="URL", help="a network in ONNX: local path or any fsspec URL, for all workers"
    )
    group.add_argument(
        "--output_name",
        default="",
        metavar="NAME",
        help="which of its outputs, flattened for each image (the only one)",
    )
    group.add_argument("--layout", choices=LAYOUTS, default="", help="of its input (what its shape tells)")
    group.add_argument("--device", choices=PROVIDERS, default="cpu", help="cuda needs onnxruntime-gpu (%(default)s)")
    group.add_argument(
        "--batch_size",
        type=positive,
        metavar="N",
        help=f"images at once; the last batch of a shard may be smaller ({BATCH_SIZE}, or what the model is made for)",
    )
    group = parser.add_argument_group("preprocessing")
    group.add_argument("--preprocessing", choices=PRESETS, default="", help="all of it by the name of a recipe")
    group.add_argument("--input_size", type=positive, metavar="PX", help="else: sides of what the model takes")
    group.add_argument("--mean", type=_numbers, metavar="R,G,B", help="... subtracted from values of 0 to 1")
    group.add_argument("--std", type=_divisors, metavar="R,G,B", help="... by which the result is divided")
    group.add_argument(
        "--resize",
        choices=(CROP, STRETCH),
        help=f"... the shorter side to --input_size and the middle of that, or the whole image to a square ({CROP})",
    )
    group.add_argument("--interpolation", choices=FILTERS, default="", help="(that of the recipe; else bilinear)")
    group.add_argument(
        "--image_size", type=positive, metavar="PX", help="images of another --image_size of the build than its first"
    )


def preprocessing_of(flags: argparse.Namespace) -> Preprocessing:
    """Returns how pictures are to become numbers.

    Raises:
        UsageError: neither a recipe is named nor all numbers are given, or both.
    """
    given = [name for name in (*_NUMBERS, "resize") if getattr(flags, name) is not None]
    if flags.preprocessing and given:
        raise UsageError(f"--{given[0]} is part of --preprocessing {flags.preprocessing}: leave one of them out")
    if flags.preprocessing:
        preset = PRESETS[flags.preprocessing]
        return preset._replace(interpolation=flags.interpolation or preset.interpolation)
    missing = [f"--{name}" for name in _NUMBERS if name not in given]
    if missing:
        raise UsageError(
            f"how images become the model's numbers is not said: give --preprocessing ({', '.join(PRESETS)}), or "
            f"{' and '.join(missing)}"
        )
    if flags.input_size > _MAX_INPUT_PX:
        raise UsageError(f"--input_size {flags.input_size}: give at most {_MAX_INPUT_PX}")
    return Preprocessing(
        input_size=flags.input_size,
        resize=flags.resize or CROP,
        shorter=flags.input_size,
        interpolation=flags.interpolation or "bilinear",
        divisor=255.0,
        mean=flags.mean,
        std=flags.std,
    )


def as_recorded(preprocessing: Preprocessing) -> dict[str, typing.Any]:
    """Returns a recipe as records have it."""
    return {name: list(v) if isinstance(v, tuple) else v for name, v in preprocessing._asdict().items()}


def _numbers(text: str) -> Numbers:
    """Reads three numbers that float32 holds.

    Raises:
        ArgumentTypeError: they are not.
    """
    try:
        red, green, blue = map(float, text.split(","))
    except ValueError:
        red = green = blue = math.nan
    if not all(abs(number) <= _MAX_NUMBER for number in (red, green, blue)):
        raise argparse.ArgumentTypeError(f"{text} is not three numbers with commas between them")
    return red, green, blue


def _divisors(text: str) -> Numbers:
    """Reads three numbers that are not 0, nor next to it.

    Raises:
        ArgumentTypeError: they are not.
    """
    if min(map(abs, numbers := _numbers(text))) < 1 / _MAX_NUMBER:
        raise argparse.ArgumentTypeError(f"{text} has a 0 or almost, by which nothing can be divided")
    return numbers
