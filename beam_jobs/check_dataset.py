"""Checks every byte and count of a dataset, and names what is wrong and what to do about it.

    photobeam verify OUT
    photobeam verify OUT --fast

In full it checks every hash, the structure of every tar, the offsets of every index, every sample's JSON and text
against its row, that every image decodes to the size it should have, and that every line and photo is accounted for.
With --fast it reads the records and lists the files: sizes, counts, and whether plan, commit records and manifest fit
one another.

Exit code 0: all is well; 1: there are faults, one a line; 2: there is no dataset.
"""

import os
import sys
import typing

from beam_jobs.cli import run_command
from beam_jobs.errors import FAILED, OK, UsageError
from beam_jobs.flags import FlagParser, parse
from beam_jobs.store_flags import add_store_flags, reach_dataset
from transforms.dataset_files import NoDatasetError
from transforms.verify_dataset import VerifyReport, verify


def main(argv: typing.Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return run_command(lambda: run(sys.argv[1:] if argv is None else argv))


def run(argv: typing.Sequence[str]) -> int:
    """Verifies the dataset that the command line names, and prints what was found.

    Raises:
        UsageError: the command line is wrong, or there is no dataset.
    """
    parser = FlagParser("verify", __doc__ or "")
    parser.add_argument("output", metavar="OUT", help="the dataset: local path or any fsspec URL")
    parser.add_argument("--fast", action="store_true", help="records, counts and sizes alone: data are not read")
    add_store_flags(parser)
    flags = parse(parser, argv)
    try:
        report = verify(os.path.expanduser(flags.output), flags.fast, s3=reach_dataset(flags.output, flags))
    except NoDatasetError as error:
        raise UsageError(str(error)) from error
    sys.stdout.write(describe(report, flags.fast))
    return FAILED if report.faults else OK


def describe(report: VerifyReport, fast: bool = False) -> str:
    """Returns the report as text: one line a fault, and a summary, which says so if only sizes were looked at."""
    lines = [f"{fault.file}: {fault.problem}; {fault.remedy}" for fault in report.faults]
    verdict = f"{len(lines):,} fault{'s' if len(lines) > 1 else ''}" if lines else "no fault"
    verdict += " of records and sizes" if fast else ""
    if report.rows_only:
        lines.append(f"{verdict} in {report.shards:,} shards of rows, made without images: {report.rows:,} rows")
    else:
        lines.append(
            f"{verdict} in {report.shards:,} shards: {report.rows:,} rows = {report.samples:,} samples + "
            f"{report.failures:,} failures, {report.bytes:,} bytes"
        )
    return "".join(line + "\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
