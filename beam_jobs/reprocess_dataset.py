"""`photobeam reprocess`: changes a dataset that is there, finished or not, or makes a second one of a finished one.

    photobeam reprocess /data/out --retry
    photobeam reprocess /data/out --output /data/small --image_size 128

In place one operation a call. Where a flag is not given, it is as the build had it.
"""

import sys
import typing

from beam_jobs.building import build_flags
from beam_jobs.building.build_config import add_refetch_flags
from beam_jobs.building.recorded_flags import Flags, parse_given, workers_and_progress
from beam_jobs.cli import run_command
from beam_jobs.command.end_process import end_process
from beam_jobs.command.errors import UsageError
from beam_jobs.command.flags import FlagParser
from beam_jobs.command.interrupt import held
from beam_jobs.command.store_flags import reach_dataset
from beam_jobs.outputs import output_state
from beam_jobs.outputs.settle import settle
from beam_jobs.reprocess import check_alive, derive_dataset, retry_failures, take_down
from schemas import layout
from schemas.records import Plan
from transforms.files.image_files import ImagePlaceError
from transforms.files.publish import OutputError
from transforms.stores.dataset_files import no_dataset_error
from transforms.stores.lease import OutputInUseError
from transforms.stores.output import Output


class Operation(typing.Protocol):
    """A module that carries out one thing that can be done to a dataset."""

    FLAG: str

    def add_flags(self, parser: FlagParser) -> None:
        """Adds the flag that asks for it, and what else it takes."""

    def check(self, given: Flags) -> None:
        """Checks its flags before the dataset is looked at; raises UsageError."""

    def run(self, output: Output, plan: Plan, given: Flags) -> int:
        """Carries it out on an output that is held; returns the exit code."""


_NO_DATASET = "the following arguments are required: OUT"
OPERATIONS: tuple[Operation, ...] = (retry_failures, take_down, check_alive)


def main(argv: typing.Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return run_command(lambda: run(parse_args(sys.argv[1:] if argv is None else argv)))


def parse_args(argv: typing.Sequence[str]) -> Flags:
    """Returns the flags that a command line gives.

    Raises:
        UsageError: names flag, value and remedy.
    """
    try:
        return parse_given(make_parser(), argv)
    except UsageError as error:
        if not str(error).startswith(_NO_DATASET):
            raise
        flags = " and ".join((retry_failures.FLAG, check_alive.FLAG))
        raise UsageError(
            f"OUT is missing: name the dataset first, as in `photobeam reprocess OUT {retry_failures.FLAG}`; {flags} "
            "take what follows them for their value"
        ) from error


def make_parser() -> FlagParser:
    """Returns the parser of all flags but ``--config``."""
    parser = FlagParser("reprocess", __doc__ or "")
    parser.add_argument("dataset", metavar="OUT", help="the dataset")
    for operation in OPERATIONS:
        operation.add_flags(parser)
    derive_dataset.add_derive_flags(parser)
    add_refetch_flags(parser)
    return parser


def run(given: Flags) -> int:
    """Carries out the operation that is asked for, or makes a second dataset.

    Returns:
        Exit code.

    Raises:
        UsageError: the command cannot be carried out; nothing was done.
        JobError: it failed on the way; the same command goes on.
    """
    if derive_dataset.OUTPUT in given:
        return _derive(given)
    operation = _operation(given)
    operation.check(given)
    output = build_flags.output_at("OUT", given["dataset"], reach_dataset(given["dataset"], given, is_written=True))
    if not output.exists(layout.PLAN) and output.exists(layout.MANIFEST):
        raise UsageError(f"{output}/{layout.PLAN} is lost: `photobeam verify {output} --repair` restores it")
    if not output.exists(layout.PLAN):
        raise UsageError(str(no_dataset_error(output)))
    output_state.check_versions(output)
    try:
        output.check_writable()
        with held(output):
            settle(output, *workers_and_progress(given))
            plan = output_state.read_plan(output)
            if plan is None:
                raise UsageError(f"{output} holds no dataset any more")
            code = operation.run(output, plan, given)
            output.sweep()
            return code
    except (ImagePlaceError, OutputError, OutputInUseError) as error:
        raise UsageError(str(error)) from error


def _derive(given: Flags) -> int:
    in_place = _asked(given)
    if in_place:
        raise UsageError(f"{in_place[0].FLAG} changes the dataset itself: leave --output out")
    s3 = reach_dataset(given["dataset"], given)
    output = build_flags.output_at("--output", given[derive_dataset.OUTPUT], s3)
    return derive_dataset.run(build_flags.output_at("OUT", given["dataset"], s3), output, given)


def _asked(given: Flags) -> list[Operation]:
    return [operation for operation in OPERATIONS if operation.FLAG.removeprefix("--") in given]


def _operation(given: Flags) -> Operation:
    derived = sorted(given.keys() & derive_dataset.flag_names())
    if derived:
        raise UsageError(f"--{derived[0]} is for a second dataset: name its --output")
    asked = _asked(given)
    if len(asked) != 1:
        what = "several operations" if asked else "no operation"
        raise UsageError(f"{what}: give one of {', '.join(operation.FLAG for operation in OPERATIONS)}, or --output")
    return asked[0]


if __name__ == "__main__":
    end_process(main)
