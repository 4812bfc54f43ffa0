"""Ctrl-C and SIGTERM end a run at once and cleanly: children stop, the unfinished goes, the committed stays."""

import contextlib
import multiprocessing.util
import os
import pathlib
import shutil
import signal
import sys
import threading
import types
import typing

from beam_jobs.command.errors import FAILED, OK
from transforms.stores.lease import hold_output
from transforms.stores.output import Output
from transforms.workers.worker_pool import stop_shared_pool

SHOW_CURSOR = "\x1b[?25h"
SIGNALS = (signal.SIGINT, signal.SIGTERM)

PATIENCE_S = 60.0
"""With the end of what runs elsewhere: it may wait for a server, or for a lock of the thread that was interrupted."""


_unfinished: list[pathlib.Path] = []
"""Folders of the run under way."""


_ends: list[typing.Callable[[], None]] = []
"""What else is to be ended, the last begun first."""


@contextlib.contextmanager
def also_ended(end: typing.Callable[[], None]) -> typing.Iterator[None]:
    """Has something ended with the process, should that be within a ``with`` block: what runs elsewhere for it."""
    _ends.append(end)
    try:
        yield
    finally:
        _ends.remove(end)


@contextlib.contextmanager
def held(output: Output) -> typing.Iterator[None]:
    """Holds an output for the length of a ``with`` block; gives it back even if the process ends before.

    Raises:
        OutputInUseError: another run holds it.
        OSError: the lease cannot be written.
    """
    with hold_output(output, end_run) as give_back, also_ended(give_back):
        yield


@contextlib.contextmanager
def end_on_signals(folder: pathlib.Path) -> typing.Iterator[None]:
    """Handles signals for the length of a ``with`` block in the main thread.

    The process ends in the handler itself: a runner's threads would first finish their stage.

    Args:
        folder: of everything unfinished; removed.
    """

    def end(number: int, frame: types.FrameType | None) -> None:
        for repeated in SIGNALS:
            signal.signal(repeated, signal.SIG_IGN)
        _end("interrupted; what is committed stays, the same command goes on", 128 + number)

    before = {number: signal.signal(number, end) for number in SIGNALS}
    _unfinished.append(folder)
    try:
        yield
    finally:
        _unfinished.remove(folder)
        for number, handler in before.items():
            signal.signal(number, handler)


def end_run(reason: str) -> None:
    """Ends the process from any thread, as a signal does, with exit code 1: nothing more is to be written."""
    _end(f"{reason}; this run ends here", FAILED)


def leave(message: str) -> typing.NoReturn:
    """Ends the process with exit code 0 as it is: its lease and its files stay, for the job that goes on elsewhere."""
    sys.stderr.write(f"photobeam: {message}\n")
    sys.stderr.flush()
    os._exit(OK)


def _say_nothing(error: threading.ExceptHookArgs) -> None:
    """For threads that miss what is being ended, such as a server that had the signal of the terminal as well."""


def _end_elsewhere() -> None:
    for end in reversed(_ends):
        with contextlib.suppress(Exception):
            end()


def _end(message: str, code: int) -> typing.NoReturn:
    threading.excepthook = _say_nothing
    stop_shared_pool()
    ending = threading.Thread(target=_end_elsewhere, daemon=True)
    ending.start()
    ending.join(PATIENCE_S)
    for folder in _unfinished:
        shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        shutil.rmtree(multiprocessing.util.get_temp_dir(), ignore_errors=True)
    if sys.stderr.isatty():
        sys.stderr.write(SHOW_CURSOR)
    sys.stderr.write(f"\nphotobeam: {message}\n")
    sys.stderr.flush()
    os._exit(code)
