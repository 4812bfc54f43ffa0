"""The line formats of YFCC100M: the dataset and its packs, and how their columns are read.

Facts are those of the dataset's own readme (tab separated, no header, no quoting, free text
URL-encoded, lists split before decoding). A line is told from a malformed one before it comes here;
what a well-formed line may still hold in a field (nothing, garbage) is decided here: the field is
empty and the row's ``warnings`` name it.
"""

import enum
import hashlib
import re
import typing

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.columns import MILLISECONDS
from schemas.photo_ids import MAX_FLICKR_ID
from schemas.rows import AUTOTAG, EXIF_VALUE, PLACE, YFCC_COLUMNS
from schemas.text_columns import (
    buffers_of,
    empty_as_null,
    partition,
    split_fields,
    split_list,
    to_text,
    url_decode,
)

DATASET_FIELDS = 25
DATASET_FIELDS_WITHOUT_HASH = 23
MAX_LINE_BYTES = 1 << 20


class Pack(str, enum.Enum):
    """The files of YFCC100M that photobeam reads."""

    DATASET = "dataset"
    AUTOTAGS = "autotags"
    EXIF = "exif"
    PLACES = "places"
    HASH = "hash"


class Parsed(typing.NamedTuple):
    """Columns read from lines.

    Attributes:
        columns: by name, all of one length.
        unreadable: by column name, which values were there but could not be read.
    """

    columns: dict[str, pa.Array]
    unreadable: dict[str, npt.NDArray[np.bool_]]


_FIELDS = (
    "line_number", "photo_id", "hash", "user_id", "user_nickname", "date_taken", "date_uploaded", "capture_device",
    "title", "description", "user_tags", "machine_tags", "longitude", "latitude", "accuracy", "page_url",
    "download_url", "license_name", "license_url", "server_id", "farm_id", "secret", "secret_original", "extension",
    "is_video",
)  # fmt: skip
PHOTO_ID_FIELD = _FIELDS.index("photo_id")
_DECODED = ("user_nickname", "capture_device", "title", "description")
_TAGS = ("user_tags", "machine_tags")
_INTS = {"accuracy": pa.int32(), "server_id": pa.int32(), "farm_id": pa.int32()}
_DEGREES = {"longitude": 180.0, "latitude": 90.0}
_INT64_MAX_DIGITS = 18
_YEAR_1_MS = -62_135_596_800_000
_FLOAT = r"^-?(\d+\.?\d*|\.\d+)$"
_FLOAT_BYTES = np.frombuffer(b"0123456789.-", np.uint8)

_AUTOTAGS = re.compile(rb"[^:,\t]+:(0|1)(\.\d+)?(,[^,\t]+:(0|1)(\.\d+)?)*")
_EXIF = re.compile(rb"[^.,:\t]+\.[^,:\t]*:.*")
_PLACES = re.compile(rb"\d+:[^:,\t]*:[^:,\t]+(,\d+:[^:,\t]*:[^:,\t]+)*")
_HASH = re.compile(rb"[0-9a-f]{16,32}")
_DIGITS = re.compile(rb"\d{1,18}")


def recognise(line: bytes) -> tuple[Pack, int] | None:
    """Tells which pack a line belongs to.

    Args:
        line: without its newline.

    Returns:
        The pack and its number of fields, or None if the line has no payload or fits no pack.

    Example:
        >>> recognise(b"6985418911\\tdune:0.5100,fog:0.8610")
        (<Pack.AUTOTAGS: 'autotags'>, 2)
        >>> recognise(b"6985418911\\t")
    """
    fields = line.split(b"\t")
    if len(fields) in (DATASET_FIELDS, DATASET_FIELDS_WITHOUT_HASH):
        photo_id = fields[1 if len(fields) == DATASET_FIELDS else 0]
        return (Pack.DATASET, len(fields)) if _DIGITS.fullmatch(photo_id) else None
    if len(fields) != 2 or not _DIGITS.fullmatch(fields[0]):
        return None
    for pack, payload in ((Pack.HASH, _HASH), (Pack.PLACES, _PLACES), (Pack.AUTOTAGS, _AUTOTAGS), (Pack.EXIF, _EXIF)):
        if payload.fullmatch(fields[1]):
            return pack, 2
    return None


def mirror_key(download_url: str) -> str:
    """Returns a photo's name on the mirror: md5 of its URL, each byte as hex without zero padding.

    Example:
        >>> mirror_key("http://farm8.staticflickr.com/7205/6985418911_df7747990d.jpg")
        '4e2f7a26a1dfbf165a7e30bdabf7e72a'
    """
    return "".join(f"{byte:x}" for byte in hashlib.md5(download_url.encode(), usedforsecurity=False).digest())


