"""Beam's options for Flink that suit the graphs of this project, and how its Python workers are started."""

import json
import shutil
import sys
import sysconfig
import typing

from beam_jobs.command.errors import UsageError
from beam_jobs.command.versions import software
from beam_jobs.runners.flink_cluster import FLINK_VERSION, default_java
from beam_jobs.runners.worker_boot import VERSIONS

WORKER = "photobeam-worker"
"""Command that each of Flink's Python workers is started by."""

STUCK_MINUTES = 120
"""How long a worker may get nothing done. The longest that one does whose servers answer at all is the fetching or
uploading of a single large file, which takes less; and a job that is worth a cluster can wait so long."""


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
        "job_server_java_launcher": default_java(),
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
        environment["command"] = environment.get("command") or worker_command()
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
