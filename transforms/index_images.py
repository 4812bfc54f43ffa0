"""Before annotations are spooled: which images each annotation file lists, and which photos these are.

Images may come after the annotations of a file, and Open Images keeps them in files of their own; a small base
must be known before the lines of a large source are read. So files that list images are read once for that.
"""

import pathlib
import pickle
import typing

import numpy as np
import numpy.typing as npt

from schemas.elements import ImageIndex, IndexedImages, InputRange
from schemas.open_images import OpenImagesKind
from schemas.sources import ALL_SOURCES, Source
from transforms.annotation_files import AnnotationFiles
from transforms.base_photos import write_photo_ids
from transforms.open_images_ids import merge_image_ids, open_image_ids, read_image_ids, save_image_ids
from transforms.read_coco import CocoIndex
from transforms.read_coco import read_image_ids as read_coco_images
from transforms.read_flickr8k import read_flickr8k

BASE = "base.npy"
OPEN_IMAGES = "open_images.npy"


def lists_images(input_range: InputRange) -> bool:
    """Whether a range is a file that lists images."""
    if input_range.source == Source.OPEN_IMAGES.value:
        return input_range.kind == OpenImagesKind.IMAGES.value
    return input_range.source in (Source.COCO.value, Source.FLICKR8K.value)


def index_images(input_range: InputRange, files: AnnotationFiles, folder: pathlib.Path) -> IndexedImages:
    """Indexes the images of one file.

    Args:
        input_range: a whole file, of which :func:`lists_images`.
        files: all annotation files.
        folder: existing local folder for what is found.

    Raises:
        BadJsonError: it is no COCO file, is damaged or ends early.
    """
    path = folder / f"{input_range.unit:06d}.npy"
    photo_ids: typing.Iterable[npt.NDArray[np.int64]]
    if input_range.source == Source.COCO.value:
        index = read_coco_images(input_range.url)
        _index_path(folder, input_range.unit).write_bytes(pickle.dumps(index))
        photo_ids = [index.photo_ids]
    elif input_range.source == Source.OPEN_IMAGES.value:
        ids = read_image_ids(files.open_images(input_range.url))
        save_image_ids(ids, str(_index_path(folder, input_range.unit)))
        photo_ids = [ids.photo_ids]
    else:
        parts = read_flickr8k(files.flickr8k(input_range.url), files.splits)
        photo_ids = [part.batches["copies"]["photo_id"].to_numpy() for part in parts]
    write_photo_ids(str(path), photo_ids)
    return IndexedImages(input_range.unit, input_range.source, str(path))


def coco_index(input_range: InputRange, folder: pathlib.Path) -> CocoIndex:
    """Returns what :func:`index_images` found in a COCO file."""
    index: CocoIndex = pickle.loads(_index_path(folder, input_range.unit).read_bytes())
    return index


def merge_indexes(indexed: typing.Iterable[IndexedImages], base: str, folder: pathlib.Path) -> ImageIndex:
    """Merges the indexes of all files.

    Args:
        indexed: one per file that lists images, in any order.
        base: whose photos make the dataset: a source or ``all``.
        folder: that all were written to.
    """
    of_base = sorted(i.path for i in indexed if i.source == base)
    base_path = ""
    if base not in (Source.YFCC.value, ALL_SOURCES):
        base_path = write_photo_ids(str(folder / BASE), (np.load(path, mmap_mode="r") for path in of_base))
    lists = [_index_path(folder, i.unit) for i in indexed if i.source == Source.OPEN_IMAGES.value]
    return ImageIndex(str(folder), base, base_path, _merge_open_images(lists, folder / OPEN_IMAGES))


def _merge_open_images(lists: typing.Iterable[pathlib.Path], path: pathlib.Path) -> str:
    """Writes the images of all lists into one file, and returns its path; '' if there is no list."""
    parts = [open_image_ids(str(part)) for part in sorted(lists)]
    if not parts:
        return ""
    save_image_ids(merge_image_ids(parts), str(path))
    return str(path)


def _index_path(folder: pathlib.Path, unit: int) -> pathlib.Path:
    return folder / f"{unit:06d}.index.npy"
