"""Word vectors of the vocabulary, and vectors of captions and photos."""

import contextlib
import logging
import pathlib
import typing

import pyarrow.parquet as pq

from beam_jobs.command.errors import JobError, UsageError
from beam_jobs.text.text_job import NOTHING, Made, TextJob, on_each_shard
from schemas.text_files import VOCABULARY
from schemas.vector_files import model_file
from transforms.files.publish import staging_in
from transforms.files.url_credentials import without_credentials
from transforms.text.doc2vec import train
from transforms.text.doc2vec_file import MODEL, ModelError, fetch_model, load_model
from transforms.text.shard_files import noted_files
from transforms.text.training_texts import TrainingTexts
from transforms.text.vector_file import VectorFileError
from transforms.text.write_doc2vec import DOC2VEC_KIND, InferVectors, publish_model
from transforms.text.write_glove import Coverage, write_glove
from transforms.workers.worker_process import preload

_log = logging.getLogger("photobeam")


@contextlib.contextmanager
def model_folder(job: TextJob) -> typing.Iterator[pathlib.Path]:
    """Gives a folder for a model, for the length of a ``with`` block; if one is given, it is there, and looked at.

    Raises:
        UsageError: it is no model of gensim 4.
    """
    if job.vectors.doc2vec:
        preload("gensim.models.doc2vec")  # Four seconds of CPU.
    with staging_in(job.place.staging, "doc2vec-") as folder:
        if job.vectors.doc2vec and not job.vectors.training:
            try:
                model = fetch_model(job.vectors.doc2vec, job.output.s3, folder)
                load_model(model, without_credentials(job.vectors.doc2vec))
            except ModelError as error:
                raise UsageError(str(error)) from error
        yield folder


def make_glove(job: TextJob, tokens: Made) -> Made:
    """Writes the vectors of the vocabulary's words, if they are asked for.

    Args:
        job: says so.
        tokens: of :func:`beam_jobs.text.text_graph.make_tokens`.

    Raises:
        JobError: the file is damaged.
    """
    if not job.vectors.glove:
        return NOTHING
    with job.place.scratch.reading(VOCABULARY) as path:
        vocabulary = pq.read_table(path)
    counted = tokens.counts["tokens_counted"]
    try:
        files, coverage = write_glove(vocabulary, counted, job.vectors.glove, job.output, job.place.staging)
    except VectorFileError as error:
        raise JobError(f"--glove {error}") from error
    _report(job.vectors.glove.name, coverage)
    return Made(files, coverage._asdict(), {})


def make_doc2vec(job: TextJob, tokens: Made, folder: pathlib.Path) -> Made:
    """Writes the vectors of captions and photos, if they are asked for.

    Args:
        job: says so.
        tokens: of :func:`beam_jobs.text.text_graph.make_tokens`.
        folder: of :func:`model_folder`.

    Raises:
        JobError: there is nothing to train with.
    """
    if not job.vectors.doc2vec:
        return NOTHING
    if job.vectors.training:
        texts = TrainingTexts(job.output, job.place.scratch, job.shards, tokens.found["vocabulary_of"])
        try:
            train(texts, job.vectors.training).save(str(folder / MODEL))
        except ModelError as error:
            raise JobError(str(error)) from error
    model = publish_model(folder, job.output)
    infer = InferVectors(job.output, job.place.scratch, tuple(model), model[model_file(MODEL)].sha256)
    on_each_shard(job, "InferVectors", infer)
    files, counts = noted_files(job.place.scratch, DOC2VEC_KIND, job.shards)
    _log.info("Doc2Vec: %s tokens are not in the model", f"{counts['doc2vec_unknown_tokens']:,}")
    return Made({**model, **files}, counts, {})


def _report(name: str, coverage: Coverage) -> None:
    words = coverage.glove_words_found + coverage.glove_words_missing
    _log.info(
        "%s has %s of %s words, %.1f %% of the %s tokens counted; %s of its %s lines repeat a word, %s are not UTF-8",
        name,
        f"{coverage.glove_words_found:,}",
        f"{words:,}",
        100 * coverage.glove_tokens_found / max(coverage.glove_tokens, 1),
        f"{coverage.glove_tokens:,}",
        f"{coverage.glove_duplicates:,}",
        f"{coverage.glove_lines:,}",
        f"{coverage.glove_bad_utf8:,}",
    )
    if coverage.glove_is_unended:
        _log.warning("%s: its last line has no line end; it may be cut within its last number", name)
