"""The lease of an output on a store: an object that its holder keeps renewing, each time by the last one's token.

No wall clock is asked. A contender watches the token by its own monotonic clock: if it stays the same for
the expiry, the holder is dead. A dead process of the contender's own host is known to be dead at once.
"""

import contextlib
import dataclasses
import logging
import os
import threading
import time
import typing

from schemas.layout import LEASE
from transforms.stores.lease_holder import Holder, read_holder, this_process
from transforms.stores.store_output import ChangedError, StoreOutput

_log = logging.getLogger("photobeam")

EXPIRY_S = 60.0
_held: set[str] = set()
"""Ids of the holdings of this process: a lease of it that is none of them could not be given back."""

_BEATS = 6
"""Renewals in the time of an expiry."""


class OutputInUseError(RuntimeError):
    """Another run holds the output."""


class StoreLease:
    """The lease of one output.

    Args:
        output: on a store.
        on_lost: called with the reason, from a thread, when the lease is lost.
        expiry_s: how long a holder on another host may give no sign.
    """

    def __init__(self, output: StoreOutput, on_lost: typing.Callable[[str], None], expiry_s: float):
        self._output, self._on_lost, self._expiry_s = output, on_lost, expiry_s
        self._holder = this_process()
        self._token: str | None = None
        self._ended = threading.Event()

    @contextlib.contextmanager
    def held(self) -> typing.Iterator[None]:
        """Takes the lease, renews it in a thread, and gives it back.

        Raises:
            OutputInUseError: another run holds it.
            OSError: it cannot be written.
        """
        self._take()
        self._check_store()
        beating = threading.Thread(target=self._beat, name="lease", daemon=True)
        beating.start()
        self._output.holder = self._holder.id
        _held.add(self._holder.id)
        try:
            yield
        finally:
            _held.remove(self._holder.id)
            self._output.holder = ""
            self._ended.set()
            beating.join()
            self.give_back()

    def _take(self) -> None:
        seen, since_s = "", 0.0
        while True:
            found = self._output.read_token(LEASE)
            holder = read_holder(found[0]) if found else None
            token = found[1] if found else None
            if found is None or (holder and _is_over(holder)):
                if self._wrote(token):
                    return
                continue
            now_s = time.monotonic()
            if token != seen:
                if seen or (holder and holder.is_alive()):
                    raise self._in_use(holder)
                seen, since_s = str(token), now_s
                _log.warning(
                    "--output %s is held by another run (%s): looking for %.0f s whether it still lives",
                    self._output, holder or "unknown", self._expiry_s,
                )  # fmt: skip
            elif now_s - since_s >= self._expiry_s and self._wrote(token):
                return
            time.sleep(self._expiry_s / _BEATS / 2)

    def _in_use(self, holder: Holder | None) -> OutputInUseError:
        return OutputInUseError(
            f"{self._output} is in use by another run ({holder or 'unknown'}); "
            "wait for its end or choose another output"
        )

    def _wrote(self, token: str | None) -> bool:
        """Puts this holder in the place of a version of the lease; False if that has changed meanwhile."""
        try:
            self._token = self._output.swap(LEASE, self._holder.to_json(), token)
        except ChangedError:
            return self._is_ours()
        return True

    def _is_ours(self) -> bool:
        """Looks whether the version that stands is this holder's all the same: an answer may have been lost."""
        found = self._output.read_token(LEASE)
        holder = read_holder(found[0]) if found else None
        if found is None or holder is None or holder.id != self._holder.id:
            return False
        self._token = found[1]
        return True

    def _check_store(self) -> None:
        """Warns where the store knows no preconditions: then nothing is as it should be with two runs at once."""
        try:
            if self._output.is_conditional:
                self._token = self._output.swap(LEASE, self._holder.to_json(), None)
        except ChangedError:
            return
        _log.warning(
            "--output %s: this store has no conditional writes, so two runs that begin at the same moment are not "
            "told apart; see to it that only one does",
            self._output,
        )

    def _beat(self) -> None:
        renewed_s = time.monotonic()
        while not self._ended.wait(self._expiry_s / _BEATS):
            self._holder = dataclasses.replace(self._holder, beat=self._holder.beat + 1)
            try:
                if not self._wrote(self._token):
                    return self._lost("another run has taken it over")
                renewed_s = time.monotonic()
            except OSError as error:
                if time.monotonic() - renewed_s > self._expiry_s / 2:
                    return self._lost(f"its lease could not be renewed: {error}")
        return None

    def _lost(self, reason: str) -> None:
        if not self._ended.is_set():
            self._on_lost(f"--output {self._output}: {reason}")

    def give_back(self) -> None:
        """Tells other runs that the holding is over."""
        self._holder = dataclasses.replace(self._holder, is_over=True)
        with contextlib.suppress(OSError, ChangedError):
            self._output.swap(LEASE, self._holder.to_json(), self._token)


def _is_over(holder: Holder) -> bool:
    """Tells whether a holder has given the lease back, is dead, or is this process, which holds it no more."""
    is_own = holder.is_alive() and holder.pid == os.getpid()
    return holder.is_over or holder.is_alive() is False or (is_own is True and holder.id not in _held)
