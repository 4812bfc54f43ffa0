"""Makes tokens, a vocabulary, token ids, vectors and labels of a dataset's photos, in OUT/text.

    photobeam text OUT --max_tokens 20
    photobeam text OUT --tokenizer keras --max_words 9999 --max_tokens 40 --padding post
    photobeam text OUT --glove glove.6B.300d.txt --doc2vec train --labels coco

OUT is a finished build, of which the captions of its samples are taken, or a join, of which all are. Each caption is
lower-cased and cut into tokens, the words of the train split are counted, and each caption becomes a row of ids. The
files are described in docs/format.md; OUT itself stays as it is, but for --into_shards. The same command again does
nothing, or makes anew what does not fit the dataset any more.

Exit code 0: done; 1: failed; 2: the command line is wrong, or there is no finished dataset.
"""

import argparse
import importlib.metadata
import logging
import sys
import typing

from beam_jobs.building import build_flags
from beam_jobs.cli import run_command
from beam_jobs.command.counted import counted
from beam_jobs.command.end_process import end_process
from beam_jobs.command.errors import OK, JobError, UsageError
from beam_jobs.command.flags import FlagParser, parse
from beam_jobs.command.interrupt import held
from beam_jobs.command.store_flags import reach_dataset
from beam_jobs.command.versions import software
from beam_jobs.outputs.run_folder import run_folder
from beam_jobs.outputs.settle import settle
from beam_jobs.outputs.standing_product import begin_product, source_hash, standing_product
from beam_jobs.runners.check_runner import check_is_followed, check_runner
from beam_jobs.runners.runner_flags import CORES, RunnerConfig, runner_config
from beam_jobs.text.label_flags import LabelOptions, label_options
from beam_jobs.text.text_flags import add_text_flags, text_options
from beam_jobs.text.text_into_shards import check_dataset, check_standing, has_members, put_into_shards
from beam_jobs.text.text_job import NOTHING, Made, TextJob
from beam_jobs.text.vector_flags import VectorOptions, vector_options
from schemas.product_records import TEXT, ProductRecord, product_manifest
from transforms.datasets.finished_dataset import FinishedDataset, open_finished
from transforms.datasets.shard_sources import note_sources
from transforms.files.publish import OutputError
from transforms.stores.dataset_files import DamagedDatasetError, NoDatasetError
from transforms.stores.lease import OutputInUseError
from transforms.stores.output import Output
from transforms.stores.request_signers import S3Options
from transforms.text.read_captions import has_captions
from transforms.text.text_options import TextOptions
from transforms.text.tokenizers import KERAS, NLTK, NoNltkError, punkt_sha256, tokenizer

_log = logging.getLogger("photobeam")


class Asked(typing.NamedTuple):
    """What is asked for.

    Attributes:
        options: of tokens.
        vectors: which, if any.
        labels: which, if any.
        nltk_data: SHA-256 of the data that tokens need; None if they need none.
        labels_alone: there are no captions to make tokens of.
    """

    options: TextOptions
    vectors: VectorOptions
    labels: LabelOptions
    nltk_data: str | None
    labels_alone: bool

    def as_json(self) -> dict[str, typing.Any]:
        """Returns all of it as the record has it."""
        flags = {**self.options.as_json(), **self.vectors.recorded, **self.labels.recorded}
        return {**flags, "nltk_data": self.nltk_data}


