"""What a run on Flink needs, looked at before anything is submitted: a cluster that answers, Java, the job server."""

import contextlib
import http.client
import json
import os
import re
import subprocess
import time
import typing
import urllib.error
import urllib.parse
import urllib.request

from beam_jobs.command.errors import UsageError
from beam_jobs.runners.job_server_jar import find_jar, jar_warnings

FLINK_VERSION = "1.20"
"""Of which batch jobs are batch jobs still, and which photobeam is tested with."""

LOCAL_MASTERS = ("[local]", "[auto]")
"""Values of ``--flink_master`` with which the job server's own Flink does the work."""

REST_PORT = 8081
JAVA_RELEASES = (11, 17)
TIMEOUT_S = 5.0
CANCEL_S = 20.0

_MAX_ANSWER_BYTES = 1 << 20
_ENDED = frozenset({"FINISHED", "FAILED", "CANCELED"})
_RUNTIME = re.compile(r'version "(?:1\.)?(\d+)[^"]*"')
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Asks without a proxy, as Flink's own client does."""


class ClusterState(typing.NamedTuple):
    """What a cluster says of itself.

    Attributes:
        version: of Flink, such as ``1.20.5``.
        taskmanagers: that are registered.
        slots, free_slots: of all of them together.
    """

    version: str
    taskmanagers: int
    slots: int
    free_slots: int


def check_flink(master: str, flink_version: str, jar: str, java: str) -> list[str]:
    """Looks whether a job can be submitted to Flink; changes nothing.

    Args:
        master: ``--flink_master``: ``HOST:PORT`` of a cluster's REST server, or one of :data:`LOCAL_MASTERS`.
        flink_version: ``--flink_version``, such as ``1.20``.
        jar: ``--flink_job_server_jar``, a path or URL; '' for the one that Beam fetches.
        java: the program that runs it.

    Returns:
        Warnings: what does not hinder the job, but its speed or safety.

    Raises:
        UsageError: it cannot; names flag, value and remedy.
    """
    warnings = java_warnings(check_java(java)) + version_warnings(flink_version)
    warnings += jar_warnings(find_jar(jar, flink_version), flink_version)
    if master not in LOCAL_MASTERS:
        warnings += cluster_warnings(master, read_cluster(master), flink_version)
    return warnings


