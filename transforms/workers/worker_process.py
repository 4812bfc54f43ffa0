"""A child process that answers calls on several lanes: pipes of its own, each with a thread that serves it."""

import gc
import multiprocessing
import multiprocessing.connection
import multiprocessing.resource_tracker
import os
import pickle
import signal
import tempfile
import threading
import traceback
import typing
from multiprocessing.reduction import ForkingPickler

from transforms.workers import progress

R = typing.TypeVar("R")

Lane: typing.TypeAlias = "multiprocessing.connection.Connection[typing.Any, typing.Any]"

_FORKS = multiprocessing.get_context("forkserver")
_PRELOADED = ["transforms.building.build_shard"]
_FORKS.set_forkserver_preload(_PRELOADED)
"""Children are forked from a process without threads that has imported what they need: a second of CPU for each."""

_SPAWNS = multiprocessing.get_context("spawn")
"""For children of children, which are few: no process is left to fork more when theirs is killed."""

_ALLOCATIONS_BETWEEN_COLLECTIONS = 50_000
"""Thousands of photos are in hand, and with Python's 700 the collector goes through them for 5 % of the time."""

MAX_TEMP_DIR_BYTES = 75
"""Of the folder for temporary files: the path of a socket has 107 bytes, and multiprocessing adds 32."""

_CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGABRT, signal.SIGFPE)


def preload(module: str) -> None:
    """Has the process that children are forked from import a module, too; without effect once there is a child."""
    if module not in _PRELOADED:
        _PRELOADED.append(module)
    _FORKS.set_forkserver_preload(_PRELOADED)


def check_temp_dir() -> None:
    """Checks that the socket by which children are forked has room for its path.

    Raises:
        OSError: the folder for temporary files has too long a name.
    """
    if len(os.fsencode(tempfile.gettempdir())) > MAX_TEMP_DIR_BYTES:
        raise OSError(
            f"TMPDIR {tempfile.gettempdir()} is too long a path for a socket below it: set TMPDIR to one of at most "
            f"{MAX_TEMP_DIR_BYTES} bytes"
        )


class WorkerDiedError(RuntimeError):
    """A child process ended without an answer.

    Attributes:
        pid: which.
        exit_code: the negative number of the signal that ended it, else 0 or more.
    """

    def __init__(self, pid: int, exit_code: int):
        super().__init__(pid, exit_code)
        self.pid, self.exit_code = pid, exit_code

    @property
    def timed_out(self) -> bool:
        """Whether its own timer ended it: see :mod:`transforms.workers.decode_limit`."""
        return self.exit_code == -signal.SIGPROF

    @property
    def crashed(self) -> bool:
        """Whether what it did is to blame, not the system or an operator: the same call would die again."""
        return self.timed_out or -self.exit_code in _CRASHES

    def __str__(self) -> str:
        if self.exit_code >= 0:
            return f"worker process {self.pid} ended with exit code {self.exit_code}"
        return f"worker process {self.pid} was ended by {signal.Signals(-self.exit_code).name}"


class _RemoteError(Exception):
    """The cause of an error that a child raised: its traceback there."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


class WorkerProcess:
    """A running child. It ignores Ctrl-C, counts its progress with this process, and ends when this one does.

    Args:
        lanes: calls at once.

    Attributes:
        free: lanes that nobody uses: take one for the length of a call.
        died: whether it ended, as far as a call has noticed.
    """

    def __init__(self, lanes: int):
        context = _SPAWNS if multiprocessing.parent_process() else _FORKS
        if context is _FORKS:
            check_temp_dir()
        pipes = [context.Pipe() for _ in range(lanes)]
        theirs = [end for _, end in pipes]
        self._process = context.Process(target=_serve, args=(theirs, progress.shared_counters(), dict(os.environ)))
        _start_deaf_to_ctrl_c(self._process)
        for end in theirs:
            end.close()
        self.free: list[Lane] = [end for end, _ in pipes]
        self.lanes = lanes
        self.died = False
        self._joining = threading.Lock()

    def ask(self, lane: Lane, function: typing.Callable[..., R], arguments: tuple[typing.Any, ...]) -> R:
        """Runs an importable function in the child and waits for its value, or raises what it raises.

        Raises:
            WorkerDiedError: the child ended before it answered; then ``died`` is set.
        """
        try:
            lane.send((function, arguments))
            multiprocessing.connection.wait([lane, self._process.sentinel])
            told = lane.recv_bytes() if lane.poll() else self._raise_died()
        except (EOFError, OSError):
            self._raise_died()
        except (KeyboardInterrupt, SystemExit):
            self.end()
            raise
        is_value, answer, trace = pickle.loads(told)
        if is_value:
            return typing.cast(R, answer)
        raise answer from _RemoteError(trace)

    def has_ended(self) -> bool:
        """Returns whether it ended, even if no call has noticed."""
        return bool(multiprocessing.connection.wait([self._process.sentinel], 0))

    def end(self) -> None:
        """Kills the child, whatever it is doing."""
        self.died = True
        self._process.kill()
        self._join()

    def _raise_died(self) -> typing.NoReturn:
        self.died = True
        raise WorkerDiedError(self._process.pid or -1, self._join())

    def _join(self) -> int:
        """Returns the exit code, which can be read once: of two threads at once one would get a wrong one."""
        with self._joining:
            self._process.join()
            return typing.cast(int, self._process.exitcode)


def _start_deaf_to_ctrl_c(process: multiprocessing.process.BaseProcess) -> None:
    """Blocks Ctrl-C for what is started: the process that children are forked from would die of it with a traceback.

    The tracker of resources goes first, since its start unblocks Ctrl-C.
    """
    multiprocessing.resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(lanes: list[Lane], counters: typing.Any, environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    gc.set_threshold(_ALLOCATIONS_BETWEEN_COLLECTIONS)
    progress.share(counters)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for lane in lanes[1:]:
        threading.Thread(target=_answer, args=(lane,), daemon=True).start()
    _answer(lanes[0])


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def _answer(lane: Lane) -> None:
    """Serves one lane until the parent closes it; who waits for a lane that fails would wait for ever."""
    try:
        while True:
            lane.send_bytes(_answer_to(lane.recv_bytes()))
    except (EOFError, ConnectionError):
        os._exit(0)
    except BaseException:  # noqa: BLE001  it ends the process
        traceback.print_exc()
        os._exit(1)


def _answer_to(call: bytes) -> "memoryview[int]":
    try:
        function, arguments = pickle.loads(call)
        return ForkingPickler.dumps((True, function(*arguments), ""))
    except BaseException as error:  # noqa: BLE001  it is raised in the parent
        return _told(error, traceback.format_exc())


def _told(error: BaseException, trace: str) -> "memoryview[int]":
    """Returns what raises the error in the parent, or one that tells it if it cannot be taken there."""
    try:
        told = ForkingPickler.dumps((False, error, trace))
        pickle.loads(told)
    except Exception:  # noqa: BLE001  the error's class may raise anything
        return ForkingPickler.dumps((False, RuntimeError(f"{type(error).__name__}: {error}"), trace))
    return told
