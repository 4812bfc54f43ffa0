"""What `photobeam text` is asked for: the same options give the same files."""

import dataclasses
import typing

ALL = "all"
"""Of splits: the photos of all of them, and of none."""

AUTO = "auto"
"""The train split if any photo has a split, else all photos."""

PRE, POST = "pre", "post"
"""Which end of a row is padded, or cut."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextOptions:
    """Decides what is in the files.

    Attributes:
        tokenizer: one of :data:`transforms.text.tokenizers.TOKENIZERS`.
        caption_source: whose captions are taken; () for those of all sources.
        lemmas: take Flickr8k's lemmatised captions in place of the others.
        vocabulary_split: whose words are counted: AUTO, ALL or a split.
        min_count: words that are rarer are unknown.
        max_words: how many words are known at most, the most frequent; None for all.
        oov_token: stands for unknown words with Keras' tokenizer; None leaves these out, as Keras does.
        start_end: put ``<start>`` and ``<end>`` around each caption.
        max_tokens: length of a row of ids; None leaves them as long as they are.
        padding, truncating: PRE or POST.
    """

    tokenizer: str
    caption_source: tuple[str, ...] = ()
    lemmas: bool = False
    vocabulary_split: str = AUTO
    min_count: int = 1
    max_words: int | None = None
    oov_token: str | None = None
    start_end: bool = False
    max_tokens: int | None = None
    padding: str = PRE
    truncating: str = PRE

    def as_json(self) -> dict[str, typing.Any]:
        """Returns the options as a record has them."""
        return {**dataclasses.asdict(self), "caption_source": list(self.caption_source)}
