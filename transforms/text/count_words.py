"""How often each word is in the captions of a shard, and in those of all: on disk where memory is too small."""

import collections
import concurrent.futures
import contextlib
import dataclasses
import glob
import itertools
import json
import pathlib
import typing

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from schemas import layout
from transforms.files.publish import staging_in
from transforms.join.filter_rows import in_split
from transforms.stores.output import Output
from transforms.stores.scratch import Scratch
from transforms.text.read_captions import read_captions
from transforms.text.text_options import ALL, AUTO, TextOptions
from transforms.text.tokenizers import KERAS, tokenizer

TRAIN = "train"

MEMORY = "1GB"
"""Of the words of all shards together; what is more goes to disk."""

_FILES_AT_ONCE = 16
_ROWS_AT_A_TIME = 10_000
_PLACES = 1 << 32
"""More than a shard has words."""

_SCHEMA = pa.schema([("word", pa.string()), ("count", pa.int64()), ("first", pa.int64())])


class CountedCaptions(typing.NamedTuple):
    """What captions were read, of a shard or of all.

    Attributes:
        photos: whose captions were looked for: samples, or rows where there are no images.
        photos_without_captions: those among them that have none.
        photos_with_split: those of any split.
        captions: that are cut into tokens.
        captions_left_out: of other sources, or lemmas.
        captions_counted: those whose words are in the vocabulary.
        tokens_counted: words of these.
    """

    photos: int = 0
    photos_without_captions: int = 0
    photos_with_split: int = 0
    captions: int = 0
    captions_left_out: int = 0
    captions_counted: int = 0
    tokens_counted: int = 0


class CountedWords(typing.NamedTuple):
    """The words of a dataset.

    Attributes:
        split: whose words were counted, ALL for those of all photos.
        captions: what was read.
        distinct: how many different words there are, the rare ones among them.
        most: how often the most frequent one was counted.
    """

    split: str
    captions: CountedCaptions
    distinct: int
    most: int


class Word(typing.NamedTuple):
    """A word, and how often it was counted."""

    word: str
    times: int


@dataclasses.dataclass(frozen=True)
class CountWords:
    """Counts the words of a shard.

    Attributes:
        output: the dataset.
        scratch: gets two files for each shard: its words, and its :class:`CountedCaptions`.
        options: which captions, and how they are cut.
        nltk_data: see :func:`transforms.text.tokenizers.tokenizer`.
    """

    output: Output
    scratch: Scratch
    options: TextOptions
    nltk_data: str = ""

    def __call__(self, shard: int) -> int:
        """Counts the words of a shard's captions; returns the number of its photos."""
        cut = tokenizer(self.options.tokenizer, self.nltk_data)
        found = read_captions(self.output, self.scratch, shard, self.options)
        is_counted = _counted_photos(found.photos, self.options.vocabulary_split)[found.row]
        words = collections.Counter[str]()
        for text in itertools.compress(found.texts(), is_counted.tolist()):
            words.update(cut(text))
        counted = CountedCaptions(
            photos=found.photos.num_rows,
            photos_without_captions=found.photos.num_rows - len(np.unique(found.row)),
            photos_with_split=int(in_split(found.photos).sum()),
            captions=len(found.captions),
            captions_left_out=found.left_out,
            captions_counted=int(is_counted.sum()),
            tokens_counted=words.total(),
        )
        with self.scratch.writing(_words_name(shard)) as path:
            first = np.arange(len(words), dtype=np.int64) + shard * _PLACES
            pq.write_table(pa.table([list(words), list(words.values()), first], schema=_SCHEMA), path)
        with self.scratch.writing(_counts_name(shard)) as path:
            path.write_text(json.dumps(counted))
        return found.photos.num_rows


