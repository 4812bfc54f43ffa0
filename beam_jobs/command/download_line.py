"""The live progress of a download: a bar on a terminal, plain or JSON lines elsewhere."""

import contextlib
import json
import logging
import sys
import time
import typing

import rich.console
import rich.progress

from beam_jobs.command.progress_line import LOG_S
from transforms.sources.download_file import Report

_log = logging.getLogger("photobeam")


@contextlib.contextmanager
def show_download(mode: str) -> typing.Iterator[Report]:
    """Gives what :func:`transforms.sources.fetch_published.fetch_published` reports to.

    Args:
        mode: ``auto``, ``json`` or ``none``.
    """
    console = rich.console.Console(stderr=True)
    if mode == "none":
        yield lambda *_: None
    elif mode == "auto" and console.is_terminal:
        columns = (
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(),
            rich.progress.DownloadColumn(),
            rich.progress.TransferSpeedColumn(),
            rich.progress.TimeRemainingColumn(),
        )
        with rich.progress.Progress(*columns, console=console, transient=True) as bars:
            yield _Bars(bars)
    else:
        yield _Lines(mode)


class _Bars:
    """One bar a file; it appears with the first byte, so that what is logged before stays in order."""

    def __init__(self, bars: rich.progress.Progress):
        self._bars = bars
        self._tasks: dict[str, rich.progress.TaskID] = {}

    def __call__(self, name: str, received_bytes: int, total_bytes: int) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name)
        self._bars.update(self._tasks[name], completed=received_bytes, total=total_bytes or None)


class _Lines:
    """A line every :data:`beam_jobs.command.progress_line.LOG_S` seconds, and one when a file is whole."""

    def __init__(self, mode: str):
        self._mode = mode
        self._shown_at = time.monotonic()

    def __call__(self, name: str, received_bytes: int, total_bytes: int) -> None:
        if received_bytes != total_bytes and time.monotonic() - self._shown_at < LOG_S:
            return
        self._shown_at = time.monotonic()
        if self._mode == "json":
            state = {"file": name, "received_bytes": received_bytes, "total_bytes": total_bytes or None}
            sys.stderr.write(json.dumps(state) + "\n")
        else:
            total = f" of {total_bytes / 1e6:,.1f}" if total_bytes else ""
            _log.info("%s: %s%s MB", name, f"{received_bytes / 1e6:,.1f}", total)
