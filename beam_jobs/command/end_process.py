"""The end of a command's process, also while threads of a runner still work: a step that fails does not wait for them.

Python's own end takes the ground from under such threads. What they run of native code then aborts the process, which
hides the exit code.
"""

import atexit
import os
import sys
import typing

from beam_jobs.command.errors import FAILED


def end_process(main: typing.Callable[[], int]) -> typing.NoReturn:
    """Runs a command, and ends the process with its exit code.

    Args:
        main: the command; what it raises is printed as Python would.
    """
    try:
        code = main()
    except Exception:  # noqa: BLE001  printed with its traceback
        sys.excepthook(*sys.exc_info())
        code = FAILED
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            code = code or FAILED
    os._exit(code)
