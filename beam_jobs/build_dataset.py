"""`photobeam build`: the rows and images of all sources become WebDataset shards with Parquet.

    photobeam build --yfcc /data/yfcc --output /data/out --where "license_name = 'Attribution License'"

A second run of the same command goes on where the first one ended.
"""

import dataclasses
import logging
import sys
import typing

from beam_jobs.building import build_flags
from beam_jobs.building.build_config import (
    BuildConfig,
    add_build_flags,
    check_workers_see_inputs,
    config_of,
    with_lists,
)
from beam_jobs.building.by_split import run_by_split
from beam_jobs.building.finish_config import finish_config
from beam_jobs.building.image_flags import check_video_flags
from beam_jobs.building.report_build import report_build
from beam_jobs.building.spool_space import check_spool_space
from beam_jobs.cli import run_command
from beam_jobs.command.download_line import show_download
from beam_jobs.command.end_process import end_process
from beam_jobs.command.errors import OK, UsageError
from beam_jobs.command.flags import FlagParser, parse
from beam_jobs.command.interrupt import held
from beam_jobs.command.progress_line import show_progress
from beam_jobs.outputs import output_state
from beam_jobs.outputs.find_tombstones import find_tombstones
from beam_jobs.outputs.run_folder import RunFolder, dry_run_folder, run_folder
from beam_jobs.outputs.settle import settle
from schemas.classes import ChosenClass
from schemas.records import Plan
from transforms.datasets.dataset_records import IMAGE_FLAG
from transforms.files.image_files import ImagePlaceError
from transforms.files.publish import OutputError
from transforms.join.read_classes import choose_classes
from transforms.join.where_condition import ConditionError, check_condition
from transforms.places.image_places import check_places
from transforms.sources.fetch_published import fetch_published
from transforms.sources.find_inputs import (
    FoundInputs,
    check_base,
    check_names_splits,
    find_inputs,
    lacks_image_lists,
)
from transforms.sources.input_files import InputError
from transforms.stores.lease import OutputInUseError
from transforms.stores.output import Output

_log = logging.getLogger("photobeam")

NAMES_SHOWN = 5
"""Of files that are left out."""

Classes = tuple[ChosenClass, ...]


