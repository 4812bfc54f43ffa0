"""The jar of Beam's job server for Flink: where it is, and of which versions."""

import importlib.metadata
import os
import pathlib
import re
import typing
import urllib.error
import urllib.request
import zipfile

from beam_jobs.command.errors import UsageError
from transforms.files.url_credentials import without_credentials

JAR_CACHE = pathlib.Path("~/.apache_beam/cache/jars")
"""Where Beam keeps jars that it has fetched."""

TIMEOUT_S = 5.0

_REPOSITORY = "https://repo.maven.apache.org/maven2/org/apache/beam"
_DRIVER = "org/apache/beam/runners/flink/FlinkJobServerDriver.class"
_BEAM_PROPERTIES = "org/apache/beam/sdk/sdk.properties"
_FLINK_PROPERTIES = ".flink-runtime.version.properties"
_VERSION = re.compile(rb"^(?:project\.)?version=(\S+)", re.MULTILINE)


class JobServerJar(typing.NamedTuple):
    """A job server.

    Attributes:
        place: path or URL.
        beam, flink: versions in it, such as ``2.77.0`` and ``1.20.5``; '' where it is still to be fetched, or
            does not say.
    """

    place: str
    beam: str = ""
    flink: str = ""


def find_jar(jar: str, flink_version: str) -> JobServerJar:
    """Finds the job server that a run would start; fetches nothing.

    Args:
        jar: ``--flink_job_server_jar``, a path or URL; '' for the one that Beam keeps, or else fetches.
        flink_version: ``--flink_version``, such as ``1.20``.

    Raises:
        UsageError: there is none, nor can it be fetched; or it is no job server for Flink.
    """
    if "://" in jar:
        return JobServerJar(
            _answering(f"--flink_job_server_jar {without_credentials(jar)}", jar, "check the URL, or give a path")
        )
    if jar:
        if not os.path.isfile(jar):
            raise UsageError(f"--flink_job_server_jar {jar} is no file; check the path")
        return _read_jar(pathlib.Path(jar))
    url = jar_url(flink_version)
    kept = JAR_CACHE.expanduser() / url.rpartition("/")[2]
    if kept.is_file():
        return _read_jar(kept)
    remedy = (
        f"get it where there is a network, and put it there as {kept}, or give --flink_job_server_jar=PATH, the path "
        "that `deploy/flink/flink.sh jar` prints"
    )
    return JobServerJar(_answering(f"--flink_version {flink_version}: the job server {kept.name}", url, remedy))


def jar_url(flink_version: str) -> str:
    """Returns where Beam fetches the job server of its own version for a release of Flink."""
    artifact, version = f"beam-runners-flink-{flink_version}-job-server", beam_version()
    return f"{_REPOSITORY}/{artifact}/{version}/{artifact}-{version}.jar"


def jar_warnings(jar: JobServerJar, flink_version: str) -> list[str]:
    """Returns what is to be said of a job server.

    Raises:
        UsageError: it is for another release of Flink.
    """
    if jar.flink and not jar.flink.startswith(f"{flink_version}."):
        raise UsageError(
            f"--flink_job_server_jar {jar.place} is for Flink {jar.flink}, --flink_version is {flink_version}: "
            "give the jar of that release"
        )
    if jar.beam and jar.beam != beam_version():
        return [f"{jar.place} is of Beam {jar.beam}, this is {beam_version()}: prefer a job server of the same version"]
    return []


def beam_version() -> str:
    """Returns the version of Beam that is installed here."""
    return importlib.metadata.version("apache-beam")


def _read_jar(path: pathlib.Path) -> JobServerJar:
    try:
        with zipfile.ZipFile(path) as jar:
            jar.getinfo(_DRIVER)
            return JobServerJar(str(path), _version(jar, _BEAM_PROPERTIES), _version(jar, _FLINK_PROPERTIES))
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise UsageError(
            f"--flink_job_server_jar {path} is no job server for Flink ({error}): remove it, or name a jar of "
            "beam-runners-flink-…-job-server"
        ) from error


def _version(jar: zipfile.ZipFile, name: str) -> str:
    match = _VERSION.search(jar.read(name)) if name in jar.NameToInfo else None
    return match[1].decode(errors="replace") if match else ""


def _answering(what: str, url: str, remedy: str) -> str:
    """Returns the URL if a file begins to come from there; it is not read."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S):
            return url
    except (OSError, ValueError) as error:
        said = f"status {error.code}" if isinstance(error, urllib.error.HTTPError) else getattr(error, "reason", error)
        raise UsageError(
            f"{what} is not here, and {without_credentials(url)} does not give it ({said}): {remedy}"
        ) from error
