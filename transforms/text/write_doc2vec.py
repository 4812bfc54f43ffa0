"""Vectors of the captions and photos of a shard, by a Doc2Vec model that lies in the dataset."""

import dataclasses
import functools
import itertools
import pathlib
import tempfile
import threading
import typing

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.columns import schema_of, vector_of
from schemas.records import FileDigest
from schemas.text_files import tokens_file
from schemas.vector_files import (
    DOC2VEC,
    caption_vectors_file,
    model_file,
    photo_vectors_file,
    vectors_columns,
    vectors_file,
)
from transforms.files.file_digest import file_digest
from transforms.files.read_parquet import read_parquet
from transforms.stores.dataset_files import DatasetFiles
from transforms.stores.output import Output
from transforms.stores.request_signers import S3Options
from transforms.stores.scratch import Scratch
from transforms.text.doc2vec import infer
from transforms.text.doc2vec_file import MODEL, load_model
from transforms.text.shard_files import npy_bytes, parquet_bytes, write_shard_files

if typing.TYPE_CHECKING:
    from gensim.models.doc2vec import Doc2Vec

DOC2VEC_KIND = "doc2vec"
"""Of files, see :func:`transforms.text.shard_files.noted_files`."""

_ONE_AT_A_TIME = threading.Lock()
"""A model draws from one generator, whichever thread asks."""

Tokens = list[str]
Vectors = npt.NDArray[np.float32]


def publish_model(folder: pathlib.Path, output: Output) -> dict[str, FileDigest]:
    """Moves a model, saved under the name MODEL, into the dataset; returns its files by name."""
    files = {}
    for path in sorted(folder.iterdir()):
        name = model_file(path.name)
        files[name] = file_digest(path)
        output.publish(path, name)
    return files


@dataclasses.dataclass(frozen=True)
class InferVectors:
    """Writes the vectors of a shard.

    The vector of a photo is that of all its captions as one text, in their order; of no token it is zeros.

    Attributes:
        output: the dataset, with tokens and model.
        scratch: gets what was made of each shard.
        model: names of the model's files.
        sha256: of the first of these, its pickle.
    """

    output: Output
    scratch: Scratch
    model: tuple[str, ...]
    sha256: str

    def __call__(self, shard: int) -> int:
        """Writes the files; returns the number of photos."""
        model = _model(self.output.root, self.output.s3, self.model, self.sha256)
        table = read_tokens(self.output, shard)
        photos = photo_tokens(table)
        captions = [caption for photo in photos for caption in photo]
        of_captions = _vectors(model, captions)
        of_photos = _vectors(model, [list(itertools.chain.from_iterable(photo)) for photo in photos])
        files = {
            vectors_file(shard): parquet_bytes(_table(table, photos, of_photos, of_captions)),
            photo_vectors_file(shard): npy_bytes(of_photos),
            caption_vectors_file(shard): npy_bytes(of_captions),
        }
        known = model.wv.key_to_index
        counts = {"doc2vec_unknown_tokens": sum(token not in known for caption in captions for token in caption)}
        write_shard_files(self.output, self.scratch, DOC2VEC_KIND, shard, files, counts)
        return table.num_rows


def read_tokens(output: DatasetFiles, shard: int) -> pa.Table:
    """Reads the table of a shard's tokens."""
    return read_parquet(output.read(tokens_file(shard)))


def photo_tokens(table: pa.Table) -> list[list[Tokens]]:
    """Returns the tokens of each caption of each photo."""
    lists = table["captions"].combine_chunks()
    tokens = lists.flatten().field("tokens").to_pylist()
    ends = np.cumsum(lists.value_lengths().to_numpy()).tolist()
    return [tokens[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


def _vectors(model: "Doc2Vec", texts: list[Tokens]) -> Vectors:
    vectors = np.zeros((len(texts), model.dv.vector_size), np.float32)
    for row, tokens in enumerate(texts):
        with _ONE_AT_A_TIME:
            vectors[row] = infer(model, tokens)
    return vectors


def _table(table: pa.Table, photos: list[list[Tokens]], of_photos: Vectors, of_captions: Vectors) -> pa.Table:
    type_ = vector_of(of_photos.shape[1])
    fixed = [pa.FixedSizeListArray.from_arrays(pa.array(v.reshape(-1)), type=type_) for v in (of_photos, of_captions)]
    offsets = np.cumsum([0, *map(len, photos)], dtype=np.int32)
    captions = pa.ListArray.from_arrays(pa.array(offsets), fixed[1])
    return pa.table(
        [table["photo_id"], table["key"], fixed[0], captions], schema=schema_of(vectors_columns(type_.list_size))
    )


@functools.lru_cache(1)
def _model(root: str, s3: S3Options, names: tuple[str, ...], sha256: str) -> "Doc2Vec":
    """Loads a model, once a process; ``sha256``, of its pickle, tells it from others that were at this place."""
    with tempfile.TemporaryDirectory(prefix="photobeam-doc2vec-") as folder:
        for name in names:
            DatasetFiles(root, s3).download(name, pathlib.Path(folder, name.removeprefix(f"{DOC2VEC}/")))
        return load_model(pathlib.Path(folder, MODEL), f"{root}/{model_file(MODEL)}")