@contextlib.contextmanager
def merged_words(
    scratch: Scratch, shards: int, options: TextOptions, folder: pathlib.Path | None
) -> typing.Iterator[tuple[CountedWords, typing.Iterator[Word]]]:
    """Puts the words of all shards together, for the length of a ``with`` block.

    Args:
        scratch: has what :class:`CountWords` wrote.
        shards: how many there are.
        options: which words stay.
        folder: for what does not fit into memory, as of :func:`transforms.files.publish.staged_as`.

    Raises:
        OSError: a file of the scratch cannot be read, or the words need more room than there is.

    Yields:
        What was counted, and the words that stay, the most frequent first. Of those that are as frequent as each other
        the smaller one by its code points comes first; with Keras' tokenizer the one that is met first, as there.
    """
    counts = scratch.read_files(map(_counts_name, range(shards)))
    of_shards = [CountedCaptions(*json.loads(of_shard)) for of_shard in counts]
    with contextlib.ExitStack() as files, concurrent.futures.ThreadPoolExecutor(_FILES_AT_ONCE) as threads:
        read = lambda name: files.enter_context(scratch.reading(name))  # noqa: E731
        has_splits = any(of_shard.photos_with_split for of_shard in of_shards)
        split = (TRAIN if has_splits else ALL) if options.vocabulary_split == AUTO else options.vocabulary_split
        skip = options.vocabulary_split == AUTO and split != ALL  # A shard without splits has counted all its words.
        counted = [i for i, of_shard in enumerate(of_shards) if of_shard.photos_with_split or not skip]
        paths = list(threads.map(read, map(_words_name, counted)))
        overflow = files.enter_context(staging_in(folder, "duckdb-"))
        with _connected(overflow) as connection, _told():
            connection.execute(_MERGE.format(files=", ".join(_quoted(glob.escape(str(path))) for path in paths)))
            [(distinct, most)] = connection.execute("SELECT count(*), coalesce(max(count), 0) FROM words").fetchall()
            captions = _summed(of_shards, frozenset(counted))
            yield CountedWords(split, captions, distinct, most), _kept_words(connection, options)


_MERGE = (
    "CREATE TABLE words AS SELECT word, sum(count)::BIGINT AS count, min(first) AS first "
    "FROM read_parquet([{files}]) GROUP BY word"
)


def _kept_words(connection: duckdb.DuckDBPyConnection, options: TextOptions) -> typing.Iterator[Word]:
    order = "first" if options.tokenizer == KERAS else "word"
    limit = "" if options.max_words is None else f"LIMIT {options.max_words}"
    rows = connection.execute(
        f"SELECT word, count FROM words WHERE count >= {options.min_count} ORDER BY count DESC, {order} {limit}"
    )
    while some := rows.fetchmany(_ROWS_AT_A_TIME):
        yield from map(Word._make, some)


@contextlib.contextmanager
def _connected(overflow: pathlib.Path) -> typing.Iterator[duckdb.DuckDBPyConnection]:
    config = {"memory_limit": MEMORY, "temp_directory": str(overflow), "threads": 2}
    with contextlib.closing(duckdb.connect(config=config)) as connection:
        yield connection


@contextlib.contextmanager
def _told() -> typing.Iterator[None]:
    """Turns what DuckDB says into an error that the operator can mend."""
    try:
        yield
    except duckdb.Error as error:
        what = str(error).partition("\n")[0]
        raise OSError(f"the words of all shards cannot be put together: {what}; make room below the output") from error


def _counted_photos(photos: pa.Table, split: str) -> npt.NDArray[np.bool_]:
    """Tells which photos' words are counted; by AUTO all where none of the shard has a split, for none may have one."""
    if split == ALL or (split == AUTO and not in_split(photos).any()):
        return np.ones(photos.num_rows, np.bool_)
    return in_split(photos, TRAIN if split == AUTO else split)


def _summed(of_shards: typing.Sequence[CountedCaptions], counted: frozenset[int]) -> CountedCaptions:
    """Adds up what was read; what was counted only of those shards whose words are taken."""
    taken = [
        one if shard in counted else one._replace(captions_counted=0, tokens_counted=0)
        for shard, one in enumerate(of_shards)
    ]
    return CountedCaptions(*map(sum, zip(*taken, strict=True)))


def _words_name(shard: int) -> str:
    return f"words/{layout.shard_name(shard)}.parquet"


def _counts_name(shard: int) -> str:
    return f"words/{layout.shard_name(shard)}.json"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
