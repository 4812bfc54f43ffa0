"""A pool of child processes that take whole shards. A child that dies concerns its own calls, and no other's."""

import atexit
import contextlib
import signal
import threading
import typing

from transforms.workers.worker_process import Lane, WorkerDiedError, WorkerProcess

R = typing.TypeVar("R")

LANES = 2
"""Calls at once in each process of the shared pool: while one waits for its last photos or writes, another fetches."""


class PoolStoppedError(RuntimeError):
    """The pool was stopped; says why."""


class WorkerPool:
    """Child processes, each started by the first call that needs it. All methods may be called from any thread.

    Args:
        processes: how many at most.
        lanes: calls at once in each.
    """

    def __init__(self, processes: int, lanes: int = 1):
        self._processes, self._lanes = processes, lanes
        self._running: list[WorkerProcess] = []
        self._alone_waiting = 0
        self._stopped_by: Exception | None = None
        self._changed = threading.Condition()

    def call(self, function: typing.Callable[..., R], *arguments: typing.Any) -> R:
        """Runs an importable function in the child that has least to do, and waits for it.

        Raises:
            WorkerDiedError: the child died, of this call or of its other one. The pool goes on with a new one.
            PoolStoppedError: the pool was stopped, or whatever else it was stopped by.
        """
        return self._ask(*self._take(self._freest), True, function, arguments)

    def call_alone(self, function: typing.Callable[..., R], *arguments: typing.Any) -> R:
        """Like :meth:`call`, in a new child that takes one of the pool's places and has no other call."""
        with self._changed:
            self._alone_waiting += 1
            try:
                worker, lane = self._take(self._only)
            finally:
                self._alone_waiting -= 1
                self._changed.notify_all()
        return self._ask(worker, lane, False, function, arguments)

    def stop(self, error: Exception | None = None) -> None:
        """Ends all children at once, whatever they are doing; from now on every call raises the first such error.

        Args:
            error: why; by default PoolStoppedError.
        """
        with self._changed:
            self._stopped_by = self._stopped_by or error or PoolStoppedError("the worker pool was stopped")
            for worker in list(self._running):
                self._end(worker)

    @property
    def is_stopped(self) -> bool:
        """Whether every call would raise."""
        return self._stopped_by is not None

    def _ask(
        self,
        worker: WorkerProcess,
        lane: Lane,
        is_kept: bool,
        function: typing.Callable[..., R],
        arguments: tuple[typing.Any, ...],
    ) -> R:
        try:
            return worker.ask(lane, function, arguments)
        except WorkerDiedError:
            self._check_runs()
            raise
        finally:
            with self._changed:
                worker.free.append(lane)
                if worker.died or not is_kept:
                    self._end(worker)
                self._changed.notify_all()

    def _take(self, choose: typing.Callable[[], WorkerProcess | None]) -> tuple[WorkerProcess, Lane]:
        with self._changed:
            while True:
                self._check_runs()
                self._clear_away_ended()
                worker = choose()
                if worker:
                    return worker, worker.free.pop()
                self._changed.wait()

    def _clear_away_ended(self) -> None:
        for worker in list(self._running):
            if worker.has_ended():
                self._end(worker)

    def _freest(self) -> WorkerProcess | None:
        """Returns the child with most free lanes, rather a new one than one that is at work; None if all are busy."""
        freest = max(self._running, key=lambda worker: len(worker.free), default=None)
        if self._has_place() and not self._alone_waiting and (freest is None or len(freest.free) < self._lanes):
            return self._started(self._lanes)
        return freest if freest and freest.free else None

    def _only(self) -> WorkerProcess | None:
        """Returns a new child, in place of an idle one if need be; None if all are at work."""
        idle = next((worker for worker in self._running if len(worker.free) == worker.lanes), None)
        if idle and not self._has_place():
            self._end(idle)
        return self._started(1) if self._has_place() else None

    def _has_place(self) -> bool:
        return len(self._running) < self._processes

    def _started(self, lanes: int) -> WorkerProcess:
        try:
            worker = WorkerProcess(lanes)
        except (EOFError, ConnectionError) as error:
            raise PoolStoppedError("the process that starts worker processes was ended") from error
        self._running.append(worker)
        return worker

    def _end(self, worker: WorkerProcess) -> None:
        with self._changed:
            worker.end()
            if worker in self._running:
                self._running.remove(worker)
            self._changed.notify_all()

    def _check_runs(self) -> None:
        if self._stopped_by:
            raise self._stopped_by


@contextlib.contextmanager
def stopping_at_errors(pool: WorkerPool) -> typing.Iterator[None]:
    """Stops the pool with the first error of any call: nobody is to work on for a run that has failed."""
    try:
        yield
    except Exception as error:
        pool.stop(error)
        raise


def died_at(error: WorkerDiedError, work: str) -> PoolStoppedError:
    """Returns the error that says which child ended, how, and at what."""
    hint = " (if memory ran out: use fewer --workers)" if error.exit_code == -signal.SIGKILL else ""
    return PoolStoppedError(f"{error} at work on {work}{hint}")


_pool: WorkerPool | None = None
_lock = threading.RLock()


def shared_pool(processes: int) -> WorkerPool:
    """Returns this process's pool; the first call decides its size."""
    global _pool
    with _lock:
        if _pool is None:
            _pool = WorkerPool(processes, LANES)
            atexit.register(stop_shared_pool)
        return _pool


def renew_shared_pool() -> None:
    """Forgets this process's pool if it was stopped: a cluster repeats a step that failed, maybe in this process."""
    global _pool
    with _lock:
        if _pool and _pool.is_stopped:
            _pool = None


def stop_shared_pool() -> None:
    """Ends this process's pool, if there is one."""
    global _pool
    with _lock:
        if _pool:
            _pool.stop()
        _pool = None
