"""Boxes through an affine, clipped to the image that they land on.

Boxes are ``xmin, ymin, xmax, ymax``, half-open: a box of one pixel at (0, 0) is 0, 0, 1, 1. Normalised ones are mapped
by an affine that starts with ``scale((1, 1), copy_size)``. Predictions on a written image are taken back by
``map_boxes(boxes, inverse(matrix), original_size)``.
"""

import typing

import numpy as np
import numpy.typing as npt

from transforms.geometry.affine import EDGE_PX, Affine, apply, determinant, swaps_axes

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class MappedBoxes(typing.NamedTuple):
    """Boxes on the written image, in the order given.

    Attributes:
        boxes: shape (n, 4), float64, px, within the image; NaN where outside or invalid.
        visible: shape (n,), float64, 0 to 1: share of the area that lies within the image; 0 where invalid.
        outside: shape (n,), bool: nothing of the box lies within the image.
        invalid: shape (n,), bool: it was no box: a coordinate is not finite, or a side is negative.
    """

    boxes: Floats
    visible: Floats
    outside: Flags
    invalid: Flags

    @property
    def kept(self) -> Flags:
        """Shape (n,), bool: the boxes to write."""
        return ~(self.outside | self.invalid)


def map_boxes(boxes: npt.ArrayLike, matrix: Affine, size: tuple[int, int]) -> MappedBoxes:
    """Maps boxes and clips them.

    A box may reach beyond the edge of its own image. One without width or height is kept where it lies within the
    image, edges included. What rounding puts at most ``EDGE_PX`` beyond the edge counts as within.

    Args:
        boxes: shape (n, 4): xmin, ymin, xmax, ymax.
        matrix: made of flips, quarter turns, scales and shifts.
        size: width and height of the image that they land on, px.

    Raises:
        ValueError: the affine tilts boxes.

    Example:
        >>> mapped = map_boxes([[0, 0, 40, 10], [50, 0, 60, 10]], (0.5, 0.0, -10.0, 0.0, 1.0, 0.0), (15, 20))
        >>> mapped.boxes[0].tolist(), mapped.visible.tolist(), mapped.outside.tolist()
        ([0.0, 0.0, 10.0, 10.0], [0.5, 0.0], [False, True])
    """
    swaps_axes(matrix)
    given = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    invalid = ~np.isfinite(given).all(axis=1) | (given[:, 2] < given[:, 0]) | (given[:, 3] < given[:, 1])
    corners = apply(matrix, np.where(invalid[:, None], 0.0, given)).reshape(-1, 2, 2)
    low, high = corners.min(axis=1), corners.max(axis=1)
    visible = np.where(invalid, 0.0, _visible_sides(low, high, size).prod(axis=1))
    outside = (visible == 0) & ~invalid
    clipped = np.clip(np.concatenate([low, high], axis=1), 0.0, np.tile(np.array(size, dtype=np.float64), 2))
    clipped[outside | invalid] = np.nan
    return MappedBoxes(clipped, visible, outside, invalid)


def map_areas(areas: npt.ArrayLike, mapped: MappedBoxes, matrix: Affine) -> Floats:
    """Returns what is visible of the areas of the objects in boxes, px of the written image.

    A published area, such as COCO's, is that of the object's outline, smaller than its box. It is taken to be spread
    evenly over the box: area x abs(determinant) x visible share. Where there is none, the area is that of the
    clipped box. Where the outline itself is mapped, its own area is the better one.

    Args:
        areas: shape (n,), px of the image that the boxes came from; NaN or negative where unknown.
        mapped: the boxes.
        matrix: by which they were mapped, from pixels.

    Returns:
        Shape (n,), float64; NaN where the box is outside or invalid.
    """
    published = np.asarray(areas, dtype=np.float64).reshape(-1)
    width_height = mapped.boxes[:, 2:] - mapped.boxes[:, :2]
    scaled = published * abs(determinant(matrix)) * mapped.visible
    areas_px = np.where(published >= 0, scaled, width_height.prod(axis=1))
    return np.where(mapped.kept, areas_px, np.nan)


def _visible_sides(low: Floats, high: Floats, size: tuple[int, int]) -> Floats:
    """Returns the share of every box's width and height that lies within the image, shape (n, 2)."""
    limit = np.array(size, dtype=np.float64)
    seen = np.minimum(high, limit) - np.maximum(low, 0.0)
    whole = (low >= -EDGE_PX) & (high <= limit + EDGE_PX)
    shares = np.divide(seen, high - low, out=np.zeros_like(seen), where=seen > EDGE_PX)
    return np.where(whole, 1.0, shares)
