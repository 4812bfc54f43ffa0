"""What stands in an output already, and what is left to do."""

import pathlib
import shutil
import typing

from beam_jobs.errors import UsageError
from schemas import layout
from schemas.records import CommitRecord, Plan, PlanInput, rows_digest

_OWN_NAMES = frozenset({"rows", "shards", "failures", "commits", "log", layout.TMP, layout.PLAN, layout.MANIFEST})


def check_is_ours(output: pathlib.Path) -> None:
    """Refuses an output that holds something else than a dataset.

    Raises:
        UsageError: it does.
    """
    if not output.exists():
        return
    if not output.is_dir():
        raise UsageError(f"--output {output} is a file; choose a directory")
    foreign = sorted(p.name for p in output.iterdir() if p.name not in _OWN_NAMES)
    if foreign:
        raise UsageError(f"--output {output} holds something else ({', '.join(foreign[:3])}); choose another directory")


def read_plan(output: pathlib.Path) -> Plan | None:
    """Reads the plan of an output; None if nothing has been begun there.

    Raises:
        UsageError: the plan is damaged, or of a newer version.
    """
    path = output / layout.PLAN
    if not path.exists():
        return None
    try:
        return Plan.from_json(path.read_bytes(), str(path))
    except ValueError as error:
        raise UsageError(f"{error}; give --overwrite to start again") from error


def clear(output: pathlib.Path) -> None:
    """Removes a dataset, all but its lease; manifest and plan first, so that no half is taken for a whole."""
    for name in (layout.MANIFEST, layout.PLAN):
        (output / name).unlink(missing_ok=True)
    for name in _OWN_NAMES - {layout.TMP, layout.MANIFEST, layout.PLAN}:
        shutil.rmtree(output / name, ignore_errors=True)


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
        f"--{name} is {wanted[name]}, the output was begun with {plan.format[name]}"
        for name in sorted(plan.format.keys() & wanted.keys())
        if plan.format[name] != wanted[name]
    ]
    if differences:
        raise UsageError("; ".join(differences) + ": choose another --output, or give --overwrite to start again")


def rows_hold(
    plan: Plan, output: pathlib.Path, selection: typing.Mapping[str, typing.Any], inputs: list[PlanInput]
) -> bool:
    """Tells whether the rows are complete and made from the same inputs and flags."""
    if plan.rows is None or plan.selection != selection or plan.inputs != inputs:
        return False
    return all((output / layout.rows_file(r.shard)).is_file() for r in plan.rows)


def committed_shards(output: pathlib.Path, plan_format: typing.Mapping[str, typing.Any]) -> dict[int, str]:
    """Lists committed shards of this format, with the digest of the rows each was made from.

    A damaged record counts as none: the shard is built again.
    """
    committed: dict[int, str] = {}
    for path in sorted((output / "commits").glob("[0-9]*.json")):
        try:
            commit = CommitRecord.from_json(path.read_bytes(), str(path))
        except ValueError:
            continue
        digest = commit.files[layout.rows_file(commit.shard)].sha256
        if commit.rows_digest == rows_digest(digest, plan_format):
            committed[commit.shard] = digest
    return committed
