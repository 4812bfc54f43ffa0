"""One run at a time holds an output.

Locally the kernel holds the lock (`flock`): it is gone the moment its holder is, however that ended. The
file says who holds it. On stores the file is the lock: see :mod:`transforms.stores.store_lease`.
"""

import contextlib
import fcntl
import typing

from schemas.layout import LEASE
from transforms.stores.lease_holder import Holder, read_holder, this_process
from transforms.stores.output import LocalOutput, Output
from transforms.stores.store_lease import EXPIRY_S, OutputInUseError, StoreLease
from transforms.stores.store_output import StoreOutput

__all__ = ["OutputInUseError", "hold_output", "holder_of"]


@contextlib.contextmanager
def hold_output(
    output: Output, on_lost: typing.Callable[[str], None] = lambda _: None, expiry_s: float = EXPIRY_S
) -> typing.Iterator[typing.Callable[[], None]]:
    """Holds an output for the length of a ``with`` block; gives a function that ends the holding before its time.

    Args:
        output: to be held. It writes only until another run holds it, and so do its copies in workers: a cluster may
            go on with the job of a dead run.
        on_lost: called from a thread, with the reason, when another run has taken the output over.
        expiry_s: a holder on another host that gives no sign for so long counts as dead.

    Raises:
        OutputInUseError: another run holds it; names host, process and start.
        OSError: the lease cannot be written.
    """
    if isinstance(output, LocalOutput):
        with _locked(output):
            yield _leave_to_kernel
    elif isinstance(output, StoreOutput):
        lease = StoreLease(output, on_lost, expiry_s)
        with lease.held():
            yield lease.give_back


def holder_of(output: Output) -> Holder | None:
    """Returns who holds an output, as far as that can be told without taking it; None if nobody does.

    Raises:
        OSError: the lease cannot be read.
    """
    if isinstance(output, StoreOutput):
        found = output.read_token(LEASE)
        holder = read_holder(found[0]) if found else None
        return holder if holder and not holder.is_over and holder.is_alive() is not False else None
    if not isinstance(output, LocalOutput) or not output.exists(LEASE):
        return None
    with (output.path / LEASE).open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return read_holder(file.read()) or this_process()
    return None


def _leave_to_kernel() -> None:
    """Does nothing: the lock goes with the process."""


@contextlib.contextmanager
def _locked(output: LocalOutput) -> typing.Iterator[None]:
    path = output.path / LEASE
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = read_holder(file.read().encode())
            raise OutputInUseError(
                f"{output} is in use by another run ({holder or 'just starting'}); "
                "wait for its end or choose another output"
            ) from error
        holder = this_process()
        file.truncate(0)
        file.write(holder.to_json().decode())
        file.flush()
        output.holder = holder.id
        try:
            yield
        finally:
            output.holder = ""
