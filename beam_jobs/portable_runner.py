"""Runs a graph on Flink or Prism, through the job server that Beam starts for them.

What Beam leaves to its caller is done here: a run that is interrupted or fails takes its job and its job server along,
and what the operator can mend is told in a sentence.
"""

import collections
import contextlib
import functools
import json
import logging
import shutil
import sys
import sysconfig
import typing
import uuid

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.flink_runner import FlinkRunner
from apache_beam.runners.portability.job_server import JobServer
from apache_beam.runners.portability.prism_runner import PrismJobServer, PrismRunner
from apache_beam.runners.runner import PipelineResult

from beam_jobs.errors import JobError, UsageError
from beam_jobs.flink_cluster import FLINK_VERSION, LOCAL_MASTERS, cancel_job
from beam_jobs.follow_commits import follow_commits
from beam_jobs.interrupt import also_ended
from beam_jobs.runner_flags import FLINK, RunnerConfig
from beam_jobs.step_errors import message_of
from beam_jobs.versions import software
from beam_jobs.worker_boot import VERSIONS
from transforms.output import Output

WORKER = "photobeam-worker"
"""Command that each of Flink's Python workers is started by."""

STUCK_MINUTES = 120
"""How long a worker may get nothing done. The longest that one does whose servers answer at all is the fetching or
uploading of a single large file, which takes less; and a job that is worth a cluster can wait so long."""

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


def flink_options(given: typing.Mapping[str, typing.Any], slots: int) -> dict[str, typing.Any]:
    """Returns Beam's options for Flink: those given, over what suits the graphs of this project.

    Batches are exchanged through files, so that a fault costs one task; each slot has a Python process of its own,
    which ends with its stage, or if it is stuck: one that is kept is handed to retries even when it is dead.

    Args:
        given: by name.
        slots: tasks at once.

    Raises:
        UsageError: photobeam's worker is not installed here, or ``--environment_config`` is no JSON object.
    """
    options = {
        "flink_version": FLINK_VERSION,
        "environment_type": "PROCESS",
        "parallelism": slots,
        "sdk_worker_parallelism": 1,
        "execution_mode_for_batch": "BATCH_FORCED",
        "environment_cache_millis": 0,
        "element_processing_timeout_minutes": STUCK_MINUTES,
        **given,
    }
    if options["environment_type"] == "PROCESS":
        environment = _environment_of(options.get("environment_config") or "{}")
        environment.setdefault("command", worker_command())
        environment["env"] = {VERSIONS: json.dumps(software()), **environment.get("env", {})}
        options["environment_config"] = json.dumps(environment)
    return options


def _environment_of(config: str) -> dict[str, typing.Any]:
    try:
        environment = json.loads(config)
    except ValueError as error:
        raise UsageError(f"--environment_config {config}: {error}") from error
    if not isinstance(environment, dict):
        raise UsageError(f'--environment_config {config}: expected an object, such as {{"command": "/bin/worker"}}')
    return environment


def worker_command() -> str:
    """Returns the command that starts a worker, in the Python environment that this process runs in.

    Raises:
        UsageError: photobeam is not installed there.
    """
    command = shutil.which(WORKER, path=sysconfig.get_path("scripts")) or shutil.which(WORKER)
    if command is None:
        raise UsageError(f"{WORKER} is not in {sys.prefix}: install photobeam with pip, here and on the workers")
    return command


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
        raise JobError(f"{message_of(str(error))}; what is committed stays, the same command goes on") from error


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
