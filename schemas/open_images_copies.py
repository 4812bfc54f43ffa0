"""The images of Open Images: its copies of the photos, of the lists of images or by their ids alone."""

import base64
import binascii
import re
import typing

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.annotations import COPY
from schemas.boolean_masks import Mask, is_true
from schemas.flickr_urls import flickr_ids
from schemas.open_images import SOURCE, read_hex_ids, read_split, surrogate_ids
from schemas.open_images_tables import TableRows
from schemas.text_columns import empty_as_null

_ROTATIONS = (0.0, 90.0, 180.0, 270.0)
_MAX_SIZE = 2**53
_MD5 = re.compile(r"[A-Za-z0-9+/]{22}==")


class Copies(typing.NamedTuple):
    """What a list of images says.

    Attributes:
        elements: of ``copies``.
        unreadable: by field of the copy, which values are there but could not be read.
    """

    elements: pa.StructArray
    unreadable: dict[str, Mask]


def photo_ids_of(rows: TableRows) -> npt.NDArray[np.int64]:
    """Returns the photos of images with readable ids: the Flickr ids of their URLs, else surrogates."""
    found = flickr_ids(rows.texts("OriginalURL"))
    photos = found.fill_null(-1).to_numpy(zero_copy_only=False).copy()
    lacking = np.flatnonzero(photos < 0)
    ids, _ = read_hex_ids(rows.texts("ImageID").take(pa.array(lacking)))
    photos[lacking] = surrogate_ids(ids)
    return photos


def listed_copies(rows: TableRows, split: str | None) -> Copies:
    """Describes the images of a list.

    Args:
        rows: with readable ids.
        split: of images that state none.
    """
    splits, bad_splits = _splits(rows.texts("Subset"), split)
    rotations = rows.numbers("Rotation")
    turned = is_true(pc.is_in(rotations, pa.array(_ROTATIONS)))
    sizes = rows.numbers("OriginalSize")
    sized = is_true(pc.and_(pc.equal(pc.floor(sizes), sizes), pc.and_(pc.greater(sizes, 0), pc.less(sizes, _MAX_SIZE))))
    sums, bad_sums = _md5s(rows.texts("OriginalMD5"))
    fields = {
        "split": splits,
        "url": empty_as_null(rows.texts("OriginalURL")),
        "rotation": pc.if_else(pa.array(turned), rotations, None),
        "license_url": empty_as_null(rows.texts("License")),
        "author": empty_as_null(rows.texts("Author")),
        "size_bytes": pc.if_else(pa.array(sized), sizes, None),
        "md5": sums,
    }
    unreadable = {
        "split": bad_splits,
        "rotation": _stated(rows, "Rotation") & ~turned,
        "size_bytes": _stated(rows, "OriginalSize") & ~sized,
        "md5": bad_sums,
    }
    return Copies(_elements(rows.texts("ImageID"), fields), unreadable)


def named_copies(image_ids: pa.StringArray, split: str | None) -> pa.StructArray:
    """Describes images of which no more than their ids are known."""
    return _elements(image_ids, {"split": pa.nulls(len(image_ids), pa.string()).fill_null(split) if split else None})


def _elements(image_ids: pa.StringArray, fields: typing.Mapping[str, pa.Array | None]) -> pa.StructArray:
    count = len(image_ids)
    own = {
        **fields,
        "source": pa.repeat(pa.scalar(SOURCE), count),
        "image_id": image_ids,
        "file_name": pc.binary_join_element_wise(image_ids, "jpg", "."),
    }
    given = {name: values for name, values in own.items() if values is not None}
    arrays = [given[f.name].cast(f.type) if f.name in given else pa.nulls(count, f.type) for f in COPY]
    return pa.StructArray.from_arrays(arrays, fields=list(COPY))


def _splits(subsets: pa.StringArray, split: str | None) -> tuple[pa.StringArray, Mask]:
    encoded = subsets.dictionary_encode()
    stated = encoded.dictionary.to_pylist()
    found = pa.array([read_split(subset) if subset else split for subset in stated], pa.string())
    bad = np.array([bool(subset) and read_split(subset) is None for subset in stated], np.bool_)
    return found.take(encoded.indices), bad[encoded.indices.to_numpy()]


def _md5s(texts: pa.StringArray) -> tuple[pa.StringArray, Mask]:
    """Turns base64 into hex."""
    sums = [_md5(text) for text in texts.to_pylist()]
    found = pa.array(sums, pa.string())
    return found, is_true(pc.and_(pc.is_null(found), pc.greater(pc.binary_length(texts), 0)))


def _md5(text: str) -> str | None:
    if not _MD5.fullmatch(text):
        return None
    return binascii.hexlify(base64.b64decode(text)).decode()


def _stated(rows: TableRows, column: str) -> Mask:
    """Where a number is stated, readable or not."""
    there = is_true(pc.is_valid(rows.numbers(column)))
    return there | rows.unreadable[column] if column in rows.unreadable else there
