"""What a run needs of this machine: Python and packages, cores, memory, open files, temporary files."""

import importlib.metadata
import importlib.util
import os
import pathlib
import resource
import shutil
import sys
import tempfile
import typing

from packaging.requirements import Requirement

from beam_jobs.diagnosis.findings import FAULT, OK, WARNING, Finding, fault_of
from transforms.workers.worker_process import check_temp_dir

WORKER_BYTES = 600_000_000
"""Memory of a worker process at its work; an image of more than 20 megapixels takes more, one at a time."""

FURTHER_FILES = 256
"""Open files of a process beside its requests: shards under way, libraries, pipes."""

MIN_TEMPORARY_BYTES = 1_000_000_000

_NAMED = ("photobeam", "apache-beam", "pyarrow", "pillow", "numpy")
_NLTK_FOLDERS = (
    "~/nltk_data",
    *(f"{sys.prefix}/{folder}nltk_data" for folder in ("", "share/", "lib/")),
    *(f"/usr/{folder}/nltk_data" for folder in ("share", "local/share", "lib", "local/lib")),
)
"""Where NLTK looks for its data, after the folders of NLTK_DATA. Asking it would take three seconds of CPU."""

_CGROUP = pathlib.Path("/sys/fs/cgroup")


def look_at_python() -> typing.Iterator[Finding]:
    """Looks whether Beam is made for this Python."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    prefix = "Programming Language :: Python :: "
    classifiers = importlib.metadata.metadata("apache-beam").get_all("Classifier") or []
    known = [c.removeprefix(prefix) for c in classifiers if c.startswith(f"{prefix}3.")]
    if known and version not in known:
        yield Finding(
            WARNING, "python", f"{version}, Beam is made for {known[0]} to {known[-1]}", f"use Python {known[-1]}"
        )
    else:
        yield Finding(OK, "python", f"{sys.version.split()[0]} at {sys.executable}")


def look_at_packages(needed: typing.Iterable[str], useful: typing.Iterable[str]) -> typing.Iterator[Finding]:
    """Looks whether everything is installed, in versions that go together.

    Args:
        needed: optional parts without which the run would fail, such as ``s3``.
        useful: those without which it finds no credentials.
    """
    try:
        requirements = [Requirement(text) for text in importlib.metadata.requires("photobeam") or []]
    except importlib.metadata.PackageNotFoundError:
        yield Finding(WARNING, "packages", "photobeam runs, but is not installed", "pip install . in its folder")
        return
    if wrong := list(_unmet(requirements, "")):
        yield Finding(FAULT, "packages", "; ".join(wrong), "pip install --upgrade photobeam")
    else:
        yield Finding(OK, "packages", ", ".join(f"{name} {_version(name)}" for name in _NAMED))
    for status, extras in ((FAULT, needed), (WARNING, useful)):
        for extra in extras:
            check = f"packages for {extra}"
            if lacking := list(_unmet(requirements, extra)):
                yield Finding(status, check, "; ".join(lacking), f"pip install 'photobeam[{extra}]'")
            else:
                yield Finding(OK, check, "installed")


def look_at_nltk() -> typing.Iterator[Finding]:
    """Says whether NLTK and its data are where it looks for them; `photobeam text` alone needs them."""
    if importlib.util.find_spec("nltk") is None:
        yield Finding(OK, "nltk", "not installed: `photobeam text` would need it, pip install 'photobeam[text]'")
        return
    named = os.environ.get("NLTK_DATA", "").split(os.pathsep)
    folders = [pathlib.Path(folder).expanduser() for folder in (*filter(None, named), *_NLTK_FOLDERS)]
    data = (folder / f"tokenizers/punkt_tab{suffix}" for folder in folders for suffix in ("/english", ".zip"))
    found = next((path for path in data if path.exists()), None)
    said = f"punkt_tab in {found}" if found else (
        "punkt_tab is not here: for `photobeam text` get it by `python -m nltk.downloader punkt_tab`, name its place "
        "by --nltk_data, or give --tokenizer nltk_no_punkt"
    )  # fmt: skip
    yield Finding(OK, "nltk", f"{_version('nltk')}, {said}")


def look_at_cores(workers: int) -> typing.Iterator[Finding]:
    """Looks whether there are cores and memory for the workers of a run on this machine."""
    cores = len(os.sched_getaffinity(0))
    quota = _cores_of_group()
    cores = min(cores, quota) if quota else cores
    if workers > cores:
        found = f"--workers {workers} on {cores} cores: they take turns"
        yield Finding(WARNING, "cores", found, f"give --workers={cores}, or leave it out")
    else:
        yield Finding(OK, "cores", f"{cores} for {workers} workers")
    free_bytes, needed_bytes = _free_memory(), workers * WORKER_BYTES
    found = f"{free_bytes / 1e9:.1f} GB free, {workers} workers take about {needed_bytes / 1e9:.1f} GB"
    if free_bytes < needed_bytes:
        fitting = max(1, free_bytes // WORKER_BYTES)
        yield Finding(WARNING, "memory", found, f"give --workers={fitting}, or free some: the kernel ends what is over")
    else:
        yield Finding(OK, "memory", found)


def look_at_open_files(concurrency: int) -> typing.Iterator[Finding]:
    """Looks whether a process may hold as many connections as it is to make."""
    limit, needed = resource.getrlimit(resource.RLIMIT_NOFILE)[0], concurrency + FURTHER_FILES
    if limit != resource.RLIM_INFINITY and limit < needed:
        found = f"{limit} may be open, --concurrency {concurrency} takes up to {needed}"
        yield Finding(FAULT, "open files", found, f"ulimit -n {needed}, or a lower --concurrency")
    else:
        yield Finding(OK, "open files", f"{limit} may be open, {needed} are needed")


def look_at_temporary_files() -> typing.Iterator[Finding]:
    """Looks whether temporary files can be written, and sockets made."""
    try:
        with tempfile.TemporaryFile(prefix="photobeam-") as file:
            file.write(b"photobeam")
    except OSError as error:
        yield Finding(FAULT, "TMPDIR", str(error), "set TMPDIR to a folder that can be written")
        return
    try:
        check_temp_dir()
    except OSError as error:
        yield fault_of("TMPDIR", error)
        return
    folder = tempfile.gettempdir()
    free_bytes = shutil.disk_usage(folder).free
    found = f"{folder}, {free_bytes / 1e9:.1f} GB free"
    if free_bytes < MIN_TEMPORARY_BYTES:
        yield Finding(WARNING, "TMPDIR", found, "make room, or set TMPDIR to another folder")
    else:
        yield Finding(OK, "TMPDIR", found)


def _unmet(requirements: typing.Iterable[Requirement], extra: str) -> typing.Iterator[str]:
    """Says of each package of an extra, or without one of those that always are needed, what is wrong with it."""
    for requirement in requirements:
        marker = requirement.marker
        if marker and not marker.evaluate({"extra": extra}):
            continue
        if extra and (not marker or marker.evaluate({"extra": ""})):
            continue
        version = _version(requirement.name)
        if not version:
            yield f"{requirement.name} is not installed"
        elif not requirement.specifier.contains(version, prereleases=True):
            yield f"{requirement.name} {version} does not fit, {requirement.specifier} is needed"


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _cores_of_group() -> int:
    """Returns how many cores this process's group may use, 0 where that is not limited."""
    quota, _, period = _read(_CGROUP / "cpu.max").partition(" ")
    return max(1, int(quota) // int(period)) if quota.isdigit() and period.isdigit() else 0


def _free_memory() -> int:
    lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
    free_bytes = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    limit, used = _read(_CGROUP / "memory.max"), _read(_CGROUP / "memory.current")
    return min(free_bytes, int(limit) - int(used)) if limit.isdigit() and used.isdigit() else free_bytes


def _read(path: pathlib.Path) -> str:
    return path.read_text().strip() if path.is_file() else ""
