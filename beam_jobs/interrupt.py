"""Ctrl-C and SIGTERM end a run at once and cleanly: children stop, the unfinished goes, the committed stays."""

import contextlib
import os
import pathlib
import shutil
import signal
import sys
import types
import typing

from transforms.worker_pool import stop_shared_pool

SHOW_CURSOR = "\x1b[?25h"
SIGNALS = (signal.SIGINT, signal.SIGTERM)


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
        stop_shared_pool()
        shutil.rmtree(folder, ignore_errors=True)
        if sys.stderr.isatty():
            sys.stderr.write(SHOW_CURSOR)
        sys.stderr.write("\nphotobeam: interrupted; what is committed stays, the same command goes on\n")
        sys.stderr.flush()
        os._exit(128 + number)

    before = {number: signal.signal(number, end) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
