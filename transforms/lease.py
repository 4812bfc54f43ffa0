"""One run at a time holds an output.

The kernel holds the lock (`flock`): it is gone the moment its holder is, however that ended. The
file says who holds it.
"""

import contextlib
import fcntl
import json
import os
import pathlib
import socket
import time
import typing

from schemas.layout import LEASE
from transforms.output import LocalOutput


class OutputInUseError(RuntimeError):
    """Another run holds the output."""


@contextlib.contextmanager
def hold_output(output: LocalOutput) -> typing.Iterator[None]:
    """Holds an output for the length of a ``with`` block.

    Raises:
        OutputInUseError: another run holds it; names host, process and start.
    """
    path = output.path / LEASE
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise OutputInUseError(
                f"--output {output} is in use by another run ({file.read().strip() or 'just starting'}); "
                "wait for its end or choose another output"
            ) from error
        file.truncate(0)
        file.write(json.dumps(_holder()) + "\n")
        file.flush()
        yield


def _holder() -> dict[str, typing.Any]:
    boot_id = pathlib.Path("/proc/sys/kernel/random/boot_id")
    return {
        "host": socket.gethostname(),
        "boot_id": boot_id.read_text().strip() if boot_id.exists() else "",
        "pid": os.getpid(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
