"""The files that `features/` has for each shard with samples: vectors as NumPy array and as table, and a record."""

import dataclasses
import typing

import pyarrow as pa

from schemas.columns import Column, schema_of, vector_of
from schemas.layout import FORMAT_VERSION, shard_name
from schemas.product_records import FEATURES
from schemas.records import FileDigest, Record


@dataclasses.dataclass(frozen=True)
class FeaturesRecord(Record):
    """Says that the features of a shard are in place.

    Attributes:
        shard: its number.
        samples: how many rows there are: one for each sample of the tar.
        not_finite: rows in which a number is infinite or none.
        options: what the product's own record says, too.
        made_from: SHA-256 of the tar, hex.
        files: the two others of the shard, by their names in the dataset.
    """

    shard: int
    samples: int
    not_finite: int
    options: dict[str, typing.Any]
    made_from: str
    files: dict[str, FileDigest]
    format_version: int = FORMAT_VERSION


def features_array(shard: int) -> str:
    """Returns the name of the array of a shard.

    Example:
        >>> features_array(42)
        'features/000042.npy'
    """
    return f"{FEATURES}/{shard_name(shard)}.npy"


def features_table(shard: int) -> str:
    """Returns the name of the table of a shard."""
    return f"{FEATURES}/{shard_name(shard)}.parquet"


def features_record(shard: int) -> str:
    """Returns the name of the record of a shard, which is written last."""
    return f"{FEATURES}/{shard_name(shard)}.json"


def feature_columns(width: int) -> tuple[Column, ...]:
    """Returns the columns of the table, for vectors of so many numbers."""
    return (
        Column("photo_id", pa.int64(), "Flickr photo id, or a surrogate.", required=True),
        Column("key", pa.string(), "Sample key: `photo_id` zero-padded to 12 digits.", required=True),
        Column(
            "vector",
            vector_of(width),
            "What the model gives for the image, flattened in C order; always as many numbers.",
            required=True,
        ),
    )


def features_schema(width: int) -> pa.Schema:
    """Returns the schema of the table, for vectors of so many numbers."""
    return schema_of(feature_columns(width))
