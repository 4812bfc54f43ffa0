"""The list columns that annotate a photo: their elements, their documentation and their order.

An element keeps what its source published: which copy of the photo it speaks of (``source``,
``image_id``), in which units, under which name. A photo known to several sources has the elements of
all of them. Lists are in a total order of their own, so that no order of input shows in them.
"""

import typing

import pyarrow as pa

from schemas.columns import MILLISECONDS, Column

UNKNOWN_FLAG = -1
"""Of a flag (1 or 0) that the source did not set."""

PIXELS = "pixels"
NORMALISED = "normalised"
"""Units of coordinates: pixels of the source's own copy, or parts of its width and height."""

EDGES = ("xmin", "ymin", "xmax", "ymax")
"""Fields of a box."""

GEOMETRY_COLUMNS = ("boxes", "segments", "keypoints", "relationships", "points", "narratives")
"""List columns with coordinates: as published in rows, in pixels of the written image in samples."""

MAPPED_COLUMNS = (*GEOMETRY_COLUMNS, "warnings")
"""Columns of the row that are others in the sample; warnings are added to."""

_INT8, _INT32, _INT64 = pa.int8(), pa.int32(), pa.int64()
_STRING, _FLOAT = pa.string(), pa.float64()
_FLOATS = pa.list_(pa.float64())
_IMAGE = [("source", _STRING), ("image_id", _STRING)]
_CLASS = [("label_id", _STRING), ("label", _STRING)]
_FLAGS = ("is_crowd", "is_occluded", "is_truncated", "is_group_of", "is_depiction", "is_inside")

COPY = pa.struct(
    [
        *_IMAGE,
        ("split", _STRING),
        ("file_name", _STRING),
        ("url", _STRING),
        ("width", _INT32),
        ("height", _INT32),
        ("rotation", _INT32),
        ("date_captured", MILLISECONDS),
        ("license_name", _STRING),
        ("license_url", _STRING),
        ("author", _STRING),
        ("size_bytes", _INT64),
        ("md5", _STRING),
    ]
)
CAPTION = pa.struct([*_IMAGE, ("caption_id", _INT64), ("text", _STRING), ("is_lemma", pa.bool_())])
BOX = pa.struct(
    [
        *_IMAGE,
        ("annotation_id", _INT64),
        ("units", _STRING),
        *_CLASS,
        *((edge, _FLOAT) for edge in EDGES),
        *((flag, _INT8) for flag in _FLAGS),
        ("area", _FLOAT),
        ("confidence", _FLOAT),
        ("annotator", _STRING),
    ]
)
CLICK = pa.struct([("x", _FLOAT), ("y", _FLOAT), ("is_inside", _INT8)])
SEGMENT = pa.struct(
    [
        *_IMAGE,
        ("annotation_id", _INT64),
        ("kind", _STRING),
        ("units", _STRING),
        *_CLASS,
        ("is_crowd", _INT8),
        ("area", _FLOAT),
        ("polygons", pa.list_(_FLOATS)),
        ("rle_counts", _STRING),
        ("rle_height", _INT32),
        ("rle_width", _INT32),
        ("mask_file", _STRING),
        ("mask_value", _INT32),
        *((edge, _FLOAT) for edge in EDGES),
        ("predicted_iou", _FLOAT),
        ("clicks", pa.list_(CLICK)),
    ]
)
KEYPOINTS = pa.struct(
    [
        *_IMAGE,
        ("annotation_id", _INT64),
        ("units", _STRING),
        *_CLASS,
        ("x", _FLOATS),
        ("y", _FLOATS),
        ("visibility", pa.list_(_INT8)),
        ("names", pa.list_(_STRING)),
        ("num_keypoints", _INT32),
    ]
)
IMAGE_LABEL = pa.struct([*_IMAGE, *_CLASS, ("confidence", _FLOAT), ("annotator", _STRING)])
RELATIONSHIP = pa.struct(
    [
        *_IMAGE,
        ("units", _STRING),
        ("relationship", _STRING),
        *((f"{field}{part}", _STRING) for part in (1, 2) for field in ("label_id", "label")),
        *((f"{edge}{part}", _FLOAT) for part in (1, 2) for edge in EDGES),
    ]
)
POINT = pa.struct(
    [
        *_IMAGE,
        ("units", _STRING),
        *_CLASS,
        ("x", _FLOAT),
        ("y", _FLOAT),
        ("answer", _STRING),
        ("yes_votes", _INT32),
        ("no_votes", _INT32),
        ("unsure_votes", _INT32),
        ("annotator", _STRING),
    ]
)
UTTERANCE = pa.struct([("text", _STRING), ("start_s", _FLOAT), ("end_s", _FLOAT)])
TRACE = pa.struct([("x", _FLOATS), ("y", _FLOATS), ("time_s", _FLOATS)])
NARRATIVE = pa.struct(
    [
        *_IMAGE,
        ("annotator_id", _INT64),
        ("units", _STRING),
        ("text", _STRING),
        ("utterances", pa.list_(UTTERANCE)),
        ("traces", pa.list_(TRACE)),
        ("voice_recording", _STRING),
    ]
)
RATING = pa.struct(
    [*_IMAGE, ("kind", _STRING), ("caption_image_id", _STRING), ("caption_id", _INT64), ("scores", _FLOATS)]
)

