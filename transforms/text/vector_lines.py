"""The lines of a text file of word vectors: a word and d numbers, with single spaces.

Of glove.840B some words have spaces themselves, so that the last d fields are the vector. word2vec's text form has a
first line, "words d".
"""

import typing

import numpy as np
import numpy.typing as npt

from transforms.text.vector_file import VectorFileError

_MAX_LINE_BYTES = 1 << 20
_NO_VECTORS = "not a file of word vectors: each line is a word and its numbers"


class VectorLine(typing.NamedTuple):
    """A line that has enough fields.

    Attributes:
        number: of the line in the file, from 1; lines that are empty count.
        word: bytes before the vector.
        vector: bytes of the vector, its numbers not parsed yet.
    """

    number: int
    word: bytes
    vector: bytes


class VectorLines:
    """The lines of a file, each checked to have as many fields as the first; one pass.

    Args:
        file: unpacked, at its begin.
        name: of the file, for messages.

    Attributes:
        dim: numbers of a vector.
        count: vectors read so far.
        is_unended: whether the last line read has no line end.

    Raises:
        VectorFileError: it is empty or no text, or, while it is read, a line is cut or has another number of fields.
    """

    def __init__(self, file: typing.BinaryIO, name: str):
        self._file, self._name = file, name
        self.count, self.is_unended, self._number = 0, False, 0
        self._first = self._next()
        self._stated = _header(self._first)
        self.dim = self._stated[1] if self._stated else self._first.count(b" ")
        if self.dim < 1:
            raise self.error(max(1, self._number), _NO_VECTORS)

    def __iter__(self) -> typing.Iterator[VectorLine]:
        dim = self.dim
        line = self._next() if self._stated else self._first
        while line:
            self.count += 1
            spaces = line.count(b" ")
            if spaces == dim:
                word, _, vector = line.partition(b" ")
            elif spaces > dim:
                word, vector = self._split_spaced(line)
            else:
                raise self.error(self._number, self._too_few(spaces))
            yield VectorLine(self._number, word, vector)
            line = self._next()
        if self._stated and self.count < self._stated[0]:
            raise VectorFileError(
                f"{self._name}: has {self.count:,} of the {self._stated[0]:,} words that its first line states: it is "
                "cut; fetch it again"
            )

    def numbers(self, line: VectorLine) -> npt.NDArray[np.float32]:
        """Parses the vector of a line; as doubles that are rounded, as gensim does.

        Raises:
            VectorFileError: a field is no finite number.
        """
        try:
            with np.errstate(over="ignore"):
                vector = np.array([float(field) for field in line.vector.split(b" ")], np.float32)
        except ValueError as error:
            if self.count <= 1:
                raise self.error(line.number, _NO_VECTORS) from error
            raise self.error(line.number, f"{error}; save or fetch the file again") from error
        if not np.isfinite(vector).all():
            raise self.error(line.number, "a number is infinite or none; save or fetch the file again")
        return vector

    def error(self, line: int, problem: str) -> VectorFileError:
        """Returns the error that says what is wrong in a line."""
        return VectorFileError(f"{self._name}: line {line:,}: {problem}")

    def _next(self) -> bytes:
        """Returns the next line without its end, or nothing at the end of the file; lines that are empty are none."""
        while line := self._file.readline(_MAX_LINE_BYTES):
            self._number += 1
            self.is_unended = not line.endswith(b"\n")
            if self.is_unended and len(line) == _MAX_LINE_BYTES:
                raise self.error(self._number, f"is longer than {_MAX_LINE_BYTES:,} bytes: no text of vectors")
            if line := line.rstrip(b" \r\n"):
                return line
        return b""

    def _split_spaced(self, line: bytes) -> tuple[bytes, bytes]:
        """Splits a line whose word has spaces; if the word goes on with numbers alone, vectors are longer here."""
        fields = line.split(b" ")
        extra = len(fields) - self.dim
        if all(map(_is_number, fields[1:extra])):
            raise self.error(self._number, f"has {len(fields) - 1} numbers, the lines before have {self.dim}")
        return b" ".join(fields[:extra]), b" ".join(fields[extra:])

    def _too_few(self, numbers: int) -> str:
        if self.is_unended:
            return f"ends after {numbers} of {self.dim} numbers: the file is cut; fetch it again"
        return f"has {numbers} numbers, the lines before have {self.dim}"


def _header(line: bytes) -> tuple[int, int] | None:
    """Returns words and numbers a vector as word2vec's first line states them; None if the line is a vector."""
    fields = line.split(b" ")
    return (int(fields[0]), int(fields[1])) if len(fields) == 2 and all(map(bytes.isdigit, fields)) else None


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True
