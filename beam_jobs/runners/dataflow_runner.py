"""Hands a graph to Dataflow."""

import contextlib
import logging
import typing

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from beam_jobs.command.errors import JobError, UsageError
from beam_jobs.command.interrupt import also_ended, leave
from beam_jobs.runners.runner_flags import RunnerConfig
from beam_jobs.runners.step_errors import GOES_ON, message_of

_log = logging.getLogger("photobeam")

_OPTIONS: typing.Mapping[str, typing.Any] = {
    "save_main_session": False,
    "number_of_worker_harness_threads": 1,
    "element_processing_timeout_minutes": 360,
    "resource_hints": ["min_ram=4GB"],
}
"""Dataflow starts a process for each core of a worker. One step at a time in each keeps that core busy: it has two
shards in hand and a child process of its own. One that is at a step for six hours is stuck, and ends."""


def run_on_dataflow(build: typing.Callable[[beam.Pipeline], None], runner: RunnerConfig) -> None:
    """Builds a graph and hands it over. Waits for its end, unless that is told from elsewhere or it is not to run.

    Raises:
        JobError: it could not be submitted, or failed.
    """
    pipeline = new_pipeline(runner)
    build(pipeline)
    result = pipeline.run()
    if runner.is_dry_run:
        return
    if runner.goes_on_alone:
        leave("the job is Dataflow's now; its last step writes the manifest")
    _log.info("job %s", result.job_id())
    with also_ended(result.cancel):
        try:
            result.wait_until_finish()
        except Exception as error:
            with contextlib.suppress(Exception):
                result.cancel()
            raise JobError(f"{message_of(str(error))}; {GOES_ON}") from error


def new_pipeline(runner: RunnerConfig) -> beam.Pipeline:
    """Returns an empty pipeline for Dataflow.

    Raises:
        UsageError: Beam refuses an option.
    """
    options = PipelineOptions.from_dictionary({**_OPTIONS, **runner.options})
    try:
        return beam.Pipeline(runner="DataflowRunner", options=options)
    except ValueError as error:
        raise UsageError(f"--runner=DataflowRunner: {error}") from error
