"""The end of a command's process, also while threads of a runner still work: a step that fails does not wait for them.

Python's own end takes the ground from under such threads. What they run of native code then aborts the process, which
hides the exit code.
"""

import atexit
import contextlib
import os
import select
import sys
import typing

from beam_jobs.command.errors import BROKEN_PIPE, FAILED


def end_process(main: typing.Callable[[], int]) -> typing.NoReturn:
    """Runs a command, and ends the process with its exit code.

    Args:
        main: the command. What it raises is printed as Python would; that nobody reads the output any more is not.
    """
    sys.stdout, sys.stderr = (stream or open(os.devnull, "w") for stream in (sys.stdout, sys.stderr))  # noqa: SIM115
    try:
        code = main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else FAILED
    except Exception as error:  # noqa: BLE001  printed with its traceback
        code = BROKEN_PIPE if isinstance(error, BrokenPipeError) and _has_no_reader() else FAILED
        if code == FAILED:
            sys.excepthook(*sys.exc_info())
    atexit._run_exitfuncs()
    os._exit(_flushed(code))


def _has_no_reader() -> bool:
    """Tells whether nobody reads what is printed any more."""
    output = select.poll()
    output.register(1, 0)
    return any(events & select.POLLERR for _, events in output.poll(0))


def _flushed(code: int) -> int:
    """Writes out what was printed; returns the exit code, which tells if that cannot be done."""
    with contextlib.suppress(OSError):
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            code = code or BROKEN_PIPE
        except OSError as error:
            code = code or FAILED
            sys.stderr.write(f"photobeam: the output: {error}\n")
        sys.stderr.flush()
    return code
