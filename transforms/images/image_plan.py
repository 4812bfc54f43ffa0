"""How an image of a given size and orientation becomes one of each asked size: sizes, offsets, affine. No pixels."""

import dataclasses
import math
import typing

from PIL import Image

Affine = tuple[float, float, float, float, float, float]

RESIZE_MODES = ("shorter", "longer", "pad", "crop", "stretch", "none")
FILTERS = ("area", "lanczos", "bicubic")
FORMATS = ("jpg", "webp", "png")
REENCODE = ("auto", "always")

MAX_SIZE_PX = 2**31 - 1
"""Largest ``--image_size``: the sidecar has it as int32."""

TURNED_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation to the move that shows the stored pixels upright; 1 needs none."""

TURNED_BACK = {**TURNED_UPRIGHT, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
"""EXIF orientation to the move that undoes :data:`TURNED_UPRIGHT`."""

_ORIENTATION_OF_TURN = {0: 1, 90: 8, 180: 3, 270: 6}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """How photos are written.

    Attributes:
        image_size: N, px, 1 to :data:`MAX_SIZE_PX`: of the image that annotations are mapped to.
        further_sizes: more such N; each makes another image of the photo, from the same decoded pixels.
        resize: which side N is for.

            * ``shorter``, ``longer``: that side becomes N, the aspect is kept.
            * ``pad``: the longer side becomes N, white is added around the centre: always N x N.
            * ``crop``: the shorter side becomes N, the centre square is cut out.
            * ``stretch``: a square, whatever becomes of the aspect.
            * ``none``: the size is kept.
        upscale: whether pixels may be enlarged. Without, an image that is smaller keeps its size (``pad``
            still adds white up to N x N), and ``crop`` and ``stretch`` give the square of its shorter side.
        filter: ``area`` averages what lies under each written pixel, by area; where an image is enlarged it stands
            for bicubic. ``lanczos`` and ``bicubic`` are sharper and may ring.
        format: of the file; ``jpg`` is the fastest.
        quality: 1 to 100, of jpg and webp; larger files lose less.
        reencode: ``auto`` keeps the compressed data of a JPEG that nothing would happen to: RGB, upright, sRGB or
            without profile, of the size and format to write. ``always`` encodes every photo anew.
        keep_exif: whether EXIF is kept, with its orientation set to upright. It may tell where and by whom.
        min_side: px; photos with a shorter side, as stored, are refused; 1 is off.
        max_aspect_ratio: photos whose longer side is more than that many times the shorter are refused; 0 is off.
        max_pixels: stored or written images with more are refused, which bounds memory to about 12 bytes
            a pixel; 0 is off. Pixels of WebP count twice and those of JPEG 2000 three times, as their decoders
            hold several copies.

    Raises:
        ValueError: an option is out of its range; names the flag, the value and the remedy.
    """

    image_size: int = 256
    further_sizes: tuple[int, ...] = ()
    resize: str = "shorter"
    upscale: bool = False
    filter: str = "area"
    format: str = "jpg"
    quality: int = 90
    reencode: str = "auto"
    keep_exif: bool = False
    min_side: int = 1
    max_aspect_ratio: float = 0.0
    max_pixels: int = 89_478_485

    def __post_init__(self) -> None:
        for size in self.sizes:
            _check_range("--image_size", size, 1, MAX_SIZE_PX)
        _check_choice("--resize", self.resize, RESIZE_MODES)
        _check_sizes(self.sizes, self.resize)
        _check_choice("--filter", self.filter, FILTERS)
        _check_choice("--format", self.format, FORMATS)
        _check_range("--quality", self.quality, 1, 100)
        _check_choice("--reencode", self.reencode, REENCODE)
        _check_range("--min_side", self.min_side, 1)
        if not (self.max_aspect_ratio == 0 or 1 <= self.max_aspect_ratio < math.inf):
            raise ValueError(f"--max_aspect_ratio {self.max_aspect_ratio:g} is out of range: give 0 or at least 1")
        _check_range("--max_pixels", self.max_pixels, 0)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Every N, the first one first."""
        return self.image_size, *self.further_sizes


class Plan(typing.NamedTuple):
    """The steps from the stored image to the written one.

    Attributes:
        scaled: width and height that the stored image is resized to, before it is turned upright, px.
        offset: where the upright image's corner lies on the written one, px; negative where it is cut.
        written: width and height of the written image, px.
        matrix: the affine of all steps together, on continuous coordinates.
    """

    scaled: tuple[int, int]
    offset: tuple[int, int]
    written: tuple[int, int]
    matrix: Affine


