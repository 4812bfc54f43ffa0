"""Rows of ids of one length, exactly as ``pad_sequences`` of Keras."""

import typing

import numpy as np
import numpy.typing as npt

from transforms.text.text_options import POST, PRE


class PaddedIds(typing.NamedTuple):
    """Rows of ids.

    Attributes:
        ids: int32, captions × length; 0 where there is no word.
        mask: bool, the same shape: where there is one.
    """

    ids: npt.NDArray[np.int32]
    mask: npt.NDArray[np.bool_]


def cut(ids: list[int], length: int, truncating: str) -> list[int]:
    """Returns the end of a caption, or with ``post`` its beginning, if it is longer than a row.

    Example:
        >>> cut([5, 6, 7], 2, "pre"), cut([5, 6, 7], 2, "post")
        ([6, 7], [5, 6])
    """
    return ids[:length] if truncating == POST else ids[-length:]


def pad(sequences: typing.Sequence[typing.Sequence[int]], length: int, padding: str) -> PaddedIds:
    """Puts ids into rows.

    Args:
        sequences: ids of each caption, no more than ``length``.
        length: of a row, 1 or more.
        padding: ``pre`` puts the zeros before the ids, ``post`` behind them.
    """
    lengths = np.array([len(ids) for ids in sequences], np.int64)
    places = np.arange(length)
    mask = places >= length - lengths[:, None] if padding == PRE else places < lengths[:, None]
    rows = np.zeros((len(sequences), length), np.int32)
    rows[mask] = np.fromiter((id_ for ids in sequences for id_ in ids), np.int32, int(lengths.sum()))
    return PaddedIds(rows, mask)
