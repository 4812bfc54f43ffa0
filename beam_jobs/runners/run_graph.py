"""Runs a graph where the flags say."""

import typing

from beam_jobs.runners.runner_flags import DATAFLOW, RunnerConfig
from transforms.stores.output import Output

if typing.TYPE_CHECKING:
    import apache_beam as beam

BuildGraph = typing.Callable[["beam.Pipeline"], None]


def run_graph(build: BuildGraph, runner: RunnerConfig, output: Output) -> None:
    """Builds and runs a graph.

    Args:
        build: adds the steps to a pipeline.
        runner: where it runs.
        output: that the graph writes to; its commits tell how far the graph is where Beam does not.

    Raises:
        UsageError: the runner cannot be reached, or lacks something.
        JobError: a step failed for a reason that the operator can mend.
    """
    if runner.is_local:
        from beam_jobs.runners.local_runner import run_locally

        run_locally(build, runner.workers)
    elif runner.name == DATAFLOW:
        from beam_jobs.runners.dataflow_runner import run_on_dataflow

        run_on_dataflow(build, runner)
    else:
        from beam_jobs.runners.portable_runner import run_portably

        run_portably(build, runner, output)
