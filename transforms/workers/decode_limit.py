"""Bounds what decoders can do: no call into one can be interrupted, and hostile bytes may end its process.

Where that happens the photos under way are made once more, each in a process that may end without harm.
"""

import signal
import typing

from schemas.failures import FailureReason, PhotoError, Stage
from transforms.workers.worker_pool import shared_pool
from transforms.workers.worker_process import WorkerDiedError

R = typing.TypeVar("R")

DECODE_LIMIT_S = 60.0
"""Processor time far beyond what the largest photo within ``--max_pixels`` takes."""


def within_limit(seconds: float, function: typing.Callable[..., R], *arguments: typing.Any) -> R:
    """Calls a function; if it takes longer, SIGPROF ends this process. For one call at a time in a process.

    Args:
        seconds: of processor time, of all threads of the process: what becomes of a photo does not depend on the
            machine's load, nor on whether the process was stopped for a while.
        function: what to call.
        arguments: of the function.

    Example:
        >>> within_limit(60, lambda: signal.getitimer(signal.ITIMER_PROF)[0] > 59)
        True
        >>> signal.getitimer(signal.ITIMER_PROF)
        (0.0, 0.0)
    """
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        return function(*arguments)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def in_own_process(seconds: float, function: typing.Callable[..., R], *arguments: typing.Any) -> R:
    """Like :func:`within_limit`, in a child of this process; if that dies, once more in a fresh one.

    Raises:
        PhotoError: ``corrupt_image``: both died.
        WorkerDiedError: a child was ended from outside.
    """
    for _ in range(2):
        try:
            return shared_pool(1).call(within_limit, seconds, function, *arguments)
        except WorkerDiedError as error:
            if not error.crashed:
                raise
            detail = f"decoding took more than {seconds:g} s of CPU" if error.timed_out else "the decoder crashed"
    raise PhotoError(FailureReason.CORRUPT_IMAGE, Stage.DECODE, detail)
