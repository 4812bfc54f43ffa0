"""`photobeam join`: the joined rows alone, as Parquet under `OUT/rows/`.

    photobeam join --yfcc /data/yfcc --output /data/out

The same as `photobeam build --images none`; a later `build` goes on from there.
"""

import sys
import typing

from beam_jobs.build_dataset import run
from beam_jobs.building import build_flags
from beam_jobs.building.build_config import BuildConfig, check_workers_see_inputs, config_of
from beam_jobs.building.selection_flags import add_selection_flags
from beam_jobs.cli import run_command
from beam_jobs.command.end_process import end_process
from beam_jobs.command.flags import FlagParser, parse
from beam_jobs.command.store_flags import add_store_flags


def main(argv: typing.Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return run_command(lambda: run(parse_args(sys.argv[1:] if argv is None else argv)))


def parse_args(argv: typing.Sequence[str]) -> BuildConfig:
    """Checks a command line.

    Raises:
        UsageError: names flag, value and remedy.
    """
    parser = FlagParser("join", __doc__ or "")
    build_flags.add_source_flags(parser)
    add_selection_flags(parser)
    add_store_flags(parser)
    build_flags.add_run_flags(parser)
    parser.add_argument(
        "--mirror", action="append", default=[], metavar="SOURCE=URL", help="another root for published sets"
    )
    config = config_of(parse(parser, argv), images=None)
    check_workers_see_inputs(config.runner.name, config.sources)
    return config


if __name__ == "__main__":
    end_process(main)
