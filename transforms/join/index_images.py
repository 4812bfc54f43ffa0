"""Before annotations are spooled: which images each annotation file lists, and which photos these are.

Images may come after the annotations of a file, and Open Images keeps them in files of their own; a small base
must be known before the lines of a large source are read. So files that list images are read once for that.
"""

import pickle
import typing

import numpy as np
import numpy.typing as npt

from schemas.elements import ImageIndex, IndexedImages, InputRange
from schemas.open_images import OpenImagesKind
from schemas.sources import ALL_SOURCES, Source
from transforms.join.base_photos import write_photo_ids
from transforms.sources.annotation_files import AnnotationFiles
from transforms.sources.open_images_ids import merge_image_ids, open_image_ids, read_image_ids, save_image_ids
from transforms.sources.read_coco import CocoIndex
from transforms.sources.read_coco import read_image_ids as read_coco_images
from transforms.sources.read_flickr8k import read_flickr8k
from transforms.stores.scratch import Scratch

BASE = "base.npy"
OPEN_IMAGES = "open_images.npy"


def lists_images(input_range: InputRange) -> bool:
    """Whether a range is a file that lists images."""
    if input_range.source == Source.OPEN_IMAGES.value:
        return input_range.kind == OpenImagesKind.IMAGES.value
    return input_range.source in (Source.COCO.value, Source.FLICKR8K.value)


def index_images(input_range: InputRange, files: AnnotationFiles, scratch: Scratch) -> IndexedImages:
    """Indexes the images of one file.

    Args:
        input_range: a whole file, of which :func:`lists_images`.
        files: all annotation files.
        scratch: gets what is found.

    Raises:
        BadJsonError: it is no COCO file, is damaged or ends early.
    """
    unit = input_range.unit
    photo_ids: typing.Iterable[npt.NDArray[np.int64]]
    if input_range.source == Source.COCO.value:
        index = read_coco_images(input_range.url)
        with scratch.writing(_index_name(unit)) as path:
            path.write_bytes(pickle.dumps(index))
        photo_ids = [index.photo_ids]
    elif input_range.source == Source.OPEN_IMAGES.value:
        ids = read_image_ids(files.open_images(input_range.url))
        with scratch.writing(_index_name(unit)) as path:
            save_image_ids(ids, path)
        photo_ids = [ids.photo_ids]
    else:
        parts = read_flickr8k(files.flickr8k(input_range.url), files.splits)
        photo_ids = [part.batches["copies"]["photo_id"].to_numpy() for part in parts]
    return IndexedImages(unit, input_range.source, write_photo_ids(scratch, f"{unit:06d}.npy", photo_ids))


def coco_index(input_range: InputRange, scratch: Scratch) -> CocoIndex:
    """Returns what :func:`index_images` found in a COCO file."""
    with scratch.reading(_index_name(input_range.unit)) as path:
        index: CocoIndex = pickle.loads(path.read_bytes())
    return index


def merge_indexes(indexed: typing.Iterable[IndexedImages], base: str, scratch: Scratch) -> ImageIndex:
    """Merges the indexes of all files.

    Args:
        indexed: one per file that lists images, in any order.
        base: whose photos make the dataset: a source or ``all``.
        scratch: that all were written to.
    """
    indexed = sorted(indexed)
    of_base = [i.name for i in indexed if i.source == base]
    base_name = ""
    if base not in (Source.YFCC.value, ALL_SOURCES):
        base_name = write_photo_ids(scratch, BASE, (_load(scratch, name) for name in of_base))
    lists = [_index_name(i.unit) for i in indexed if i.source == Source.OPEN_IMAGES.value]
    return ImageIndex(base, base_name, _merge_open_images(lists, scratch))


def _load(scratch: Scratch, name: str) -> npt.NDArray[np.int64]:
    with scratch.reading(name) as path:
        ids: npt.NDArray[np.int64] = np.load(path, mmap_mode="r")
    return ids


def _merge_open_images(lists: typing.Iterable[str], scratch: Scratch) -> str:
    """Writes the images of all lists into one file, and returns its name; '' if there is no list."""
    parts = []
    for name in lists:
        with scratch.reading(name) as path:
            parts.append(open_image_ids(path))
    if not parts:
        return ""
    with scratch.writing(OPEN_IMAGES) as path:
        save_image_ids(merge_image_ids(parts), path)
    return OPEN_IMAGES


def _index_name(unit: int) -> str:
    return f"{unit:06d}.index.npy"
