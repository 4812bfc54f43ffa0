"""Looks before any work whether a job can run where it is to."""

import dataclasses
import logging
import os
import typing

from beam_jobs.command.errors import UsageError
from beam_jobs.runners.flink_cluster import FLINK_VERSION, check_flink, default_java
from beam_jobs.runners.flink_options import flink_options
from beam_jobs.runners.runner_flags import DATAFLOW, FLINK, PRISM, RunnerConfig
from transforms.stores.output import LocalOutput, Output

Options = typing.Mapping[str, typing.Any]

_log = logging.getLogger("photobeam")

_OF_DATAFLOW = ("dry_run", "no_wait_until_finish", "template_location")
"""Flags that other runners would not heed, and do the work, or wait for it."""

_OF_CLOUD = {"project": "of Google Cloud", "region": "such as us-central1"}


def check_runner(runner: RunnerConfig, output: Output) -> None:
    """Looks whether a runner is there and has what it needs; warns of what only hinders.

    Raises:
        UsageError: names flag, value and remedy.
    """
    unheard = [name for name in _OF_DATAFLOW if name in runner.options]
    if unheard and runner.name != DATAFLOW:
        raise UsageError(f"--{unheard[0]} is for --runner={DATAFLOW}: leave it out")
    if runner.name == FLINK:
        options = runner.options
        version, jar = options.get("flink_version") or FLINK_VERSION, options.get("flink_job_server_jar") or ""
        java = options.get("job_server_java_launcher") or default_java()
        for warning in check_flink(options["flink_master"], version, jar, java):
            _log.warning("%s", warning)
        flink_options(options, runner.workers)
    elif runner.name == PRISM:
        check_prism(runner.options)
    elif runner.name == DATAFLOW:
        check_dataflow(runner.options)
        _check_pipeline(runner, output)


def check_workers_see(runner: str, flag: str, *places: str) -> None:
    """Refuses files of this machine where the workers are sure to be on others.

    Args:
        runner: by name.
        flag: for the message.
        places: its values.

    Raises:
        UsageError: names the first of these files.
    """
    for place in places:
        if runner == DATAFLOW and _is_here(place):
            raise UsageError(
                f"{flag} {place}: Dataflow's workers do not see this machine's files; give a place in a bucket, "
                "gs:// or s3://"
            )


def _is_here(place: str) -> bool:
    whole = place.rpartition("::")[2]
    return "://" not in whole or whole.startswith(("file://", "local://"))


def check_is_followed(runner: RunnerConfig, what: str) -> None:
    """Refuses to leave a job to itself, or not to run it, where the command has more to do when the job is done.

    Args:
        runner: where the job is to run.
        what: the command does, as the beginning of a sentence.

    Raises:
        UsageError: flags say so.
    """
    if runner.goes_on_alone or runner.is_dry_run:
        names = " and ".join(f"--{name}" for name in _OF_DATAFLOW if runner.options.get(name))
        raise UsageError(f"{what} has more to do when the job is done: leave out {names}")


def check_prism(options: Options) -> str:
    """Returns the path of Prism's program.

    Raises:
        UsageError: there is none.
    """
    path = str(options.get("prism_location") or "")
    if not os.access(path, os.X_OK) or os.path.isdir(path):
        raise UsageError(
            f"--runner={PRISM} needs --prism_location, the path of its program{f'; {path} is none' if path else ''}: "
            "go install github.com/apache/beam/sdks/v2/go/cmd/prism@v2.77.0"
        )
    return path


def check_dataflow(options: Options) -> str:
    """Returns where a job runs on Dataflow, in words.

    Raises:
        UsageError: a flag is missing.
    """
    missing = [f"--{name}: {what}" for name, what in _OF_CLOUD.items() if not options.get(name)]
    if not str(options.get("temp_location") or "").startswith("gs://"):
        missing.append("--temp_location: gs://BUCKET/FOLDER")
    if missing:
        raise UsageError(f"--runner={DATAFLOW} needs {', '.join(missing)}")
    if not (options.get("sdk_container_image") or options.get("setup_file")):
        raise UsageError(
            f"--runner={DATAFLOW}: its workers lack photobeam; give --sdk_container_image=IMAGE, made by "
            "deploy/Dockerfile"
        )
    return f"project {options['project']}, region {options['region']}"


def _check_pipeline(runner: RunnerConfig, output: Output) -> None:
    if isinstance(output, LocalOutput):
        check_workers_see(DATAFLOW, "--output", str(output))
    from beam_jobs.runners.dataflow_runner import new_pipeline

    # Without a dry run Beam asks for the bucket's policy here, for a minute where there are no credentials.
    new_pipeline(dataclasses.replace(runner, options={**runner.options, "dry_run": "True"}))
