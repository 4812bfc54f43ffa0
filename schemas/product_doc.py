"""The sections of `docs/format.md` about what is made of a dataset and lies beside it."""

from schemas.doc_tables import column_table, table
from schemas.feature_records import feature_columns
from schemas.label_files import ABSENT, LABELS, ONE_HOT, SINGLE, SINGLE_COLUMNS, VALUES, classes_file, labels_file
from schemas.product_records import FEATURES, TEXT, product_manifest
from schemas.sample_members import CLASS, TOKENS, AddedMembers, added_columns
from schemas.text_files import SPECIAL_WORDS, TOKENS_COLUMNS, VOCABULARY, VOCABULARY_COLUMNS
from schemas.vector_files import COVERAGE, DOC2VEC, GLOVE, model_file, vectors_columns


def product_sections() -> tuple[str, ...]:
    """Returns the sections, in order."""
    return _text() + _into_shards(), _vectors_and_labels(), _features()


def _text() -> str:
    special = ", ".join(f"`{word}`" for word in SPECIAL_WORDS)
    return f"""
## Captions: `text/`

What `photobeam text` makes of a finished dataset; of its captions those of photos with an image, without images all.
A build leaves these files alone; where they do not fit the dataset any more, `verify` says so. Taking down a photo
that is among them removes all of `text/`: its words are in the vocabulary, too.

### `text/NNNNNN.parquet`

Beside `shards/NNNNNN.parquet`, with the same photos in the same order.

{column_table(TOKENS_COLUMNS)}

With `--max_tokens N` the ids are in `text/NNNNNN.ids.npy`, too: int32, captions × N, the captions of the table one
after another; `text/NNNNNN.mask.npy`, bool, of the same shape, says which of them are no padding.

### `{VOCABULARY}`

{column_table(VOCABULARY_COLUMNS)}

The most frequent word comes first; of those that are as frequent as each other, the one that is smaller by its code
points. The ids begin with {special}, 0 to {len(SPECIAL_WORDS) - 1}.
With `--tokenizer keras` 0 is padding and no word, 1 the `--oov_token` if one is given, and of words that are as
frequent as each other the one comes first that is met first: as in Keras, given the captions in the order of the
tables.

`text/vocabulary.json` is one object, word to id, in the order of ids; `text/vocab.txt` has a word a line, each ending
with a line feed, in the same order.
"""


def _into_shards() -> str:
    return f"""
### With `--into_shards`

Every sample then has more members, behind its text, and the sidecar their columns, behind those of the images:
`KEY.{CLASS}` is the number of the photo's class in ASCII, if each photo has a single one; `KEY.{TOKENS}` is int32,
captions × `--max_tokens`, the rows of a photo without captions are 0. Images, JSON and text keep their bytes.

{column_table(added_columns(AddedMembers({CLASS: 80, TOKENS: 20}, "")))}

The commit record and the manifest say under `added` which members a shard has, their sizes, and the SHA-256 of the
`{product_manifest(TEXT)}` that they were made from. A shard that is built again, or that gains samples, has none: the
run says so, `verify` names it a fault, and the same `photobeam text` adds them. Taking down a photo leaves the others'
members; `--output` of `reprocess` takes none along.
"""


def _vectors_and_labels() -> str:
    endings = (
        (VALUES, "photos × columns: uint8, 1 where a class is present; of autotags float32, their scores"),
        (ABSENT, "of Open Images: uint8, 1 where people saw that a class is absent"),
        (ONE_HOT, "uint8, the single class of a photo as `to_categorical` gives it; zeros where it has none"),
        (SINGLE, "the single class of each photo"),
    )
    files = [(f"`{labels_file('SET', 0, ending)}`", holds) for ending, holds in endings]
    return f"""
## Vectors and labels: `text/`

What `photobeam text` makes if it is asked to; [rules and reasons](vectors_and_labels.md) stand on a page of their own.

`{GLOVE}`, float32, words × numbers of a vector: row i is the vector of the word with id i. `{COVERAGE}` says what
the file of vectors covers.

### `{DOC2VEC}/NNNNNN.parquet`

The photos of `text/NNNNNN.parquet` in the same order; here of vectors of 300 numbers.

{column_table(vectors_columns(300))}

`{DOC2VEC}/NNNNNN.npy` has the vectors of the photos, `{DOC2VEC}/NNNNNN.captions.npy` those of the captions: float32,
in the order of the table. `{model_file("model")}` is the model, as gensim saves it.

### `{labels_file("SET", 0, "*")}`

SET is {", ".join(f"`{labels}`" for labels in LABELS)}. `{classes_file("SET")}` lists the columns: `id`, `name` and
`original_id`. The photos are those of `text/NNNNNN.parquet`, in the same order.

{table(("file", "holds"), files)}

{column_table(SINGLE_COLUMNS)}
"""


def _features() -> str:
    return f"""
## Features: `features/NNNNNN.npy`, `features/NNNNNN.parquet`

What `photobeam features` makes, if it was run: of each shard with samples one row for each, in the order of the tar.
The array is float32, rows x width; the table, here of vectors of 2,048 numbers, has the same rows. Both are the same
to the last bit for the same samples, model and options, version of ONNX Runtime and CPU architecture, whatever the
workers. `{product_manifest(FEATURES)}` is written last, and is the record of all.

{column_table(feature_columns(2048))}
"""
