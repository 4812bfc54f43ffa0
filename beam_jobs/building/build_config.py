"""A build as its flags describe it."""

import argparse
import dataclasses
import typing

from beam_jobs.building import build_flags
from beam_jobs.building.fetch_flags import add_fetch_flags
from beam_jobs.building.image_flags import (
    NO_IMAGES,
    ImageStep,
    add_image_flags,
    add_place_flags,
    add_video_flags,
    image_format,
)
from beam_jobs.building.selection_flags import add_selection_flags, row_selection
from beam_jobs.command.flags import FlagParser
from beam_jobs.command.store_flags import add_store_flags
from beam_jobs.runners.check_runner import check_is_followed, check_runner, check_workers_see
from beam_jobs.runners.runner_flags import CORES, RunnerConfig, runner_config
from schemas.sources import Source
from transforms.join.filter_rows import RowSelection
from transforms.places.image_places import AUTO, list_places
from transforms.sources.fetch_published import PublishedPlaces
from transforms.stores.output import Output
from transforms.stores.scratch import Scratch


@dataclasses.dataclass(frozen=True, kw_only=True)
class BuildConfig:
    """A checked command line.

    Attributes:
        sources: paths of each source, and names of published sets.
        base: whose photos make the dataset: a source or ``all``.
        output: where the dataset goes.
        selection: which rows are kept.
        by_split: one dataset for each split, under its name in the output.
        samples_per_shard: rows per shard.
        images: what happens to the images; None for rows alone.
        runner: where its graph runs.
        overwrite: start again.
        progress: ``auto``, ``json`` or ``none``.
        temp_location: where workers share what is unfinished; None for the default.
        max_failure_ratio: above it a large run ends early, and a finished build counts as failed.
        published: where published sets come from, and where they are kept.
        flags: everything as given, local places in full, for plan and manifest.
    """

    sources: dict[Source, tuple[str, ...]]
    base: str
    output: Output
    selection: RowSelection
    by_split: bool
    samples_per_shard: int
    images: ImageStep | None
    runner: RunnerConfig
    overwrite: bool
    progress: str
    temp_location: Output | None
    max_failure_ratio: float
    published: PublishedPlaces
    flags: dict[str, typing.Any]

    @property
    def threads(self) -> int:
        """How much of this machine the command itself may use, beside its graph."""
        return self.runner.workers if self.runner.is_local else CORES

    @property
    def format(self) -> dict[str, typing.Any]:
        """The flags that shape rows and samples, as the plan records them."""
        row_format = {"base": self.base, "samples_per_shard": self.samples_per_shard}
        return row_format | (image_format(self.images) if self.images else {})


def add_build_flags(parser: FlagParser) -> None:
    """Adds all flags of a build."""
    build_flags.add_source_flags(parser)
    add_selection_flags(parser)
    add_place_flags(parser)
    add_image_flags(parser)
    add_video_flags(parser)
    add_fetch_flags(parser)
    add_store_flags(parser)
    build_flags.add_run_flags(parser)
    build_flags.add_failure_flag(parser)


def add_refetch_flags(parser: FlagParser) -> None:
    """Adds how a command on a dataset that is there fetches photos of it again."""
    add_place_flags(parser)
    add_fetch_flags(parser)
    add_store_flags(parser)
    build_flags.add_worker_flags(parser)
    build_flags.add_failure_flag(parser)


def config_of(flags: argparse.Namespace, images: ImageStep | None, max_failure_ratio: float = 1.0) -> BuildConfig:
    """Turns parsed flags into a configuration.

    Raises:
        UsageError: a value is out of range, or the runner is not there.
    """
    output, runner = build_flags.output(flags), runner_config(flags)
    if flags.by_split and runner.goes_on_alone:
        check_is_followed(runner, "--by_split")
    check_runner(runner, output)
    return BuildConfig(
        sources=build_flags.sources(flags),
        base=build_flags.base(flags),
        output=output,
        selection=row_selection(flags),
        by_split=flags.by_split,
        samples_per_shard=flags.samples_per_shard,
        images=images,
        runner=runner,
        overwrite=flags.overwrite,
        progress=flags.progress,
        temp_location=build_flags.temp_location(vars(flags)),
        max_failure_ratio=max_failure_ratio,
        published=build_flags.published_places(flags),
        flags=build_flags.published_flags(flags),
    )


def check_workers_see_inputs(
    runner: str, sources: typing.Mapping[Source, typing.Iterable[str]], images: typing.Iterable[str] = ()
) -> None:
    """Refuses inputs of this machine where the workers are sure to be on others; published sets are kept here, too.

    Args:
        runner: by name.
        sources: paths of each, and names of published sets.
        images: values of ``--images``.

    Raises:
        UsageError: names the first of them.
    """
    for source, paths in sources.items():
        check_workers_see(runner, f"--{source.value}", *paths)
    check_workers_see(runner, "--images", *(place for place in images if place not in (AUTO, NO_IMAGES)))


def with_lists(config: BuildConfig, scratch: Scratch) -> BuildConfig:
    """Lists places on servers; that may fail, so it is done before anything in the output changes."""
    if config.images is None:
        return config
    places = list_places(config.images.places, scratch)
    return dataclasses.replace(config, images=config.images._replace(places=places))
