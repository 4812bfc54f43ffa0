"""Area average: each written pixel is the mean of the stored ones under it, each by how much of it lies there.

It is separable, so it is two sparse matrix products, of rows and then of columns; a band of rows at a time, so that
what is worked on stays in the processor's cache and the memory taken does not grow with the image. Weights are whole
numbers whose sum is a power of two, so equal pixels give equal bytes everywhere. Means are rounded twice, and each
weight to 1/256: in photographs that is 55 dB from the exact mean.
"""

import functools
import typing

import numpy as np
import numpy.typing as npt
from scipy import sparse

Pixels = npt.NDArray[np.uint8]
Samples = npt.NDArray[np.unsignedinteger]
"""Values of 0 to 255, in a type that is wide enough for what is next."""

Weights = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]

_BAND_BYTES = 512 * 1024
"""Of stored pixels, mostly two bytes a sample: what stays in a second-level cache beside the results."""

_BAND_ROWS = 8
"""Written rows that a band has at least, however long: shorter ones cost more in calls than the cache saves."""

_COARSE_UP_TO = 16
"""Times that a side shrinks by weights of eight bits; stripes of one pixel then stay within 5 of their mean."""

_PIXEL = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
"""Bytes of a pixel to a type that moves it as one."""


class _Band(typing.NamedTuple):
    """Written rows ``first`` to ``end`` are ``weights`` times stored rows ``stored_first`` to ``stored_end``."""

    first: int
    end: int
    stored_first: int
    stored_end: int
    weights: sparse.csr_array


def area_average(pixels: Pixels, size: tuple[int, int], extent: tuple[float, float] | None = None) -> Pixels:
    """Returns the picture in another size that is nowhere larger.

    Args:
        pixels: height x width x channels, C-contiguous. Four channels are the fastest, three the slowest.
        size: width and height, px, of the result.
        extent: width and height, px, of the part from the top left corner that becomes the result; the whole
            picture where it is None.

    Example:
        >>> area_average(np.array([[[0], [30], [90]]], np.uint8), (2, 1)).ravel().tolist()
        [10, 70]
    """
    return area_average_of_rows(lambda first, end: pixels[first:end], pixels.shape, size, extent)


def area_average_of_rows(
    rows_of: typing.Callable[[int, int], Pixels],
    shape: tuple[int, ...],
    size: tuple[int, int],
    extent: tuple[float, float] | None = None,
) -> Pixels:
    """Does the same for a picture that need not be in memory as an array.

    Args:
        rows_of: first row, and the one after the last, to their pixels.
        shape: height, width and channels of the picture.
        size, extent: as for :func:`area_average`.
    """
    height, width, channels = shape
    across, down = extent or (float(width), float(height))
    columns = _weights(width, across, size[0])
    result: Pixels = np.empty((size[1], size[0], channels), np.uint8)
    for band in _bands(height, down, size[1], _BAND_BYTES // (2 * width * channels)):
        rows = rows_of(band.stored_first, band.stored_end).reshape(-1, width * channels)
        lines = _transposed(_mean(band.weights, rows, np.uint16), channels)
        averaged = _transposed(_mean(columns, lines, np.uint8), channels)
        result[band.first : band.end] = averaged.reshape(-1, size[0], channels)
    return result


def _mean(weights: sparse.csr_array, lines: Samples, dtype: type[np.unsignedinteger]) -> Samples:
    """Returns the weighted means of lines, rounded, in that type."""
    bits = _fraction_bits(weights.dtype)
    sums = weights @ lines.astype(weights.dtype, copy=False)
    sums += 1 << (bits - 1)
    sums >>= bits
    mean: Samples = sums.astype(dtype, copy=False)
    return mean


def _fraction_bits(dtype: "np.dtype[typing.Any]") -> int:
    """Returns how many bits of a weight are behind the point: half of its type's, so that no sum of bytes overflows."""
    return 4 * dtype.itemsize


def _transposed(lines: Samples, channels: int) -> Samples:
    """Turns lines of pixels into columns, the channels of a pixel staying side by side."""
    if pixel := _PIXEL.get(channels * lines.itemsize):
        return np.ascontiguousarray(lines.view(pixel).T).view(lines.dtype)
    return lines.reshape(len(lines), -1, channels).swapaxes(0, 1).reshape(-1, len(lines) * channels)


@functools.lru_cache(maxsize=256)
def _weights(stored: int, extent: float, written: int) -> sparse.csr_array:
    return _rows_of(*_overlaps(stored, extent, written), 0, written, 0, stored)


@functools.lru_cache(maxsize=256)
def _bands(stored: int, extent: float, written: int, stored_rows: int) -> tuple[_Band, ...]:
    """Cuts the weights of the written rows so that each band needs about that many stored ones."""
    starts, indices, data = _overlaps(stored, extent, written)
    step = max(_BAND_ROWS, int(stored_rows * written / extent))
    bands = []
    for first in range(0, written, step):
        end = min(first + step, written)
        low, high = int(indices[starts[first]]), int(indices[starts[end] - 1]) + 1
        bands.append(_Band(first, end, low, high, _rows_of(starts, indices, data, first, end, low, high)))
    return tuple(bands)


def _overlaps(stored: int, extent: float, written: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], Weights]:
    """Returns where each written pixel's weights begin, the stored pixels that they are for, and the weights.

    Those of a written pixel add up to 256, or 65,536 where it is of many stored ones: its area up to one end of a
    stored pixel, rounded, less that up to the other.
    """
    edges = np.arange(written + 1) * (extent / written)
    edges[-1] = extent
    first = np.floor(edges[:-1]).astype(np.int32)
    counts = np.minimum(np.ceil(edges[1:]).astype(np.int32), stored) - first
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    indices = np.arange(starts[-1], dtype=np.int32) - np.repeat(starts[:-1] - first, counts)
    begins, ends = np.repeat(edges[:-1], counts), np.repeat(edges[1:], counts)
    dtype = np.uint16 if extent <= _COARSE_UP_TO * written else np.uint32
    whole = 1 << _fraction_bits(np.dtype(dtype))
    until, since = (
        np.rint((edge - begins) / (ends - begins) * whole)
        for edge in (np.minimum(ends, indices + 1), np.maximum(begins, indices))
    )
    return starts, indices, (until - since).astype(dtype)


def _rows_of(
    starts: npt.NDArray[np.int32],
    indices: npt.NDArray[np.int32],
    data: Weights,
    first: int,
    end: int,
    low: int,
    high: int,
) -> sparse.csr_array:
    part = slice(starts[first], starts[end])
    return sparse.csr_array(
        (data[part], indices[part] - low, starts[first : end + 1] - starts[first]), shape=(end - first, high - low)
    )
