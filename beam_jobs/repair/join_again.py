"""The rows of a dataset are joined once more beside it, to put back what is lost of them."""

import dataclasses

from beam_jobs.building.build_config import BuildConfig
from beam_jobs.building.spool_space import check_spool_space
from beam_jobs.command.download_line import show_download
from beam_jobs.command.progress_line import show_progress
from beam_jobs.outputs.output_state import source_dataset
from beam_jobs.outputs.run_folder import RunFolder
from beam_jobs.runners.runner_flags import RunnerConfig
from schemas import layout
from schemas.records import Plan
from transforms.join.read_classes import choose_classes
from transforms.sources.fetch_published import fetch_published
from transforms.sources.find_inputs import FoundInputs, check_base, find_inputs
from transforms.sources.input_files import InputError
from transforms.stores.output import LocalOutput, read_record


def join_again(config: BuildConfig, plan: Plan, place: RunFolder) -> LocalOutput:
    """Joins the rows of a plan into a local folder.

    Args:
        config: of the build that made the dataset.
        plan: of the dataset, as far as it is known; inputs that it lists are all to be there.
        place: for everything unfinished; may hold the result of an earlier call, which is returned.

    Returns:
        Plan, rows and input failures, as a dataset without images.

    Raises:
        InputError: an input is not there any more, or is not what it was.
        JobError: the join failed.
        OutputError: there is no room.
    """
    joined = LocalOutput(place.folder / "joined")
    if joined.exists(layout.PLAN) and read_record(joined, layout.PLAN, Plan).rows is not None:
        return joined
    _check_was_joined(plan)
    with show_download(config.progress) as report:
        found = find_inputs(fetch_published(config.sources, config.published, report))
    check_base(found, config.base)
    _check_inputs(found, plan)
    classes = choose_classes(config.selection, found.files)
    check_spool_space(place, found)
    wanted = dataclasses.replace(plan, inputs=found.plan_inputs(), counts={}, rows=None)
    joined.write(layout.PLAN, wanted.to_json())
    with show_progress(config.progress, 0):
        from beam_jobs.building import graph

        graph.run(
            graph.Work(
                output=joined,
                place=place,
                files=found.files,
                plan=wanted,
                selection=config.selection,
                classes=classes,
                images=None,
                committed={},
                runner=RunnerConfig(),
                finish=None,
            )
        )
    return joined


def _check_was_joined(plan: Plan) -> None:
    old = source_dataset(plan)
    if old:
        raise InputError(
            f"the rows were not joined, but taken from {old.url}: remove the commit records of their shards, "
            f"and run the same `photobeam reprocess {old.url} --output …` again"
        )


def _check_inputs(found: FoundInputs, plan: Plan) -> None:
    missing = sorted({file.url for file in plan.inputs} - {file.url for file in found.files})
    if missing:
        raise InputError(f"the input {missing[0]} is not what it was, or gone; put it back")
