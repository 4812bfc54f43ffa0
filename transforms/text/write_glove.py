"""The matrix of a vocabulary's vectors, and the report of how much of the vocabulary the file covers."""

import dataclasses
import itertools
import json
import pathlib
import typing

import numpy as np
import pyarrow as pa

from schemas.records import FileDigest
from schemas.vector_files import COVERAGE, GLOVE
from transforms.files.file_digest import bytes_digest, file_digest
from transforms.files.publish import staged_as
from transforms.files.url_credentials import without_credentials
from transforms.stores.output import Output
from transforms.stores.request_signers import S3Options
from transforms.text.glove import FoundVectors, UnknownWords, fill_unknown, find_vectors
from transforms.text.vector_file import open_vectors
from transforms.text.vector_lines import VectorLines

MOST_FREQUENT = 100
"""Words that the file does not have, which the report names."""

_NO_WORD = "\n"
"""Is in no file of vectors: each of its lines ends there."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class GloveOptions:
    """Where vectors are from, and what words without one get.

    Attributes:
        url: of the file, see :func:`transforms.text.vector_file.open_vectors`.
        unknown_words: rows of words that the file does not have.
        seed: of :attr:`UnknownWords.NORMAL`.
    """

    url: str
    unknown_words: UnknownWords = UnknownWords.ZEROS
    seed: int = 1

    @property
    def name(self) -> str:
        """The URL as it may be told."""
        return without_credentials(self.url)


class Coverage(typing.NamedTuple):
    """How much of a vocabulary a file covers; special words count neither as found nor as missing.

    Attributes:
        glove_words_found, glove_words_missing: words of the vocabulary.
        glove_tokens_found: how often the words that were found were counted.
        glove_tokens: words of all captions that were counted, those out of the vocabulary as well.
        glove_lines, glove_duplicates, glove_bad_utf8, glove_is_unended: see :class:`transforms.text.glove.FileCounts`.
    """

    glove_words_found: int
    glove_words_missing: int
    glove_tokens_found: int
    glove_tokens: int
    glove_lines: int
    glove_duplicates: int
    glove_bad_utf8: int
    glove_is_unended: int


def check_vectors(options: GloveOptions, s3: S3Options) -> None:
    """Looks whether a file begins as one of vectors, by its first vector.

    Raises:
        VectorFileError: it does not.
    """
    with open_vectors(options.url, s3) as file:
        lines = VectorLines(file, options.name)
        for line in itertools.islice(lines, 1):
            lines.numbers(line)


def write_glove(
    vocabulary: pa.Table, tokens: int, options: GloveOptions, output: Output, folder: pathlib.Path | None
) -> tuple[dict[str, FileDigest], Coverage]:
    """Writes the matrix, float32, whose row i is the vector of the word with id i; row 0, of padding, is zeros.

    Memory: the matrix.

    Args:
        vocabulary: ``id``, ``word`` and ``count``, in order of ids, which end with no gap; special words have count 0.
        tokens: words of all captions that were counted.
        options: where vectors are from.
        output: the dataset.
        folder: as of :func:`transforms.files.publish.staged_as`.

    Returns:
        The files by name, and the coverage.

    Raises:
        VectorFileError: the file is damaged.
    """
    without = vocabulary["id"][0].as_py() if vocabulary.num_rows else 0
    words = [*[_NO_WORD] * without, *vocabulary["word"].to_pylist()]
    with open_vectors(options.url, output.s3) as file:
        found = find_vectors(file, words, options.name)
    coverage, missing = _coverage(found, without, vocabulary, tokens)
    matrix = fill_unknown(found, words, options.unknown_words, options.seed)
    matrix[:1] = 0
    with staged_as(folder, "glove.npy") as staged:
        with open(staged, "wb") as written:
            np.save(written, matrix, allow_pickle=False)
        files = {GLOVE: file_digest(staged)}
        output.publish(staged, GLOVE)
    report = _report(options, matrix.shape[1], coverage, missing)
    output.write(COVERAGE, report)
    return {**files, COVERAGE: bytes_digest(report)}, coverage


def _coverage(found: FoundVectors, without: int, vocabulary: pa.Table, tokens: int) -> tuple[Coverage, list[str]]:
    """Returns the coverage, and the most frequent words of captions that are missing."""
    times = vocabulary["count"].to_numpy()
    is_found, is_word = found.is_found[without:], times > 0
    missing = vocabulary["word"].filter(pa.array(is_word & ~is_found))
    coverage = Coverage(
        int((is_word & is_found).sum()),
        len(missing),
        int(times[is_found].sum()),
        tokens,
        found.counts.lines,
        found.counts.duplicates,
        found.counts.bad_utf8,
        int(found.counts.is_unended),
    )
    return coverage, missing[:MOST_FREQUENT].to_pylist()


def _report(options: GloveOptions, dim: int, coverage: Coverage, missing: list[str]) -> bytes:
    values = {name.removeprefix("glove_"): value for name, value in coverage._asdict().items()}
    values["is_unended"] = bool(values["is_unended"])
    report = {
        "file": options.name,
        "dim": dim,
        "unknown_words": options.unknown_words.value,
        "seed": options.seed,
        **values,
        "share_of_words": _share(coverage.glove_words_found, coverage.glove_words_found + coverage.glove_words_missing),
        "share_of_tokens": _share(coverage.glove_tokens_found, coverage.glove_tokens),
        "most_frequent_missing": missing,
    }
    return (json.dumps(report, indent=1, ensure_ascii=False) + "\n").encode()


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
