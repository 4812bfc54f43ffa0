"""Makes tokens, a vocabulary and token ids of a dataset's captions, in OUT/text.

    photobeam text OUT --max_tokens 20
    photobeam text OUT --tokenizer keras --max_words 9999 --max_tokens 40 --padding post

OUT is a finished build, of which the captions of its samples are taken, or a join, of which all are. Each caption is
lower-cased and cut into tokens, the words of the train split are counted, and each caption becomes a row of ids. The
files are described in docs/format.md; OUT itself stays as it is. The same command again does nothing, or makes anew
what does not fit the dataset any more.

Exit code 0: done; 1: failed; 2: the command line is wrong, or there is no finished dataset.
"""

import argparse
import importlib.metadata
import sys
import typing

from beam_jobs import build_flags
from beam_jobs.cli import run_command
from beam_jobs.errors import OK, UsageError
from beam_jobs.flags import FlagParser, parse
from beam_jobs.interrupt import held
from beam_jobs.run_folder import run_folder
from beam_jobs.runner_flags import RunnerConfig, runner_config
from beam_jobs.settle import settle
from beam_jobs.standing_product import source_hash, standing_product
from beam_jobs.store_flags import reach_dataset, s3_options
from beam_jobs.text_flags import add_text_flags, text_options
from beam_jobs.text_job import Made, TextJob
from beam_jobs.versions import software
from schemas.product_records import TEXT, ProductRecord, product_manifest
from transforms.dataset_files import DamagedDatasetError, NoDatasetError
from transforms.finished_dataset import open_finished
from transforms.lease import OutputInUseError
from transforms.output import Output
from transforms.publish import OutputError
from transforms.text.text_options import TextOptions
from transforms.text.tokenizers import KERAS, NoNltkError, tokenizer


def main(argv: typing.Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return run_command(lambda: run(sys.argv[1:] if argv is None else argv))


def run(argv: typing.Sequence[str]) -> int:
    """Makes what the command line asks for.

    Raises:
        UsageError: the command line is wrong, NLTK or its data are missing, or there is no finished dataset.
        JobError: it failed on the way; the same command starts again.
    """
    parser = FlagParser("text", __doc__ or "")
    add_text_flags(parser)
    flags = parse(parser, argv)
    options, runner = text_options(flags), runner_config(flags)
    _check_tokenizer(options, flags.nltk_data)
    reach_dataset(flags.dataset, flags)
    output = build_flags.output_at("OUT", flags.dataset, s3_options(vars(flags)))
    try:
        open_finished(output.root, output.s3)
        output.check_writable()
        with held(output):
            settle(output, runner.workers)
            return _run_held(output, options, runner, flags)
    except (NoDatasetError, DamagedDatasetError, OutputError, OutputInUseError) as error:
        raise UsageError(str(error)) from error


def _check_tokenizer(options: TextOptions, nltk_data: str) -> None:
    try:
        tokenizer(options.tokenizer, nltk_data)
    except NoNltkError as error:
        raise UsageError(str(error)) from error


def _run_held(output: Output, options: TextOptions, runner: RunnerConfig, flags: argparse.Namespace) -> int:
    dataset = open_finished(output.root, output.s3)
    source = source_hash(TEXT, dataset)
    record = None if flags.overwrite else standing_product(output, TEXT, options.as_json(), source)
    if record:
        sys.stdout.write(f"{product_manifest(TEXT)} is of this dataset and these flags: nothing is to be done\n")
        return OK
    if not dataset.photos:
        raise UsageError(f"{output} has no photos, so it has no captions")
    if runner.goes_on_alone or runner.is_dry_run:
        raise UsageError("`photobeam text` works in several jobs: leave out what has this command end before they do")
    with run_folder(output, build_flags.temp_location(vars(flags)), not runner.is_local) as place:
        made = _make(TextJob(output, dataset, options, flags.nltk_data, runner, place))
    record = ProductRecord(
        kind=TEXT,
        options={**options.as_json(), **made.found},
        made_from=source,
        software=_software(options),
        counts=made.counts,
        files=made.files,
    )
    output.write(product_manifest(TEXT), record.to_json())
    return OK


def _make(job: TextJob) -> Made:
    """Makes one product after the other; a later one may read the files of an earlier one, and the vocabulary."""
    from beam_jobs.text_graph import make_tokens

    products = [make_tokens(job)]
    return Made(
        files={name: digest for made in products for name, digest in made.files.items()},
        counts={name: number for made in products for name, number in made.counts.items()},
        found={name: value for made in products for name, value in made.found.items()},
    )


def _software(options: TextOptions) -> dict[str, str]:
    return {**software(), **({} if options.tokenizer == KERAS else {"nltk": importlib.metadata.version("nltk")})}


if __name__ == "__main__":
    sys.exit(main())
