"""What may happen to a process; every child of a pool under test imports this, so it imports next to nothing."""

import ctypes
import os
import pathlib
import signal
import threading
import time


def double(number: int) -> int:
    """Returns twice the number."""
    return 2 * number


def pid() -> int:
    """Returns the process that this runs in."""
    return os.getpid()


def fail(text: str) -> None:
    """Raises an error."""
    raise ValueError(text)


def read_null() -> None:
    """Crashes as a broken decoder does."""
    ctypes.string_at(0)


def end_by(number: int) -> None:
    """Sends a signal to this process itself."""
    os.kill(os.getpid(), number)
    time.sleep(60)


def hang(seconds: float) -> None:
    """Takes longer than the process's alarm allows, in a thread that no handler of Python's reaches."""
    signal.setitimer(signal.ITIMER_REAL, seconds)
    threading.Event().wait()


def wait_for(begun: pathlib.Path, path: pathlib.Path) -> int:
    """Makes the one file, and waits until there is the other; returns the process."""
    begun.touch()
    while not path.exists():
        time.sleep(0.01)
    return os.getpid()


def unpicklable() -> threading.Lock:
    """Returns what no pipe can take."""
    return threading.Lock()


def crash_at_first(path: pathlib.Path) -> int:
    """Crashes unless the file exists, which it makes."""
    if not path.exists():
        path.touch()
        read_null()
    return os.getpid()
