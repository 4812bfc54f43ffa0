"""What a run needs of its output: that it can be written and nobody holds it, that it fits, and room."""

import contextlib
import pathlib
import tempfile
import typing
import uuid

from beam_jobs.command.counted import counted
from beam_jobs.command.errors import UsageError
from beam_jobs.diagnosis.findings import FAULT, OK, WARNING, Finding, fault_of
from beam_jobs.diagnosis.place_findings import look_at_bucket
from beam_jobs.outputs import output_state
from beam_jobs.outputs.run_folder import check_apart
from schemas import layout
from transforms.files.publish import OutputError, check_space
from transforms.stores.lease import holder_of
from transforms.stores.object_store import is_store_url
from transforms.stores.output import LocalOutput, Output
from transforms.stores.scratch import TEMP_FLAG, scratch_of


def look_at_output(
    output: Output, wanted: typing.Mapping[str, typing.Any], overwrite: bool
) -> typing.Iterator[Finding]:
    """Looks at the output; what it writes there is gone afterwards.

    Args:
        output: of the run.
        wanted: the format that the flags ask for.
        overwrite: the run would start again.
    """
    check = f"--output {output}"
    seen = _bucket(check, output)
    yield from seen
    if any(finding.status == FAULT for finding in seen):
        return
    try:
        output_state.check_is_ours(output)
        with _without_traces(output):
            output.check_writable()
    except (UsageError, OutputError) as error:
        yield fault_of(check, error)
        return
    yield Finding(OK, check, "can be written")
    yield _held(check, output)
    yield _standing(check, output, wanted, overwrite)


def look_at_temp_location(place: Output, output: Output | None) -> typing.Iterator[Finding]:
    """Looks whether workers can share files at ``--temp_location``; what it writes there is gone afterwards.

    Args:
        place: that the flag names.
        output: of the run, None if none is named.
    """
    check = f"{TEMP_FLAG} {place}"
    seen = _bucket(check, place)
    yield from seen
    if any(finding.status == FAULT for finding in seen):
        return
    scratch = scratch_of(place, f"doctor-{uuid.uuid4().hex}", place)
    try:
        if output:
            check_apart(output, place)
        with _without_traces(place):
            try:
                scratch.check_writable()
            finally:
                scratch.remove()
    except (OutputError, OSError) as error:
        yield fault_of(check, OutputError(str(error).replace(str(scratch), str(place))))
        return
    yield Finding(OK, check, "can be written")


def look_at_space(output: Output | None, needed_bytes: int) -> typing.Iterator[Finding]:
    """Looks whether there is room for what a run keeps on this machine's disks while it works.

    Args:
        output: of the run; None for one on a store.
        needed_bytes: of spool and rows.
    """
    folder = _present(output.path) if isinstance(output, LocalOutput) else pathlib.Path(tempfile.gettempdir())
    try:
        check_space(folder, needed_bytes)
    except OutputError as error:
        yield fault_of("disk", error)
        return
    yield Finding(OK, "disk", f"{folder} has room for rows and spool, about {needed_bytes / 1e9:.2f} GB")


def _bucket(check: str, place: Output) -> list[Finding]:
    return list(look_at_bucket(check, place.root, place.s3)) if is_store_url(place.root) else []


def _held(check: str, output: Output) -> Finding:
    holder = holder_of(output)
    if holder is None:
        return Finding(OK, check, "no other run holds it")
    if holder.is_alive() is None:
        found = f"was last held by {holder}, and not given back"
        return Finding(WARNING, check, found, "if it still runs, wait; if not, a build takes it over after a minute")
    return Finding(FAULT, check, f"is in use by another run ({holder})", "wait for its end, or choose another output")


def _standing(check: str, output: Output, wanted: typing.Mapping[str, typing.Any], overwrite: bool) -> Finding:
    """Says what is there already, and whether the run would go on with it."""
    if overwrite:
        return Finding(OK, check, "--overwrite drops what is there")
    try:
        output_state.check_versions(output, with_commits=False)
        plan = output_state.read_plan(output)
        if plan is None:
            return Finding(OK, check, "nothing is there yet")
        output_state.check_is_of_sources(plan, output)
        output_state.check_format(plan, wanted)
    except UsageError as error:
        return fault_of(check, error)
    if output.exists(layout.MANIFEST):
        shards = counted(len(plan.rows or []), "shard")
        return Finding(OK, check, f"a finished dataset of {shards}; the same build looks what has changed")
    if plan.shards is None:
        return Finding(OK, check, "a build that was begun; its rows are joined anew")
    commits = len(output.names("commits"))
    return Finding(
        OK, check, f"a build that was begun, {commits} of {counted(plan.shards, 'shard')} are there; it goes on"
    )


def _present(path: pathlib.Path) -> pathlib.Path:
    """Returns the nearest folder that is there already."""
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


@contextlib.contextmanager
def _without_traces(output: Output) -> typing.Iterator[None]:
    """Removes folders that are made meanwhile and stay empty."""
    if not isinstance(output, LocalOutput):
        yield
        return
    folders = [output.path / layout.TMP, output.path, *output.path.parents]
    made = [folder for folder in folders if not folder.exists()]
    try:
        yield
    finally:
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()
