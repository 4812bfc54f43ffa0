"""Compares the written images of two datasets: first their bytes, by digest, and where these differ their pixels."""

import contextlib
import enum
import hashlib
import typing

import pyarrow as pa
from PIL import Image, ImageChops

from schemas import layout
from schemas.samples import image_placement
from transforms.datasets.finished_dataset import FinishedDataset
from transforms.files.file_digest import DigestingReader
from transforms.images.decode_image import DECODER_ERRORS, DECODERS, open_image
from transforms.shards.tar_shard import TarDamageError, read_tar
from transforms.stores.dataset_files import DamagedDatasetError, unreadable

Digests = dict[tuple[int, int | None], bytes]
"""Of each image, by photo id and further size; None is the first size."""


class ImageChange(str, enum.Enum):
    """How the image of a photo differs; of several the first."""

    ADDED = "added"
    REMOVED = "removed"
    SIZE = "size"
    FORMAT = "format"
    PIXELS = "pixels"
    BYTES = "bytes"


class ImageDifference(typing.NamedTuple):
    """An image that differs.

    Attributes:
        size: the further ``--image_size`` that it is of; None for the first.
        change: how it differs; ``bytes`` means that the pixels are the same, and of another ``size`` or ``format``
            pixels are not compared.
        detail: both sizes or formats; '' where there is no more to say.
        max_difference: of a channel of a pixel, 0 to 255, where pixels were compared; else None.
    """

    size: int | None
    change: ImageChange
    detail: str = ""
    max_difference: int | None = None


class TarImages(typing.NamedTuple):
    """The images of some photos in one tar.

    Attributes:
        dataset: where.
        shard: of the tar.
        samples: their rows of the sidecar.
        digests: of all images of the tar, see :func:`read_digests`.
    """

    dataset: FinishedDataset
    shard: int
    samples: pa.Table
    digests: Digests

    def damaged(self, problem: object) -> DamagedDatasetError:
        """Returns the error that says what is wrong with the tar."""
        return self.dataset.damaged(layout.tar_file(self.shard), problem)


def read_digests(dataset: FinishedDataset, shard: int) -> Digests:
    """Reads the tar of a shard once, and returns the SHA-256 of each image; none without a tar.

    Raises:
        DamagedDatasetError: it is missing, or not what was written.
    """
    name = layout.tar_file(shard)
    if shard >= len(dataset.sha256) or name not in dataset.sha256[shard]:
        return {}
    digests: Digests = {}
    try:
        with dataset.files.open(name) as file:
            reader = DigestingReader(file)
            for member in read_tar(typing.cast(typing.BinaryIO, reader)):
                key, _, extension = member.name.partition(".")
                size, _, kind = extension.rpartition(".")
                if kind in DECODERS:
                    digests[int(key), int(size) if size else None] = hashlib.sha256(member.data).digest()
            found = reader.finish()
    except OSError as error:
        raise dataset.damaged(name, unreadable(error)) from error
    except TarDamageError as error:
        raise dataset.damaged(name, error) from error
    if found.sha256 != dataset.sha256[shard][name]:
        raise dataset.damaged(name, "its bytes have changed")
    return digests


def differing_images(a: TarImages, b: TarImages) -> typing.Iterator[tuple[int, ImageDifference]]:
    """Yields the images that differ, each with its photo id, one size after the other.

    Args:
        a: images of some photos.
        b: of the same photos, in the same order.

    Raises:
        DamagedDatasetError: an image is not where it should be, or does not decode.
    """
    photo_ids = a.samples["photo_id"].to_pylist()
    sizes_a, sizes_b = ([None, *images.dataset.further_sizes] for images in (a, b))
    for size in dict.fromkeys([*sizes_a, *sizes_b]):
        if size in sizes_a and size in sizes_b:
            yield from _compare_size(a, b, size, photo_ids)
        else:
            change = ImageChange.REMOVED if size in sizes_a else ImageChange.ADDED
            yield from ((photo_id, ImageDifference(size, change)) for photo_id in photo_ids)


def compare_pictures(
    a: Image.Image, b: Image.Image, formats: tuple[str, str], size: int | None = None
) -> ImageDifference:
    """Says how two images differ whose bytes differ.

    Args:
        a: RGB.
        b: RGB.
        formats: of both files, such as ``jpg``.
        size: repeated in the result.
    """
    if a.size != b.size:
        detail = f"{a.width} x {a.height} px became {b.width} x {b.height} px"
        return ImageDifference(size, ImageChange.SIZE, detail)
    if formats[0] != formats[1]:
        return ImageDifference(size, ImageChange.FORMAT, f"{formats[0]} became {formats[1]}")
    bands = typing.cast(tuple[tuple[int, int], ...], ImageChops.difference(a, b).getextrema())
    most = max(high for _, high in bands)
    return ImageDifference(size, ImageChange.PIXELS if most else ImageChange.BYTES, max_difference=most)


def _compare_size(
    a: TarImages, b: TarImages, size: int | None, photo_ids: list[int]
) -> typing.Iterator[tuple[int, ImageDifference]]:
    digests_a, digests_b = (_digests_of(images, size, photo_ids) for images in (a, b))
    places = [i for i in range(len(photo_ids)) if digests_a[i] != digests_b[i]]
    formats = a.dataset.format["format"], b.dataset.format["format"]
    for i, of_a, of_b in zip(places, _pictures(a, size, places), _pictures(b, size, places), strict=True):
        yield photo_ids[i], compare_pictures(of_a, of_b, formats, size)


def _digests_of(images: TarImages, size: int | None, photo_ids: list[int]) -> list[bytes]:
    missing = [photo_id for photo_id in photo_ids if (photo_id, size) not in images.digests]
    if missing:
        raise images.damaged(f"it lacks an image of photo {missing[0]}")
    return [images.digests[photo_id, size] for photo_id in photo_ids]


def _pictures(images: TarImages, size: int | None, places: list[int]) -> typing.Iterator[Image.Image]:
    """Reads and decodes the images of the samples at these places, in one pass over the tar."""
    if not places:
        return
    samples = images.samples.select(["photo_id", *(c.name for c in image_placement(size))]).take(places)
    decoder = DECODERS[images.dataset.format["format"]]
    with contextlib.ExitStack() as stack:
        file = None
        for photo_id, offset, length in zip(*(column.to_pylist() for column in samples.columns), strict=True):
            try:
                file = file or stack.enter_context(images.dataset.files.open(layout.tar_file(images.shard)))
                file.seek(offset)
                data = file.read(length)
                yield open_image(decoder, data).convert("RGB")
            except DECODER_ERRORS as error:
                raise images.damaged(f"an image of photo {photo_id} cannot be read: {error}") from error
