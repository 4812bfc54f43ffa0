"""Points through an affine: keypoints, free points, narrative traces, and the pairs of boxes of relationships.

The edges of an image, all four, belong to it; what rounding puts at most ``EDGE_PX`` beyond them does too. Normalised
coordinates are mapped by an affine that starts with ``scale((1, 1), copy_size)``.
"""

import typing

import numpy as np
import numpy.typing as npt

from transforms.geometry.affine import EDGE_PX, Affine, Points, apply
from transforms.geometry.map_boxes import Flags, Floats, MappedBoxes, map_boxes


class MappedPoints(typing.NamedTuple):
    """Points on the written image, in the order given.

    Attributes:
        points: shape (n, 2), float64, px, within the image; NaN where outside or invalid.
        outside: shape (n,), bool: beyond the image.
        invalid: shape (n,), bool: a coordinate was not finite.
    """

    points: Points
    outside: Flags
    invalid: Flags

    @property
    def kept(self) -> Flags:
        """Shape (n,), bool: the points to write."""
        return ~(self.outside | self.invalid)


class MappedKeypoints(typing.NamedTuple):
    """The keypoints of one object on the written image.

    Attributes:
        keypoints: shape (n, 3), float64: x, y, v; all in their places, (0, 0, 0) where there is none.
        labelled: number of those with v > 0, COCO's ``num_keypoints``.
        outside: number of labelled ones that fell outside.
        invalid: number of those that were none: a number is not finite, or v is not 0, 1 or 2.
    """

    keypoints: Floats
    labelled: int
    outside: int
    invalid: int


class MappedTrace(typing.NamedTuple):
    """The trace of a pointer over the written image.

    Attributes:
        trace: shape (m, 3), float64: x, y and time, of the points that are visible, in the order given.
        outside: number of points that fell outside.
        invalid: number of those that were none: a number is not finite.
    """

    trace: Floats
    outside: int
    invalid: int


class MappedPairs(typing.NamedTuple):
    """The two boxes of each relationship on the written image, in the order given.

    Attributes:
        first: the subjects.
        second: the objects.
        outside: shape (n,), bool: both were boxes, but nothing of one or the other lies within the image.
        invalid: shape (n,), bool: one or the other was no box.
    """

    first: MappedBoxes
    second: MappedBoxes
    outside: Flags
    invalid: Flags

    @property
    def kept(self) -> Flags:
        """Shape (n,), bool: the relationships to write."""
        return ~(self.outside | self.invalid)


def map_points(points: npt.ArrayLike, matrix: Affine, size: tuple[int, int]) -> MappedPoints:
    """Maps free points, such as Open Images' point labels.

    Args:
        points: shape (n, 2), x and y.
        matrix: of any kind.
        size: width and height of the image that they land on, px.

    Example:
        >>> mapped = map_points([[0.5, 1.0], [0.9, 0.5]], (40.0, 0.0, -10.0, 0.0, 20.0, 0.0), (20, 20))
        >>> mapped.points[0].tolist(), mapped.outside.tolist()
        ([10.0, 20.0], [False, True])
    """
    given = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    invalid = ~np.isfinite(given[:, 0]) | ~np.isfinite(given[:, 1])
    moved = apply(matrix, np.where(invalid[:, None], 0.0, given))
    limit = np.array(size, dtype=np.float64)
    outside = ((moved < -EDGE_PX) | (moved > limit + EDGE_PX)).any(axis=1) & ~invalid
    clipped = np.clip(moved, 0.0, limit)
    clipped[outside | invalid] = np.nan
    return MappedPoints(clipped, outside, invalid)


def map_keypoints(
    keypoints: npt.ArrayLike, matrix: Affine, size: tuple[int, int], *, of_pixels: bool = True
) -> MappedKeypoints:
    """Maps the keypoints of one object.

    COCO's keypoints count pixels: x = 0 is the first one, whose centre is at 0.5. They are mapped by their centres, and
    what is returned counts pixels again, from 0 to width - 1. Fractions appear when sizes change.

    Args:
        keypoints: shape (n, 3) or flat as in COCO's files: x, y and v (0 not labelled, 1 hidden, 2 visible).
        matrix: of any kind, from pixels.
        size: width and height of the image that they land on, px.
        of_pixels: whether x and y count pixels; else they are continuous as those of all other annotations.

    Example:
        >>> map_keypoints([0, 5, 2, 0, 0, 0], (-1.0, 0.0, 20.0, 0.0, 1.0, 0.0), (20, 20)).keypoints.tolist()
        [[19.0, 5.0, 2.0], [0.0, 0.0, 0.0]]
    """
    given = np.asarray(keypoints, dtype=np.float64).reshape(-1, 3)
    invalid = ~(np.isfinite(given).all(axis=1) & np.isin(given[:, 2], (0, 1, 2)))
    labelled = (given[:, 2] > 0) & ~invalid
    centre = 0.5 if of_pixels else 0.0
    mapped = map_points(np.where(labelled[:, None], given[:, :2] + centre, 0.0), matrix, size)
    kept = labelled & mapped.kept
    places = mapped.points - centre
    if of_pixels:
        places = np.clip(places, 0.0, np.array(size) - 1.0)
    moved = np.where(kept[:, None], np.column_stack([places, given[:, 2]]), 0.0)
    return MappedKeypoints(moved, int(kept.sum()), int((labelled & mapped.outside).sum()), int(invalid.sum()))


def map_trace(trace: npt.ArrayLike, matrix: Affine, size: tuple[int, int]) -> MappedTrace:
    """Maps one trace of a localized narrative; what lies outside is dropped, and times are kept as they are.

    Args:
        trace: shape (n, 3): x, y and time in seconds. Annotators' pointers do leave the image.
        matrix: of any kind.
        size: width and height of the image that it lands on, px.
    """
    given = np.asarray(trace, dtype=np.float64).reshape(-1, 3)
    mapped = map_points(given[:, :2], matrix, size)
    timed = np.isfinite(given[:, 2])
    moved = np.column_stack([mapped.points, given[:, 2]])[mapped.kept & timed]
    return MappedTrace(moved, int((mapped.outside & timed).sum()), int((mapped.invalid | ~timed).sum()))


def map_pairs(first: npt.ArrayLike, second: npt.ArrayLike, matrix: Affine, size: tuple[int, int]) -> MappedPairs:
    """Maps the boxes of relationships; one is kept where something of both boxes is visible.

    Args:
        first: shape (n, 4): xmin, ymin, xmax, ymax of the subjects.
        second: shape (n, 4), of the objects.
        matrix: made of flips, quarter turns, scales and shifts.
        size: width and height of the image that they land on, px.

    Raises:
        ValueError: the affine tilts boxes.
    """
    subjects, objects = map_boxes(first, matrix, size), map_boxes(second, matrix, size)
    invalid = subjects.invalid | objects.invalid
    return MappedPairs(subjects, objects, (subjects.outside | objects.outside) & ~invalid, invalid)
