"""The images that lists of images name, and their photos: 16 bytes an image, shared by processes as a file."""

import pathlib
import typing

import numpy as np
import numpy.typing as npt

from schemas.open_images import OpenImagesKind, read_hex_ids
from schemas.open_images_copies import photo_ids_of
from transforms.sources.annotation_parts import BATCH_ROWS
from transforms.sources.find_open_images import OpenImagesFile
from transforms.sources.line_ranges import open_reader
from transforms.sources.parse_table import parse_table
from transforms.sources.sorted_ids import look_up
from transforms.sources.text_records import Form, OpenFile, read_quoted_records

_COLUMNS = ("ImageID", "OriginalURL")


class OpenImagesIds(typing.NamedTuple):
    """Images and their photos.

    Attributes:
        image_ids: ascending, unique.
        photo_ids: the photo of each.
    """

    image_ids: npt.NDArray[np.uint64]
    photo_ids: npt.NDArray[np.int64]

    def photos_of(self, image_ids: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """Returns the photo of each image, -1 where there is no such image."""
        return look_up(self.image_ids, self.photo_ids, image_ids)


def read_image_ids(file: OpenImagesFile) -> OpenImagesIds:
    """Reads which images a list names, and their photos.

    Of an image that is given twice with different photos, the lowest counts.

    Raises:
        OSError: the file cannot be read.
    """
    return merge_image_ids(list(_parts(file)))


def no_image_ids() -> OpenImagesIds:
    """Returns the images of no list."""
    return OpenImagesIds(np.empty(0, np.uint64), np.empty(0, np.int64))


def merge_image_ids(parts: typing.Sequence[OpenImagesIds]) -> OpenImagesIds:
    """Puts images of several lists together; the order of the lists does not matter.

    Lists that are in order already, as the published ones are, are not sorted again: 32 bytes an image
    are in use meanwhile, else 56.
    """
    if not parts:
        return no_image_ids()
    image_ids = np.concatenate([part.image_ids for part in parts])
    photo_ids = np.concatenate([part.photo_ids for part in parts])
    if (image_ids[1:] > image_ids[:-1]).all():
        return OpenImagesIds(image_ids, photo_ids)
    order = np.lexsort((photo_ids, image_ids))
    image_ids, photo_ids = image_ids[order], photo_ids[order]
    first = np.ones(len(image_ids), np.bool_)
    first[1:] = image_ids[1:] != image_ids[:-1]
    return OpenImagesIds(image_ids[first], photo_ids[first])


def save_image_ids(ids: OpenImagesIds, path: pathlib.Path) -> None:
    """Writes images to one ``.npy`` file of two rows: image ids, and photo ids as the same 64 bits."""
    np.save(path, np.stack((ids.image_ids, ids.photo_ids.view(np.uint64))))


def open_image_ids(path: pathlib.Path) -> OpenImagesIds:
    """Maps a file of :func:`save_image_ids` into memory, which processes then share."""
    rows = np.load(path, mmap_mode="r")
    return OpenImagesIds(rows[0], rows[1].view(np.int64))


def _parts(file: OpenImagesFile) -> typing.Iterator[OpenImagesIds]:
    if file.kind is not OpenImagesKind.IMAGES:
        raise ValueError(f"{file.url} is a file of {file.kind.value}, not of images")
    form = Form(file.layout.delimiter, len(file.layout.columns))
    with open_reader(file.url) as (read_at, size):
        for records in read_quoted_records(OpenFile(read_at, size, file.url), form, max_records=BATCH_ROWS):
            rows = parse_table(records, file.layout, _COLUMNS).rows
            image_ids, readable = read_hex_ids(rows.texts("ImageID"))
            yield OpenImagesIds(image_ids[readable], photo_ids_of(rows.keep(readable)))
