"""Feature vectors of a finished dataset's images: what a network in ONNX gives for each sample.

    photobeam features OUT --model inception_v3.onnx --preprocessing inception_v3
    photobeam features OUT --model m.onnx --input_size 224 --mean 0.5,0.5,0.5 --std 0.5,0.5,0.5 --output_name pool

One row for each sample, in the order of the shard: OUT/features/NNNNNN.npy (float32) and NNNNNN.parquet (photo_id, key,
vector). No model comes with photobeam: docs/features.md says how to export one. Each worker reads it for itself, so
on a cluster --model names a place that all of them see: a path on a shared disk, or any fsspec URL.

The same command goes on where a run of it has ended, and makes again what no longer fits the dataset. Another model or
other flags need --overwrite.

Exit code 0: done; 1: failed on the way, or the dataset is damaged; 2: the command cannot be carried out.
"""

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
from beam_jobs.command.progress_line import show_progress
from beam_jobs.command.store_flags import add_store_flags
from beam_jobs.command.versions import software
from beam_jobs.features.feature_flags import add_feature_flags
from beam_jobs.features.feature_job import FeaturesJob, checked_job, finished
from beam_jobs.outputs.run_folder import run_folder
from beam_jobs.outputs.settle import settle
from beam_jobs.outputs.standing_product import begin_product, check_options, read_product, source_hash
from beam_jobs.runners.run_graph import run_graph
from beam_jobs.runners.runner_flags import CORES
from schemas import layout
from schemas.feature_records import FeaturesRecord, features_record
from schemas.product_records import FEATURES, product_manifest
from schemas.records import Manifest, OtherFormatError
from transforms.datasets.finished_dataset import FinishedDataset
from transforms.features.feature_product import finish_features, read_features, remove_others
from transforms.features.onnx_model import ModelError
from transforms.features.preprocess import Preprocessing
from transforms.features.shard_features import FeaturesConfig
from transforms.files.publish import OutputError
from transforms.stores.dataset_files import DamagedDatasetError, NoDatasetError
from transforms.stores.lease import OutputInUseError
from transforms.stores.output import Output, read_record

if typing.TYPE_CHECKING:
    import apache_beam as beam

_log = logging.getLogger("photobeam")


