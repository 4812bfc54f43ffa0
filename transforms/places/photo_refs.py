"""What places of images need to know of a photo: its ids, names and copies."""

import typing

from schemas.photo_ids import key

FETCH_COLUMNS = ("photo_id", "hash", "download_url", "extension", "is_video", "copies")
"""Columns of the rows that fetching needs; all but ``is_video`` go into a :class:`PhotoRef`."""


class CopyRef(typing.NamedTuple):
    """A source's own copy of a photo; '' or -1 where unknown.

    Attributes:
        source: ``coco``, ``open_images`` or ``flickr8k``.
        image_id: the source's id of it.
        split: such as ``train2017`` or ``validation``.
        file_name: as published.
        url: as published: COCO's own, or the original on Flickr for Open Images.
        size_bytes, md5: of the file at that URL; the md5 in hex.
    """

    source: str
    image_id: str
    split: str = ""
    file_name: str = ""
    url: str = ""
    size_bytes: int = -1
    md5: str = ""


class PhotoRef(typing.NamedTuple):
    """A photo; '' where unknown.

    Attributes:
        photo_id: Flickr id, or a surrogate.
        key: its sample key.
        hash: its name on YFCC's mirror, as published.
        download_url: on Flickr, as YFCC published it.
        extension: of the original, without a point.
        copies: of other sources, in the order of the row.
    """

    photo_id: int
    key: str
    hash: str
    download_url: str
    extension: str
    copies: tuple[CopyRef, ...] = ()


def photo_ref(row: typing.Mapping[str, typing.Any]) -> PhotoRef:
    """Makes a reference of a row with the columns of :data:`FETCH_COLUMNS`.

    Example:
        >>> row = {"photo_id": 42, "hash": None, "download_url": None, "extension": None}
        >>> photo_ref({**row, "copies": [{"source": "coco", "image_id": "9", "split": "val2017", "md5": None}]})
        ... # doctest: +ELLIPSIS
        PhotoRef(photo_id=42, key='000000000042', hash='', ..., copies=(CopyRef(source='coco', image_id='9', ...),))
    """
    photo_id = row["photo_id"]
    names = (row["hash"] or "", row["download_url"] or "", row["extension"] or "")
    return PhotoRef(photo_id, key(photo_id), *names, tuple(map(_copy_ref, row["copies"])))


def _copy_ref(copy: typing.Mapping[str, typing.Any]) -> CopyRef:
    return CopyRef(**{name: copy[name] for name in CopyRef._fields if copy.get(name) is not None})
