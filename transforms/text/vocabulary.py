"""The words that have ids: written for people, for readers of Parquet, and read back by the workers."""

import functools
import itertools
import json
import pathlib
import shutil
import typing

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.records import FileDigest
from schemas.text_files import SPECIAL_WORDS, VOCABULARY, VOCABULARY_JSON, VOCABULARY_SCHEMA, VOCABULARY_TXT
from transforms.files.file_digest import file_digest
from transforms.files.publish import staged_as
from transforms.stores.output import Output
from transforms.stores.scratch import Scratch
from transforms.text.count_words import Word
from transforms.text.text_options import TextOptions
from transforms.text.tokenizers import KERAS

_, START, END, UNKNOWN = SPECIAL_WORDS

_ROWS = 10_000
_FIRST_OF_KERAS = 1


class Vocabulary(typing.NamedTuple):
    """Ids of words.

    Attributes:
        ids: of the words.
        unknown: id of any other word; None where others are left out.
        before, after: ids that stand around each caption.
    """

    ids: typing.Mapping[str, int]
    unknown: int | None
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()

    def encode(self, tokens: typing.Iterable[str]) -> list[int]:
        """Returns the ids of a caption."""
        id_of, unknown = self.ids.get, self.unknown
        if unknown is None:
            return [id_ for id_ in map(id_of, tokens) if id_ is not None]
        return [*self.before, *[id_of(token, unknown) for token in tokens], *self.after]


class WrittenVocabulary(typing.NamedTuple):
    """The vocabulary's files.

    Attributes:
        words: how many there are, special ones left out.
        tokens: how often these were counted, together.
        files: by name in the dataset.
    """

    words: int
    tokens: int
    files: dict[str, FileDigest]


def special_words(options: TextOptions) -> list[tuple[int, str]]:
    """Returns the words that captions do not have, with their ids; Keras keeps 0 for padding, without a word."""
    if options.tokenizer == KERAS:
        return [(1, options.oov_token)] if options.oov_token else []
    return list(enumerate(SPECIAL_WORDS))


def write_vocabulary(
    words: typing.Iterable[Word], options: TextOptions, output: Output, scratch: Scratch, folder: pathlib.Path | None
) -> WrittenVocabulary:
    """Gives words ids in their order, and writes them as Parquet, JSON and plain text; holds a few of them at a time.

    Args:
        words: the most frequent first; not one of the special ones.
        options: decide which special words come first.
        output: the dataset.
        scratch: gets the Parquet file, for the workers.
        folder: as of :func:`transforms.files.publish.staged_as`.
    """
    with scratch.writing(VOCABULARY) as path:
        number, tokens = _write_parquet(words, special_words(options), path)
    files: dict[str, FileDigest] = {}
    with scratch.reading(VOCABULARY) as path:
        for name, write in _FORMATS.items():
            with staged_as(folder, pathlib.PurePath(name).name) as staged:
                write(path, staged)
                files[name] = file_digest(staged)
                output.publish(staged, name)
    return WrittenVocabulary(number, tokens, files)


def read_vocabulary(options: TextOptions, scratch: Scratch) -> Vocabulary:
    """Returns the vocabulary that :func:`write_vocabulary` left in the scratch; read once a process."""
    ids = _read_ids(scratch)
    if options.tokenizer == KERAS:
        return Vocabulary(ids, ids[options.oov_token] if options.oov_token else None)
    around = ((ids[START],), (ids[END],)) if options.start_end else ((), ())
    return Vocabulary(ids, ids[UNKNOWN], *around)


@functools.lru_cache(1)
def _read_ids(scratch: Scratch) -> dict[str, int]:
    table = pq.read_table(scratch.local(VOCABULARY), columns=["id", "word"])
    return dict(zip(table["word"].to_pylist(), table["id"].to_pylist(), strict=True))


def _write_parquet(
    words: typing.Iterable[Word], special: typing.Sequence[tuple[int, str]], path: pathlib.Path
) -> tuple[int, int]:
    """Writes the table; returns how many words there are that are not special, and the sum of their counts."""
    number, tokens, first = 0, 0, special[-1][0] + 1 if special else _FIRST_OF_KERAS
    with pq.ParquetWriter(path, VOCABULARY_SCHEMA, compression="zstd") as writer:
        writer.write_table(_table([(id_, word, 0) for id_, word in special]))
        remaining = iter(words)
        while some := list(itertools.islice(remaining, _ROWS)):
            writer.write_table(_table([(first + number + i, *word) for i, word in enumerate(some)]))
            number, tokens = number + len(some), tokens + sum(word.times for word in some)
    return number, tokens


def _table(rows: typing.Sequence[tuple[int, str, int]]) -> pa.Table:
    return pa.Table.from_pylist(
        [dict(zip(VOCABULARY_SCHEMA.names, row, strict=True)) for row in rows], VOCABULARY_SCHEMA
    )


def _copy(table: pathlib.Path, path: pathlib.Path) -> None:
    shutil.copyfile(table, path)


def _write_json(table: pathlib.Path, path: pathlib.Path) -> None:
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        between = "{\n"
        for id_, word in _words(table):
            file.write(f"{between}{json.dumps(word, ensure_ascii=False)}: {id_}")
            between = ",\n"
        file.write("\n}\n")


def _write_txt(table: pathlib.Path, path: pathlib.Path) -> None:
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{word}\n" for _, word in _words(table))


def _words(table: pathlib.Path) -> typing.Iterator[tuple[int, str]]:
    with pq.ParquetFile(table) as file:
        for batch in file.iter_batches(_ROWS, columns=["id", "word"]):
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


_FORMATS = {VOCABULARY: _copy, VOCABULARY_JSON: _write_json, VOCABULARY_TXT: _write_txt}
