"""The joined row: everything known about one photo before its image is fetched.

Parquet holds null for a missing scalar and empty lists, never null lists. The same row as JSON
(in the tar) has no nulls at all, so that readers which infer types from the first samples agree:
'' for strings and times, -1 for integers, -999.0 for floats, [] for lists.
"""

import pyarrow as pa

from schemas.annotations import ANNOTATION_COLUMNS, SOURCE_IMAGE_COLUMNS
from schemas.columns import MILLISECONDS, Column, schema_of

AUTOTAG = pa.struct([("name", pa.string()), ("score", pa.float64())])
EXIF_VALUE = pa.struct([("tag", pa.string()), ("value", pa.string())])
PLACE = pa.struct([("woeid", pa.int64()), ("name", pa.string()), ("type", pa.string())])

PHOTO_COLUMNS = (
    Column("photo_id", pa.int64(), "Flickr photo id, or a surrogate of at least 2^62; unique.", required=True),
    Column(
        "id_source",
        pa.string(),
        "Where `photo_id` comes from: `flickr`, or the source whose own id the surrogate is made of.",
        required=True,
    ),
    Column("sources", pa.list_(pa.string()), "Sources that know this photo, sorted.", required=True),
)

YFCC_COLUMNS = (
    Column(
        "line_number", pa.int64(), "The line number the file itself states (25-column form), else -1.", required=True
    ),
    Column(
        "hash",
        pa.string(),
        "The photo's name on the mirror: md5 of `download_url`, each byte as hex without zero padding.",
    ),
    Column("user_id", pa.string(), "Flickr NSID of the uploader."),
    Column("user_nickname", pa.string(), "Nickname of the uploader, decoded."),
    Column(
        "date_taken", MILLISECONDS, "When the camera says it was taken; no zone; may lie in the far past or future."
    ),
    Column("date_uploaded", MILLISECONDS, "When it was uploaded, UTC."),
    Column("capture_device", pa.string(), "Camera, decoded."),
    Column("title", pa.string(), "Title, decoded; HTML as published."),
    Column("description", pa.string(), "Description, decoded; HTML as published."),
    Column(
        "user_tags",
        pa.list_(pa.string()),
        "Tags by the user, split before decoding, in published order.",
        required=True,
    ),
    Column(
        "machine_tags",
        pa.list_(pa.string()),
        "Machine tags (`namespace:predicate=value`), in published order.",
        required=True,
    ),
    Column("longitude", pa.float64(), "Degrees east, -180 to 180."),
    Column("latitude", pa.float64(), "Degrees north, -90 to 90."),
    Column("accuracy", pa.int32(), "Of the position: 1 (world) to 16 (street)."),
    Column("page_url", pa.string(), "The photo's page on Flickr."),
    Column(
        "download_url", pa.string(), "The image on Flickr, about 500 px; as published, since the mirror key is its md5."
    ),
    Column("license_name", pa.string(), "Licence, as published."),
    Column("license_url", pa.string(), "URL of the licence."),
    Column("server_id", pa.int32(), "Flickr server."),
    Column("farm_id", pa.int32(), "Flickr farm."),
    Column("secret", pa.string(), "Flickr secret of the resized images."),
    Column("secret_original", pa.string(), "Flickr secret of the original."),
    Column("extension", pa.string(), "File extension of the original; meaningless for videos."),
    Column("is_video", pa.bool_(), "Whether this is a video.", required=True),
    Column(
        "autotags",
        pa.list_(AUTOTAG),
        "Machine-detected concepts with scores from 0.5 to 1, in published order.",
        required=True,
    ),
    Column(
        "exif",
        pa.list_(EXIF_VALUE),
        "EXIF of the original: `Category.Tag` and value, decoded, in published order.",
        required=True,
    ),
    Column(
        "places", pa.list_(PLACE), "Places that hold the position, most specific first, as published.", required=True
    ),
)

WARNING_COLUMNS = (
    Column(
        "warnings",
        pa.list_(pa.string()),
        "Names of fields whose published value could not be read, in column order. Samples add, sorted, what became of"
        " geometry: `geometry_mismatch:SOURCE:ID` (that copy has another aspect than the photo),"
        " `geometry_unplaced:SOURCE:ID` (pixels of a copy whose size is not known), `COLUMN:N outside` and"
        " `COLUMN:N invalid` (dropped; of keypoints and narratives points are counted).",
        required=True,
    ),
)

ROW_COLUMNS = (*PHOTO_COLUMNS, *YFCC_COLUMNS, *ANNOTATION_COLUMNS, *SOURCE_IMAGE_COLUMNS, *WARNING_COLUMNS)
ROW_SCHEMA = schema_of(ROW_COLUMNS)
"""Schema of ``rows/NNNNNN.parquet``."""