def read_cluster(master: str, timeout_s: float = TIMEOUT_S) -> ClusterState:
    """Asks a cluster for its state.

    Args:
        master: ``HOST:PORT`` or an http(s) URL of its REST server.
        timeout_s: longest silence.

    Raises:
        UsageError: it does not answer, or is no Flink.
    """
    url = f"{_rest_url(master)}/overview"
    try:
        with _direct.open(url, timeout=timeout_s) as response:
            said = json.loads(response.read(_MAX_ANSWER_BYTES))
        return ClusterState(
            str(said["flink-version"]),
            int(said["taskmanagers"]),
            int(said["slots-total"]),
            int(said["slots-available"]),
        )
    except urllib.error.HTTPError as error:
        with error:
            raise _no_flink(master, f"status {error.code}") from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise UsageError(
            f"--flink_master {master} does not answer ({reason}): start the cluster, or give HOST:{REST_PORT} of its "
            "JobManager"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise _no_flink(master, "it answers otherwise than one") from error


def cancel_job(master: str, name: str) -> None:
    """Cancels the jobs of a name, and waits until they have ended; whatever fails, the caller is about to end, too.

    Args:
        master: of the cluster.
        name: of the jobs.
    """
    with contextlib.suppress(OSError, ValueError, KeyError, UsageError, http.client.HTTPException):
        for job in _jobs(master, name):
            request = urllib.request.Request(f"{_rest_url(master)}/jobs/{job}?mode=cancel", method="PATCH")
            _direct.open(request, timeout=TIMEOUT_S).close()
        until = time.monotonic() + CANCEL_S
        while _jobs(master, name) and time.monotonic() < until:
            time.sleep(0.2)


def _jobs(master: str, name: str) -> list[str]:
    """Lists the jobs of a name that have not ended."""
    with _direct.open(f"{_rest_url(master)}/jobs/overview", timeout=TIMEOUT_S) as response:
        jobs = json.loads(response.read())["jobs"]
    return [job["jid"] for job in jobs if job["name"] == name and job["state"] not in _ENDED]


def cluster_warnings(master: str, state: ClusterState, flink_version: str) -> list[str]:
    """Returns what is to be said of a cluster.

    Raises:
        UsageError: it is of another version than the job server would be.
    """
    if release_of(state.version) != flink_version:
        raise UsageError(
            f"--flink_master {master} is Flink {state.version}, --flink_version is {flink_version}: a job server of "
            f"one release cannot submit to another; give --flink_version={release_of(state.version)}, or start a "
            f"cluster of Flink {flink_version}"
        )
    warnings = []
    if not state.taskmanagers:
        warnings.append(f"--flink_master {master} has no TaskManager yet: the job waits for one; start some")
    elif not state.free_slots:
        warnings.append(f"--flink_master {master}: all {state.slots} slots are taken, the job waits for a free one")
    if state.slots > state.taskmanagers:
        warnings.append(
            f"--flink_master {master} has {state.slots} slots on {state.taskmanagers} TaskManagers: work is spread "
            "evenly with one each; set taskmanager.numberOfTaskSlots: 1, and start one TaskManager a core"
        )
    return warnings


def version_warnings(flink_version: str) -> list[str]:
    """Returns what is to be said of a release of Flink, such as ``2.2``."""
    if flink_version == FLINK_VERSION:
        return []
    why = "runs batch jobs as streams, and starts them anew after a fault" if flink_version >= "2" else "is not tested"
    return [f"--flink_version {flink_version} {why}: prefer {FLINK_VERSION}"]


def java_version(java: str = "java") -> str | None:
    """Returns the version of a Java runtime, such as ``17.0.15``; None if there is none."""
    try:
        ran = subprocess.run([java, "-version"], capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _RUNTIME.search(ran.stderr + ran.stdout) if not ran.returncode else None
    return match[0].split('"')[1] if match else None


def default_java() -> str:
    """Returns the program that runs the job server where no flag names one: that of ``JAVA_HOME``, or of the path."""
    home = os.environ.get("JAVA_HOME")
    return os.path.join(home, "bin", "java") if home else "java"


def check_java(java: str) -> str:
    """Returns the version of a Java runtime.

    Raises:
        UsageError: there is none, or it is too old.
    """
    version, needed = java_version(java), f"--runner=FlinkRunner needs Java {min(JAVA_RELEASES)} or newer"
    if version is None:
        raise UsageError(f"{needed}, and `{java} -version` gives none: {_java_remedy(java)}")
    if java_release(version) < min(JAVA_RELEASES):
        raise UsageError(f"{needed}, `{java}` is {version}: {_java_remedy(java)}")
    return version


def _java_remedy(java: str) -> str:
    home = os.environ.get("JAVA_HOME")
    if home and java == default_java():
        return f"JAVA_HOME is {home}; set it to the folder of one, or unset it"
    return (
        "install one (openjdk-17-jre-headless), and have it in PATH, or set JAVA_HOME to its folder, or name its "
        "program by --job_server_java_launcher"
    )


def java_warnings(version: str) -> list[str]:
    """Returns what is to be said of a Java runtime that is recent enough."""
    if java_release(version) in JAVA_RELEASES:
        return []
    return [f"Java {version} is not tested with Flink {FLINK_VERSION}: prefer {JAVA_RELEASES[-1]}"]


def java_release(version: str) -> int:
    """Returns the feature release of a version.

    Example:
        >>> java_release("17.0.15"), java_release("1.8.0_392"), java_release("21-ea")
        (17, 8, 21)
    """
    match = _RUNTIME.search(f'version "{version}"')
    return int(match[1]) if match else 0


def release_of(version: str) -> str:
    """Returns the release of Flink that a version belongs to.

    Example:
        >>> release_of("1.20.5")
        '1.20'
    """
    return ".".join(version.split(".")[:2])


def _rest_url(master: str) -> str:
    try:
        parts = urllib.parse.urlsplit(master if "://" in master else f"http://{master}")
        port = parts.port or (None if "://" in master else REST_PORT)
    except ValueError as error:
        raise UsageError(f"--flink_master {master} is no address: give HOST:{REST_PORT}") from error
    if not parts.hostname or parts.scheme not in ("http", "https"):
        raise UsageError(f"--flink_master {master} is no address: give HOST:{REST_PORT}")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path.rstrip('/')}"


def _no_flink(master: str, said: str) -> UsageError:
    return UsageError(
        f"--flink_master {master} is no REST server of Flink ({said}): give HOST:{REST_PORT} of the JobManager"
    )
