"""The tokens and ids of a shard's captions: one row a photo in `text/NNNNNN.parquet`, and arrays beside it."""

import dataclasses
import typing

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.list_columns import list_column
from schemas.photo_ids import key
from schemas.text_files import TOKENIZED, TOKENS_SCHEMA, ids_file, mask_file, tokens_file
from transforms.stores.output import Output
from transforms.stores.scratch import Scratch
from transforms.text.pad import cut, pad
from transforms.text.read_captions import ShardCaptions, read_captions
from transforms.text.shard_files import npy_bytes, parquet_bytes, write_shard_files
from transforms.text.text_options import TextOptions
from transforms.text.tokenizers import tokenizer
from transforms.text.vocabulary import Vocabulary, read_vocabulary

TOKENS_KIND = "tokens"
"""Of files, see :func:`transforms.text.shard_files.noted_files`."""

_OF_CAPTION = ("source", "image_id", "caption_id")


class CountedIds(typing.NamedTuple):
    """What became of the tokens of a shard or of all, those that are not counted among them.

    Attributes:
        tokens: of all captions.
        tokens_unknown: those that are not in the vocabulary.
        captions_empty: captions without a token.
        captions_cut: those that were longer than a row.
    """

    tokens: int = 0
    tokens_unknown: int = 0
    captions_empty: int = 0
    captions_cut: int = 0


@dataclasses.dataclass(frozen=True)
class WriteTokens:
    """Writes the files of a shard.

    Attributes:
        output: the dataset.
        scratch: has the vocabulary; gets what was made of each shard.
        options: which captions, and how they are cut and padded.
        nltk_data: see :func:`transforms.text.tokenizers.tokenizer`.
    """

    output: Output
    scratch: Scratch
    options: TextOptions
    nltk_data: str = ""

    def __call__(self, shard: int) -> int:
        """Writes the files; returns the number of photos."""
        found = read_captions(self.output, self.scratch, shard, self.options)
        words = list(map(tokenizer(self.options.tokenizer, self.nltk_data), found.texts()))
        vocabulary = read_vocabulary(self.options, self.scratch)
        files, counted = _files(shard, found, words, vocabulary, self.options)
        write_shard_files(self.output, self.scratch, TOKENS_KIND, shard, files, counted._asdict())
        return found.photos.num_rows


def _files(
    shard: int, found: ShardCaptions, words: list[list[str]], vocabulary: Vocabulary, options: TextOptions
) -> tuple[dict[str, bytes], CountedIds]:
    encoded = list(map(vocabulary.encode, words))
    length = options.max_tokens
    ids = [cut(row, length, options.truncating) for row in encoded] if length else encoded
    lengths, arrays = np.array([len(row) for row in ids], np.int32), dict[str, bytes]()
    if length:
        padded = pad(ids, length, options.padding)
        arrays = {ids_file(shard): npy_bytes(padded.ids), mask_file(shard): npy_bytes(padded.mask)}
        ids = list(padded.ids)
    tokens, unknown = sum(map(len, words)), vocabulary.unknown
    counted = CountedIds(
        tokens=tokens,
        tokens_unknown=tokens - sum(map(len, encoded)) if unknown is None else sum(r.count(unknown) for r in encoded),
        captions_empty=sum(not caption for caption in words),
        captions_cut=sum(len(row) > length for row in encoded) if length else 0,
    )
    return {tokens_file(shard): _table(found, words, ids, lengths), **arrays}, counted


def _table(
    found: ShardCaptions,
    words: list[list[str]],
    ids: typing.Sequence[typing.Sequence[int]],
    lengths: npt.NDArray[np.int32],
) -> bytes:
    columns = [found.captions.field(name) for name in _OF_CAPTION]
    columns += [pa.array(words, TOKENIZED.field("tokens").type), pa.array(ids, TOKENIZED.field("ids").type)]
    captions = pa.StructArray.from_arrays([*columns, pa.array(lengths)], fields=list(TOKENIZED))
    photo_ids = found.photos["photo_id"].combine_chunks()
    keys = pa.array(map(key, photo_ids.to_pylist()), pa.string())
    lists = list_column(found.row, captions, len(photo_ids))
    return parquet_bytes(pa.table([photo_ids, keys, lists], schema=TOKENS_SCHEMA))
