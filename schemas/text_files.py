"""The files that `photobeam text` makes of captions: their names, and the columns of the tables."""

import pyarrow as pa

from schemas import layout
from schemas.columns import Column, schema_of

SPECIAL_WORDS = ("<pad>", "<start>", "<end>", "<unk>")
"""With ids 0 to 3. No tokenizer of NLTK's gives one of them: it cuts at `<` and `>`."""

VOCABULARY = "text/vocabulary.parquet"
VOCABULARY_JSON = "text/vocabulary.json"
VOCABULARY_TXT = "text/vocab.txt"

VOCABULARY_COLUMNS = (
    Column("id", pa.int32(), "Its number, ascending.", required=True),
    Column("word", pa.string(), "In lower case, but for special words.", required=True),
    Column("count", pa.int64(), "How often it was counted; 0 for special words.", required=True),
)
VOCABULARY_SCHEMA = schema_of(VOCABULARY_COLUMNS)

TOKENIZED = pa.struct(
    [
        ("source", pa.string()),
        ("image_id", pa.string()),
        ("caption_id", pa.int64()),
        ("tokens", pa.list_(pa.string())),
        ("ids", pa.list_(pa.int32())),
        ("length", pa.int32()),
    ]
)
"""A caption."""

TOKENS_COLUMNS = (
    Column("photo_id", pa.int64(), "As of the rows.", required=True),
    Column("key", pa.string(), "KEY of the sample.", required=True),
    Column(
        "captions",
        pa.list_(TOKENIZED),
        "As in the rows, the text in `tokens`, `ids` of these with `--max_tokens` padded and cut, and how many of the "
        "ids are no padding (`length`); no caption gives an empty list, an empty one empty `tokens`.",
        required=True,
    ),
)
TOKENS_SCHEMA = schema_of(TOKENS_COLUMNS)
"""Of `text/NNNNNN.parquet`: the photos of the shard that have an image, without images all, in KEY order."""


def tokens_file(shard: int) -> str:
    """Returns the name of the table of a shard's tokens."""
    return f"text/{layout.shard_name(shard)}.parquet"


def ids_file(shard: int) -> str:
    """Returns the name of the array of a shard's ids: int32, captions × length, in the order of the table."""
    return f"text/{layout.shard_name(shard)}.ids.npy"


def mask_file(shard: int) -> str:
    """Returns the name of the array that says where a shard's ids are no padding: bool, of the same shape."""
    return f"text/{layout.shard_name(shard)}.mask.npy"
