"""Runs a graph in this process.

`DirectRunner` in Beam may quietly download and start another runner. This one is always the
in-process FnApiRunner, built with the options passed on, so that a run is the same everywhere.
"""

import contextlib
import functools
import logging
import shutil
import typing

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions
from apache_beam.portability.api import beam_provision_api_pb2
from apache_beam.runners.portability.fn_api_runner import fn_runner
from apache_beam.runners.portability.portable_runner import JobServiceHandle

from beam_jobs.command.errors import JobError
from beam_jobs.command.interrupt import also_ended
from beam_jobs.runners.step_errors import GOES_ON, expected_message
from transforms.workers.worker_pool import stop_shared_pool

_QUIET_LOGGERS = (
    "apache_beam.runners.common",
    "apache_beam.runners.worker.sdk_worker",
    "apache_beam.runners.portability.fn_api_runner.fn_runner",
)
"""They log what is raised as well, or warn of threads that are meant."""


_View = typing.TypeVar("_View", bound=PipelineOptions)


class _QuickOptions(PipelineOptions):
    """Options that keep their views: Beam asks for hundreds to build a graph, and makes a parser for each."""

    def view_as(self, cls: type[_View]) -> _View:
        views = self.__dict__.setdefault("_views", {})
        if cls not in views:
            views[cls] = super().view_as(cls)
        return typing.cast(_View, views[cls])


def run_locally(build: typing.Callable[[beam.Pipeline], None], threads: int) -> None:
    """Builds and runs a graph, stages in turn, each on so many threads; child processes end with it.

    Raises:
        JobError: a step failed for a reason that the operator can mend.
    """
    options = _QuickOptions([])
    options.view_as(DirectOptions).direct_num_workers = threads
    options.view_as(DirectOptions).direct_running_mode = "in_memory"
    for name in _QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    pipeline = beam.Pipeline(runner=_runner(options), options=options)
    try:
        with _without_leftovers(pipeline):
            build(pipeline)
            pipeline.run().wait_until_finish()
    except Exception as error:  # noqa: BLE001  what is not expected is raised again
        message = expected_message(error)
        if message is None:
            raise
        raise JobError(f"{message}; {GOES_ON}") from error
    finally:
        stop_shared_pool()


@contextlib.contextmanager
def _without_leftovers(pipeline: beam.Pipeline) -> typing.Iterator[None]:
    remove = functools.partial(shutil.rmtree, pipeline.local_tempdir, ignore_errors=True)
    with also_ended(remove):
        try:
            yield
        finally:
            remove()


def _runner(options: PipelineOptions) -> fn_runner.FnApiRunner:
    encoded = JobServiceHandle.encode_pipeline_options(options.get_all_options())
    return fn_runner.FnApiRunner(
        provision_info=fn_runner.ExtendedProvisionInfo(beam_provision_api_pb2.ProvisionInfo(pipeline_options=encoded))
    )
