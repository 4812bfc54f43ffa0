"""A pool of child processes that take whole shards.

Python's own executor notices a dead child at once and fails every pending call, so that a killed
worker is an error within a second and never a hang. Children end when their parent does.
"""

import concurrent.futures
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import typing
from concurrent.futures.process import BrokenProcessPool

from transforms import progress

R = typing.TypeVar("R")


class WorkerDiedError(RuntimeError):
    """A worker process ended without an answer."""


class WorkerPool:
    """Child processes, started by spawn, that count their progress with this one.

    Args:
        processes: how many.
    """

    def __init__(self, processes: int):
        context = multiprocessing.get_context("spawn")
        self._executor = concurrent.futures.ProcessPoolExecutor(
            processes, mp_context=context, initializer=_start_worker, initargs=(progress.shared_counters(),)
        )

    def call(self, function: typing.Callable[..., R], *arguments: typing.Any) -> R:
        """Runs an importable function in a child and waits for it.

        Raises:
            WorkerDiedError: a child died, for whatever reason; the pool is of no more use.
        """
        try:
            return self._executor.submit(function, *arguments).result()
        except (BrokenProcessPool, concurrent.futures.CancelledError) as error:
            raise WorkerDiedError(
                "a worker process died (killed, or out of memory: then use fewer --workers)"
            ) from error

    def stop(self) -> None:
        """Ends all children at once, whatever they are doing."""
        children = list((self._executor._processes or {}).values())
        self._executor.shutdown(wait=False, cancel_futures=True)
        for child in children:
            child.terminate()
        for child in children:
            child.join()


_pool: WorkerPool | None = None
_lock = threading.RLock()


def shared_pool(processes: int) -> WorkerPool:
    """Returns this process's pool; the first call starts it and decides its size."""
    global _pool
    with _lock:
        _pool = _pool or WorkerPool(processes)
        return _pool


def stop_shared_pool() -> None:
    """Ends this process's pool, if there is one."""
    global _pool
    with _lock:
        if _pool:
            _pool.stop()
        _pool = None


def _start_worker(counters: typing.Any) -> None:
    progress.share(counters)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
