"""Kills a group of processes whose leader is silent too long, or has ended.

Started by :mod:`beam_jobs.runners.stuck_worker`::

    python -I -S kill_silent.py GROUP LIMIT_S < PIPE

A program of its own, which imports nothing else of photobeam: what has stopped a worker must not stop this.
"""

import contextlib
import os
import select
import signal
import sys

PARTS = 60
"""Of the limit. They are counted one by one, so that a pause of the whole machine is but one of them."""


def main() -> None:
    """Waits for bytes on standard input until there are none for too long, or no more can come."""
    os.setpgid(0, 0)
    group, limit_s = int(sys.argv[1]), float(sys.argv[2])
    silent_parts = 0
    while silent_parts < PARTS:
        if not select.select([0], [], [], limit_s / PARTS)[0]:
            silent_parts += 1
        elif os.read(0, 4096):
            silent_parts = 0
        else:
            break
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
