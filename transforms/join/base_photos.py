"""The photos of a small base: what belongs to no other is dropped as it is read, before anything is spooled.

A hundred million lines of which one in a thousand is wanted then cost little more than their reading.
"""

import pathlib
import typing

import numpy as np
import numpy.typing as npt

from schemas.elements import ImageIndex
from transforms.sources.sorted_ids import find_sorted
from transforms.stores.scratch import Scratch

PhotoIds = npt.NDArray[np.int64]


def base_photos(index: ImageIndex, source: str, scratch: Scratch) -> "BasePhotos":
    """Returns the photos to which a source is cut as it is read: those of a small base, if it is another source."""
    return BasePhotos(scratch.local(index.base_name) if index.base_name and source != index.base else None)


class BasePhotos:
    """A set of photo ids.

    Args:
        path: ``.npy`` file of int64, sorted and unique; None for a set that has every photo.
    """

    def __init__(self, path: pathlib.Path | None = None):
        self._ids: PhotoIds | None = np.load(path, mmap_mode="r") if path else None

    def among(self, photo_ids: PhotoIds) -> npt.NDArray[np.bool_] | None:
        """Returns which of these photos are in the set, shape (n,); None if every photo is."""
        if self._ids is None:
            return None
        return find_sorted(self._ids, photo_ids)[1]


def write_photo_ids(scratch: Scratch, name: str, photo_ids: typing.Iterable[PhotoIds]) -> str:
    """Writes a set of photo ids from several arrays of them; returns the name of the file."""
    with scratch.writing(name) as path:
        np.save(path, np.unique(np.concatenate([np.empty(0, np.int64), *photo_ids])))
    return name
