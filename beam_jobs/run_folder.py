"""Where a run keeps what is unfinished."""

import contextlib
import functools
import logging
import os
import pathlib
import shutil
import time
import typing
import uuid

from beam_jobs.interrupt import also_ended, end_on_signals
from schemas import layout
from transforms.output import LocalOutput, Output
from transforms.publish import OutputError
from transforms.scratch import TEMP_FLAG, Scratch, scratch_of

_log = logging.getLogger("photobeam")


class RunFolder(typing.NamedTuple):
    """Where a run keeps what is unfinished.

    Attributes:
        folder: local, named as the run.
        staging: local, for files on their way into the output; None for temporary files of each worker's machine.
        scratch: what the run's workers share.
    """

    folder: pathlib.Path
    staging: pathlib.Path | None
    scratch: Scratch

    @property
    def done(self) -> Scratch | None:
        """Where shards that are built are noted; None where no attempt is repeated in the same run."""
        return self.scratch.child("done") if self.scratch.is_shared else None


@contextlib.contextmanager
def run_folder(
    output: Output, temp_location: Output | None = None, is_shared: bool = False
) -> typing.Iterator[RunFolder]:
    """Gives a run its place for what is unfinished; that goes with it, however the run ends.

    Args:
        output: the dataset.
        temp_location, is_shared: as :func:`transforms.scratch.scratch_of`.

    Raises:
        OutputError: the place cannot be written, or would be taken for something else in the output.
    """
    check_apart(output, temp_location)
    run_id = f"{time.strftime('%Y%m%dT%H%M%S')}-{uuid.uuid4().hex[:8]}"
    folder = output.run_folder(run_id)
    scratch = scratch_of(output, run_id, temp_location, is_shared)
    with end_on_signals(folder), also_ended(functools.partial(_remove, scratch)):
        try:
            folder.mkdir(parents=True)
            scratch.check_writable()
            try:
                yield _folder_of(output, folder, scratch)
            finally:
                _remove(scratch)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def check_apart(output: Output, temp_location: Output | None) -> None:
    """Refuses a place in the output, where what a killed run leaves would be foreign to the next one.

    Raises:
        OutputError: it is one.
    """
    if temp_location is None:
        return
    inner, outer = (str(place).rstrip("/") for place in (temp_location, output))
    if isinstance(output, LocalOutput):
        inner, outer = os.path.realpath(inner), os.path.realpath(outer)
    if f"{inner}/".startswith(f"{outer}/") and not f"{inner}/".startswith(f"{outer}/{layout.TMP}/"):
        raise OutputError(f"{TEMP_FLAG} {temp_location} lies in {output}: leave it out, or choose another place")


def dry_run_folder(output: Output, temp_location: Output | None) -> RunFolder:
    """Returns the place of a run that is not to be: nothing is made."""
    scratch = scratch_of(output, "dry-run", temp_location, is_shared=True)
    return _folder_of(output, output.run_folder("dry-run"), scratch)


def _folder_of(output: Output, folder: pathlib.Path, scratch: Scratch) -> RunFolder:
    is_seen = isinstance(output, LocalOutput) or not scratch.is_shared
    return RunFolder(folder, folder / "staging" if is_seen else None, scratch)


def _remove(scratch: Scratch) -> None:
    try:
        scratch.remove()
    except OSError as error:
        _log.warning("%s: what this run shared there cannot be removed (%s); remove it", scratch, error)