def orientation_of_turn(degrees_ccw: float) -> int:
    """Returns the EXIF orientation that shows an image turned counter-clockwise, as Open Images' ``Rotation`` asks.

    Raises:
        ValueError: it is no quarter turn.

    Example:
        >>> orientation_of_turn(90)
        8
    """
    if degrees_ccw not in _ORIENTATION_OF_TURN:
        raise ValueError(f"rotation {degrees_ccw} is no quarter turn: give 0, 90, 180 or 270")
    return _ORIENTATION_OF_TURN[int(degrees_ccw)]


def image_plans(size: tuple[int, int], orientation: int, options: ImageOptions) -> tuple[Plan, ...]:
    """Returns how an image becomes the one of each of the ``sizes``, in that order.

    A side that is not given by N is rounded to the nearest pixel, halves up, and is at least 1. An odd
    number of pixels to pad or to cut leaves the smaller half at the left or top.

    Args:
        size: stored width and height, px, at least 1.
        orientation: EXIF orientation, 1 to 8.
        options: mode, sizes and whether to enlarge.

    Example:
        >>> [plan.written for plan in image_plans((500, 333), 6, ImageOptions(image_size=256, further_sizes=(64,)))]
        [(256, 384), (64, 96)]
    """
    return tuple(_plan(size, orientation, options, target) for target in options.sizes)


def upright_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Returns width and height of a stored image once it is upright.

    Example:
        >>> upright_size((500, 333), 6)
        (333, 500)
    """
    return (size[1], size[0]) if orientation >= 5 else size


def shows_whole(plan: Plan, orientation: int) -> bool:
    """Tells whether the written image is the stored one, whole and upright: neither cut nor padded.

    Example:
        >>> crop, longer = (ImageOptions(image_size=64, resize=mode) for mode in ("crop", "longer"))
        >>> [shows_whole(image_plans((500, 333), 1, options)[0], 1) for options in (crop, longer)]
        [False, True]
    """
    return plan.written == upright_size(plan.scaled, orientation)


def _plan(size: tuple[int, int], orientation: int, options: ImageOptions, target: int) -> Plan:
    scaled = _scaled_size(size, options, target)
    upright = upright_size(scaled, orientation)
    written = _written_size(upright, options, target)
    offset = ((written[0] - upright[0]) // 2, (written[1] - upright[1]) // 2)
    if options.resize == "crop":
        offset = (-((upright[0] - written[0]) // 2), -((upright[1] - written[1]) // 2))
    return Plan(scaled, offset, written, _matrix(size, scaled, orientation, offset))


def _scaled_size(size: tuple[int, int], options: ImageOptions, target: int) -> tuple[int, int]:
    width, height = size
    if options.resize == "none":
        return size
    if options.resize == "stretch":
        side = target if options.upscale else min(target, width, height)
        return side, side
    measured = max(size) if options.resize in ("longer", "pad") else min(size)
    if measured == target or (measured < target and not options.upscale):
        return size
    return _rounded(width * target, measured), _rounded(height * target, measured)


def _rounded(numerator: int, denominator: int) -> int:
    return max(1, (2 * numerator + denominator) // (2 * denominator))


def _written_size(upright: tuple[int, int], options: ImageOptions, target: int) -> tuple[int, int]:
    if options.resize == "pad":
        return target, target
    if options.resize == "crop":
        side = min(target, *upright)
        return side, side
    return upright


def _matrix(size: tuple[int, int], scaled: tuple[int, int], orientation: int, offset: tuple[int, int]) -> Affine:
    """Scales, turns upright within the scaled image, then shifts."""
    across, down = scaled[0] / size[0], scaled[1] / size[1]
    width, height = map(float, scaled)
    from_left, from_right = (across, 0.0, 0.0), (-across, 0.0, width)
    from_top, from_bottom = (0.0, down, 0.0), (0.0, -down, height)
    x, y = {
        1: (from_left, from_top),
        2: (from_right, from_top),
        3: (from_right, from_bottom),
        4: (from_left, from_bottom),
        5: (from_top, from_left),
        6: (from_bottom, from_left),
        7: (from_bottom, from_right),
        8: (from_top, from_right),
    }[orientation]
    return x[0], x[1], x[2] + offset[0], y[0], y[1], y[2] + offset[1]


def _check_range(flag: str, value: int, low: int, high: int | None = None) -> None:
    if value < low or (high is not None and value > high):
        allowed = f"at least {low}" if high is None else f"{low} to {high}"
        raise ValueError(f"{flag} {value} is out of range: give {allowed}")


def _check_sizes(sizes: tuple[int, ...], resize: str) -> None:
    stated = ",".join(map(str, sizes))
    if len(set(sizes)) < len(sizes):
        raise ValueError(f"--image_size {stated} names a size twice: name each once")
    if len(sizes) > 1 and resize == "none":
        raise ValueError(
            f"--image_size {stated} with --resize none: photos keep their one size; name one, or a --resize"
        )


def _check_choice(flag: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{flag} {value} is unknown: give one of {', '.join(choices)}")
