"""Looks why a run would fail here. It takes the flags of `build`, all of them optional.

    photobeam doctor
    photobeam doctor --yfcc /data/yfcc --output s3://bucket/dataset --mirror yfcc=http://host/mirror

Put `doctor` in the place of `build` or `join` in a command that fails, or that is about to be run. It looks at this
machine, and at what the flags name: inputs, output, servers and buckets of photos, of which it fetches a few, and the
runner. It changes nothing that stays. A line for each thing looked at: ok, warning or fault, what is there, and
what to do about it.

Exit code 0: no fault; 1: there are faults.
"""

import argparse
import functools
import sys
import typing

from beam_jobs.building import build_flags
from beam_jobs.building.build_config import add_build_flags, check_workers_see_inputs
from beam_jobs.building.image_flags import ImageStep, image_format
from beam_jobs.building.selection_flags import row_selection
from beam_jobs.building.spool_space import SPOOL_FACTOR
from beam_jobs.cli import run_command
from beam_jobs.command.counted import counted
from beam_jobs.command.end_process import end_process
from beam_jobs.command.errors import FAILED, OK, UsageError
from beam_jobs.command.flags import FlagParser, parse
from beam_jobs.command.store_flags import s3_options
from beam_jobs.diagnosis.findings import FAULT, WARNING, Finding, Look, fault_of, look_at
from beam_jobs.diagnosis.findings import OK as FINE
from beam_jobs.diagnosis.input_findings import Inputs, Sources, look_at_classes
from beam_jobs.diagnosis.machine_findings import (
    look_at_cores,
    look_at_nltk,
    look_at_open_files,
    look_at_packages,
    look_at_python,
    look_at_temporary_files,
)
from beam_jobs.diagnosis.output_findings import look_at_output, look_at_space, look_at_temp_location
from beam_jobs.diagnosis.place_findings import look_at_photos, look_at_proxies, places_of
from beam_jobs.diagnosis.runner_findings import look_at_runner
from beam_jobs.runners.runner_flags import CORES, FLINK, LOCAL
from schemas.sources import ALL_SOURCES, Source
from schemas.splits import SPLITS
from transforms.join.filter_rows import RowSelection
from transforms.join.where_condition import ConditionError, check_condition
from transforms.sources.find_inputs import decoded_bytes
from transforms.sources.first_photos import first_photos
from transforms.stores.output import LocalOutput
from transforms.stores.scratch import TEMP_FLAG

INPUTS_S, REST_S = 10.0, 17.0
"""Patience with the inputs, which tell what else is looked at, and with all of that together."""

PHOTOS = 4
"""Fetched for trial."""

_EXTRAS = {"s3": "s3://", "gcs": "gs://"}


