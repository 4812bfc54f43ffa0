"""List columns made of their elements and the row of each."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def list_column(rows: npt.NDArray[np.int64], elements: pa.Array, count: int) -> pa.ListArray:
    """Puts elements into the lists of their rows; the inverse of :func:`pyarrow.compute.list_parent_indices`.

    Args:
        rows: of each element, ascending, from 0 to ``count`` - 1.
        elements: in the order that they have in their lists.
        count: rows of the column; one without elements has an empty list.

    Example:
        >>> list_column(np.array([0, 0, 2]), pa.array(["a", "b", "c"]), 3).to_pylist()
        [['a', 'b'], [], ['c']]
    """
    offsets = np.searchsorted(rows, np.arange(count + 1)).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), elements)
