"""A checked command line of `photobeam features`: dataset, model, and how images go into it."""

import argparse
import importlib.util
import os
import typing

from beam_jobs.building import build_flags
from beam_jobs.command.errors import UsageError
from beam_jobs.command.flags import as_given
from beam_jobs.command.store_flags import reach_dataset
from beam_jobs.features.feature_flags import BATCH_SIZE, as_recorded, preprocessing_of
from beam_jobs.runners.check_runner import check_is_followed, check_runner, check_workers_see
from beam_jobs.runners.runner_flags import RunnerConfig, runner_config
from schemas.product_records import FEATURES
from schemas.samples import image_extensions
from transforms.datasets.dataset_records import IMAGE_FLAG
from transforms.datasets.finished_dataset import FinishedDataset, open_finished
from transforms.features.onnx_model import (
    ModelError,
    ModelFile,
    ModelFit,
    check_device,
    fit_model,
    load_session,
    model_file,
)
from transforms.features.preprocess import Preprocessing
from transforms.stores.output import Output


class FeaturesJob(typing.NamedTuple):
    """A checked command line.

    Attributes:
        output: the dataset.
        runner: where the graph runs.
        model: the network.
        fit: how images go into it.
        preprocessing: how they become its numbers.
        extension: of these images in the tar.
        options: what decides the vectors, by flag, for the records.
        flags: all of them.
    """

    output: Output
    runner: RunnerConfig
    model: ModelFile
    fit: ModelFit
    preprocessing: Preprocessing
    extension: str
    options: dict[str, typing.Any]
    flags: argparse.Namespace


def checked_job(flags: argparse.Namespace) -> FeaturesJob:
    """Checks everything that can be before any work, the model on two black images.

    Raises:
        UsageError, ModelError, NoDatasetError, DamagedDatasetError, OutputError: names flag, value and remedy.
    """
    preprocessing = preprocessing_of(flags)
    if importlib.util.find_spec("onnxruntime") is None:
        raise UsageError(f"onnxruntime is not installed: pip install 'photobeam[{FEATURES}]'")
    output = build_flags.output_at("OUT", flags.dataset, reach_dataset(flags.dataset, vars(flags)))
    runner = runner_config(flags)
    check_is_followed(runner, f"`photobeam {FEATURES}`")
    dataset = finished(output)
    size, extension = _image_of(dataset, flags.image_size)
    check_runner(runner, output)
    check_workers_see(runner.name, "--model", flags.model)
    model, fit = _model_of(flags, runner, preprocessing, output)
    if flags.batch_size and fit.batch not in (0, flags.batch_size):
        raise UsageError(f"--batch_size {flags.batch_size}: the model takes {fit.batch} images at once; leave it out")
    options = {
        "model": model.sha256,
        "output_name": fit.output_name,
        "layout": fit.layout,
        "device": flags.device,
        "batch_size": fit.batch or flags.batch_size or BATCH_SIZE,
        "image_size": size,
        "preprocessing": flags.preprocessing,
        **as_recorded(preprocessing),
    }
    return FeaturesJob(output, runner, model, fit, preprocessing, extension, options, flags)


def finished(output: Output) -> FinishedDataset:
    """Opens a dataset that has images.

    Raises:
        UsageError: it has none.
        NoDatasetError, DamagedDatasetError: as :func:`transforms.datasets.finished_dataset.open_finished`.
    """
    dataset = open_finished(output.root, output.s3)
    if not dataset.has_images:
        raise UsageError(f"{output} has rows alone, and no image to make features of; build it first")
    return dataset


def _image_of(dataset: FinishedDataset, wanted: int | None) -> tuple[int, str]:
    """Returns the size and the extension of the images that are read."""
    sizes = dataset.format[IMAGE_FLAG]
    size = wanted or sizes[0]
    if size not in sizes:
        raise UsageError(f"--image_size {size}: the dataset has images of {as_given(sizes)}")
    return size, image_extensions(dataset.format["format"], sizes[1:])[sizes.index(size)]


def _model_of(
    flags: argparse.Namespace, runner: RunnerConfig, preprocessing: Preprocessing, output: Output
) -> tuple[ModelFile, ModelFit]:
    """Reads the model and tries it, where the job runs elsewhere on this machine's processor."""
    url = flags.model if "://" in flags.model else os.path.abspath(os.path.expanduser(flags.model))
    if runner.is_local:
        check_device(flags.device)
    model = model_file(build_flags.printable("--model", url), output.s3, flags.device)
    session = load_session(model if runner.is_local else model._replace(device="cpu"))
    try:
        return model, fit_model(session, preprocessing.input_size, flags.layout, flags.output_name)
    except ModelError as error:
        raise UsageError(f"--model {flags.model}: {error}") from error
