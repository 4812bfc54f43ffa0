"""Where a run keeps what is unfinished."""

import contextlib
import functools
import logging
import os
import pathlib
import re
import shutil
import time
import typing
import uuid

from beam_jobs.command.interrupt import also_ended, end_on_signals
from schemas import layout
from transforms.files.publish import OutputError
from transforms.files.url_credentials import without_credentials
from transforms.stores.output import LocalOutput, Output
from transforms.stores.scratch import TEMP_FLAG, Scratch, scratch_of

_log = logging.getLogger("photobeam")

_RUN_ID = re.compile(r"\d{8}T\d{6}-[0-9a-f]{8}")


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

    A run that is killed, or leaves its job to go on alone, leaves its folder below ``--temp_location``. A note in the
    output tells the next run, which removes it.

    Args:
        output: the dataset, held by this run.
        temp_location, is_shared: as :func:`transforms.stores.scratch.scratch_of`.

    Raises:
        OutputError: the place cannot be written, or would be taken for something else in the output.
    """
    check_apart(output, temp_location)
    run_id = f"{time.strftime('%Y%m%dT%H%M%S')}-{uuid.uuid4().hex[:8]}"
    folder, note = output.run_folder(run_id), f"{layout.SCRATCH_NOTE}{run_id}"
    scratch = scratch_of(output, run_id, temp_location, is_shared)
    remove = functools.partial(_remove, scratch, output, note if temp_location else None)
    with end_on_signals(folder), also_ended(remove):
        try:
            folder.mkdir(parents=True)
            _remove_abandoned(output, temp_location)
            scratch.check_writable()
            try:
                if temp_location:
                    output.write(note, _told(temp_location).encode())
                yield _folder_of(output, folder, scratch)
            finally:
                remove()
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


def _remove(scratch: Scratch, output: Output, note: str | None) -> None:
    try:
        scratch.remove()
        if note:
            output.remove(note)
    except OSError as error:
        _log.warning("%s: what this run shared there cannot be removed (%s); remove it", scratch, error)


def _remove_abandoned(output: Output, temp_location: Output | None) -> None:
    """Removes what earlier runs shared elsewhere, where this run shares, too; names what it leaves."""
    for name in output.child(layout.TMP).entries():
        note = f"{layout.TMP}/{name}"
        if not note.startswith(layout.SCRATCH_NOTE):
            continue
        place, run_id = output.read(note).decode(errors="replace"), note.removeprefix(layout.SCRATCH_NOTE)
        if temp_location and place == _told(temp_location) and _RUN_ID.fullmatch(run_id):
            _remove(scratch_of(output, run_id, temp_location), output, note)
        else:
            _log.warning("%s/%s: a run that has ended shared files there; remove them", place, run_id)
            output.remove(note)


def _told(place: Output) -> str:
    return without_credentials(str(place))
