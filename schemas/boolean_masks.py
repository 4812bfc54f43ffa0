"""Masks over the values of Arrow arrays, as numpy has them."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Mask = npt.NDArray[np.bool_]


def is_true(condition: pa.BooleanArray) -> Mask:
    """Returns where a condition is true, null being false."""
    mask: Mask = condition.fill_null(False).to_numpy(zero_copy_only=False)
    return mask
