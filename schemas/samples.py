"""The sample: the joined row plus what is known of its image; as Parquet sidecar and as JSON in the tar."""

import datetime
import functools
import json
import re
import typing

import pyarrow as pa

from schemas.columns import Column, schema_of
from schemas.rows import ROW_COLUMNS
from schemas.sample_members import AddedMembers, added_columns

AFFINE = pa.struct(
    [
        ("source", pa.string()),
        ("image_id", pa.string()),
        ("units", pa.string()),
        ("size", pa.int32()),
        ("matrix", pa.list_(pa.float64())),
    ]
)

IMAGE_COLUMNS = (
    Column("key", pa.string(), "Sample key: `photo_id` zero-padded to 12 digits.", required=True),
    Column("width", pa.int32(), "Width of the written image, px.", required=True),
    Column("height", pa.int32(), "Height of the written image, px.", required=True),
    Column(
        "original_width", pa.int32(), "Width of the fetched image as stored (before orientation), px.", required=True
    ),
    Column("original_height", pa.int32(), "Height of the fetched image as stored, px.", required=True),
    Column(
        "original_format", pa.string(), "Format of the fetched image: `jpeg`, `png`, `gif`, `webp`, …", required=True
    ),
    Column("original_bytes", pa.int64(), "Size of the fetched file.", required=True),
    Column("sha256", pa.string(), "SHA-256 of the fetched file, hex.", required=True),
    Column(
        "fetched_from", pa.string(), "Kind of place the image came from: `images`, `mirror` or `flickr`.", required=True
    ),
    Column(
        "orientation",
        pa.int32(),
        "EXIF orientation that was applied, 1 to 8: the fetched file's, or that of Open Images' `rotation`.",
        required=True,
    ),
    Column(
        "transforms",
        pa.list_(AFFINE),
        "Per source's copy and size the 2x3 affine `[a, b, c, d, e, f]`: x' = ax + by + c, y' = dx + ey + f, from"
        " `units` of the copy `image_id` to pixels of the written image of that `--image_size`. The first is that of"
        " the fetched file, from its pixels as stored; `source` is whose copy it is (`flickr` if not known),"
        " `image_id` null if not known. Then every copy that can be placed, in the order of `copies`, from the units in"
        " which its source publishes: pixels of its `width` and `height`, or for Open Images `normalised` to the copy"
        " before its `rotation`; one that would repeat the first is left out. The inverse takes predictions back"
        " (`transforms.geometry.affine.to_source`).",
        required=True,
    ),
)


def image_placement(further_size: int | None = None) -> tuple[Column, Column]:
    """Returns the columns that say where an image of every sample lies.

    Args:
        further_size: the ``--image_size`` that it is of; None for the first.

    Example:
        >>> [column.name for column in image_placement(512)]
        ['image_512_offset', 'image_512_bytes']
    """
    of = "" if further_size is None else f"_{further_size}"
    return (
        Column(f"image{of}_offset", pa.int64(), "Byte offset of the image's data in the tar.", required=True),
        Column(f"image{of}_bytes", pa.int64(), "Size of the written image, bytes.", required=True),
    )


def image_extensions(format_: str, further_sizes: typing.Iterable[int] = ()) -> tuple[str, ...]:
    """Returns the extensions of the image members of a sample, in the tar's order.

    Example:
        >>> image_extensions("jpg", [512])
        ('jpg', '512.jpg')
    """
    return format_, *(f"{size}.{format_}" for size in further_sizes)


SAMPLE_COLUMNS = (*ROW_COLUMNS, *IMAGE_COLUMNS)
SAMPLE_SCHEMA = schema_of(SAMPLE_COLUMNS)
"""Fields of ``KEY.json``, in this order."""


def sidecar_schema(further_sizes: typing.Iterable[int] = (), added: AddedMembers | None = None) -> pa.Schema:
    """Returns the schema of ``shards/NNNNNN.parquet``.

    Args:
        further_sizes: every ``--image_size`` but the first.
        added: members of each sample behind its images, JSON and text.
    """
    placements = (column for size in (None, *further_sizes) for column in image_placement(size))
    return schema_of((*SAMPLE_COLUMNS, *placements, *added_columns(added)))


SIDECAR_SCHEMA = sidecar_schema()
"""Schema of ``shards/NNNNNN.parquet`` with one ``--image_size``."""