def main(argv: typing.Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return run_command(lambda: run(sys.argv[1:] if argv is None else argv))


def run(argv: typing.Sequence[str]) -> int:
    """Makes what the command line asks for.

    Raises:
        UsageError: the command line is wrong, the runner cannot do it, NLTK or its data are missing, or there is no
            finished dataset.
        JobError: it failed on the way; the same command starts again.
    """
    parser = FlagParser("text", __doc__ or "")
    add_text_flags(parser)
    flags = parse(parser, argv)
    options, runner = text_options(flags), runner_config(flags)
    check_is_followed(runner, f"`photobeam {TEXT}`")
    s3 = reach_dataset(flags.dataset, vars(flags))
    output = build_flags.output_at("OUT", flags.dataset, s3)
    try:
        open_finished(output.root, output.s3)
        check_runner(runner, output)
        output.check_writable()
        with held(output):
            settle(output, CORES, flags.progress)
            return _run_held(output, options, runner, flags)
    except (NoDatasetError, OutputError, OutputInUseError) as error:
        raise UsageError(str(error)) from error
    except DamagedDatasetError as error:
        raise JobError(str(error)) from error


def _asked(flags: argparse.Namespace, options: TextOptions, s3: S3Options, dataset: FinishedDataset) -> Asked:
    vectors, labels = vector_options(flags, s3), label_options(flags, s3)
    labels_alone = _labels_will_do(vectors, labels) and not has_captions(dataset)
    nltk_data = None if labels_alone else _checked_nltk_data(options, flags.nltk_data)
    return Asked(options, vectors, labels, nltk_data, labels_alone)


def _labels_will_do(vectors: VectorOptions, labels: LabelOptions) -> bool:
    """Tells whether nothing is asked for that needs captions."""
    return bool(labels.maps) and not (vectors.glove or vectors.doc2vec)


def _checked_nltk_data(options: TextOptions, folder: str) -> str | None:
    """Returns the SHA-256 of the data that a tokenizer needs, None if it needs none."""
    try:
        tokenizer(options.tokenizer, folder)
    except NoNltkError as error:
        raise UsageError(str(error)) from error
    return punkt_sha256() if options.tokenizer == NLTK else None


def _run_held(output: Output, options: TextOptions, runner: RunnerConfig, flags: argparse.Namespace) -> int:
    dataset = open_finished(output.root, output.s3)
    asked = _asked(flags, options, output.s3, dataset)
    check_dataset(dataset, flags.into_shards)
    source = source_hash(TEXT, dataset)
    record = None if flags.overwrite else standing_product(output, TEXT, asked.as_json(), source)
    if record and (not flags.into_shards or has_members(dataset, record)):
        sys.stdout.write(f"nothing to do: {output}/{TEXT} fits this dataset and these flags\n")
        return OK
    if record:
        check_standing(output, dataset, record)
    if not dataset.photos:
        raise UsageError(f"{output} has no photos, so it has no captions")
    with run_folder(output, build_flags.temp_location(vars(flags)), not runner.is_local) as place:
        job = TextJob(
            output=output,
            dataset=dataset,
            options=asked.options,
            vectors=asked.vectors,
            labels=asked.labels,
            nltk_data=flags.nltk_data,
            runner=runner,
            place=place,
            progress=flags.progress,
        )
        record = record or _made_record(job, asked, source)
        if flags.into_shards:
            put_into_shards(job, record)
    captions, words = (counted(record.counts.get(f"{noun}s", 0), noun) for noun in ("caption", "word"))
    sys.stdout.write(f"{output}/{TEXT}: {captions}, {words}, {counted(len(record.files), 'file')}\n")
    return OK


def _made_record(job: TextJob, asked: Asked, source: str) -> ProductRecord:
    """Makes everything, and last the record."""
    made = _make(job, asked.labels_alone)
    record = ProductRecord(
        kind=TEXT,
        options={**asked.as_json(), **made.found},
        made_from=source,
        software=_software(asked),
        counts=made.counts,
        files=made.files,
    )
    job.output.write(product_manifest(TEXT), record.to_json())
    return record


def _make(job: TextJob, labels_alone: bool) -> Made:
    """Makes one product after the other; a later one may read the files of an earlier one, and the vocabulary."""
    from beam_jobs.text.text_labels import make_labels
    from beam_jobs.text.text_vectors import make_doc2vec, make_glove, model_folder

    note_sources(job.dataset.sha256, job.place.scratch)
    with model_folder(job) as folder:
        tokens = _begin_labels(job, f"{job.output} has no captions") if labels_alone else _make_tokens(job)
        products = [tokens, make_glove(job, tokens), make_doc2vec(job, tokens, folder), make_labels(job)]
    return Made(
        files={name: digest for made in products for name, digest in made.files.items()},
        counts={name: number for made in products for name, number in made.counts.items()},
        found={name: value for made in products for name, value in made.found.items()},
    )


def _make_tokens(job: TextJob) -> Made:
    """Makes tokens; where there are no captions, labels alone will do, if nothing else is asked for."""
    from beam_jobs.text.text_graph import NoCaptionsError, make_tokens

    try:
        return make_tokens(job)
    except NoCaptionsError as error:
        if not _labels_will_do(job.vectors, job.labels):
            raise
        return _begin_labels(job, str(error))


def _begin_labels(job: TextJob, why: str) -> Made:
    _log.info("%s; labels alone are made", why)
    begin_product(job.output, TEXT)
    return NOTHING


def _software(asked: Asked) -> dict[str, str]:
    uses_nltk = asked.options.tokenizer != KERAS and not asked.labels_alone
    used = ["nltk"] * uses_nltk + ["gensim"] * bool(asked.vectors.doc2vec)
    return {**software(), **{name: importlib.metadata.version(name) for name in used}}


if __name__ == "__main__":
    end_process(main)
