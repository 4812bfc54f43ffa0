"""The live progress of a run: one line on a terminal, plain or JSON lines elsewhere."""

import contextlib
import json
import logging
import sys
import threading
import time
import typing

import rich.console
import rich.live

from transforms.workers import progress

PROGRESS = "auto"
"""What is meant if ``--progress`` is not given."""

TERMINAL_S = 0.5
LOG_S = 10.0

_log = logging.getLogger("photobeam")


@contextlib.contextmanager
def show_progress(mode: str, total_rows: int) -> typing.Iterator[None]:
    """Shows progress for the length of a ``with`` block.

    Args:
        mode: ``auto``, ``json`` or ``none``.
        total_rows: photos still to do, 0 if that is not known yet.
    """
    progress.reset()
    if mode == "none":
        yield
        return
    stop = threading.Event()
    console = rich.console.Console(stderr=True)
    shown = _on_terminal if mode == "auto" and console.is_terminal else _in_log
    thread = threading.Thread(target=shown, args=(stop, total_rows, mode, console), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(2 * TERMINAL_S)


def describe(counts: typing.Mapping[str, int], total_rows: int, rate: float) -> dict[str, typing.Any]:
    """Turns counters into what is shown.

    Args:
        counts: of :func:`transforms.workers.progress.counts`.
        total_rows: photos to do; 0 for those that are counted.
        rate: photos a second; 0 if that is not known yet.

    Example:
        >>> describe(progress.counts() | {"lines": 9, "rows": 8, "samples": 3, "failed": 1}, 0, 2.0)["eta_s"]
        2
    """
    total = total_rows or counts["rows"]
    return {
        "lines": counts["lines"],
        "rows": total,
        "samples": counts["samples"],
        "videos": counts["videos"],
        "failed": counts["failed"] + counts["failed_videos"],
        "images_per_s": round(rate, 1),
        "eta_s": round((total - _done(counts)) / rate) if rate else None,
    }


def _done(counts: typing.Mapping[str, int]) -> int:
    return counts["samples"] + counts["videos"] + counts["failed"] + counts["failed_videos"]


class _Clock:
    """Measures from the moment on at which the first photos are done: many at once, perhaps, and after other work."""

    def __init__(self, total_rows: int):
        self._total_rows = total_rows
        self._first: tuple[float, int] | None = None

    def state(self) -> dict[str, typing.Any]:
        counts, now = progress.counts(), time.monotonic()
        done = _done(counts)
        if done and self._first is None:
            self._first = now, done
        begun, before = self._first or (now, 0)
        return describe(counts, self._total_rows, (done - before) / (now - begun) if now > begun else 0.0)


def _text(state: typing.Mapping[str, typing.Any]) -> str:
    done = state["samples"] + state["videos"] + state["failed"]
    if not done and state["lines"]:
        return f"joining: {state['lines']:,} lines read, {state['rows']:,} rows"
    if not state["rows"]:
        return ""
    failed = f", {state['failed']:,} failed" if state["failed"] else ""
    rate = f", {state['images_per_s']:,} photos/s" if state["images_per_s"] else ""
    eta = "" if state["eta_s"] is None else f", {state['eta_s'] // 60}:{state['eta_s'] % 60:02d} left"
    return f"{done:,} of {state['rows']:,} photos{failed}{rate}{eta}"


def _on_terminal(stop: threading.Event, total_rows: int, mode: str, console: rich.console.Console) -> None:
    clock = _Clock(total_rows)
    with rich.live.Live("", console=console, refresh_per_second=4, transient=True) as live:
        while not stop.wait(TERMINAL_S):
            live.update(_text(clock.state()))


def _in_log(stop: threading.Event, total_rows: int, mode: str, console: rich.console.Console) -> None:
    clock, shown_at = _Clock(total_rows), time.monotonic()
    while not stop.wait(TERMINAL_S):
        state = clock.state()
        if time.monotonic() - shown_at >= LOG_S:
            _report(state, mode)
            shown_at = time.monotonic()
    _report(clock.state(), mode)


def _report(state: typing.Mapping[str, typing.Any], mode: str) -> None:
    if mode == "json":
        sys.stderr.write(json.dumps(state) + "\n")
    elif text := _text(state):
        _log.info(text)