def main(argv: typing.Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return run_command(lambda: run(sys.argv[1:] if argv is None else argv))


def run(argv: typing.Sequence[str]) -> int:
    """Makes the features that the command line asks for, as far as they are not there.

    Raises:
        UsageError: the command cannot be carried out; nothing was done.
        JobError: it failed on the way; the same command goes on.
    """
    try:
        job = checked_job(parse(make_parser(), argv))
        job.output.check_writable()
        with held(job.output):
            settle(job.output, CORES, job.flags.progress)
            return _run_held(job)
    except (ModelError, NoDatasetError, OutputError, OutputInUseError) as error:
        raise UsageError(str(error)) from error
    except DamagedDatasetError as error:
        raise JobError(str(error)) from error


def make_parser() -> FlagParser:
    """Returns the parser of all flags but ``--config``."""
    parser = FlagParser(FEATURES, __doc__ or "")
    parser.add_argument("dataset", metavar="OUT", help="the finished dataset: local path or any fsspec URL")
    add_feature_flags(parser)
    add_store_flags(parser)
    group = build_flags.add_worker_flags(parser)
    group.add_argument("--overwrite", action="store_true", help="drop the features that are there, and make them anew")
    return parser


def _run_held(job: FeaturesJob) -> int:
    output, dataset = job.output, finished(job.output)
    source = source_hash(FEATURES, dataset)
    tars = _tars(dataset)
    if job.flags.overwrite:
        begin_product(output, FEATURES)
    standing, product = _standing_shards(output, tars), read_product(output, FEATURES)
    if product:
        _check_options(job, product_manifest(FEATURES), product.options)
    for shard, record in standing.items():
        _check_options(job, features_record(shard), record.options)
    current = _current(output, standing, tars)
    if product and current == tars.keys() and product.made_from == source:
        sys.stdout.write(f"nothing to do: {output}/{FEATURES} fits this dataset, this model and these flags\n")
        return OK
    if current != standing.keys():
        changed = len(standing) - len(current)
        _log.info("%s shards or their features have changed: these are made again", f"{changed:,}")
    output.remove(product_manifest(FEATURES))
    remove_others(output, tars)
    _extract(job, tuple(sorted(tars.keys() - current)))
    made = _whole(output, read_features(output, tars), tars)
    versions = {**software(), "onnxruntime": job.model.runtime}
    product = finish_features(output, made, source, job.options, versions)
    if product.counts["not_finite"]:
        _log.warning(
            "%s samples have features that are infinite or no number: does --preprocessing, or --mean and --std, suit "
            "the model?",
            f"{product.counts['not_finite']:,}",
        )
    sys.stdout.write(
        f"{counted(product.counts['samples'], 'sample')} with features of {counted(job.fit.width, 'number')}, in "
        f"{counted(len(tars), 'shard')}, {len(current):,} of which had them; "
        f"{counted(dataset.photos - dataset.samples, 'photo')} without an image\n"
    )
    return OK


def _tars(dataset: FinishedDataset) -> dict[int, str]:
    """Returns the digest of the tar of each shard that has one."""
    found = ((shard, names.get(layout.tar_file(shard))) for shard, names in enumerate(dataset.sha256))
    return {shard: sha256 for shard, sha256 in found if sha256}


def _current(output: Output, standing: typing.Mapping[int, FeaturesRecord], tars: typing.Mapping[int, str]) -> set[int]:
    """Returns the shards whose features fit them, and are there with their sizes."""
    sizes = output.sizes(FEATURES)
    return {
        shard
        for shard, record in standing.items()
        if record.made_from == tars[shard] and all(sizes.get(n) == file.bytes for n, file in record.files.items())
    }


def _extract(job: FeaturesJob, shards: tuple[int, ...]) -> None:
    """Runs the graph over some shards."""
    if not shards:
        return
    samples = {int(s.name): s.samples for s in read_record(job.output, layout.MANIFEST, Manifest).shards}
    temp_location = build_flags.temp_location(vars(job.flags))
    with run_folder(job.output, temp_location, not job.runner.is_local) as place:
        config = FeaturesConfig(
            output=job.output,
            folder=place.staging,
            model=job.model,
            fit=job.fit,
            preprocessing=job.preprocessing,
            batch_size=job.options["batch_size"],
            extension=job.extension,
            options=job.options,
        )

        def build(pipeline: "beam.Pipeline") -> None:
            from transforms.features.run_model import ExtractFeatures

            _ = pipeline | "ExtractFeatures" >> ExtractFeatures(shards, config)

        with show_progress(job.flags.progress, sum(samples[shard] for shard in shards)):
            run_graph(build, job.runner, job.output)


def _standing_shards(output: Output, shards: typing.Iterable[int]) -> dict[int, FeaturesRecord]:
    try:
        return read_features(output, shards)
    except OtherFormatError as error:
        raise UsageError(f"{error}, or give --overwrite") from error


def _check_options(job: FeaturesJob, name: str, standing: typing.Mapping[str, typing.Any]) -> None:
    """Refuses to go on with other flags than a record that stands has; where recipes differ, their numbers do."""
    flags = set(vars(job.flags))
    if standing.get("preprocessing") != job.options["preprocessing"]:
        flags -= set(Preprocessing._fields)
    check_options(name, standing, {flag: value for flag, value in job.options.items() if flag in flags})


def _whole(output: Output, records: dict[int, FeaturesRecord], tars: typing.Mapping[int, str]) -> list[FeaturesRecord]:
    missing = [shard for shard, sha256 in tars.items() if shard not in records or records[shard].made_from != sha256]
    if missing:
        raise JobError(f"{output}: shard {layout.shard_name(missing[0])} has no features; run the same command again")
    return [records[shard] for shard in sorted(records)]


if __name__ == "__main__":
    end_process(main)
