"""Who holds an output: host, process and start, and whether that process is alive where this is asked."""

import dataclasses
import json
import os
import pathlib
import socket
import time
import typing
import uuid

_BOOT_ID = pathlib.Path("/proc/sys/kernel/random/boot_id")
_PROCESSES = pathlib.Path("/proc/self/ns/pid")


@dataclasses.dataclass(frozen=True)
class Holder:
    """What a lease says.

    Attributes:
        id: of this holding.
        host, boot_id, pid_space: where the process is; pids mean something within all three.
        pid, pid_started: of it, the start in the kernel's ticks since boot, '' where that is not told.
        started: UTC, for people.
        beat: counts the renewals, so that each has other bytes.
        is_over: whether the holder gave it back.
    """

    id: str
    host: str
    boot_id: str
    pid_space: str
    pid: int
    pid_started: str
    started: str
    beat: int = 0
    is_over: bool = False

    def to_json(self) -> bytes:
        """Encodes it as one line."""
        return json.dumps(dataclasses.asdict(self)).encode() + b"\n"

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.started}"

    def is_alive(self) -> bool | None:
        """Tells whether the process is alive; None where that cannot be known, on another host."""
        here = (self.host, self.boot_id, self.pid_space) == _place()
        return self.pid_started == _start_of(self.pid) if here and self.boot_id else None


def this_process() -> Holder:
    """Returns a new holder: this process."""
    host, boot_id, pid_space = _place()
    return Holder(
        id=uuid.uuid4().hex,
        host=host,
        boot_id=boot_id,
        pid_space=pid_space,
        pid=os.getpid(),
        pid_started=_start_of(os.getpid()) or "",
        started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )


def read_holder(data: bytes) -> Holder | None:
    """Decodes a lease; None if it is damaged."""
    try:
        values: dict[str, typing.Any] = json.loads(data)
        return Holder(**values)
    except (ValueError, TypeError):
        return None


def _place() -> tuple[str, str, str]:
    boot_id = _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else ""
    return socket.gethostname(), boot_id, os.readlink(_PROCESSES) if _PROCESSES.is_symlink() else ""


def _start_of(pid: int) -> str | None:
    """Returns when a process of this host began, in ticks; None if there is none, or a dead one."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]