ANNOTATION_COLUMNS = (
    Column(
        "copies",
        pa.list_(COPY),
        "The sources' own copies of this photo, as each source describes its copy; `md5` is hex; `rotation` in"
        " degrees counter-clockwise; two images of one source that are the same photo are two copies.",
        required=True,
    ),
    Column(
        "captions",
        pa.list_(CAPTION),
        "Sentences by people, white space at the ends removed; `is_lemma` marks lemmatised ones.",
        required=True,
    ),
    Column(
        "boxes",
        pa.list_(BOX),
        "Objects: corners in `units` (`pixels` of the copy, `xmax` = x + width, or `normalised` to 0..1); flags are"
        " 1, 0 or -1 for unknown; `area` is the outline's, in samples of what is visible, or else the box's.",
        required=True,
    ),
    Column(
        "segments",
        pa.list_(SEGMENT),
        "Outlines and masks of `kind` `instance`, `stuff`, `panoptic` or `mask`: `polygons` as x, y, x, y, …, or"
        " `rle_counts` (COCO's compressed run lengths, column by column, of a mask of `rle_height` x `rle_width`),"
        " or pixels of `mask_value` in `mask_file`; Open Images' have the box, the predicted IoU and the clicks"
        " (`is_inside` 1 or 0) that they were drawn from. In samples `mask_file` is what it is in rows.",
        required=True,
    ),
    Column(
        "keypoints",
        pa.list_(KEYPOINTS),
        "Named points of an object, which is the box of the same `annotation_id`; `visibility` is 0 not labelled, 1"
        " hidden, 2 visible. In pixels, `x` and `y` are indices, whose pixel's centre lies half a pixel further.",
        required=True,
    ),
    Column(
        "image_labels",
        pa.list_(IMAGE_LABEL),
        "Classes of the whole image; `confidence` 1 means present, 0 verified as absent.",
        required=True,
    ),
    Column(
        "relationships",
        pa.list_(RELATIONSHIP),
        "Subject (1), relationship and object (2), each with its box in `units`; of an attribute (`is`) the second"
        " box repeats the first.",
        required=True,
    ),
    Column(
        "points",
        pa.list_(POINT),
        "Points that people were asked about: whether they lie on the class (`answer` `yes`, `no` or `unsure`), and"
        " who voted how.",
        required=True,
    ),
    Column(
        "narratives",
        pa.list_(NARRATIVE),
        "Spoken descriptions: their words with times, and the traces of the pointer meanwhile, in `units`.",
        required=True,
    ),
    Column(
        "ratings",
        pa.list_(RATING),
        "How well a caption, perhaps of another image, fits this one: `expert` scores from 1 to 4 by three people,"
        " or `crowd` share of yes, count of yes, count of no.",
        required=True,
    ),
)
"""List columns; never null."""

SOURCE_IMAGE_COLUMNS = (
    Column("coco_image_id", _INT64, "COCO's image id; of several, the lowest."),
    Column("coco_split", _STRING, "Split and year of that COCO image, such as `train2017`."),
    Column("coco_file_name", _STRING, "File name of that COCO image."),
    Column("open_images_id", _STRING, "Open Images' image id, 16 hex digits; of several, the lowest."),
    Column("open_images_split", _STRING, "`train`, `validation` or `test` of that image of Open Images."),
    Column("flickr8k_split", _STRING, "`train`, `dev` or `test` of Flickr8k, null if in none."),
)
"""Scalars, for convenience."""

ELEMENTS: typing.Final[dict[str, pa.StructType]] = {c.name: c.type.value_type for c in ANNOTATION_COLUMNS}
"""Element type of each list column."""

_LEADING = {
    "copies": ("source", "image_id", "split", "file_name"),
    "captions": ("source", "image_id", "is_lemma", "caption_id", "text"),
    "boxes": ("source", "image_id", "annotation_id", "label_id", "xmin", "ymin", "xmax", "ymax"),
    "segments": ("source", "image_id", "kind", "annotation_id", "label_id"),
    "keypoints": ("source", "image_id", "annotation_id", "label_id"),
    "image_labels": ("source", "image_id", "label_id", "confidence", "annotator"),
    "relationships": ("source", "image_id", "relationship", "label_id1", "label_id2"),
    "points": ("source", "image_id", "label_id", "x", "y"),
    "narratives": ("source", "image_id", "annotator_id", "text"),
    "ratings": ("source", "image_id", "kind", "caption_image_id", "caption_id"),
}


ROUNDED_FIELD = "area"
"""Differs in its last digits between files of one publisher: COCO's instances say 17376.918849999995
where person_keypoints say 17376.91885. Elements that differ in no more are one."""

AREA_TOLERANCE = 1e-9
"""Relative difference up to which areas are the same."""


def _sort_fields(column: str) -> tuple[str, ...]:
    fields = [*ELEMENTS[column]]
    rest = sorted(fields, key=lambda f: (f.name == ROUNDED_FIELD, pa.types.is_list(f.type)))
    return (*_LEADING[column], *(f.name for f in rest if f.name not in _LEADING[column]))


SORT_FIELDS: typing.Final[dict[str, tuple[str, ...]]] = {column: _sort_fields(column) for column in ELEMENTS}
"""Total order of each list: by these fields in turn, strings by code point, null last.

Every field is among them: scalars, then lists, then the area, so that elements which compare equal are equal.
"""
