"""Where a job runs: `--runner`, and on one command line with photobeam's flags those of Beam's runners."""

import argparse
import dataclasses
import functools
import os
import typing

from beam_jobs.command.errors import UsageError
from beam_jobs.command.flags import Arguments, FlagParser
from beam_jobs.runners.flink_cluster import LOCAL_MASTERS, read_cluster

LOCAL, FLINK, PRISM, DATAFLOW = "DirectRunner", "FlinkRunner", "PrismRunner", "DataflowRunner"

CORES = os.cpu_count() or 1

_LOCAL_NAMES = (LOCAL, "FnApiRunner")
_REFUSED = {
    "DaskRunner": "Beam's Dask runner drops branches of a graph without a word",
    "SparkRunner": "it is not tested",
    "PortableRunner": "name the runner behind the job server",
}


@dataclasses.dataclass(frozen=True)
class RunnerConfig:
    """Where a graph runs.

    Attributes:
        name: one of the four runners.
        workers: processes that fetch images, of the whole job: rates are divided among so many.
        children: those of each of Beam's own processes.
        options: Beam's flags that are given, by name.
    """

    name: str = LOCAL
    workers: int = CORES
    children: int = CORES
    options: typing.Mapping[str, typing.Any] = dataclasses.field(default_factory=dict)

    @property
    def is_local(self) -> bool:
        """Whether all of Beam is in this process."""
        return self.name == LOCAL

    @property
    def is_dry_run(self) -> bool:
        """Whether the graph is to be checked, and nothing done."""
        return self.name == DATAFLOW and bool(self.options.get("dry_run"))

    @property
    def goes_on_alone(self) -> bool:
        """Whether the command ends when the job is handed over."""
        is_left = bool(self.options.get("template_location")) or self.options.get("no_wait_until_finish") is True
        return self.name == DATAFLOW and is_left


def add_runner_flags(parser: FlagParser, group: argparse._ArgumentGroup) -> None:
    """Adds the flags, and lets those of Beam's runners pass."""
    group.add_argument(
        "--runner",
        type=_runner,
        default=LOCAL,
        help=f"{LOCAL} (this machine, the default), {FLINK}, {PRISM} or {DATAFLOW}; the last three take Beam's flags",
    )
    parser.others = BeamFlags()
    parser.epilog = "Flags of Beam's runners, such as --flink_master: README.md, On a cluster, and deploy/README.md."
    parser.set_defaults(runner_options={})


def runner_config(flags: argparse.Namespace) -> RunnerConfig:
    """Returns where a job runs.

    Raises:
        UsageError: a flag is missing, or a cluster does not answer.
    """
    options = flags.runner_options
    if flags.runner == LOCAL:
        return RunnerConfig(workers=flags.workers or CORES, children=flags.workers or CORES)
    if flags.runner == PRISM:
        return RunnerConfig(PRISM, flags.workers or CORES, flags.workers or CORES, options)
    if flags.runner == DATAFLOW:
        temp = {"temp_location": flags.temp_location} if flags.temp_location else {}
        return RunnerConfig(DATAFLOW, _workers_of_dataflow(flags), 1, {**options, **temp})
    return _flink(flags, options)


def _flink(flags: argparse.Namespace, options: typing.Mapping[str, typing.Any]) -> RunnerConfig:
    master = options.get("flink_master")
    if not master:
        raise UsageError(
            f"--runner={FLINK} needs --flink_master: HOST:8081 of a cluster, or [local] for this machine alone"
        )
    workers = options.get("parallelism") or flags.workers
    if master in LOCAL_MASTERS:
        return RunnerConfig(FLINK, workers or CORES, workers or CORES, options)
    return RunnerConfig(FLINK, workers or max(1, _slots(master)), 1, options)


@functools.lru_cache(1)
def _slots(master: str) -> int:
    return read_cluster(master).slots


def _workers_of_dataflow(flags: argparse.Namespace) -> int:
    """Returns how many processes may fetch at once; where nobody says, no rate can be kept."""
    if flags.workers:
        return int(flags.workers)
    for flag in ("per_host_rate", "flickr_fallback"):
        if getattr(flags, flag, None):
            raise UsageError(
                f"--{flag} is for the whole job, and Dataflow decides how many workers that has: "
                "give --workers N, its --max_num_workers times the cores of one"
            )
    return 1


class BeamFlags:
    """The flags of Beam's runners, which stand among photobeam's where the job runs on one."""

    def split(self, line: Arguments, ours: typing.Collection[str]) -> tuple[Arguments, dict[str, typing.Any]]:
        """Takes Beam's flags out of a command line that runs on one of its runners.

        Args:
            line: arguments.
            ours: flags of photobeam, with their dashes.

        Returns:
            The rest of the line, and Beam's flags by name.

        Raises:
            UsageError: a value that Beam does not take.
        """
        known, _ = _runner_parser().parse_known_args(line)
        if known.runner in _LOCAL_NAMES:
            return line, {}
        from beam_jobs.runners.beam_flags import parse_beam_flags

        return parse_beam_flags(line, ours)

    def refuse(self, flag: str) -> None:
        """Refuses a flag of Beam's on a command line that runs on this machine.

        Raises:
            UsageError: it is one.
        """
        from beam_jobs.runners.beam_flags import beam_flags

        if flag in beam_flags():
            raise UsageError(f"{flag} is a flag of Beam's other runners: give --runner={FLINK}, {PRISM} or {DATAFLOW}")


def _runner_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--runner", default=LOCAL)
    return parser


def _runner(name: str) -> str:
    if name in _LOCAL_NAMES:
        return LOCAL
    if name in (FLINK, PRISM, DATAFLOW):
        return name
    why = _REFUSED.get(name, "it is not known")
    raise argparse.ArgumentTypeError(f"{name} is not supported ({why}): choose {LOCAL}, {FLINK}, {PRISM} or {DATAFLOW}")
