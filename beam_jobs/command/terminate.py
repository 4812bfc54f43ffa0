"""SIGTERM raises in the main thread, as Ctrl-C does: what is under way ends by its own `finally`."""

import contextlib
import signal
import threading
import types
import typing


class Terminated(KeyboardInterrupt):
    """SIGTERM came."""


@contextlib.contextmanager
def terminable() -> typing.Iterator[None]:
    """Has SIGTERM raise :class:`Terminated` for the length of a ``with`` block; only in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _raise(number: int, frame: types.FrameType | None) -> typing.NoReturn:
    raise Terminated
