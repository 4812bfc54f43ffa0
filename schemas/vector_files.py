"""The files of vectors that `photobeam text` makes: their names, and the columns of the table."""

import pyarrow as pa

from schemas import layout
from schemas.columns import Column, vector_of

GLOVE = "text/glove.npy"
"""float32, words × numbers of a vector: row i is the vector of the word with id i."""

COVERAGE = "text/glove.json"
"""What the file of vectors covers."""

DOC2VEC = "text/doc2vec"
"""Folder of the model, and of the vectors of texts."""


def model_file(own_name: str) -> str:
    """Returns the name of a file of the model, which gensim named."""
    return f"{DOC2VEC}/{own_name}"


def vectors_file(shard: int) -> str:
    """Returns the name of the table of a shard's vectors: a row a photo, as of its tokens."""
    return f"{DOC2VEC}/{layout.shard_name(shard)}.parquet"


def photo_vectors_file(shard: int) -> str:
    """Returns the name of the array of the photos' vectors: float32, photos × size, in the order of the table."""
    return f"{DOC2VEC}/{layout.shard_name(shard)}.npy"


def caption_vectors_file(shard: int) -> str:
    """Returns the name of the array of the captions' vectors: float32, captions × size, in the order of the table."""
    return f"{DOC2VEC}/{layout.shard_name(shard)}.captions.npy"


def vectors_columns(size: int) -> tuple[Column, ...]:
    """Returns the columns of the table.

    Args:
        size: numbers of a vector.
    """
    vector, of_captions = vector_of(size), "Of each caption, in the order of `text/NNNNNN.parquet`."
    return (
        Column("photo_id", pa.int64(), "As of the rows.", required=True),
        Column("key", pa.string(), "KEY of the sample.", required=True),
        Column("vector", vector, "Of all captions as one text; zeros where they have no token.", required=True),
        Column("caption_vectors", pa.list_(vector), of_captions, required=True),
    )
