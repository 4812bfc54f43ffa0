"""What stands in an output already, and what is left to do."""

import pathlib
import shutil
import typing

from beam_jobs.errors import UsageError
from schemas import layout
from schemas.records import CommitRecord, FileDigest, Manifest, OtherFormatError, Plan, PlanInput, rows_digest

_OWN_NAMES = frozenset({*layout.SHARD_FOLDERS, layout.TMP, layout.PLAN, layout.MANIFEST})


def check_is_ours(output: pathlib.Path) -> None:
    """Refuses an output that holds something else than a dataset.

    Raises:
        UsageError: it does.
    """
    if not output.exists():
        return
    if not output.is_dir():
        raise UsageError(f"--output {output} is a file; choose a directory")
    begun = any((output / name).exists() for name in (layout.PLAN, layout.MANIFEST, layout.LEASE))
    foreign = sorted(p.name for p in output.iterdir() if p.name not in (_OWN_NAMES if begun else {layout.TMP}))
    if foreign:
        raise UsageError(f"--output {output} holds something else ({', '.join(foreign[:3])}); choose another directory")


def read_plan(output: pathlib.Path) -> Plan | None:
    """Reads the plan of an output; None if nothing has been begun there.

    Raises:
        UsageError: the plan is damaged, or of another format version.
    """
    path = output / layout.PLAN
    if not path.exists():
        return None
    try:
        return Plan.from_json(path.read_bytes(), str(path))
    except OtherFormatError as error:
        raise UsageError(str(error)) from error
    except ValueError as error:
        raise UsageError(f"{error}; remove it, and the rows are joined again") from error


def clear(output: pathlib.Path) -> None:
    """Removes a dataset, all but its lease: first what says that it is whole, last what says that it is ours."""
    (output / layout.MANIFEST).unlink(missing_ok=True)
    for name in layout.SHARD_FOLDERS:
        shutil.rmtree(output / name, ignore_errors=True)
    (output / layout.PLAN).unlink(missing_ok=True)


def sweep(output: pathlib.Path) -> None:
    """Removes what dead runs left unfinished."""
    for path in (output / layout.TMP).glob("*"):
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != pathlib.PurePath(layout.LEASE).name:
            path.unlink()


def check_format(plan: Plan, wanted: typing.Mapping[str, typing.Any]) -> None:
    """Refuses to go on with other format flags than the output was begun with.

    What only one side states does not count: `join` knows nothing of images.

    Raises:
        UsageError: names each difference.
    """
    differences = [
        f"--{name} is {_as_given(wanted[name])}, the output was begun with {_as_given(plan.format[name])}"
        for name in sorted(plan.format.keys() & wanted.keys())
        if plan.format[name] != wanted[name]
    ]
    if differences:
        raise UsageError("; ".join(differences) + ": choose another --output, or give --overwrite to start again")


def _as_given(value: typing.Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def rows_hold(
    plan: Plan, output: pathlib.Path, selection: typing.Mapping[str, typing.Any], inputs: list[PlanInput]
) -> bool:
    """Tells whether the rows are complete and made from the same inputs and flags."""
    if plan.rows is None or plan.selection != selection or plan.inputs != inputs:
        return False
    names = [layout.INPUT_FAILURES, *(layout.rows_file(r.shard) for r in plan.rows)]
    return all((output / name).is_file() for name in names)


def manifest_holds(output: pathlib.Path) -> bool:
    """Tells whether there is a sound manifest, and the files that it lists beside the shards' are in place."""
    path = output / layout.MANIFEST
    try:
        manifest = Manifest.from_json(path.read_bytes(), str(path))
    except (FileNotFoundError, ValueError):
        return False
    return _are_in_place(manifest.files, output)


def committed_shards(output: pathlib.Path, plan_format: typing.Mapping[str, typing.Any]) -> dict[int, str]:
    """Lists committed shards of this format, with the digest of the rows each was made from.

    A shard whose record is damaged, or of whose files one is missing or of another size, counts as none and is
    built again.
    """
    committed: dict[int, str] = {}
    for path in sorted((output / "commits").glob("[0-9]*.json")):
        try:
            commit = CommitRecord.from_json(path.read_bytes(), str(path))
        except ValueError:
            continue
        rows = commit.files.get(layout.rows_file(int(path.stem)))
        if rows and commit.rows_digest == rows_digest(rows.sha256, plan_format) and _is_whole(commit, output):
            committed[commit.shard] = rows.sha256
    return committed


def _is_whole(commit: CommitRecord, output: pathlib.Path) -> bool:
    """Compares the sizes of a shard's own files; its rows may be newer."""
    own = {name: commit.files[name] for name in layout.shard_files(commit.shard) if name in commit.files}
    return _are_in_place(own, output)


def _are_in_place(files: typing.Mapping[str, FileDigest], output: pathlib.Path) -> bool:
    return all((output / n).is_file() and (output / n).stat().st_size == d.bytes for n, d in files.items())
