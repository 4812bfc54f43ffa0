"""The worker processes of a run, as the system sees them."""

import psutil


def worker_processes(pid: int | None = None) -> list[psutil.Process]:
    """Those below a process, or below this one: what the server forks, and what is spawned by these."""
    below = psutil.Process(pid).children(recursive=True)
    forked = [process for process in below if _is_called(process, "multiprocessing.forkserver")]
    spawned = [process for process in below if _is_called(process, "spawn_main")]
    return [process for process in forked if _is_called(process.parent(), "multiprocessing.forkserver")] + spawned


def _is_called(process: psutil.Process | None, name: str) -> bool:
    try:
        return process is not None and name in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False
