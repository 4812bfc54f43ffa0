"""YFCC's photos as its users know them: an image and a JSON of its metadata for each photo.

    img/AAA/BBB/ID.jpg   meta/AAA/BBB/ID_meta.json

ID is the photo id as a number, AAA and BBB its first and second three digits; an id of three digits or less has no BBB.
Folders, names and keys are those of the scripts `yfcc_download.py` and `yfcc_createmeta.py` of
https://github.com/akisatok/yfcc100m-download, which others have copied. The JSON has sorted keys, an indent of 4 and up
to four groups, each a map of text to text, left out where empty: `autotags` (name to score), `EXIF` (tag to value),
`places` (WOEID to name) and `othermeta` (columns 2 to 24 of the dataset file by their names there).

Text is decoded, or as YFCC has it: URL-encoded. A comma within a tag stays ``%2C`` in both, since commas part tags.
These scripts cut a value of EXIF at a second colon; here it is whole.
"""

import datetime
import functools
import json
import typing
import urllib.parse

from schemas.sources import Source
from transforms.export.classes import ExportClasses
from transforms.export.export_format import ExportFormat, File, no_lines, no_shared_files
from transforms.export.images import Element, ExportedImage

_TEXT_KEYS = {
    "photo_hash": "hash",
    "user_id": "user_id",
    "pos_accuracy": "accuracy",
    "url_show": "page_url",
    "url_get": "download_url",
    "license_name": "license_name",
    "license_url": "license_url",
    "server_id": "server_id",
    "farm_id": "farm_id",
    "photo_secret": "secret",
    "photo_secret_orig": "secret_original",
    "photo_ext": "extension",
}
"""Key to column, of values that are written alike in both ways."""

_ENCODED_KEYS = ("user_nickname", "capture_device", "title", "description")
_NUMBER_KEYS = ("longitude", "latitude")
_LIST_KEYS = ("user_tags", "machine_tags")
_EPOCH = datetime.datetime(1970, 1, 1)
_SAFE = "*"
"""What YFCC leaves as it is, beside letters, digits and ``_.-``; see :func:`encoded`."""

Encode = typing.Callable[[str], str]


def metadata(row: Element, raw: bool) -> dict[str, dict[str, str]]:
    """Returns the metadata of a photo.

    Args:
        row: of a photo that YFCC knows.
        raw: as YFCC has them; else decoded.
    """
    encode: Encode = encoded if raw else str
    groups = {
        "autotags": {encode(tag["name"]): _score(tag["score"]) for tag in row["autotags"]},
        "EXIF": {_tag(value["tag"], encode): encode(value["value"]) for value in row["exif"]},
        "places": {str(place["woeid"]): encode(place["name"]) for place in row["places"]},
        "othermeta": _other(row, encode),
    }
    return {name: group for name, group in groups.items() if group}


def encoded(text: str) -> str:
    """Encodes a text as YFCC does: a space as ``+``, other bytes as ``%XX``.

    Example:
        >>> encoded("b&w, 50 mm")
        'b%26w%2C+50+mm'
    """
    return urllib.parse.quote_plus(text, safe=_SAFE).replace("~", "%7E")


def folder(photo_id: int) -> str:
    """Returns the folders of a photo.

    Example:
        >>> folder(6985418911), folder(7)
        ('698/541', '7')
    """
    digits = str(photo_id)
    return "/".join(filter(None, (digits[:3], digits[3:6])))


def _other(row: Element, encode: Encode) -> dict[str, str]:
    other = {key: _text(row[column]) for key, column in _TEXT_KEYS.items()}
    other |= {key: encode(_text(row[key])) for key in _ENCODED_KEYS}
    other |= {key: _text(row[key]) for key in _NUMBER_KEYS}
    other |= {key: ",".join(encode(tag).replace(",", "%2C") for tag in row[key]) for key in _LIST_KEYS}
    other["date_taken"] = _date_taken(row["date_taken"])
    other["date_uploaded"] = _date_uploaded(row["date_uploaded"])
    other["photo_or_video"] = str(int(row["is_video"]))
    return other


def _text(value: typing.Any) -> str:
    return "" if value is None else str(value)


def _tag(tag: str, encode: Encode) -> str:
    category, point, name = tag.partition(".")
    return f"{encode(category)}{point}{encode(name)}"


def _score(score: float) -> str:
    """Returns a score with four decimals, as YFCC has it, or as many as it needs."""
    text = f"{score:.4f}"
    return text if float(text) == score else str(score)


def _date_taken(taken: datetime.datetime | None) -> str:
    """Returns a time as YFCC has it: ``2012-02-16 09:56:37.0``."""
    if taken is None:
        return ""
    fraction = f"{taken.microsecond:06d}".rstrip("0") or "0"
    return f"{taken.replace(microsecond=0).isoformat(' ')}.{fraction}"


def _date_uploaded(uploaded: datetime.datetime | None) -> str:
    """Returns a time as YFCC has it: seconds since 1970."""
    return "" if uploaded is None else str(int((uploaded - _EPOCH).total_seconds()))


def _files(raw: bool, image: ExportedImage, classes: ExportClasses) -> typing.Iterator[File]:
    if Source.YFCC.value in image.row["sources"]:
        text = json.dumps(metadata(image.row, raw), indent=4, sort_keys=True, ensure_ascii=raw)
        yield f"meta/{folder(image.photo_id)}/{image.photo_id}_meta.json", text.encode() + b"\n"


def _left_out(image: ExportedImage) -> dict[str, int]:
    return {"metadata_of_photos_not_in_yfcc": int(Source.YFCC.value not in image.row["sources"])}


def _places(image: ExportedImage, classes: ExportClasses) -> list[str]:
    return [f"img/{folder(image.photo_id)}/{image.photo_id}{image.extension}"]


def photo_files(raw: bool) -> ExportFormat:
    """Returns the format.

    Args:
        raw: values as YFCC has them; else decoded.
    """
    return ExportFormat(
        roots=frozenset({"img", "meta"}),
        columns=(
            *("sources", "autotags", "exif", "places", "date_taken", "date_uploaded", "is_video", "boxes"),
            *_TEXT_KEYS.values(),
            *_ENCODED_KEYS,
            *_NUMBER_KEYS,
            *_LIST_KEYS,
        ),
        files=functools.partial(_files, raw),
        places=_places,
        lines=no_lines,
        shared_files=no_shared_files,
        needs_size=False,
        per_photo=True,
        is_added_to=True,
        left_out=_left_out,
    )
