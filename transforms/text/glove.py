"""Word vectors in the order of a vocabulary: only those of its words are parsed and kept, the others just counted."""

import enum
import hashlib
import typing

import numpy as np
import numpy.typing as npt

from transforms.text.vector_lines import VectorLines

_ROWS_AT_ONCE = 1 << 14

Matrix = npt.NDArray[np.float32]
Moment = npt.NDArray[np.float64]


class UnknownWords(str, enum.Enum):
    """What the rows of words are that the file does not have.

    Mean is that of the rows that were found. Normal draws each component from a normal distribution with the mean and
    standard deviation which it has in the rows that were found; the draw depends on seed and word alone.
    """

    ZEROS = "zeros"
    MEAN = "mean"
    NORMAL = "normal"


class FileCounts(typing.NamedTuple):
    """What the lines of a file were.

    Attributes:
        lines: of vectors, a header left out.
        duplicates: lines of a word of the vocabulary that had one before; the first one counts.
        bad_utf8: lines whose word is not valid UTF-8; no word of a vocabulary is such.
        is_unended: whether the last line has no line end; the file may be cut within its last number.
    """

    lines: int
    duplicates: int
    bad_utf8: int
    is_unended: bool


class FoundVectors(typing.NamedTuple):
    """Vectors of a vocabulary.

    Attributes:
        matrix: shape (words, numbers of a vector); rows of words that were not found are zeros.
        is_found: of each word.
        counts: of the file.
    """

    matrix: Matrix
    is_found: npt.NDArray[np.bool_]
    counts: FileCounts


def find_vectors(file: typing.BinaryIO, words: typing.Sequence[str], name: str) -> FoundVectors:
    r"""Finds the vectors of words.

    Args:
        file: of vectors, unpacked, at its begin.
        words: all different.
        name: of the file, for messages.

    Returns:
        Row i is the vector of word i.

    Raises:
        VectorFileError: the file is cut, or is no text of vectors, all with as many numbers.

    Example:
        >>> import io
        >>> found = find_vectors(io.BytesIO(b"the 0.5 1\n. . 2 3\n"), ["the", "cat", ". ."], "glove.txt")
        >>> found.matrix.tolist(), found.is_found.tolist()
        ([[0.5, 1.0], [0.0, 0.0], [2.0, 3.0]], [True, False, True])
    """
    lines = VectorLines(file, name)
    rows = {word.encode(errors="surrogatepass"): row for row, word in enumerate(words)}
    matrix, is_found = np.zeros((len(words), lines.dim), np.float32), np.zeros(len(words), np.bool_)
    duplicates = bad_utf8 = 0
    for line in lines:
        row = rows.get(line.word)
        if row is None:
            bad_utf8 += not (line.word.isascii() or _is_utf8(line.word))
        elif is_found[row]:
            duplicates += 1
        else:
            matrix[row], is_found[row] = lines.numbers(line), True
    return FoundVectors(matrix, is_found, FileCounts(lines.count, duplicates, bad_utf8, lines.is_unended))


def fill_unknown(found: FoundVectors, words: typing.Sequence[str], policy: UnknownWords, seed: int) -> Matrix:
    """Gives rows to the words that were not found; if none was, they stay zeros.

    Args:
        found: what the file has; its matrix is changed.
        words: those of the matrix.
        policy: what the rows become.
        seed: of :attr:`UnknownWords.NORMAL`.

    Returns:
        The matrix of ``found``.
    """
    if policy is UnknownWords.ZEROS or not found.is_found.any():
        return found.matrix
    mean, deviation = _moments(found.matrix, found.is_found)
    for row in np.flatnonzero(~found.is_found).tolist():
        drawn = _draw(words[row], seed, len(mean)) if policy is UnknownWords.NORMAL else np.zeros(len(mean))
        found.matrix[row] = mean + deviation * drawn
    return found.matrix


def _is_utf8(word: bytes) -> bool:
    try:
        word.decode()
    except UnicodeDecodeError:
        return False
    return True


def _moments(matrix: Matrix, wanted: npt.NDArray[np.bool_]) -> tuple[Moment, Moment]:
    """Returns mean and standard deviation of each component over some rows."""
    sums, squares = np.zeros((2, matrix.shape[1]))
    for begin in range(0, len(matrix), _ROWS_AT_ONCE):
        rows = matrix[begin : begin + _ROWS_AT_ONCE][wanted[begin : begin + _ROWS_AT_ONCE]].astype(np.float64)
        sums += rows.sum(axis=0)
        squares += (rows**2).sum(axis=0)
    mean = sums / wanted.sum()
    return mean, np.sqrt(np.maximum(squares / wanted.sum() - mean**2, 0))


def _draw(word: str, seed: int, dim: int) -> Moment:
    digest = hashlib.sha256(word.encode(errors="surrogatepass")).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "big")]).standard_normal(dim)
