"""Outlines and masks through an affine: polygons, COCO's run lengths, panoptic id images.

Polygons are lists ``[x1, y1, x2, y2, ...]`` in px. They are clipped as Sutherland and Hodgman do, which keeps the
winding number of every point within the image, so that outlines that cross themselves, of which COCO has many, keep
their filling. An outline that leaves the image and returns stays one polygon, its parts joined along the edge.

Masks are mapped by nearest neighbour: a written pixel takes the value of the pixel in which its centre lies.

Run lengths (RLE) are COCO's: ``{"size": [height, width], "counts": ...}``, column by column, starting with
background. ``counts`` is a list of ints or the compressed string. Those of others are read here and not by pycocotools,
whose decoder returns uninitialised memory where counts end early, and reads beyond a string that is cut.
"""

import itertools
import typing

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from schemas.coco_rle import decompress
from transforms.geometry.affine import EDGE_PX, Affine, Points, apply, inverse, swaps_axes
from transforms.images.image_plan import ImageOptions

Polygon = list[float]
Mask = npt.NDArray[np.bool_]
Ids = npt.NDArray[np.uint32]
ForeignRLE = typing.Mapping[str, typing.Any]
Floats = npt.NDArray[np.floating[typing.Any]]
_Value = typing.TypeVar("_Value", bound=np.generic)

_TIE_PX = 1e-9
"""Moves centres that fall on the border of two pixels into the right or lower one, however they were rounded."""


class RLE(typing.TypedDict):
    """Run lengths of a mask.

    Attributes:
        size: height and width, px.
        counts: compressed, ASCII.
    """

    size: list[int]
    counts: str


class MappedPolygons(typing.NamedTuple):
    """The outline of one object on the written image.

    Attributes:
        polygons: those parts that are visible, clipped; px.
        area: of the visible parts, px; parts that overlap count twice.
        visible: 0 to 1, share of the area that lies within the image.
        outside: number of polygons of which nothing lies within the image.
        invalid: number of polygons that were none: fewer than three points, half a point, not finite.
    """

    polygons: list[Polygon]
    area: float
    visible: float
    outside: int
    invalid: int


class MappedMask(typing.NamedTuple):
    """The mask of one object on the written image.

    Attributes:
        rle: run lengths, of the written image's size.
        area: number of pixels; 0 where the object is outside, and where it is too thin for the written pixels.
        visible: 0 to 1, share of the mask's pixels whose centres lie within the image; 0 of an empty mask.
    """

    rle: RLE
    area: int
    visible: float


def map_polygons(
    polygons: typing.Iterable[typing.Sequence[float]], matrix: Affine, size: tuple[int, int]
) -> MappedPolygons:
    """Maps the polygons of one object and clips them; what is at most ``EDGE_PX`` beyond the edge is put on it.

    Args:
        polygons: parts of the outline, px.
        matrix: of any kind.
        size: width and height of the image that they land on, px.

    Example:
        >>> mapped = map_polygons([[-5, 0, 5, 0, 5, 4, -5, 4]], (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), (20, 20))
        >>> mapped.polygons, mapped.area, mapped.visible
        ([[0.0, 0.0, 5.0, 0.0, 5.0, 4.0, 0.0, 4.0]], 20.0, 0.5)
    """
    kept: list[Polygon] = []
    seen = total = 0.0
    outside = invalid = 0
    for polygon in polygons:
        numbers = np.asarray(polygon, dtype=np.float64)
        if not _is_polygon(numbers):
            invalid += 1
            continue
        clipped = points = apply(matrix, numbers)
        if _is_within(points, size):
            area = clipped_area = _area(points)
        else:
            points = _on_edges(points, size)
            clipped = _clip(points, size)
            area, clipped_area = _area(points), _area(clipped)
        total += area
        if len(clipped) < 3 or (clipped_area <= EDGE_PX < area):
            outside += 1
            continue
        seen += clipped_area
        kept.append(typing.cast(Polygon, clipped.ravel().tolist()))
    visible = min(1.0, seen / total) if total > EDGE_PX else float(bool(kept))
    return MappedPolygons(kept, seen, visible, outside, invalid)


