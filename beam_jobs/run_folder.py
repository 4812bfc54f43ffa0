"""Where a run keeps what is unfinished."""

import contextlib
import pathlib
import shutil
import time
import typing
import uuid

from beam_jobs.interrupt import end_on_signals
from transforms.output import Output


@contextlib.contextmanager
def run_folder(output: Output) -> typing.Iterator[pathlib.Path]:
    """Gives a run a folder for what is unfinished, named as the run; it goes with it, however the run ends."""
    folder = output.run_folder(f"{time.strftime('%Y%m%dT%H%M%S')}-{uuid.uuid4().hex[:8]}")
    with end_on_signals(folder):
        try:
            folder.mkdir(parents=True)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
