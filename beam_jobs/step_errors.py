"""What is told of a step that failed: what the operator can mend in a sentence, anything else as it is."""

import re

from transforms.failure_share import TooManyFailuresError
from transforms.image_files import ImagePlaceError
from transforms.input_files import InputError
from transforms.where_condition import ConditionError
from transforms.worker_pool import PoolStoppedError

EXPECTED_ERRORS = (ConditionError, ImagePlaceError, InputError, TooManyFailuresError, PoolStoppedError, OSError)
"""What the operator can mend; anything else is a bug and keeps its traceback."""

_WHILE_RUNNING = re.compile(r" \[while running .*$", re.DOTALL)
_RAISED = re.compile(
    r"^(?P<name>[A-Za-z_][\w.]*(?:Error|Exception)): (?P<text>.+?)(?: \[while running '.*)?$", re.MULTILINE
)
_NO_WORKER = re.compile(r'Cannot run program "(?P<command>[^"]*)"')
_DEAD_WORKER = re.compile(r"Process died with exit code (?P<code>\d+)")


def expected_message(error: BaseException | None) -> str | None:
    """Finds what the operator can mend in a chain of errors: Beam wraps those whose arguments it cannot extend."""
    while error is not None:
        if isinstance(error, OSError) and error.strerror:
            return f"{error.filename or 'the output'}: {error.strerror}"
        if isinstance(error, EXPECTED_ERRORS):
            return _WHILE_RUNNING.sub("", str(error))
        error = error.__cause__ or (error.__context__ if type(error) is RuntimeError else None)
    return None


def message_of(told: str) -> str:
    """Finds what went wrong in what a runner says of a failed job.

    Args:
        told: traces of Python and Java, and lines about them.

    Returns:
        The message of the error that Python raised, without its class if the operator can mend it; else all of it.
    """
    missing = _NO_WORKER.search(told)
    if missing:
        return (
            f"a worker cannot start {missing['command']}: install photobeam there under the same path, or name its "
            'place with --environment_config=\'{"command": "…/photobeam-worker"}\''
        )
    raised = [match for match in _RAISED.finditer(told) if not match["name"].startswith(("java.", "org."))]
    if raised:
        last = raised[-1]
        names = {f"{error.__module__}.{error.__qualname__}" for error in EXPECTED_ERRORS}
        return last["text"] if last["name"] in names else f"{last['name']}: {last['text']}"
    return told
