"""The end of a command's process, also while threads of a runner still work: a step that fails does not wait for them.

Python's own end takes the ground from under such threads. What they run of native code then aborts the process, which
hides the exit code.
"""

import atexit
import contextlib
import os
import sys
import typing

from beam_jobs.command.errors import BROKEN_PIPE, FAILED


def end_process(main: typing.Callable[[], int]) -> typing.NoReturn:
    """Runs a command, and ends the process with its exit code.

    Args:
        main: the command. What it raises is printed as Python would; that nobody reads the output any more is not.
    """
    try:
        code = main()
    except BrokenPipeError:
        code = BROKEN_PIPE
    except SystemExit as end:
        code = typing.cast(int, end.code)
    except Exception:  # noqa: BLE001  printed with its traceback
        sys.excepthook(*sys.exc_info())
        code = FAILED
    atexit._run_exitfuncs()
    os._exit(_flushed(code))


def _flushed(code: int) -> int:
    """Writes out what was printed; returns the exit code, which tells if that cannot be done."""
    try:
        if sys.stdout:
            sys.stdout.flush()
    except BrokenPipeError:
        code = code or BROKEN_PIPE
    except OSError as error:
        code = code or FAILED
        if sys.stderr:
            sys.stderr.write(f"photobeam: the output: {error}\n")
    if sys.stderr:
        with contextlib.suppress(OSError):
            sys.stderr.flush()
    return code
