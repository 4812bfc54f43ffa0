"""Checks every byte and count of a dataset, and names what is wrong and what to do about it.

    photobeam verify OUT
    photobeam verify OUT --fast
    photobeam verify OUT --repair

In full it checks every hash, the structure of every tar, the offsets of every index, every sample's JSON and text
against its row, that every image decodes to the size it should have, and that every line and photo is accounted for.
With --fast it reads the records and lists the files: sizes, counts, and whether plan, commit records and manifest fit
one another.

With --repair what is damaged or lost is made again, and no other file is touched: samples from the shards as far as
they are whole, else from their photos; rows from the inputs. Where a flag is not given, it is as the build had it.

Exit code 0: all is well; 1: there are faults, one a line; 2: there is no dataset.
"""

import os
import sys
import typing

from beam_jobs.building import build_flags
from beam_jobs.building.build_config import add_refetch_flags
from beam_jobs.building.recorded_flags import Flags, parse_given, workers_and_progress
from beam_jobs.cli import run_command
from beam_jobs.command.counted import counted
from beam_jobs.command.end_process import end_process
from beam_jobs.command.errors import FAILED, OK, UsageError
from beam_jobs.command.flags import FlagParser
from beam_jobs.command.store_flags import reach_dataset
from beam_jobs.outputs.verify_output import verify_output
from beam_jobs.repair.repair_dataset import repair
from transforms.datasets.remedies import OF_REPAIRS
from transforms.stores.dataset_files import NoDatasetError
from transforms.verify.verify_dataset import VerifyReport, verify

_OF_CHECKS = frozenset({"dataset", "config", "fast", "workers", "progress"})
"""What a check takes beside the flags of stores; all else is of repairs."""

_OF_READING = ("workers", "progress")
"""What a fast check has no use for: it takes a moment."""


def main(argv: typing.Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return run_command(lambda: run(sys.argv[1:] if argv is None else argv))


def run(argv: typing.Sequence[str]) -> int:
    """Verifies the dataset that the command line names, and prints what was found.

    Raises:
        UsageError: the command line is wrong, or there is no dataset.
    """
    given = parse_given(make_parser(), argv)
    if "repair" in given:
        return _repair(given)
    fast = "fast" in given
    without_effect = [name for name in given if name not in _OF_CHECKS and not name.startswith("s3_")]
    if without_effect:
        raise UsageError(f"--{without_effect[0]} has no effect without --repair; leave it out")
    if fast and (idle := [name for name in _OF_READING if name in given]):
        raise UsageError(f"--{idle[0]} has no effect with --fast; leave it out")
    try:
        s3 = reach_dataset(given["dataset"], given)
        root = os.path.expanduser(given["dataset"])
        report = verify(root, fast, s3=s3) if fast else verify_output(root, s3, *workers_and_progress(given))
    except NoDatasetError as error:
        raise UsageError(str(error)) from error
    sys.stdout.write(describe(report, fast))
    return FAILED if report.faults else OK


def make_parser() -> FlagParser:
    """Returns the parser of all flags but ``--config``."""
    parser = FlagParser("verify", __doc__ or "")
    parser.add_argument("dataset", metavar="OUT", help="the dataset: local path or any fsspec URL")
    parser.add_argument("--fast", action="store_true", help="records, counts and sizes alone: data are not read")
    parser.add_argument("--repair", action="store_true", help="make what is damaged or lost again, and nothing else")
    add_refetch_flags(parser)
    return parser


def _repair(given: Flags) -> int:
    if "fast" in given:
        raise UsageError("--fast and --repair exclude each other: what is repaired is read; leave one out")
    s3 = reach_dataset(given["dataset"], given, is_written=True)
    repaired = repair(build_flags.output_at("OUT", given["dataset"], s3), given)
    sys.stdout.write(describe(repaired.report))
    if any(fault.remedy in OF_REPAIRS for fault in repaired.report.faults):
        sys.stderr.write("photobeam: --repair has just been tried; why it did not mend all of this is said above\n")
    told = " and ".join(f"{number:,} {what}" for what, number in repaired.lost._asdict().items() if number)
    if told:
        sys.stderr.write(
            f"photobeam: {told} of shards that were made again are failures now, since they could not be fetched; "
            "`photobeam reprocess OUT --retry \"stage = 'fetch'\"` tries them again, with --images or --mirror where "
            "they are elsewhere\n"
        )
    return FAILED if repaired.report.faults or told else OK


def describe(report: VerifyReport, fast: bool = False) -> str:
    """Returns the report as text: one line a fault, and a summary, which says so if only sizes were looked at."""
    lines = [f"{fault.file}: {fault.problem}; {fault.remedy}" for fault in report.faults]
    verdict = counted(len(lines), "fault") if lines else "no fault"
    verdict += " of records and sizes" if fast else ""
    if report.rows_only:
        shards = f"{counted(report.shards, 'shard')} of rows, made without images"
        lines.append(f"{verdict} in {shards}: {counted(report.rows, 'row')}")
    else:
        videos = f"{counted(report.videos, 'video')} + " if report.videos else ""
        lines.append(
            f"{verdict} in {counted(report.shards, 'shard')}: {counted(report.rows, 'row')} = "
            f"{counted(report.samples, 'sample')} + {videos}{counted(report.failures, 'failure')}, "
            f"{counted(report.bytes, 'byte')}"
        )
    return "".join(line + "\n" for line in lines)


if __name__ == "__main__":
    end_process(main)
