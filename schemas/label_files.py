"""The files of labels that `photobeam text` makes: their names, and the columns of the table."""

import pyarrow as pa

from schemas import layout
from schemas.columns import Column, schema_of

COCO, OPEN_IMAGES, AUTOTAGS = LABELS = ("coco", "open_images", "autotags")
"""Sets of labels: COCO's objects, Open Images' classes, YFCC's autotags."""

VALUES, ABSENT, ONE_HOT, SINGLE = "npy", "absent.npy", "one_hot.npy", "parquet"
"""What files of a shard hold, by their endings; the last one the single class of each photo."""

SINGLE_COLUMNS = (
    Column("photo_id", pa.int64(), "As of the rows.", required=True),
    Column("key", pa.string(), "KEY of the sample.", required=True),
    Column("class_id", pa.int32(), "Column of the photo's single class, null where it has none or several."),
)
SINGLE_SCHEMA = schema_of(SINGLE_COLUMNS)

_FOLDER = "text/labels"


def classes_file(labels: str) -> str:
    """Returns the name of the list of a set's classes."""
    return f"{_FOLDER}/{labels}/classes.json"


def labels_file(labels: str, shard: int, holding: str) -> str:
    """Returns the name of a file of a set's labels of a shard.

    Args:
        labels: one of :data:`LABELS`.
        shard: its number.
        holding: :data:`VALUES`, :data:`ABSENT`, :data:`ONE_HOT` or :data:`SINGLE`.
    """
    return f"{_FOLDER}/{labels}/{layout.shard_name(shard)}.{holding}"
