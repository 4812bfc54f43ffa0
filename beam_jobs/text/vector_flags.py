"""The flags of `photobeam text` that ask for vectors of words and of texts."""

import argparse
import dataclasses
import importlib.util
import typing

from beam_jobs.building.build_flags import printable
from beam_jobs.command.errors import UsageError
from beam_jobs.command.flags import FlagParser, positive
from beam_jobs.text.side_files import file_sha256
from transforms.stores.request_signers import S3Options
from transforms.text.doc2vec import DBOW, DM, PRESETS, Doc2VecOptions
from transforms.text.doc2vec_file import ModelError, model_sha256
from transforms.text.glove import UnknownWords
from transforms.text.vector_file import VectorFileError, split_member
from transforms.text.write_glove import GloveOptions, check_vectors

TRAIN = "train"
"""In place of a model: one is made of the captions."""

_OF_TRAINING = {
    "doc2vec_algorithm": "algorithm",
    "vector_size": "vector_size",
    "epochs": "epochs",
    "training_threads": "workers",
}
_DEFAULT_PRESET = "gensim"
_DEFAULT_SEED, _MAX_SEED = 1, (1 << 32) - 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class VectorOptions:
    """What vectors are asked for.

    Attributes:
        glove: word vectors, None for none.
        doc2vec: TRAIN, or URL of a model; '' for no vectors of texts.
        training: how a model is trained, None unless TRAIN.
        recorded: what the record of the product says of these, by flag; of files their SHA-256, wherever they lie.
    """

    glove: GloveOptions | None = None
    doc2vec: str = ""
    training: Doc2VecOptions | None = None
    recorded: dict[str, typing.Any] = dataclasses.field(default_factory=dict)


def add_vector_flags(parser: FlagParser) -> None:
    """Adds the flags of GloVe and Doc2Vec."""
    words = parser.add_argument_group("word vectors, in the order of the vocabulary")
    words.add_argument(
        "--glove", metavar="FILE", help="text of vectors: plain, gzip, zip, or zip://MEMBER::ZIP of several (none)"
    )
    words.add_argument(
        "--unknown_words", choices=[u.value for u in UnknownWords], help="rows of words that the file lacks (zeros)"
    )
    texts = parser.add_argument_group("vectors of captions and photos")
    texts.add_argument(
        "--doc2vec",
        metavar=f"{TRAIN}|MODEL",
        help="train on the captions of the vocabulary, or a model of gensim 4 (none)",
    )
    texts.add_argument(
        "--doc2vec_preset", choices=PRESETS, help="hyper-parameters: gensim's defaults, or of that paper (gensim)"
    )
    texts.add_argument("--doc2vec_algorithm", choices=(DM, DBOW), help="(the preset's: dm, dbow)")
    texts.add_argument("--vector_size", type=positive, metavar="N", help="(300)")
    texts.add_argument("--epochs", type=positive, metavar="N", help="of training and inference (the preset's: 10, 20)")
    texts.add_argument(
        "--training_threads", type=positive, metavar="N", help="with more than one each training differs (1)"
    )
    texts.add_argument("--seed", type=int, metavar="N", help="of --unknown_words normal and of training (1)")


def vector_options(flags: argparse.Namespace, s3: S3Options) -> VectorOptions:
    """Returns what the flags ask for, having looked at the files.

    Raises:
        UsageError: flags that do not go together, a file that is not there or no such file, or gensim is missing.
    """
    _check_goes_with("--glove", flags.glove is not None, flags, ["unknown_words"])
    of_training = [*_OF_TRAINING, "doc2vec_preset"]
    _check_goes_with(f"--doc2vec {TRAIN}", flags.doc2vec == TRAIN, flags, of_training)
    _check_goes_with(f"--glove or --doc2vec {TRAIN}", flags.glove or flags.doc2vec == TRAIN, flags, ["seed"])
    if flags.doc2vec is not None and importlib.util.find_spec("gensim") is None:
        raise UsageError("--doc2vec needs gensim: pip install 'photobeam[text]'")
    seed = _DEFAULT_SEED if flags.seed is None else flags.seed
    if not 0 <= seed <= _MAX_SEED:
        raise UsageError(f"--seed {seed}: give a number from 0 to {_MAX_SEED}")
    glove, training = _glove(flags, seed, s3), _training(flags, seed)
    recorded = {
        "glove": _glove_sha256(flags.glove, s3) if glove else None,
        "unknown_words": glove.unknown_words.value if glove else None,
        "doc2vec": flags.doc2vec if training or flags.doc2vec is None else _model_sha256(flags.doc2vec, s3),
        "doc2vec_preset": (flags.doc2vec_preset or _DEFAULT_PRESET) if training else None,
        **{flag: getattr(training, name) if training else None for flag, name in _OF_TRAINING.items()},
        "seed": seed if glove or training else None,
    }
    return VectorOptions(glove=glove, doc2vec=flags.doc2vec or "", training=training, recorded=recorded)


def _glove(flags: argparse.Namespace, seed: int, s3: S3Options) -> GloveOptions | None:
    if flags.glove is None:
        return None
    url = printable("--glove", flags.glove)
    options = GloveOptions(url=url, unknown_words=UnknownWords(flags.unknown_words or "zeros"), seed=seed)
    try:
        check_vectors(options, s3)
    except VectorFileError as error:
        raise UsageError(f"--glove {error}") from error
    return options


def _glove_sha256(url: str, s3: S3Options) -> str:
    """Returns the digest of a file, of a zip after the name of the member that is taken."""
    member, place = split_member(url)
    return f"{member} {file_sha256('--glove', place, s3)}".lstrip()


def _model_sha256(url: str, s3: S3Options) -> str:
    try:
        return model_sha256(printable("--doc2vec", url), s3)
    except ModelError as error:
        raise UsageError(str(error)) from error


def _training(flags: argparse.Namespace, seed: int) -> Doc2VecOptions | None:
    if flags.doc2vec != TRAIN:
        return None
    given = {name: getattr(flags, flag) for flag, name in _OF_TRAINING.items() if getattr(flags, flag) is not None}
    preset = PRESETS[flags.doc2vec_preset or _DEFAULT_PRESET]
    return dataclasses.replace(preset, **given, seed=seed)


def _check_goes_with(what: str, is_given: typing.Any, flags: argparse.Namespace, names: typing.Iterable[str]) -> None:
    for name in names:
        if not is_given and getattr(flags, name) is not None:
            raise UsageError(f"--{name} is for {what}; leave it out")
