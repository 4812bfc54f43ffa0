"""The flags of `photobeam text`."""

import argparse

from beam_jobs.building.build_flags import add_worker_flags
from beam_jobs.command.errors import UsageError
from beam_jobs.command.flags import FlagParser, positive
from beam_jobs.command.store_flags import add_store_flags
from beam_jobs.text.label_flags import add_label_flags
from beam_jobs.text.text_into_shards import FLAG, check_flags
from beam_jobs.text.vector_flags import add_vector_flags
from schemas.sample_members import CLASS, TOKENS
from schemas.sources import Source
from schemas.splits import UnknownSplitError, read_split
from transforms.text.text_options import ALL, AUTO, POST, PRE, TextOptions
from transforms.text.tokenizers import KERAS, NLTK, TOKENIZERS, keras_tokens

_MAX_TOKENS = 100_000


def add_text_flags(parser: FlagParser) -> None:
    """Adds the flags of all products, and those of the run."""
    parser.add_argument("dataset", metavar="OUT", help="the dataset: a finished build or join")
    _add_caption_flags(parser)
    _add_vocabulary_flags(parser)
    _add_id_flags(parser)
    add_vector_flags(parser)
    add_label_flags(parser)
    parser.add_argument(
        FLAG,
        action="store_true",
        help=f"put the ids into the samples too, as `{TOKENS}` of captions x --max_tokens, and the class as `{CLASS}` "
        "if each photo has one in the one set of --labels: shards are written again",
    )
    run = add_worker_flags(parser)
    run.add_argument("--overwrite", action="store_true", help="make OUT/text anew, whatever is there")
    add_store_flags(parser)


def text_options(flags: argparse.Namespace) -> TextOptions:
    """Returns what the flags ask for.

    Raises:
        UsageError: flags that do not go together.
    """
    is_keras = flags.tokenizer == KERAS
    if flags.into_shards:
        check_flags(flags.max_tokens, flags.labels)
    if flags.oov_token is not None and not is_keras:
        raise UsageError(f"--oov_token is for --tokenizer {KERAS}: the others have <unk>; leave it out")
    if flags.start_end and is_keras:
        raise UsageError(f"--start_end: the vocabulary of --tokenizer {KERAS} has no <start> and <end>; leave it out")
    if (flags.max_tokens or 0) > _MAX_TOKENS:
        raise UsageError(f"--max_tokens {flags.max_tokens}: give at most {_MAX_TOKENS}; all rows are that long")
    if flags.oov_token == "" or (flags.oov_token and keras_tokens(flags.oov_token) == [flags.oov_token]):
        raise UsageError(f"--oov_token {flags.oov_token!r} may be a word of a caption: choose one like <OOV>")
    return TextOptions(
        tokenizer=flags.tokenizer,
        caption_source=tuple(sorted(set(flags.caption_source))),
        lemmas=flags.lemmas,
        vocabulary_split=flags.vocabulary_split,
        min_count=flags.min_count,
        max_words=flags.max_words,
        oov_token=flags.oov_token,
        start_end=flags.start_end,
        max_tokens=flags.max_tokens,
        padding=flags.padding,
        truncating=flags.truncating,
    )


def _add_caption_flags(parser: FlagParser) -> None:
    group = parser.add_argument_group("captions")
    group.add_argument(
        "--tokenizer",
        choices=TOKENIZERS,
        default=NLTK,
        help="NLTK's word_tokenize of the lower-cased caption; the same without its cutting into sentences, which "
        "needs no data; or that of Keras (%(default)s)",
    )
    group.add_argument(
        "--nltk_data", default="", metavar="DIR", help="has tokenizers/punkt_tab/, on every machine (where NLTK looks)"
    )
    group.add_argument(
        "--caption_source", type=_sources, default=[], metavar="S,…", help="captions of these sources alone (all)"
    )
    group.add_argument("--lemmas", action="store_true", help="Flickr8k's lemmatised captions in place of the others")


def _add_vocabulary_flags(parser: FlagParser) -> None:
    group = parser.add_argument_group("vocabulary")
    group.add_argument("--min_count", type=positive, default=1, metavar="N", help="leave rarer words out (%(default)s)")
    group.add_argument("--max_words", type=positive, metavar="N", help="the most frequent words alone (all)")
    group.add_argument(
        "--vocabulary_split",
        type=_split,
        default=AUTO,
        metavar="S",
        help=f"split whose words are counted, or {ALL} (train where photos have splits, else {ALL})",
    )
    group.add_argument(
        "--oov_token", metavar="WORD", help="with --tokenizer keras: stands for unknown words (they are left out)"
    )


def _add_id_flags(parser: FlagParser) -> None:
    group = parser.add_argument_group("token ids, padded and cut as Keras' pad_sequences does")
    group.add_argument("--start_end", action="store_true", help="put <start> and <end> around each caption")
    group.add_argument("--max_tokens", type=positive, metavar="N", help="length of all rows of ids (as they are)")
    for flag, what in (("--padding", "pad"), ("--truncating", "cut")):
        group.add_argument(flag, choices=(PRE, POST), default=PRE, help=f"where to {what} (%(default)s)")


def _sources(text: str) -> list[str]:
    known = [source.value for source in Source]
    names = text.split(",")
    for name in names:
        if name not in known:
            raise argparse.ArgumentTypeError(f"{name!r} is no source: choose of {', '.join(known)}")
    return names


def _split(text: str) -> str:
    if text in (ALL, AUTO):
        return text
    try:
        return read_split(text)
    except UnknownSplitError as error:
        raise argparse.ArgumentTypeError(f"{error}; or {ALL}") from error
