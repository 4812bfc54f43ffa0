"""What is told of a step that failed: what the operator can mend in a sentence, anything else as it is."""

import re

from transforms.files.image_files import ImagePlaceError
from transforms.files.publish import OutputError
from transforms.join.where_condition import ConditionError
from transforms.sources.input_files import InputError
from transforms.stores.dataset_files import DamagedDatasetError
from transforms.stores.output import LeaseLostError
from transforms.stores.store_errors import client_errors
from transforms.workers.failure_share import TooManyFailuresError
from transforms.workers.worker_pool import PoolStoppedError

EXPECTED_ERRORS = (
    ConditionError,
    DamagedDatasetError,
    ImagePlaceError,
    InputError,
    TooManyFailuresError,
    PoolStoppedError,
    MemoryError,
    OSError,
)
"""What the operator can mend; anything else is a bug and keeps its traceback."""

GOES_ON = "what is committed stays; once that is mended, the command goes on from there"

_WHILE_RUNNING = re.compile(r" \[while running .*$", re.DOTALL)
_RAISED = re.compile(
    r"^(?P<name>[A-Za-z_][\w.]*(?:Error|Exception)): (?P<text>.+?)(?: \[while running '.*)?$", re.MULTILINE
)
_NO_WORKER = re.compile(r"java\.io\.IOException: (?:Cannot run program|error=2, No such file)")

_NO_SLOT = re.compile(r"NoResourceAvailableException|TimeoutException: Timeout has occurred")
"""What is left of the first when the job server passes it on."""

_REFUSED = re.compile(r"Error received from SDK harness for instruction \S+: (?P<text>the worker .+)")


def expected_message(error: BaseException | None) -> str | None:
    """Finds what the operator can mend in a chain of errors: Beam wraps those whose arguments it cannot extend."""
    while error is not None:
        if isinstance(error, OSError) and error.strerror:
            return f"{error.filename or 'the output'}: {error.strerror}"
        if isinstance(error, MemoryError):
            return f"there is not enough memory ({_WHILE_RUNNING.sub('', str(error))})"
        if isinstance(error, (*EXPECTED_ERRORS, *client_errors())):
            return _WHILE_RUNNING.sub("", str(error))
        error = error.__cause__ or (error.__context__ if type(error) is RuntimeError else None)
    return None


def message_of(told: str, worker: str = "photobeam-worker") -> str:
    """Finds what went wrong in what a runner says of a failed job.

    Args:
        told: traces of Python and Java, and lines about them.
        worker: the command that starts one.

    Returns:
        The message of the error that Python raised, without its class if the operator can mend it; else all of it.
    """
    if _NO_WORKER.search(told):
        return (
            f"a worker cannot start {worker}: install photobeam there under the same path as here, or name its "
            'place with --environment_config=\'{"command": "…/photobeam-worker"}\''
        )
    if "Insufficient number of network buffers" in told:
        return (
            "the TaskManagers have too few network buffers for the steps of this graph: set "
            "taskmanager.network.sort-shuffle.min-buffers: 64 in Flink's configuration, as deploy/flink does"
        )
    refused = _REFUSED.search(told)
    if refused:
        return refused["text"]
    raised = [match for match in _RAISED.finditer(told) if not match["name"].startswith(("java.", "org."))]
    if raised:
        last = raised[-1]
        names = {f"{e.__module__}.{e.__qualname__}" for e in (*EXPECTED_ERRORS, OutputError, LeaseLostError)}
        return last["text"] if last["name"] in names else f"{last['name']}: {last['text']}"
    if _NO_SLOT.search(told):
        return (
            "too few TaskManagers are left: see in their logs why they ended, such as for lack of memory, and start "
            "others before this command is given again"
        )
    if "CANCELLED: client cancelled" in told:
        return (
            "a worker was lost in each attempt: it was killed, or got nothing done for "
            "--element_processing_timeout_minutes; see the logs of the TaskManagers, and whether their machines have "
            "run out of memory"
        )
    return told
