"""The words of all shards together."""

import pathlib

import pytest

from tests.captioned_photos import make_captioned
from transforms.datasets.finished_dataset import open_finished
from transforms.datasets.shard_sources import note_sources
from transforms.stores.output import LocalOutput
from transforms.stores.scratch import LocalScratch
from transforms.text.count_words import CountWords, merged_words
from transforms.text.text_options import TextOptions


def test_words_that_cannot_be_put_together_are_no_traceback(tmp_path: pathlib.Path) -> None:
    root, scratch = make_captioned(tmp_path / "out", {1: ["a dog"], 2: ["a cat"]}, {}, ()), LocalScratch(tmp_path / "s")
    note_sources(open_finished(str(root)).sha256, scratch)
    options = TextOptions(tokenizer="keras")
    for shard in range(2):
        CountWords(LocalOutput(root), scratch, options)(shard)
    with merged_words(scratch, 2, options, tmp_path) as (counted, words):
        assert (counted.distinct, [word.word for word in words][0]) == (3, "a")
    (tmp_path / "s/words/000001.parquet").write_bytes(b"cut")
    with (
        pytest.raises(OSError, match="the words of all shards cannot be put together: .*make room below the output"),
        merged_words(scratch, 2, options, tmp_path),
    ):
        pass
