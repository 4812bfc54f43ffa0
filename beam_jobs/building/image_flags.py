"""The flags of images: where they come from, how they are written; and what a plan says of them."""

import argparse
import dataclasses
import os
import typing

from beam_jobs.command.errors import UsageError
from beam_jobs.command.flags import FlagParser, positive
from schemas.videos import MAX_VIDEO_BYTES, VIDEOS
from transforms.fetch.fetch_options import FetchOptions
from transforms.fetch.flickr_requests import REQUESTS_PER_S
from transforms.images.image_plan import ImageOptions
from transforms.places.image_places import AUTO, PlacesConfig
from transforms.shards.tar_shard import MAX_MEMBER_BYTES

DEFAULT_MAX_VIDEO_BYTES = 500_000_000

NO_IMAGES = "none"
"""The ``--images`` value with which a dataset has rows alone."""


class ImageStep(typing.NamedTuple):
    """What happens to the images: how they are written, how fetched, and where from.

    Attributes:
        image, fetch, places: so.
        max_video_bytes: of the largest video that is taken; None if videos are left out.
    """

    image: ImageOptions
    fetch: FetchOptions
    places: PlacesConfig
    max_video_bytes: int | None = None


def add_place_flags(parser: FlagParser) -> None:
    """Adds where images come from."""
    group = parser.add_argument_group("places of images")
    group.add_argument(
        "--images",
        action="append",
        type=_place,
        metavar="SPEC",
        help="auto (the mirrors), none, or a directory, zip, tar or bucket prefix; repeatable, tried in order (auto)",
    )
    group.add_argument(
        "--mirror",
        action="append",
        default=[],
        metavar="SOURCE=URL",
        help="another root for the mirror of yfcc, coco or open_images; repeatable",
    )
    group.add_argument(
        "--flickr_fallback",
        action="store_true",
        help=f"after all places also try Flickr itself, at {REQUESTS_PER_S:g} requests a second of the whole job",
    )


def _place(spec: str) -> str:
    """Returns a place of images as workers and later commands find it, whose working folders are others.

    Raises:
        ArgumentTypeError: it is empty.
    """
    if not spec:
        raise argparse.ArgumentTypeError("it is empty; name a place")
    return spec if spec in (AUTO, NO_IMAGES) or "://" in spec else os.path.abspath(os.path.expanduser(spec))


def add_image_flags(parser: FlagParser) -> None:
    """Adds how images are written, and which are refused."""
    image = ImageOptions()
    group = parser.add_argument_group("images")
    group.add_argument(
        "--image_size",
        type=_sizes_px,
        default=str(image.image_size),
        metavar="PX[,PX...]",
        help="the side that --resize names; of several the first is the main one (%(default)s)",
    )
    group.add_argument(
        "--resize", default=image.resize, help="shorter, longer, pad, crop, stretch or none (%(default)s)"
    )
    group.add_argument("--upscale", action="store_true", help="also enlarge smaller images")
    group.add_argument("--filter", default=image.filter, help="area, lanczos or bicubic (%(default)s)")
    group.add_argument("--format", default=image.format, help="jpg, webp or png (%(default)s)")
    group.add_argument("--quality", type=int, default=image.quality, help="1 to 100 (%(default)s)")
    group.add_argument(
        "--reencode",
        default=image.reencode,
        help="auto: keep the compressed data of JPEGs that need no change; always: encode anew (%(default)s)",
    )
    group.add_argument("--keep_exif", action="store_true", help="keep EXIF, which may tell where and by whom")
    group.add_argument(
        "--min_side", type=int, default=image.min_side, metavar="PX", help="smaller images fail (%(default)s)"
    )
    group.add_argument(
        "--max_aspect_ratio",
        type=float,
        default=image.max_aspect_ratio,
        metavar="R",
        help="images that are longer fail, 0 = off (%(default)s)",
    )
    group.add_argument(
        "--max_pixels",
        type=int,
        default=image.max_pixels,
        metavar="N",
        help="larger images fail, 0 = off (%(default)s)",
    )
    group.add_argument(
        "--max_image_bytes", type=int, default=FetchOptions().max_image_bytes, metavar="N", help="(%(default)s)"
    )


def add_video_flags(parser: FlagParser) -> None:
    """Adds whether videos are taken, and which are refused."""
    group = parser.add_argument_group("videos")
    group.add_argument(
        f"--{VIDEOS}",
        action="store_true",
        help="also take YFCC's videos from its mirror, as KEY.mp4 in OUT/videos (else they are is_video failures)",
    )
    group.add_argument(
        f"--{MAX_VIDEO_BYTES}",
        type=int,
        default=DEFAULT_MAX_VIDEO_BYTES,
        metavar="N",
        help="larger videos fail (%(default)s)",
    )


def video_cap(flags: argparse.Namespace) -> int | None:
    """Returns the size of the largest video that is taken; None if videos are left out.

    Raises:
        UsageError: it is out of range.
    """
    cap = flags.max_video_bytes
    if not 1 <= cap <= MAX_MEMBER_BYTES:
        raise UsageError(f"--{MAX_VIDEO_BYTES} {cap} is out of range: give 1 to {MAX_MEMBER_BYTES}")
    return cap if flags.videos else None


def check_video_flags(flags: argparse.Namespace) -> None:
    """Refuses flags of videos that have no effect.

    Raises:
        UsageError: names the flag.
    """
    if flags.videos and not flags.yfcc:
        raise UsageError(
            f"--{VIDEOS} has no effect without --yfcc, the source that has videos: add that, or leave it out"
        )
    if not flags.videos and flags.max_video_bytes != DEFAULT_MAX_VIDEO_BYTES:
        cap = f"--{MAX_VIDEO_BYTES} {flags.max_video_bytes}"
        raise UsageError(f"{cap} has no effect without --{VIDEOS}: add that, or leave it out")


def image_values(flags: argparse.Namespace) -> dict[str, typing.Any]:
    """Returns the fields of :class:`transforms.images.image_plan.ImageOptions`."""
    values = vars(flags) | {"image_size": flags.image_size[0], "further_sizes": tuple(flags.image_size[1:])}
    return {f.name: values[f.name] for f in dataclasses.fields(ImageOptions)}


def image_format(step: ImageStep) -> dict[str, typing.Any]:
    """Returns the flags that decide how a photo becomes a sample, as the plan and the manifest say them."""
    values = {**dataclasses.asdict(step.image), "max_image_bytes": step.fetch.max_image_bytes}
    del values["further_sizes"]
    videos = {VIDEOS: True, MAX_VIDEO_BYTES: step.max_video_bytes} if step.max_video_bytes else {}
    return values | {"image_size": list(step.image.sizes)} | videos


def image_options(format_: typing.Mapping[str, typing.Any]) -> ImageOptions:
    """Returns how images are written by the format of a plan: of :func:`image_format`.

    Raises:
        ValueError: it has no such values.
    """
    names = {f.name for f in dataclasses.fields(ImageOptions)} - {"image_size", "further_sizes"}
    try:
        first, *further = format_["image_size"]
        return ImageOptions(image_size=first, further_sizes=tuple(further), **{name: format_[name] for name in names})
    except (KeyError, TypeError) as error:
        raise ValueError(f"its format does not say how images were written ({error})") from error


def _sizes_px(text: str) -> list[int]:
    try:
        return [positive(size) for size in text.split(",")]
    except (argparse.ArgumentTypeError, ValueError):
        raise argparse.ArgumentTypeError(f"{text} is no size in pixels: give one such as 256, or 256,512") from None
