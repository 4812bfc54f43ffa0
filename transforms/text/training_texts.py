"""The captions that a Doc2Vec model is trained with: those whose words are in the vocabulary's counts."""

import typing

from transforms.join.filter_rows import in_split
from transforms.stores.output import Output
from transforms.stores.scratch import Scratch
from transforms.text.read_captions import read_photos
from transforms.text.text_options import ALL
from transforms.text.write_doc2vec import photo_tokens, read_tokens


class TrainingTexts:
    """The tokens of each caption, in the order of shards and their tables; read from the dataset at each pass.

    Memory: a shard's tokens, and a byte for each photo.

    Args:
        output: the dataset, with tokens.
        scratch: of the run.
        shards: how many there are.
        split: whose captions are taken, ALL for those of all photos.
    """

    def __init__(self, output: Output, scratch: Scratch, shards: int, split: str):
        self._output = output
        self._wanted = [
            None if split == ALL else in_split(read_photos(output, scratch, shard, ["photo_id", "copies"]), split)
            for shard in range(shards)
        ]

    def __iter__(self) -> typing.Iterator[list[str]]:
        for shard, wanted in enumerate(self._wanted):
            photos = photo_tokens(read_tokens(self._output, shard))
            for row, captions in enumerate(photos):
                if wanted is None or wanted[row]:
                    yield from captions