def decode_rle(rle: ForeignRLE, max_pixels: int = ImageOptions.max_pixels) -> Mask:
    """Returns the mask of run lengths, shape (height, width).

    Args:
        rle: with counts as list, string or bytes.
        max_pixels: larger masks are refused; 0 is off.

    Raises:
        ValueError: these are no run lengths, they do not fill the size, or there are too many pixels.

    Example:
        >>> decode_rle({"size": [2, 2], "counts": [1, 2, 1]}).astype(int).tolist()
        [[0, 1], [1, 0]]
    """
    height, width = _size(rle, max_pixels)
    runs = _runs(rle.get("counts"))
    if ((runs < 0) | (runs > height * width)).any() or runs.sum() != height * width:
        raise ValueError(f"run lengths do not fill {width} x {height} pixels")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(width, height).T


def encode_rle(mask: npt.NDArray[typing.Any]) -> RLE:
    """Returns the compressed run lengths of a mask, as pycocotools writes them.

    Args:
        mask: shape (height, width); all but 0 is foreground.

    Example:
        >>> encode_rle(np.array([[0, 1], [1, 0]]))
        {'size': [2, 2], 'counts': '121'}
    """
    encoded = coco_mask.encode(np.asfortranarray(mask != 0, dtype=np.uint8))
    return RLE(size=[*mask.shape], counts=typing.cast(bytes, encoded["counts"]).decode("ascii"))


def map_rle(
    rle: ForeignRLE, matrix: Affine, size: tuple[int, int], max_pixels: int = ImageOptions.max_pixels
) -> MappedMask:
    """Maps the mask of one object.

    Args:
        rle: with counts as list, string or bytes.
        matrix: from the mask's pixels; made of flips, quarter turns, scales and shifts.
        size: width and height of the image that it lands on, px.
        max_pixels: larger masks are refused; 0 is off.

    Raises:
        ValueError: these are no run lengths, there are too many pixels, or the affine tilts or has no inverse.
    """
    mask = decode_rle(rle, max_pixels)
    mapped = map_ids(mask, matrix, size)
    height, width = mask.shape
    total = seen = np.count_nonzero(mask)
    if not _is_within(_on_edges(apply(matrix, [[0, 0], [width, height]]), size), size):
        within = map_ids(np.ones(size[::-1], dtype=np.bool_), inverse(matrix), (width, height))
        seen = np.count_nonzero(mask & within)
    visible = float(seen / total) if total else 0.0
    return MappedMask(encode_rle(mapped), int(np.count_nonzero(mapped)), visible)


def map_ids(image: npt.NDArray[_Value], matrix: Affine, size: tuple[int, int]) -> npt.NDArray[_Value]:
    """Maps an image of labels by nearest neighbour.

    Args:
        image: shape (height, width), any dtype; such as a mask or :func:`panoptic_ids`.
        matrix: from the image's pixels; made of flips, quarter turns, scales and shifts.
        size: width and height of the image that it lands on, px.

    Returns:
        Shape (size[1], size[0]), same dtype; 0 where there was nothing.

    Raises:
        ValueError: the affine tilts or has no inverse.
    """
    a, b, c, d, e, f = inverse(matrix)
    across, down = (np.arange(side, dtype=np.float64) + 0.5 for side in size)
    if swaps_axes(matrix):
        return _take(image, d * across + f, b * down + c).T
    return _take(image, e * down + f, a * across + c)


def panoptic_ids(pixels: npt.NDArray[np.uint8]) -> Ids:
    """Returns the segment ids of a panoptic PNG: R + 256 G + 256² B.

    Args:
        pixels: shape (height, width, 3), RGB.

    Returns:
        Shape (height, width), uint32, 0 where there is no segment.
    """
    ids: Ids = pixels[:, :, 0].astype(np.uint32)
    for channel in (1, 2):
        part = pixels[:, :, channel].astype(np.uint32)
        part <<= 8 * channel
        ids |= part
    return ids