_Convert = typing.Callable[[typing.Any], typing.Any]
_Field = tuple[str, typing.Any, _Convert | None]
_FLOAT_WITHOUT_POINT = re.compile(r"[:\[,]-?\d+e")


def sample_json(sample: typing.Mapping[str, typing.Any]) -> bytes:
    """Encodes one sample as the JSON of its tar member.

    Every sample has the same keys with the same types: a missing string or time is '', a missing
    integer -1, a missing float -999.0, lists are never null. Times are ISO 8601. Floats carry a point.

    Args:
        sample: a row of :data:`SAMPLE_SCHEMA` as ``to_pylist`` gives it.

    Returns:
        UTF-8, no spaces, keys in schema order.
    """
    return encoded_json(_filled(_SAMPLE_FIELDS, sample))


def encoded_json(value: dict[str, typing.Any]) -> bytes:
    """Encodes what :func:`json_fields` gave as the JSON of a tar member."""
    text = _ENCODER.encode(value)
    if ("e-" in text or "e+" in text) and _FLOAT_WITHOUT_POINT.search(text):
        text = _POINTED_ENCODER.encode(value)
    return text.encode("utf-8")


def json_fields(row: typing.Mapping[str, typing.Any], schema: pa.Schema) -> dict[str, typing.Any]:
    """Returns a row of any table as the JSON of the tar would have it, with nothing null.

    Args:
        row: as ``to_pylist`` gives it.
        schema: of the table.
    """
    return _filled(_fields(schema), row)


def caption(sample: typing.Mapping[str, typing.Any]) -> str:
    """Returns the sample's text for ``KEY.txt``: the first caption, else the title, else the description, else ''.

    Lemmatised captions do not count: they are no sentences.
    """
    captions = (c["text"] for c in sample["captions"] if not c["is_lemma"])
    return next(filter(None, captions), None) or sample["title"] or sample["description"] or ""


def _fields(schema: pa.Schema | pa.StructType) -> list[_Field]:
    return [(f.name, *_form(f.type)) for f in schema]


def _form(type_: pa.DataType) -> tuple[typing.Any, _Convert | None]:
    """Returns what stands for a null, and the function that turns a value into one that JSON has, if it is none."""
    if pa.types.is_list(type_):
        return [], functools.partial(_list, *_form(type_.value_type))
    if pa.types.is_struct(type_):
        fields = _fields(type_)
        return {name: missing for name, missing, _ in fields}, functools.partial(_filled, fields)
    if pa.types.is_timestamp(type_):
        return "", datetime.datetime.isoformat
    return "" if pa.types.is_string(type_) else -999.0 if pa.types.is_floating(type_) else -1, None


def _filled(fields: list[_Field], row: typing.Mapping[str, typing.Any]) -> dict[str, typing.Any]:
    return {
        name: missing if (value := row[name]) is None else convert(value) if convert else value
        for name, missing, convert in fields
    }


def _list(missing: typing.Any, convert: _Convert | None, values: list[typing.Any]) -> list[typing.Any]:
    if convert:
        return [convert(value) for value in values]
    return [missing if value is None else value for value in values] if None in values else values


_SAMPLE_FIELDS = _fields(SAMPLE_SCHEMA)


class _PointedFloats(json.JSONEncoder):
    """Writes 1e-05 as 1.0e-05. Slow: the C encoder cannot be told how to write floats."""

    def iterencode(self, o: typing.Any, _one_shot: bool = False) -> typing.Iterator[str]:
        """Encodes ``o`` piece by piece, in the standard library's Python encoder."""
        make = typing.cast(typing.Any, json.encoder)._make_iterencode
        quote = json.encoder.encode_basestring
        return make(
            {}, self.default, quote, None, _pointed, self.key_separator, self.item_separator, False, False, False
        )(o, 0)


def _pointed(value: float) -> str:
    """Example:
    >>> _pointed(1e-05), _pointed(0.25)
    ('1.0e-05', '0.25')
    """
    text = repr(value)
    return text if "." in text else text.replace("e", ".0e")


_JSON_FORM: typing.Final[dict[str, typing.Any]] = {"ensure_ascii": False, "separators": (",", ":"), "allow_nan": False}
_ENCODER = json.JSONEncoder(**_JSON_FORM)
_POINTED_ENCODER = _PointedFloats(**_JSON_FORM)