def main(argv: typing.Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return run_command(lambda: run(parse_args(sys.argv[1:] if argv is None else argv)))


def parse_args(argv: typing.Sequence[str]) -> BuildConfig:
    """Checks a command line as far as that needs no look at the inputs.

    Raises:
        UsageError: names flag, value and remedy.
    """
    flags = parse(make_parser(), argv)
    check_video_flags(flags)
    config = config_of(flags, build_flags.image_step(flags), flags.max_failure_ratio)
    check_workers_see_inputs(flags.runner, config.sources, flags.images or ())
    return config


def make_parser() -> FlagParser:
    """Returns the parser of all flags but ``--config``."""
    parser = FlagParser("build", __doc__ or "")
    add_build_flags(parser)
    return parser


def run(config: BuildConfig) -> int:
    """Carries out a build, or one for each split.

    Returns:
        Exit code: 0, or 1 if more photos failed than ``--max_failure_ratio`` permits.

    Raises:
        UsageError: the command cannot be carried out; nothing was done.
        JobError: it failed on the way; what is committed stays.
    """
    if not config.by_split:
        return _run_one(config)
    return run_by_split(config.output, lambda split, output: _run_one(_config_of_split(config, split, output)))


def _config_of_split(config: BuildConfig, split: str, output: Output) -> BuildConfig:
    selection, flags = dataclasses.replace(config.selection, split=split), {**config.flags, "split": split}
    return dataclasses.replace(config, output=output, selection=selection, flags=flags)


def _run_one(config: BuildConfig) -> int:
    try:
        if config.selection.where:
            check_condition(config.selection.where)
        if config.images:
            check_places(config.images.places)
        if not config.runner.is_dry_run:
            output_state.check_is_ours(config.output)
        with show_download(config.progress) as report:
            sources = fetch_published(config.sources, config.published, report)
        found = find_inputs(sources)
        check_base(found, config.base)
        if config.by_split:
            check_names_splits(found)
        classes = choose_classes(config.selection, found.files)
        if config.runner.is_dry_run:
            return _dry_run(config, found, classes)
        config.output.check_writable()
        with held(config.output):
            return _run_held(config, found, classes)
    except (ConditionError, ImagePlaceError, InputError, OutputError, OutputInUseError) as error:
        raise UsageError(str(error)) from error


def _run_held(config: BuildConfig, found: FoundInputs, classes: Classes) -> int:
    if found.left_out:
        _log.info("left out, of no known kind: %s", _some(found.left_out))
    if lacks_image_lists(found):
        _log.warning(
            "--open_images: no file lists the images (such as train-images-boxable-with-rotation.csv), so their photos "
            "get surrogate ids and cannot be joined with other sources"
        )
    settle(config.output, config.threads, config.progress, config.overwrite)
    standing = _what_stands(config, found)
    with run_folder(config.output, config.temp_location, not config.runner.is_local) as place:
        if standing.plan.rows is None:
            check_spool_space(place, found)
        if not standing.is_finished:
            config = with_lists(config, place.scratch)
        output_state.begin(config.output, standing, config.overwrite)
        if not standing.is_finished:
            _run_graph(config, found, standing, classes, place)
    return report_build(config.output, config.max_failure_ratio if config.images else None)


def _dry_run(config: BuildConfig, found: FoundInputs, classes: Classes) -> int:
    """Has the runner check the graph of a first run."""
    plan = Plan(selection=config.selection.as_json(), format=config.format, inputs=found.plan_inputs())
    standing = output_state.Standing(plan, None, {}, False)
    _run_graph(config, found, standing, classes, dry_run_folder(config.output, config.temp_location))
    sys.stdout.write("dry run: the graph is valid; nothing was done\n")
    return OK


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMES_SHOWN:,} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more


def _what_stands(config: BuildConfig, found: FoundInputs) -> output_state.Standing:
    inputs, selection = found.plan_inputs(), config.selection.as_json()
    plan = Plan(selection=selection, format=config.format, inputs=inputs, configuration=config.flags)
    if config.overwrite:
        tombstones = find_tombstones(config.output)
        return output_state.Standing(dataclasses.replace(plan, tombstones=tombstones), None, {}, False)
    old = output_state.read_plan(config.output)
    if old is not None:
        output_state.check_is_of_sources(old, config.output)
        output_state.check_format(old, config.format)
        keeps_images = config.images is None and IMAGE_FLAG in old.format
        plan = dataclasses.replace(
            plan,
            format={**old.format, **config.format},
            shards=old.shards,
            tombstones=old.tombstones,
            configuration=old.configuration if keeps_images else plan.configuration,
        )
    commits = output_state.read_commits(config.output, plan) if config.images else {}
    committed = {shard: output_state.made_from(commit) for shard, commit in commits.items()}
    if old is None or not output_state.rows_hold(old, config.output, selection, inputs, committed):
        return output_state.Standing(plan, old, committed, False)
    plan = dataclasses.replace(plan, counts=old.counts, rows=old.rows)
    is_finished = config.images is None or output_state.is_finished(config.output, plan, commits)
    return output_state.Standing(plan, old, committed, is_finished)


def _run_graph(
    config: BuildConfig, found: FoundInputs, standing: output_state.Standing, classes: Classes, place: RunFolder
) -> None:
    plan, committed = standing.plan, standing.committed
    todo = sum(r.rows for r in plan.rows or [] if committed.get(r.shard) != r.digest)
    with show_progress(config.progress, todo):
        from beam_jobs.building import graph

        graph.run(
            graph.Work(
                output=config.output,
                place=place,
                files=found.files,
                plan=plan,
                selection=config.selection,
                classes=classes,
                images=config.images,
                committed=committed,
                runner=config.runner,
                finish=finish_config(config, place.folder.name),
                max_failure_ratio=config.max_failure_ratio,
            )
        )


if __name__ == "__main__":
    end_process(main)