def panoptic_pixels(ids: npt.NDArray[typing.Any]) -> npt.NDArray[np.uint8]:
    """Returns the pixels of a panoptic PNG, the inverse of :func:`panoptic_ids`.

    Args:
        ids: shape (height, width), integers below 2^24.

    Returns:
        Shape (height, width, 3), RGB.
    """
    return (ids[:, :, None].astype(np.uint32) >> np.array([0, 8, 16], dtype=np.uint32)).astype(np.uint8)


def _is_polygon(numbers: Floats) -> bool:
    return len(numbers) >= 6 and len(numbers) % 2 == 0 and bool(np.isfinite(numbers).all())


def _is_within(points: Points, size: tuple[int, int]) -> bool:
    return bool(points.min() >= 0 and (points.max(axis=0) <= size).all())


def _on_edges(points: Points, size: tuple[int, int]) -> Points:
    """Puts on the edge what rounding put beyond it."""
    nearest = np.clip(points, 0.0, size)
    return np.where(abs(points - nearest) <= EDGE_PX, nearest, points)


def _area(points: Points) -> float:
    if not len(points):
        return 0.0
    # Seen from the first point, the side that closes the outline encloses nothing.
    x, y = (points - points[0]).T
    return float(abs(x[:-1] @ y[1:] - y[:-1] @ x[1:]) / 2)


def _clip(points: Points, size: tuple[int, int]) -> Points:
    """Cuts off what lies beyond each of the four edges in turn."""
    for axis, sign in itertools.product((0, 1), (1, -1)):
        points = _cut(points, sign * points[:, axis] + (0.0 if sign > 0 else size[axis]))
    return np.clip(points, 0.0, size)


def _cut(points: Points, depths: Floats) -> Points:
    """Keeps the part of a polygon where the depth, a linear function given at its points, is not negative."""
    inside = depths >= 0
    if inside.all():
        return points
    next_points, next_depths = np.concatenate([points[1:], points[:1]]), np.concatenate([depths[1:], depths[:1]])
    crosses = inside != (next_depths >= 0)
    share = np.divide(depths, depths - next_depths, out=np.zeros_like(depths), where=crosses)
    # A point on the edge itself is where its side crosses, and is not wanted twice.
    crosses &= (share > 0) & (share < 1)
    candidates = np.stack([points, points + share[:, None] * (next_points - points)], axis=1)
    return candidates.reshape(-1, 2)[np.stack([inside, crosses], axis=1).ravel()]


def _take(image: npt.NDArray[_Value], rows: Floats, columns: Floats) -> npt.NDArray[_Value]:
    """Returns the pixels at these continuous coordinates, 0 beyond the image."""
    row, column = (np.floor(where + _TIE_PX) for where in (rows, columns))
    row_within = (row >= 0) & (row < image.shape[0])
    column_within = (column >= 0) & (column < image.shape[1])
    taken = np.zeros((len(row), len(column)), dtype=image.dtype)
    indices = np.ix_(row[row_within].astype(np.intp), column[column_within].astype(np.intp))
    taken[np.ix_(row_within, column_within)] = image[indices]
    return taken


def _size(rle: ForeignRLE, max_pixels: int) -> tuple[int, int]:
    size = rle.get("size")
    if not (isinstance(size, (list, tuple)) and len(size) == 2 and all(isinstance(s, int) and s > 0 for s in size)):
        raise ValueError(f"size {str(size)[:80]} of run lengths is not [height, width]")
    if max_pixels and size[0] * size[1] > max_pixels:
        raise ValueError(f"a mask of {size[1]} x {size[0]} pixels is larger than {max_pixels}")
    return size[0], size[1]


def _runs(counts: typing.Any) -> npt.NDArray[np.int64]:
    if isinstance(counts, (str, bytes)):
        return decompress(counts if isinstance(counts, str) else counts.decode("latin-1"))
    runs = np.asarray(counts)
    if runs.ndim != 1 or runs.dtype.kind not in "iu":
        raise ValueError("counts of run lengths are neither a string nor a list of numbers of pixels")
    return runs.astype(np.int64)
