"""Masks that annotations keep in PNG files of their own: COCO's panoptic images, Open Images' masks.

Where the files are given, each segment gets its run lengths, so that it can follow the image.
"""

import functools
import typing
import zipfile

import fsspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.files.image_files import DAMAGED, ImageFile, ImageFiles, open_image_files
from transforms.geometry.map_masks import encode_rle, panoptic_ids
from transforms.images.decode_image import DECODER_ERRORS, open_image
from transforms.images.image_plan import ImageOptions
from transforms.sources.annotation_parts import AnnotationPart, part_batch

MAX_MASK_BYTES = 64 << 20
_FIELD = "segments.mask_file"


class MaskFiles:
    """Directories and zips of PNG files, by base name; of equal names the one of the first place counts.

    Args:
        places: their URLs, in order.
    """

    def __init__(self, places: typing.Sequence[str]):
        self._files: dict[str, tuple[ImageFiles, ImageFile]] = {}
        for place in places:
            files = open_image_files(place)
            for file in files.files():
                self._files.setdefault(file.name.rpartition("/")[2], (files, file))

    def read(self, name: str) -> npt.NDArray[typing.Any] | None:
        """Returns the pixels of a file, shape (height, width) or (height, width, 3); None if it has none to read."""
        found = self._files.get(name.rpartition("/")[2])
        if found is None:
            return None
        try:
            data = found[0].read(found[1], MAX_MASK_BYTES)
            image = open_image("PNG", data)
            if image.width * image.height > ImageOptions.max_pixels:
                return None
            return np.asarray(image.convert("L" if image.mode in ("1", "L", "I;16", "I") else "RGB"))
        except (*DAMAGED, *DECODER_ERRORS):
            return None


def is_mask_zip(url: str) -> bool:
    """Tells whether a file is a zip of PNG files."""
    with fsspec.open(url, "rb") as file:
        if not zipfile.is_zipfile(file):
            return False
        try:
            return any(name.lower().endswith(".png") for name in zipfile.ZipFile(file).namelist())
        except zipfile.BadZipFile:
            return False


@functools.cache
def open_masks(places: tuple[str, ...]) -> MaskFiles:
    """Opens places, once in a process."""
    return MaskFiles(places)


def add_masks(part: AnnotationPart, masks: MaskFiles) -> AnnotationPart:
    """Gives the segments of a part that name a mask file its run lengths, and their area where none is published.

    A photo whose file is missing or damaged, or has no pixel of the segment, gets the warning
    ``segments.mask_file``; its segment stays as it is.
    """
    batch = part.batches.get("segments")
    if batch is None or not batch.num_rows:
        return part
    photo_ids, segments = batch["photo_id"].to_numpy(), batch["segments"].to_pylist()
    lacking = []
    name, values = None, None
    for position, segment in enumerate(segments):
        if not segment["mask_file"]:
            continue
        if segment["mask_file"] != name:
            name = segment["mask_file"]
            values = _values(masks.read(name))
        if not _add_mask(segment, values):
            lacking.append(position)
    filled = pa.array(segments, batch["segments"].type)
    batches = {**part.batches, "segments": part_batch("segments", photo_ids, filled)}
    return _warned(part._replace(batches=batches), photo_ids[lacking])


def _warned(part: AnnotationPart, photo_ids: npt.NDArray[np.int64]) -> AnnotationPart:
    if not len(photo_ids):
        return part
    names = pa.repeat(pa.scalar(_FIELD), len(photo_ids))
    if known := part.batches.get("warnings"):
        photo_ids = np.concatenate([known["photo_id"].to_numpy(), photo_ids])
        names = pa.concat_arrays([known["warnings"], names])
    return part._replace(batches={**part.batches, "warnings": part_batch("warnings", photo_ids, names)})


def _values(pixels: npt.NDArray[typing.Any] | None) -> npt.NDArray[typing.Any] | None:
    """Returns one number a pixel: the segment's id, where colours say which it is."""
    return panoptic_ids(pixels) if pixels is not None and pixels.ndim == 3 else pixels


def _add_mask(segment: dict[str, typing.Any], values: npt.NDArray[typing.Any] | None) -> bool:
    """Fills in the run lengths from the values of the segment's file; returns whether there are any."""
    if values is None:
        return False
    mask = values if segment["mask_value"] is None else values == segment["mask_value"]
    if not mask.any():
        return False
    segment["rle_counts"] = encode_rle(mask)["counts"]
    segment["rle_height"], segment["rle_width"] = mask.shape
    if segment["area"] is None:
        segment["area"] = float(np.count_nonzero(mask))
    return True
