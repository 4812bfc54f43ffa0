"""The flags of an earlier build as the defaults of a command on its output, under those given now."""

import argparse
import dataclasses
import typing

from beam_jobs.building import build_flags
from beam_jobs.building.build_config import BuildConfig, add_build_flags, config_of
from beam_jobs.command.errors import UsageError
from beam_jobs.command.flags import FlagParser, parse
from beam_jobs.command.progress_line import PROGRESS
from beam_jobs.outputs.output_state import source_dataset
from beam_jobs.runners.check_runner import check_is_followed
from beam_jobs.runners.runner_flags import CORES
from schemas import layout
from schemas.records import Manifest, OtherFormatError, Plan
from schemas.sources import Source
from transforms.datasets.dataset_records import IMAGE_FLAG
from transforms.stores.output import Output, read_record

_OF_ONE_RUN = frozenset(
    {"output", "overwrite", "by_split", "config", "workers", "progress", "runner", "runner_options", "temp_location"}
)
"""Flags that say nothing of the dataset: where it was then, and what that run was to do on its machine."""

REPROCESSED = "reprocessed"
"""Among the flags of a dataset that was made of another one: which."""

Flags = dict[str, typing.Any]


def parse_given(parser: FlagParser, argv: typing.Sequence[str]) -> Flags:
    """Parses a command line and returns only what it gives, by name; defaults are left out.

    Raises:
        UsageError: as :func:`beam_jobs.command.flags.parse`.
    """
    for action in parser._actions:
        action.help = (action.help or "").replace("%(default)s", str(action.default).replace("%", "%%"))
        action.default = argparse.SUPPRESS
    parser._defaults.clear()
    return vars(parse(parser, argv))


def workers_and_progress(given: Flags) -> tuple[int, str]:
    """Returns ``--workers`` and ``--progress``, or what is meant where they are not given."""
    return given.get("workers", CORES), given.get("progress", PROGRESS)


def recorded_build(output: Output, plan: Plan | None, given: Flags) -> BuildConfig:
    """Returns the build that would make a dataset as it is.

    What decides its rows and samples comes from the plan. The other flags are those given now; else those of the
    last build, if plan or manifest record them; else the defaults. Neither records keys and passwords.

    Args:
        output: holds the dataset.
        plan: of it; None if it is lost: then what decides rows and samples is as the manifest records it.
        given: flags of this command line, by name; those that no build has are left out.

    Raises:
        UsageError: a flag's value is out of range.
    """
    parser = FlagParser("build", "")
    add_build_flags(parser)
    defaults = vars(parser.parse_args(["--output", str(output)]))
    recorded = _recorded_flags(output, plan)
    of_data = {name: value for name, value in recorded.items() if name not in _OF_ONE_RUN}
    flags = _only(defaults, defaults | of_data | (_planned(plan) if plan else {}) | given)
    images = build_flags.image_step(flags) if plan is None or IMAGE_FLAG in plan.format else None
    config = config_of(flags, images, flags.max_failure_ratio)
    check_is_followed(config.runner, "this command")
    known = vars(_only(defaults, config.flags | recorded | given))
    said = build_flags.published_flags(argparse.Namespace(**(recorded | known)))
    return dataclasses.replace(config, output=output, flags=said)


def _recorded_flags(output: Output, plan: Plan | None) -> Flags:
    """Returns what the plan records, or the manifest if there is no plan, or none that knows.

    Raises:
        UsageError: the manifest is of another format version.
    """
    if plan and plan.configuration:
        return plan.configuration
    try:
        return read_record(output, layout.MANIFEST, Manifest).configuration
    except OtherFormatError as error:
        raise UsageError(str(error)) from error
    except (FileNotFoundError, ValueError):
        return {}


def _only(known: Flags, values: Flags) -> argparse.Namespace:
    return argparse.Namespace(**{name: value for name, value in values.items() if name in known})


def _planned(plan: Plan) -> Flags:
    """Returns the flags that decide rows and samples; inputs by the names under which they were found.

    Of a dataset that was made from another one the plan's inputs do not name the sources: the recorded flags do.
    """
    if source_dataset(plan):
        return plan.format
    selection = {**plan.selection, "class_evidence": ",".join(plan.selection.get("class_evidence", ()))}
    inputs: Flags = {source.value: [] for source in Source}
    for file in plan.inputs:
        source, _, kind = file.kind.partition("/")
        inputs[source].append(f"{kind}={file.url}" if source == Source.YFCC.value else file.url)
    return {**plan.format, **{name: value for name, value in selection.items() if value != ""}, **inputs}
