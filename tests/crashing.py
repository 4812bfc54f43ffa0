"""What may happen to a process; every child of a pool under test imports this, so it imports next to nothing."""

import ctypes
import multiprocessing.connection
import os
import pathlib
import signal
import threading
import time
import typing


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


def hang() -> None:
    """Works for ever."""
    while True:
        pass


def sleep_on(_: object) -> typing.NoReturn:
    """Waits for ever."""
    while True:
        time.sleep(60)


class UntoldError(Exception):
    """Can be pickled, and not be read again."""

    def __init__(self, text: str, number: int):
        super().__init__(f"{text} {number}")


def fail_oddly(number: int) -> None:
    """Raises an error that no pipe can take, or whose class wants other arguments than it has."""
    if number:
        raise UntoldError("odd", number)
    error = ValueError("odd")
    error.lock = threading.Lock()  # type: ignore[attr-defined]
    raise error


class Unreadable:
    """Fails where it is taken."""

    def __reduce__(self) -> tuple[typing.Any, ...]:
        return fail, ("unreadable",)


def end_amid_the_answer() -> bytes:
    """Is killed when it has sent a part of its answer."""

    def send_half(connection: typing.Any, data: bytes) -> None:
        os.write(connection.fileno(), data[: len(data) // 2])
        os.kill(os.getpid(), signal.SIGKILL)

    multiprocessing.connection.Connection._send = send_half  # type: ignore[attr-defined]
    return bytes(100_000)


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
