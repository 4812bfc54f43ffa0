"""Runs a graph on Flink or Prism, through the job server that Beam starts for them.

What Beam leaves to its caller is done here: a run that is interrupted or fails takes its job and its job server along,
and what the operator can mend is told in a sentence.
"""

import collections
import contextlib
import functools
import json
import logging
import typing
import uuid

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.flink_runner import FlinkRunner
from apache_beam.runners.portability.job_server import JobServer
from apache_beam.runners.portability.prism_runner import PrismJobServer, PrismRunner
from apache_beam.runners.runner import PipelineResult

from beam_jobs.command.errors import JobError
from beam_jobs.command.interrupt import also_ended
from beam_jobs.runners.flink_cluster import LOCAL_MASTERS, cancel_job
from beam_jobs.runners.flink_options import WORKER, flink_options
from beam_jobs.runners.follow_commits import follow_commits
from beam_jobs.runners.runner_flags import FLINK, RunnerConfig
from beam_jobs.runners.step_errors import GOES_ON, message_of
from transforms.stores.output import Output

_LAST_LINES = 20
"""Of a job server's log, shown if it ends before its time."""


def run_portably(build: typing.Callable[[beam.Pipeline], None], runner: RunnerConfig, output: Output) -> None:
    """Builds and runs a graph, and waits for its end.

    Args:
        build: adds the steps to a pipeline.
        runner: Flink or Prism.
        output: whose commits are counted meanwhile.

    Raises:
        JobError: it could not be submitted, or failed.
    """
    options = named({"save_main_session": False, **runner.options})
    options = flink_options(options, runner.workers) if runner.name == FLINK else options
    beam_runner = _Flink() if runner.name == FLINK else _Prism()
    pipeline = beam.Pipeline(runner=beam_runner, options=PipelineOptions.from_dictionary(options))
    build(pipeline)
    with _heard() as lines, contextlib.ExitStack() as ends:
        for end in (functools.partial(_cancel_on_cluster, options), beam_runner.stop_server):
            ends.enter_context(also_ended(end))
            ends.callback(end)
        try:
            result = pipeline.run()
            with also_ended(lambda: _cancel_here(result, options)), follow_commits(output):
                _wait(result, options)
        except JobError:
            raise
        except Exception as error:
            raise JobError(f"--runner={runner.name}: {_told(error, lines)}") from error


def named(given: typing.Mapping[str, typing.Any]) -> dict[str, typing.Any]:
    """Returns Beam's options with a name of the job that no other one has: a job is cancelled by its name."""
    return {**given, "job_name": f"{given.get('job_name') or 'photobeam'}-{uuid.uuid4().hex[:12]}"}


class _HasServer:
    """Keeps hold of its job server, which Beam would leave behind."""

    server: JobServer | None = None

    def stop_server(self) -> None:
        if self.server:
            self.server.stop()
        self.server = None


class _Flink(_HasServer, FlinkRunner):
    def default_job_server(self, options: PipelineOptions) -> JobServer:
        server = super().default_job_server(options)
        self.server = getattr(server, "_job_server", server)
        return self.server


class _Prism(_HasServer, PrismRunner):
    """Its job server is started for this run alone."""

    def default_job_server(self, options: PipelineOptions) -> JobServer:
        self.server = PrismJobServer(options)
        return self.server


def _wait(result: PipelineResult, options: typing.Mapping[str, typing.Any]) -> None:
    try:
        result.wait_until_finish()
    except Exception as error:
        _cancel_here(result, options)
        told = message_of(str(error), _worker(options))
        raise JobError(f"{told}; {GOES_ON}") from error


def _worker(options: typing.Mapping[str, typing.Any]) -> str:
    """Returns the command that starts a worker: what the job server passes on need not name it."""
    is_command = options.get("environment_type") == "PROCESS"
    config = json.loads(options.get("environment_config") or "{}") if is_command else {}
    return str(config.get("command", WORKER))


def _cancel_here(result: PipelineResult, options: typing.Mapping[str, typing.Any]) -> None:
    """Cancels a job that runs in its job server."""
    if not _cluster(options):
        with contextlib.suppress(Exception):
            result.cancel()


def _cancel_on_cluster(options: typing.Mapping[str, typing.Any]) -> None:
    """Cancels a job as far as it still runs: Flink goes on with one whose submitter is gone.

    To be called when the job server has ended: it may hand a job over some time after it has said so.
    """
    if cluster := _cluster(options):
        cancel_job(cluster, options["job_name"])


def _cluster(options: typing.Mapping[str, typing.Any]) -> str:
    master = str(options.get("flink_master", ""))
    return "" if master in LOCAL_MASTERS else master


@contextlib.contextmanager
def _heard() -> typing.Iterator[typing.Sequence[str]]:
    """Keeps Beam's own log from the terminal, and gives the last lines of its job server."""
    lines: collections.deque[str] = collections.deque(maxlen=_LAST_LINES)
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    servers = [logging.getLogger(name) for name in ("_Flink", "FlinkJarJobServer", "PrismJobServer")]
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.CRITICAL)
    for logger in servers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    try:
        yield lines
    finally:
        root.setLevel(level)
        for logger in servers:
            logger.removeHandler(handler)


def _told(error: Exception, lines: typing.Sequence[str]) -> str:
    return "\n".join([str(error) or type(error).__name__, *lines])
