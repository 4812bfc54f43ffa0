"""Doc2Vec with gensim 4: training, and vectors of texts that are the same in every process."""

import dataclasses
import typing

import numpy as np
import numpy.typing as npt

from transforms.text.doc2vec_file import ModelError
from transforms.text.python_hash import stable_hash

if typing.TYPE_CHECKING:
    from gensim.models.doc2vec import Doc2Vec

Vector = npt.NDArray[np.float32]

DM, DBOW = "dm", "dbow"
"""Distributed memory, and distributed bag of words."""

_WEAK_SEED_BITS = 0xFFFFFFFF


@dataclasses.dataclass(frozen=True, kw_only=True)
class Doc2VecOptions:
    """How a model is trained; the defaults are gensim's own, but for the size of the vectors.

    Attributes:
        algorithm: DM or DBOW.
        vector_size: numbers of a vector.
        window: words to either side that count as near.
        min_count: rarer words are left out.
        sample: share of all words above which words are thinned out.
        negative: noise words a word.
        train_words: with DBOW, train word vectors as well; without that they stay random.
        epochs: passes over the texts, and of an inference over its text.
        seed: of all that is drawn.
        workers: threads; with more than one the model differs from run to run.
    """

    algorithm: str = DM
    vector_size: int = 300
    window: int = 5
    min_count: int = 5
    sample: float = 1e-3
    negative: int = 5
    train_words: bool = False
    epochs: int = 10
    seed: int = 1
    workers: int = 1


PRESETS: typing.Final[dict[str, Doc2VecOptions]] = {
    "gensim": Doc2VecOptions(),
    "lau_baldwin": Doc2VecOptions(
        algorithm=DBOW, window=15, min_count=1, sample=1e-5, negative=5, train_words=True, epochs=20
    ),
}
"""Of Lau and Baldwin, https://arxiv.org/abs/1607.05368: the best of DBOW there. Least counts are 1 for sentences and 5
for longer texts, epochs from 20, as for their published models, to 400 for sentences alone."""


class Texts(typing.Protocol):
    """Tokenised texts that can be gone through again and again, in the same order."""

    def __iter__(self) -> typing.Iterator[typing.Sequence[str]]:
        """Starts again from the first text."""


def train(texts: Texts, options: Doc2VecOptions) -> "Doc2Vec":
    """Trains a model; by one thread the same bytes for the same texts, versions and processor architecture.

    Memory: ``4 * vector_size`` bytes for each text, for each word twice as many. The vectors of the texts are dropped
    when training ends, so that every vector comes from :func:`infer`, whether its text was trained with or not.

    Args:
        texts: each a document of its own; those without tokens are left out.
        options: how.

    Raises:
        ModelError: no word is left.
    """
    from gensim.models.doc2vec import Doc2Vec

    model = Doc2Vec(
        dm=int(options.algorithm == DM),
        vector_size=options.vector_size,
        window=options.window,
        min_count=options.min_count,
        sample=options.sample,
        negative=options.negative,
        dbow_words=int(options.train_words),
        epochs=options.epochs,
        seed=options.seed,
        workers=options.workers,
    )
    documents = _Documents(texts)
    model.build_vocab(documents)
    if not len(model.wv):
        raise ModelError(f"--doc2vec train: no word occurs {options.min_count} times; there is nothing to learn from")
    model.train(documents, total_examples=model.corpus_count, epochs=model.epochs)
    return _without_traces(model)


def infer(model: "Doc2Vec", tokens: typing.Sequence[str]) -> Vector:
    """Returns the vector of a text: zeros of one without tokens.

    It equals that of gensim's own ``infer_vector`` after ``model.random.seed(model.seed)``, in a Python that was
    started with ``PYTHONHASHSEED=0``. Without that gensim's own differs from process to process, since what it starts
    from is drawn by Python's hash of the text. Not for two threads at once with the same model.

    Args:
        model: whose words count; others are left out.
        tokens: of the text.

    Returns:
        Shape (vector size,).
    """
    from gensim.models import doc2vec

    size = model.dv.vector_size
    if not tokens:
        return np.zeros(size, np.float32)
    model.random.seed(model.seed)
    vector, work = _start(tokens, size), np.zeros(model.layer1_size, np.float32)
    fixed = {"learn_words": False, "learn_hidden": False, "doctag_vectors": vector}
    fixed["doctags_lockf"] = np.ones(1, np.float32)
    further: tuple[Vector, ...] = (work,)
    step = doc2vec.train_document_dbow
    if not model.sg:
        further = (work, np.zeros(model.layer1_size, np.float32))
        step = doc2vec.train_document_dm_concat if model.dm_concat else doc2vec.train_document_dm
    alpha, fall = model.alpha, (model.alpha - model.min_alpha) / max(model.epochs - 1, 1)
    for _ in range(model.epochs):
        step(model, tokens, [0], alpha, *further, **fixed)
        alpha -= fall
    return vector[0]


def _start(tokens: typing.Sequence[str], size: int) -> Vector:
    """Returns the vector that an inference starts from, shape (1, size)."""
    generator = np.random.Generator(np.random.SFC64(stable_hash(" ".join(tokens)) & _WEAK_SEED_BITS))
    vector: Vector = (generator.random(size).astype(np.float32) - np.float32(0.5)) / np.float32(size)
    return vector.reshape(1, size)


def _without_traces(model: "Doc2Vec") -> "Doc2Vec":
    """Drops the vectors of texts, and times, which would make each file of a model another."""
    from gensim.models.keyedvectors import KeyedVectors

    model.dv = KeyedVectors(model.vector_size)
    model.total_train_time = 0.0
    model.lifecycle_events = model.wv.lifecycle_events = model.dv.lifecycle_events = None
    return model


class _Documents:
    def __init__(self, texts: Texts):
        self._texts = texts

    def __iter__(self) -> typing.Iterator[typing.Any]:
        from gensim.models.doc2vec import TaggedDocument

        filled = (tokens for tokens in self._texts if len(tokens))
        return (TaggedDocument(tokens, [number]) for number, tokens in enumerate(filled))
