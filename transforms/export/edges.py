"""Edges of boxes as the formats have them. All begin with half-open, 0-based ones."""

from transforms.export.images import Edges

Pixels = tuple[int, int, int, int]


def clipped(edges: Edges, size: tuple[float, float]) -> Edges:
    """Returns what of a box lies within its image; with no area if nothing does."""
    (width, height), (xmin, ymin, xmax, ymax) = size, edges
    low = min(max(xmin, 0.0), width), min(max(ymin, 0.0), height)
    return (*low, max(min(xmax, width), low[0]), max(min(ymax, height), low[1]))


def has_area(edges: Edges | Pixels) -> bool:
    """Tells whether both sides are above 0."""
    return edges[2] > edges[0] and edges[3] > edges[1]


def whole_pixels(edges: Edges) -> Pixels:
    """Rounds every edge to the nearest pixel border, halves to the even one; half-open and 0-based as before.

    Each edge moves by half a pixel at most. A box narrower than a pixel may have no area left.

    Example:
        >>> whole_pixels((10.4, 20.0, 30.5, 31.5))
        (10, 20, 30, 32)
    """
    xmin, ymin, xmax, ymax = (round(edge) for edge in edges)
    return xmin, ymin, xmax, ymax


def centre_and_size(edges: Edges, size: tuple[float, float]) -> Edges:
    """Returns the centre of a box, its width and its height, as parts of the image's width and height.

    Example:
        >>> centre_and_size((10, 20, 30, 40), (100, 200))
        (0.2, 0.15, 0.2, 0.1)
    """
    (width, height), (xmin, ymin, xmax, ymax) = size, edges
    return (xmin + xmax) / 2 / width, (ymin + ymax) / 2 / height, (xmax - xmin) / width, (ymax - ymin) / height
