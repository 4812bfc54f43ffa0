"""What a command says when it cannot go on, and with which exit code."""

import re

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

_EXPECTED = re.compile(
    r"^(?:[\w.]+\.)?(CorruptInputError|ConditionError|ImagePlaceError|WorkerDiedError|OutputError|InputError): (.*)$"
    r"|^((?:OSError|PermissionError|FileNotFoundError|NotADirectoryError): .*)$",
    re.MULTILINE,
)
_WHILE_RUNNING = re.compile(r" \[while running .*$", re.DOTALL)


class UsageError(Exception):
    """The command line cannot be carried out; nothing was done."""


class JobError(Exception):
    """The job failed for a reason that the operator can mend."""


def expected_failure(text: str) -> str | None:
    """Finds, in the text of a runner's exception, an error that the operator can mend.

    Runners report a failed step as the text of its traceback; the error itself is its last line.

    Example:
        >>> expected_failure("Traceback\\n  x\\na.b.ConditionError: no such column [while running 'Join']")
        'no such column'
    """
    found = list(_EXPECTED.finditer(_WHILE_RUNNING.sub("", text)))
    return (found[-1].group(2) or found[-1].group(3)) if found else None
