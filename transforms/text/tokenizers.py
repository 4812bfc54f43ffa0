"""Captions as tokens: as NLTK's ``word_tokenize`` or as Keras' ``Tokenizer`` cut them."""

import functools
import re
import types
import typing

from schemas.records import root_hash
from transforms.files.file_digest import bytes_digest
from transforms.sources.input_files import InputError

NLTK, NLTK_NO_PUNKT, KERAS = "nltk", "nltk_no_punkt", "keras"
TOKENIZERS = (NLTK, NLTK_NO_PUNKT, KERAS)
"""``word_tokenize`` of NLTK as it is, without cutting into sentences first (``preserve_line``), and Keras'."""

Tokenize = typing.Callable[[str], list[str]]

_PUNKT = "tokenizers/punkt_tab/english/"
_PUNKT_FILES = ("abbrev_types.txt", "collocations.tab", "ortho_context.tab", "sent_starters.txt")

_KERAS_FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'
_KERAS_SPACES = str.maketrans({character: " " for character in _KERAS_FILTERS})

_PLAIN = r"[^\s\x00-\x1f\x7f-\x9f\"'`.?!]"
_CHUNK = re.compile(rf"{_PLAIN}*(?:'\w{_PLAIN}*)?")
_LAST_CHUNK = re.compile(rf"{_CHUNK.pattern}[.?!]?")
_CHUNK_CHARACTERS = 64
_CHUNKS = 1 << 18
"""Longest piece that is remembered, and how many are: no more than some 50 MB a process."""


class NoNltkError(InputError):
    """NLTK or its data are not here; says how to get them."""


class _UnsafeChunk(Exception):  # noqa: N818
    """What a piece becomes depends on those around it."""


@functools.lru_cache(4)
def tokenizer(name: str, nltk_data: str = "") -> Tokenize:
    """Returns the function that cuts a caption into tokens; all of them lower it first.

    Args:
        name: one of :data:`TOKENIZERS`.
        nltk_data: folder in which NLTK looks for its data first, '' for none.

    Raises:
        NoNltkError: NLTK is not installed, or has not the data that cutting into sentences needs.
    """
    if name == KERAS:
        return keras_tokens
    nltk = _import_nltk(name, nltk_data)
    cut = functools.partial(_cut_sentence, _Chunks(_CHUNK, "x {} x"), _Chunks(_LAST_CHUNK, "x {}"))
    whole = nltk.NLTKWordTokenizer().tokenize
    if name == NLTK_NO_PUNKT:
        return lambda caption: cut(whole, caption.lower())

    def by_sentences(text: str) -> list[str]:
        return [token for sentence in nltk.sent_tokenize(text) for token in cut(whole, sentence)]

    return lambda caption: cut(by_sentences, caption.lower())


def punkt_sha256() -> str:
    """Returns one SHA-256 for NLTK's data by which :func:`tokenizer`, called before, cuts into sentences."""
    import nltk

    folder = nltk.data.find(_PUNKT)
    digests = {}
    for name in _PUNKT_FILES:
        with folder.join(name).open() as file:
            digests[name] = bytes_digest(file.read()).sha256
    return root_hash(digests)


def keras_tokens(caption: str) -> list[str]:
    """Returns the words of a caption as ``text_to_word_sequence`` of Keras 2 and 3.

    Example:
        >>> keras_tokens("A man's dog, half-way up.")
        ['a', "man's", 'dog', 'half', 'way', 'up']
    """
    return [word for word in caption.lower().translate(_KERAS_SPACES).split(" ") if word]


def _import_nltk(name: str, nltk_data: str) -> types.ModuleType:
    try:
        import nltk
    except ImportError as error:
        raise NoNltkError(f"--tokenizer {name} needs NLTK: pip install 'photobeam[text]'") from error
    if nltk_data and nltk_data not in nltk.data.path:
        nltk.data.path.insert(0, nltk_data)
    if hasattr(nltk, "redos"):
        nltk.redos.DEFAULT_TIMEOUT = None  # The default is 5 s a match: what a long caption gives may not depend on it.
    try:
        nltk.word_tokenize("a. b.", preserve_line=name == NLTK_NO_PUNKT)
    except LookupError as error:
        raise NoNltkError(
            f"--tokenizer {name} cuts captions into sentences first, and NLTK's data for that, punkt_tab, are not "
            "found: run `python -m nltk.downloader punkt_tab`, name the folder that has tokenizers/punkt_tab/ by "
            f"--nltk_data, or choose --tokenizer {NLTK_NO_PUNKT}, which does without sentences"
        ) from error
    return nltk


class _Chunks(dict[str, tuple[str, ...]]):
    """What NLTK makes of pieces between spaces that stand in a caption.

    Args:
        safe: pieces whose tokens do not depend on what is around them.
        around: a caption in which such a piece takes the place of the braces.
    """

    def __init__(self, safe: re.Pattern[str], around: str):
        from nltk.tokenize import NLTKWordTokenizer

        super().__init__({"": ()})
        self._safe, self._around, self._nltk = safe, around, NLTKWordTokenizer()
        self._last = None if around.endswith("}") else -1

    def __missing__(self, chunk: str) -> tuple[str, ...]:
        if len(chunk) > _CHUNK_CHARACTERS or not self._safe.fullmatch(chunk):
            raise _UnsafeChunk
        tokens = tuple(self._nltk.tokenize(self._around.format(chunk))[1 : self._last])
        if len(self) < _CHUNKS:
            self[chunk] = tokens
        return tokens


def _cut_sentence(chunks: _Chunks, last_chunks: _Chunks, otherwise: Tokenize, text: str) -> list[str]:
    """Cuts lower-case text as NLTK does, each piece between spaces by itself where that gives the same.

    It does where the text is one sentence, for no piece but the last has a full stop, question or exclamation mark and
    that one only as its last character; and where no piece has quotes, or apostrophes but one before a letter: NLTK
    takes others for opening or closing ones by what is around them. Elsewhere ``otherwise`` cuts it.
    """
    pieces = text.strip(" \n").split(" ")
    last, tokens = pieces.pop(), list[str]()
    try:
        for piece in pieces:
            tokens += chunks[piece]
        tokens += last_chunks[last]
    except _UnsafeChunk:
        return otherwise(text)
    return tokens
