"""Affines between pixel coordinates: build, chain, undo and apply them.

An affine ``(a, b, c, d, e, f)`` is the one of :class:`transforms.images.image_plan.Plan`: x' = a x + b y + c and
y' = d x + e y + f, on continuous coordinates, where pixel (0, 0) covers [0, 1) x [0, 1). Those of one annotation, from
the source's copy of a photo to the written image, are chained in the order in which they happen::

    compose(
        scale((1, 1), copy_size),                             # only where coordinates are normalised to [0, 1]
        quarter_turn(rotation, *copy_size),                   # the copy upright
        scale(upright_copy_size, upright_size),               # the photo that was fetched, upright
        inverse(orientation(exif, *stored_size)),             # the photo as stored
        plan.matrix,                                          # the written image
    )

The inverse of the whole takes predictions on the written image back to the copy.
"""

import math
import typing

import numpy as np
import numpy.typing as npt

from transforms.images.image_plan import Affine as Affine
from transforms.images.image_plan import ImageOptions, image_plans, orientation_of_turn

Points = npt.NDArray[np.float64]

IDENTITY: typing.Final[Affine] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)

EDGE_PX: typing.Final = 1e-6
"""By how much, px, rounding may put a coordinate beyond an image's edge without its being cut."""

_AS_STORED = ImageOptions(resize="none")


def compose(*steps: Affine) -> Affine:
    """Returns the affine that does the steps one after the other, the first one first.

    Example:
        >>> compose(scale((1, 1), (40, 30)), quarter_turn(90, 40, 30))
        (0.0, 30.0, 0.0, -40.0, 0.0, 40.0)
    """
    a, b, c, d, e, f = IDENTITY
    for ta, tb, tc, td, te, tf in steps:
        a, b, c, d, e, f = (
            ta * a + tb * d,
            ta * b + tb * e,
            ta * c + tb * f + tc,
            td * a + te * d,
            td * b + te * e,
            td * c + te * f + tf,
        )
    return a, b, c, d, e, f


def inverse(matrix: Affine) -> Affine:
    """Returns the affine that undoes another.

    Raises:
        ValueError: the affine squeezes the plane to a line or a point, or is not finite.

    Example:
        >>> inverse((2.0, 0.0, 10.0, 0.0, 4.0, 20.0))
        (0.5, 0.0, -5.0, 0.0, 0.25, -5.0)
    """
    a, b, c, d, e, f = matrix
    scaled = determinant(matrix)
    if scaled == 0 or not all(map(math.isfinite, matrix)):
        raise ValueError(f"{matrix} has no inverse")
    # Adding zero turns the negative zeros of a plain inverse to zeros, which matters to the bytes of JSON.
    undone = (e, -b, b * f - c * e, -d, a, c * d - a * f)
    return typing.cast(Affine, tuple(value / scaled + 0.0 for value in undone))


def determinant(matrix: Affine) -> float:
    """Returns by what an affine multiplies areas; negative where it mirrors."""
    a, b, _, d, e, _ = matrix
    return a * e - b * d


def apply(matrix: Affine, points: npt.ArrayLike) -> Points:
    """Moves points.

    Args:
        matrix: the affine.
        points: shape (n, 2), x and y; finite.

    Returns:
        Shape (n, 2), float64.
    """
    a, b, c, d, e, f = matrix
    given = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    x, y = given.T
    moved = np.empty_like(given)
    moved[:, 0] = a * x + b * y + c
    moved[:, 1] = d * x + e * y + f
    return moved


def to_source(matrix: typing.Sequence[float], points: npt.ArrayLike) -> Points:
    """Takes points on a written image, such as predictions, back to where an entry of ``transforms`` came from.

    Boxes go back by their two corners, whose order a turn changes.

    Args:
        matrix: the entry's ``matrix``, as it stands in ``KEY.json`` and in the sidecar.
        points: shape (n, 2), x and y on the written image; finite.

    Returns:
        Shape (n, 2), float64, in the entry's ``units``.

    Raises:
        ValueError: the matrix is not six numbers that can be undone.

    Example:
        >>> to_source([0.0, -0.5, 100.0, 0.5, 0.0, 0.0], [[90, 5]]).tolist()
        [[10.0, 20.0]]
    """
    if len(matrix) != 6:
        raise ValueError(f"a matrix of {len(matrix)} numbers is no affine: give the six of an entry of `transforms`")
    return apply(inverse(typing.cast(Affine, tuple(matrix))), points)


def swaps_axes(matrix: Affine) -> bool:
    """Returns whether x becomes y and y becomes x, as they do in a quarter turn.

    Raises:
        ValueError: the affine is none of flips, quarter turns, scaling and shifts: rectangles would not stay such.
    """
    a, b, _, d, e, _ = matrix
    if a and e and not b and not d:
        return False
    if b and d and not a and not e:
        return True
    raise ValueError(f"{matrix} does not keep rectangles upright: give flips, quarter turns, scales and shifts")


def orientation(exif: int, width: int, height: int) -> Affine:
    """Returns how the pixels of a stored image move when it is shown upright, at the same size.

    Args:
        exif: EXIF orientation, 1 to 8.
        width: of the image as stored, px; 1 where coordinates are normalised to [0, 1].
        height: likewise.

    Raises:
        ValueError: there is no such orientation.

    Example:
        >>> orientation(2, 40, 30)
        (-1.0, 0.0, 40.0, 0.0, 1.0, 0.0)
    """
    if exif not in range(1, 9):
        raise ValueError(f"EXIF orientation {exif} is unknown: give 1 to 8")
    return image_plans((width, height), exif, _AS_STORED)[0].matrix


def quarter_turn(degrees_ccw: float, width: int, height: int) -> Affine:
    """Returns the affine of an image turned counter-clockwise, as Open Images' ``Rotation`` asks.

    Args:
        degrees_ccw: 0, 90, 180 or 270; by 90 and 270, width and height change places.
        width: of the image before the turn, px; 1 where coordinates are normalised to [0, 1].
        height: likewise.

    Raises:
        ValueError: it is no quarter turn.

    Example:
        >>> quarter_turn(90, 40, 30)
        (0.0, 1.0, 0.0, -1.0, 0.0, 40.0)
    """
    return orientation(orientation_of_turn(degrees_ccw), width, height)


def scale(from_size: tuple[float, float], to_size: tuple[float, float]) -> Affine:
    """Returns the affine from one size of an image to another.

    Args:
        from_size: width and height, px; (1, 1) where coordinates are normalised to [0, 1].
        to_size: likewise.

    Raises:
        ValueError: a side is not above 0.

    Example:
        >>> scale((1, 1), (640, 480))
        (640.0, 0.0, 0.0, 0.0, 480.0, 0.0)
    """
    if not all(0 < side < math.inf for side in (*from_size, *to_size)):
        raise ValueError(f"{from_size} to {to_size} is no change of size: give sides above 0")
    return to_size[0] / from_size[0], 0.0, 0.0, 0.0, to_size[1] / from_size[1], 0.0