def read_photo_ids(column: pa.BinaryArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Reads photo ids: 1 to 18 decimal digits, positive, below 2^62.

    Returns:
        int64 ids (0 where unreadable) and the bool mask of readable ones.
    """
    ids, _ = _read_ints(column, pa.int64())
    values = ids.fill_null(0).to_numpy(zero_copy_only=False)
    return values, (values > 0) & (values <= MAX_FLICKR_ID)


def read_dataset(lines: pa.BinaryArray) -> Parsed:
    """Reads dataset lines of 25 fields into the row's YFCC columns, all but the packs' own.

    Args:
        lines: UTF-8, no newline, exactly 25 fields, readable photo id.

    Returns:
        Columns ``photo_id`` (int64) and the dataset's part of ``YFCC_COLUMNS``.
    """
    raw = dict(zip(_FIELDS, split_fields(lines, b"\t", DATASET_FIELDS), strict=True))
    types = {c.name: c.type for c in YFCC_COLUMNS}
    columns: dict[str, pa.Array] = {}
    bad: dict[str, npt.NDArray[np.bool_]] = {}
    for name, column in raw.items():
        if name in _DECODED:
            columns[name] = empty_as_null(url_decode(column))
        elif name in _TAGS:
            columns[name] = _list_of_text(column)
        elif name in _DEGREES:
            columns[name], bad[name] = _read_degrees(column, _DEGREES[name])
        elif name in _INTS:
            columns[name], bad[name] = _read_ints(column, _INTS[name])
        elif types.get(name) == pa.string():
            columns[name] = empty_as_null(to_text(column))
    columns["photo_id"] = pa.array(read_photo_ids(raw["photo_id"])[0])
    line_number, bad["line_number"] = _read_ints(raw["line_number"], pa.int64())
    columns["line_number"] = line_number.fill_null(-1)
    columns["date_taken"], bad["date_taken"] = _read_dates(raw["date_taken"])
    columns["date_uploaded"], bad["date_uploaded"] = _read_unix_times(raw["date_uploaded"])
    columns["is_video"], bad["is_video"] = _read_flag(raw["is_video"])
    return Parsed(columns, bad)


def read_autotags(payloads: pa.BinaryArray) -> Parsed:
    """Reads ``name:score,name:score`` into lists of :data:`schemas.rows.AUTOTAG`."""
    offsets, items = split_list(payloads, b",")
    names, scores, found = partition(items, b":", last=True)
    values, bad = _read_floats(scores, 0.0, 1.0)
    struct = pa.StructArray.from_arrays([url_decode(names), values], fields=list(AUTOTAG))
    return _list_column("autotags", offsets, struct, bad | ~found)


def read_exif(payloads: pa.BinaryArray) -> Parsed:
    """Reads ``Category.Tag:Value,…`` into lists of :data:`schemas.rows.EXIF_VALUE`; parts are encoded apart."""
    offsets, items = split_list(payloads, b",")
    tags, values, found = partition(items, b":")
    struct = pa.StructArray.from_arrays([url_decode(tags), url_decode(values)], fields=list(EXIF_VALUE))
    return _list_column("exif", offsets, struct, ~found)


def read_places(payloads: pa.BinaryArray) -> Parsed:
    """Reads ``woeid:name:type,…`` into lists of :data:`schemas.rows.PLACE`."""
    offsets, items = split_list(payloads, b",")
    woeids, rest, has_name = partition(items, b":")
    names, types, has_type = partition(rest, b":", last=True)
    ids, bad = _read_ints(woeids, pa.int64())
    struct = pa.StructArray.from_arrays([ids, url_decode(names), url_decode(types)], fields=list(PLACE))
    return _list_column("places", offsets, struct, bad | ~(has_name & has_type))


def read_hashes(payloads: pa.BinaryArray) -> Parsed:
    """Reads the hash pack; '' becomes null."""
    return Parsed({"hash": empty_as_null(to_text(payloads))}, {})


READ_PAYLOADS: typing.Final[dict[Pack, typing.Callable[[pa.BinaryArray], Parsed]]] = {
    Pack.AUTOTAGS: read_autotags,
    Pack.EXIF: read_exif,
    Pack.PLACES: read_places,
    Pack.HASH: read_hashes,
}
"""How the payloads of each pack become a column of the row."""


def _list_of_text(column: pa.BinaryArray) -> pa.ListArray:
    offsets, items = split_list(column, b",")
    return pa.ListArray.from_arrays(offsets, url_decode(items))


def _list_column(name: str, offsets: pa.Int32Array, items: pa.StructArray, bad_items: npt.NDArray[np.bool_]) -> Parsed:
    counts = np.concatenate(([0], np.cumsum(bad_items)))[offsets.to_numpy()]
    return Parsed({name: pa.ListArray.from_arrays(offsets, items)}, {name: np.diff(counts) > 0})


def _read_ints(column: pa.BinaryArray, type_: pa.DataType) -> tuple[pa.Array, npt.NDArray[np.bool_]]:
    """Reads non-negative decimal integers; '' is null, anything else unreadable is null and marked."""
    data, offsets = buffers_of(column)
    lengths = np.diff(offsets)
    present = lengths > 0
    good = present & (lengths <= _INT64_MAX_DIGITS)
    if ((data < ord("0")) | (data > ord("9"))).any():
        good &= pc.match_substring_regex(column, r"^[0-9]+$").to_numpy(zero_copy_only=False)
    wide = _where(good, column).cast(pa.string()).cast(pa.int64())
    if type_ == pa.int64():
        return wide, present & ~good
    fits = pc.fill_null(pc.less(wide, 2**31), False).to_numpy(zero_copy_only=False)
    return _where(fits, wide).cast(type_), present & ~fits


def _where(mask: npt.NDArray[np.bool_], column: pa.Array) -> pa.Array:
    return column if mask.all() else pc.if_else(pa.array(mask), column, None)


def _read_floats(column: pa.BinaryArray, low: float, high: float) -> tuple[pa.Array, npt.NDArray[np.bool_]]:
    """Reads plain decimal numbers within bounds; '' is null, anything else unreadable is null and marked."""
    data, offsets = buffers_of(column)
    present = np.diff(offsets) > 0
    values = _cast_floats(column, present) if np.isin(data, _FLOAT_BYTES).all() else None
    if values is None:
        shaped = present & pc.match_substring_regex(column, _FLOAT).to_numpy(zero_copy_only=False)
        values = _where(shaped, column).cast(pa.string()).cast(pa.float64())
    inside = pc.fill_null(pc.and_(pc.greater_equal(values, low), pc.less_equal(values, high)), False)
    kept = inside.to_numpy(zero_copy_only=False)
    return _where(kept, values), present & ~kept


def _cast_floats(column: pa.BinaryArray, present: npt.NDArray[np.bool_]) -> pa.DoubleArray | None:
    """Reads all values at once, or none if one of them is no number; of these bytes it takes what _FLOAT takes."""
    try:
        return _where(present, column).cast(pa.string()).cast(pa.float64())
    except pa.ArrowInvalid:
        return None


def _read_degrees(column: pa.BinaryArray, limit: float) -> tuple[pa.Array, npt.NDArray[np.bool_]]:
    return _read_floats(column, -limit, limit)


def _read_dates(column: pa.BinaryArray) -> tuple[pa.Array, npt.NDArray[np.bool_]]:
    """Reads ``2012-02-16 09:56:37.0``; any year from 0001 to 9999."""
    present = np.diff(buffers_of(column)[1]) > 0
    text = to_text(column)
    shaped = present & pc.match_substring_regex(
        text, r"^\d{4}-\d\d-\d\d[ T][0-2]\d:[0-5]\d:[0-5]\d(\.\d{1,3})?$"
    ).to_numpy(zero_copy_only=False)
    values = _cast_times(_where(shaped, text))
    in_calendar = pc.fill_null(pc.greater_equal(values.cast(pa.int64()), _YEAR_1_MS), False)
    kept = in_calendar.to_numpy(zero_copy_only=False)
    return _where(kept, values), present & ~kept


def _cast_times(text: pa.StringArray) -> pa.Array:
    try:
        return text.cast(MILLISECONDS)
    except pa.ArrowInvalid:
        return pa.array([_cast_time(value) for value in text], MILLISECONDS)


def _cast_time(value: pa.StringScalar) -> typing.Any:
    try:
        return value.cast(MILLISECONDS).as_py()
    except (pa.ArrowInvalid, ValueError, OverflowError):
        return None


def _read_unix_times(column: pa.BinaryArray) -> tuple[pa.Array, npt.NDArray[np.bool_]]:
    seconds, bad = _read_ints(column, pa.int64())
    inside = pc.fill_null(pc.less(seconds, 253_402_300_800), True).to_numpy(zero_copy_only=False)
    kept = _where(inside, seconds)
    return pc.multiply(kept, 1000).cast(MILLISECONDS), bad | ~inside


def _read_flag(column: pa.BinaryArray) -> tuple[pa.Array, npt.NDArray[np.bool_]]:
    is_one = pc.equal(column, b"1")
    known = pc.or_(is_one, pc.equal(column, b"0"))
    return is_one, ~known.to_numpy(zero_copy_only=False)