def main(argv: typing.Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return run_command(lambda: run(sys.argv[1:] if argv is None else argv))


def run(argv: typing.Sequence[str]) -> int:
    """Looks at everything, and prints what it finds as it finds it.

    Raises:
        UsageError: the command line cannot be read.
    """
    flags = parse(make_parser(), argv)
    counts = {FAULT: 0, WARNING: 0}
    for finding in findings(flags):
        if finding.status in counts:
            counts[finding.status] += 1
        sys.stdout.write(f"{finding.to_json() if flags.json else finding}\n")
        sys.stdout.flush()
    if not flags.json:
        sys.stdout.write(f"{counted(counts[FAULT], 'fault')}, {counted(counts[WARNING], 'warning')}\n")
    return FAILED if counts[FAULT] else OK


def make_parser() -> FlagParser:
    """Returns the parser of all flags but ``--config``."""
    parser = FlagParser("doctor", __doc__ or "")
    add_build_flags(parser)
    for action in parser._actions:
        action.required = False
    parser.add_argument("--json", action="store_true", help="one JSON object a line: status, check, found, remedy")
    return parser


def findings(flags: argparse.Namespace) -> typing.Iterator[Finding]:
    """Looks at this machine and all that the flags name.

    Args:
        flags: of :func:`make_parser`.
    """
    inputs, sources = Inputs(), _sources(flags)
    base = flags.base or (build_flags.base(flags) if sources else ALL_SOURCES)
    published = functools.partial(build_flags.published_places, flags)
    yield from look_at(
        [
            *_of_machine(flags),
            ("flags", lambda: _look_at_flags(flags)),
            ("inputs", lambda: inputs.look(sources, base, published()) if sources else ()),
        ],
        INPUTS_S,
    )
    yield from look_at(_of_surroundings(flags, base, inputs), REST_S)


def _of_machine(flags: argparse.Namespace) -> list[tuple[str, Look]]:
    written = _stores([flags.output or "", *(path for source in Source for path in getattr(flags, source.value))])
    read = _stores([*(flags.images or ()), *flags.mirror]) - written
    return [
        ("python", look_at_python),
        ("packages", lambda: look_at_packages(sorted(written), sorted(read))),
        ("nltk", look_at_nltk),
        ("cores", lambda: look_at_cores(flags.workers or CORES)),
        ("open files", lambda: look_at_open_files(flags.concurrency)),
        ("TMPDIR", look_at_temporary_files),
        ("proxy", look_at_proxies),
    ]


def _of_surroundings(flags: argparse.Namespace, base: str, inputs: Inputs) -> list[tuple[str, Look]]:
    step = _image_step(flags, base)
    looks: list[tuple[str, Look]] = [("runner", lambda: look_at_runner({**vars(flags), **flags.runner_options}))]
    if flags.output:
        looks.append(("--output", lambda: _look_at_output(flags, base, step, inputs)))
    if flags.temp_location:
        looks.append((TEMP_FLAG, lambda: _look_at_temp_location(flags)))
    if flags.classes and inputs.files and inputs.is_whole:
        looks.append(("--classes", lambda: _look_at_classes(flags, inputs)))
    if step:
        looks += _of_places(flags, step)
    if step and inputs.files:
        looks.append(("photos", lambda: _look_at_photos(flags, base, step, inputs)))
    return looks


def _of_places(flags: argparse.Namespace, step: ImageStep) -> typing.Iterator[tuple[str, Look]]:
    """Yields looks at places of images; where no source is named, none of the mirrors may be needed."""
    named = {source.value for source in _sources(flags)}
    mirrored = {mirror.partition("=")[0] for mirror in flags.mirror}
    for check, look in places_of(step, named | mirrored or {source.value for source in Source}):
        yield check, look if named | mirrored else functools.partial(_mildly, look)


def _mildly(look: Look) -> typing.Iterator[Finding]:
    return (f._replace(status=WARNING) if f.status == FAULT else f for f in look())


def _look_at_flags(flags: argparse.Namespace) -> typing.Iterator[Finding]:
    """Says what a build would, of flags that contradict one another or are out of range."""
    try:
        selection: RowSelection = row_selection(flags)
        if selection.where:
            check_condition(selection.where)
        build_flags.image_step(_with_base(flags, flags.base or ALL_SOURCES))
        s3_options(vars(flags))
        check_workers_see_inputs(flags.runner, _sources(flags), flags.images or ())
    except (UsageError, ConditionError) as error:
        yield fault_of("flags", error)
        return
    yield Finding(FINE, "flags", "go together")


def _look_at_classes(flags: argparse.Namespace, inputs: Inputs) -> typing.Iterator[Finding]:
    try:
        selection = row_selection(flags)
    except UsageError:
        return  # that is said of the flags
    yield from look_at_classes(selection, inputs.files)


def _look_at_output(
    flags: argparse.Namespace, base: str, step: ImageStep | None, inputs: Inputs
) -> typing.Iterator[Finding]:
    output = build_flags.output(flags)
    wanted = {"samples_per_shard": flags.samples_per_shard, **(image_format(step) if step else {})}
    wanted |= {"base": base} if inputs.files else {}
    for part in map(output.child, SPLITS) if flags.by_split else [output]:
        yield from look_at_output(part, wanted, flags.overwrite)
    local = output if isinstance(output, LocalOutput) else None
    yield from look_at_space(local, SPOOL_FACTOR * decoded_bytes(inputs.files))


def _look_at_temp_location(flags: argparse.Namespace) -> typing.Iterator[Finding]:
    place = build_flags.temp_location(vars(flags))
    if place:
        yield from look_at_temp_location(place, build_flags.output(flags) if flags.output else None)


def _look_at_photos(flags: argparse.Namespace, base: str, step: ImageStep, inputs: Inputs) -> typing.Iterator[Finding]:
    photos = first_photos(inputs.files, base, PHOTOS, flags.split)
    if not photos:
        yield Finding(WARNING, "photos", "none at the beginning of the inputs, so none was tried")
        return
    yield from look_at_photos(photos, step)


def _image_step(flags: argparse.Namespace, base: str) -> ImageStep | None:
    """Returns what would happen to the images; None if nothing would, or the flags are wrong, which is said."""
    try:
        return build_flags.image_step(_with_base(flags, base))
    except UsageError:
        return None


def _with_base(flags: argparse.Namespace, base: str) -> argparse.Namespace:
    """Returns the flags as of a run on this machine: a cluster is looked at by itself, and hides nothing."""
    here = {"runner": LOCAL} if flags.runner == FLINK else {}
    return argparse.Namespace(**{**vars(flags), **here, "base": base})


def _sources(flags: argparse.Namespace) -> Sources:
    return build_flags.sources(flags) if any(getattr(flags, source.value) for source in Source) else {}


def _stores(values: typing.Iterable[str]) -> set[str]:
    """Returns the optional parts of photobeam that URLs need."""
    return {extra for value in values for extra, scheme in _EXTRAS.items() if scheme in value}


if __name__ == "__main__":
    end_process(main)
