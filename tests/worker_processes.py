"""The worker processes of a run, as the system sees them."""

import psutil


def worker_processes(pid: int | None = None) -> list[psutil.Process]:
    """Those below a process, or below this one."""
    below = psutil.Process(pid).children(recursive=True)
    return [process for process in below if "spawn_main" in " ".join(process.cmdline())]
