"""What a run needs of its runner, as far as that shows before anything is submitted."""

import json
import os
import shutil
import typing

from beam_jobs.command.errors import UsageError
from beam_jobs.diagnosis.findings import FAULT, OK, WARNING, Finding, fault_of
from beam_jobs.runners.check_runner import check_dataflow, check_prism
from beam_jobs.runners.flink_cluster import (
    FLINK_VERSION,
    LOCAL_MASTERS,
    check_java,
    cluster_warnings,
    default_java,
    java_warnings,
    read_cluster,
    version_warnings,
)
from beam_jobs.runners.flink_options import WORKER, flink_options
from beam_jobs.runners.job_server_jar import find_jar, jar_warnings
from beam_jobs.runners.runner_flags import DATAFLOW, FLINK, PRISM

Flags = typing.Mapping[str, typing.Any]


def look_at_runner(flags: Flags) -> typing.Iterator[Finding]:
    """Looks at the runner that the flags name.

    Args:
        flags: by name; those that are left out count as not given.
    """
    runner = flags["runner"]
    check = f"--runner {runner}"
    if runner == FLINK:
        yield from _look_at_flink(flags)
    elif runner == PRISM:
        yield from _told(check, lambda: (check_prism(flags), []))
    elif runner == DATAFLOW:
        yield from _look_at_dataflow(check, flags)
    else:
        yield Finding(OK, check, "this machine")


def _look_at_flink(flags: Flags) -> typing.Iterator[Finding]:
    version, master = flags.get("flink_version") or FLINK_VERSION, flags.get("flink_master") or ""
    jar = flags.get("flink_job_server_jar") or ""
    java = flags.get("job_server_java_launcher")
    yield from _told(f"--job_server_java_launcher {java}" if java else "java", lambda: _java(java or default_java()))
    yield from _told("job server", lambda: _job_server(jar, version))
    yield from _told(WORKER, lambda: _worker(flags))
    if not master:
        yield Finding(FAULT, "--flink_master", "is not given", "give HOST:8081 of a cluster, or [local]")
    elif master not in LOCAL_MASTERS:
        yield from _told(f"--flink_master {master}", lambda: _cluster(master, version))


def _java(java: str) -> tuple[str, list[str]]:
    version = check_java(java)
    return version, java_warnings(version)


def _worker(flags: Flags) -> tuple[str, list[str]]:
    """Looks for what starts Python workers: they are other machines, but the place is the same one."""
    given = {name: flags[name] for name in ("environment_type", "environment_config") if flags.get(name)}
    options = flink_options(given, slots=1)
    if options["environment_type"] != "PROCESS":
        return f"not looked at, as workers are started by {options['environment_type']}", []
    command = json.loads(options["environment_config"])["command"]
    lacks = [] if shutil.which(command) else [f"{command} is no program here; every TaskManager needs it at that place"]
    return f"{command}, which every TaskManager needs at the same place", lacks


def _job_server(jar: str, version: str) -> tuple[str, list[str]]:
    found = find_jar(jar, version)
    versions = f", of Beam {found.beam or 'unknown'} and Flink {found.flink or 'unknown'}"
    is_here = os.path.exists(found.place)
    text = f"{found.place}{versions if is_here else ', fetched at the first run'}"
    return text, version_warnings(version) + jar_warnings(found, version)


def _cluster(master: str, version: str) -> tuple[str, list[str]]:
    state = read_cluster(master)
    found = f"Flink {state.version}, {state.taskmanagers} TaskManagers, {state.free_slots} of {state.slots} slots free"
    return found, cluster_warnings(master, state, version)


def _told(check: str, look: typing.Callable[[], tuple[str, list[str]]]) -> typing.Iterator[Finding]:
    """Makes findings of what a look returns, its warnings, and its error."""
    try:
        found, warnings = look()
    except UsageError as error:
        yield fault_of(check, error)
        return
    yield Finding(OK, check, found)
    for warning in warnings:
        yield Finding(WARNING, check, warning.removeprefix(f"{check} "))


def _look_at_dataflow(check: str, flags: Flags) -> typing.Iterator[Finding]:
    yield from _told(check, lambda: (check_dataflow(flags), []))
    try:
        import google.auth
        import google.auth.exceptions
    except ImportError:
        yield Finding(FAULT, "Google credentials", "google-auth is not installed", "pip install 'photobeam[gcs]'")
        return
    try:
        credentials, _ = google.auth.default()
    except google.auth.exceptions.GoogleAuthError:
        remedy = "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS"
        yield Finding(FAULT, "Google credentials", "none were found", remedy)
        return
    who = getattr(credentials, "service_account_email", "") or type(credentials).__name__
    yield Finding(OK, "Google credentials", f"found, of {who}")
