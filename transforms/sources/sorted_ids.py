"""Looking many ids up at once in a sorted array of ids."""

import typing

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[typing.Any]


def find_sorted(ids: Ids, wanted: Ids) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Finds ids.

    Args:
        ids: ascending.
        wanted: of the same type, in any order.

    Returns:
        The first position of each in ``ids``, which means nothing where it is not there; and whether it is there.

    Example:
        >>> places, found = find_sorted(np.array([10, 20, 20]), np.array([20, 30]))
        >>> places[found].tolist(), found.tolist()
        ([1], [True, False])
    """
    if not len(ids):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), np.bool_)
    places = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    return places, ids[places] == wanted


def look_up(ids: Ids, values: npt.NDArray[np.int64], wanted: Ids) -> npt.NDArray[np.int64]:
    """Returns the value of each id, -1 where there is no such id.

    Args:
        ids: ascending, unique.
        values: of these, non-negative.
        wanted: of the same type, in any order.
    """
    places, found = find_sorted(ids, wanted)
    looked_up = np.full(len(wanted), -1, np.int64)
    looked_up[found] = values[places[found]]
    return looked_up
