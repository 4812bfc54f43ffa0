"""What stands in an output already, and what is left to do."""

import dataclasses
import os
import typing

from beam_jobs.command.errors import UsageError
from beam_jobs.command.flags import as_given
from beam_jobs.outputs.find_tombstones import find_tombstones
from schemas import layout
from schemas.product_records import SOURCES as PRODUCTS
from schemas.records import (
    CommitRecord,
    Manifest,
    OtherFormatError,
    Plan,
    PlanInput,
    Record,
    manifest_shard,
    rows_digest,
)
from schemas.videos import with_videos_stated
from transforms.files.publish import OutputError
from transforms.stores.dataset_files import DatasetFiles
from transforms.stores.output import Output, read_record

SHARDS, ORIGINALS = "shards", "originals"
"""Where a dataset that is made of another one has its images from."""

DATASET_KIND = "dataset/"
"""The kind of an input that is a dataset begins with it; then comes where its images are taken from."""

_OWN_NAMES = frozenset({*layout.SHARD_FOLDERS, *PRODUCTS, layout.TMP, layout.PLAN, layout.MANIFEST})


class Standing(typing.NamedTuple):
    """What is in the output already.

    Attributes:
        plan: of this run, with the rows where they still hold.
        old: the plan that stands.
        committed: shards that stand, with the digest of their rows.
        is_finished: whether nothing is left to do.
    """

    plan: Plan
    old: Plan | None
    committed: dict[int, str]
    is_finished: bool


def check_is_ours(output: Output) -> None:
    """Refuses an output that holds something else than a dataset.

    Raises:
        UsageError: it does.
    """
    present = entries(output)
    begun = layout.PLAN in present or layout.MANIFEST in present or output.exists(layout.LEASE)
    foreign = [name for name in present if name not in (_OWN_NAMES if begun else {layout.TMP})]
    if foreign:
        raise UsageError(f"--output {output} holds something else ({', '.join(foreign[:3])}); choose another directory")


def check_apart(old: DatasetFiles, output: Output) -> None:
    """Refuses to write over or into the dataset that is read.

    Raises:
        UsageError: the places lie in one another.
    """
    places = (str(place).rstrip("/") for place in (old, output))
    here, there = (place if "://" in place else os.path.realpath(place) for place in places)
    if f"{here}/".startswith(f"{there}/") or f"{there}/".startswith(f"{here}/"):
        raise UsageError(f"--output {output} and the dataset {old} lie in one another; choose another directory")


def entries(output: Output) -> list[str]:
    """Lists what lies at the root of an output.

    Raises:
        UsageError: it is a file, or cannot be reached.
    """
    try:
        return output.entries()
    except NotADirectoryError as error:
        raise UsageError(f"--output {output} is a file; choose a directory") from error
    except OutputError as error:
        raise UsageError(str(error)) from error


def read_plan(output: Output) -> Plan | None:
    """Reads the plan of an output; None if nothing has been begun there.

    Raises:
        UsageError: the plan is damaged, of another format version, or lost with the list of photos taken down.
    """
    try:
        return read_record(output, layout.PLAN, Plan)
    except OtherFormatError as error:
        raise UsageError(str(error)) from error
    except (FileNotFoundError, ValueError) as error:
        if find_tombstones(output):
            raise UsageError(
                f"{output}/{layout.PLAN} is lost or damaged, and photos were taken down: put back a copy of it, or run "
                f"`photobeam verify {output} --repair`, which restores it; --overwrite keeps them out, too"
            ) from error
        if isinstance(error, FileNotFoundError):
            return None
        raise UsageError(f"{error}; remove it, and the rows are joined again") from error


def check_versions(output: Output, with_commits: bool = True) -> None:
    """Refuses a dataset that another version of the format wrote, be it in part.

    Raises:
        UsageError: names the record.
    """
    commits = output.names("commits") if with_commits else []
    kinds: dict[str, type[Record]] = {layout.PLAN: Plan, layout.MANIFEST: Manifest}
    for name, data in output.read_present([*kinds, *commits]).items():
        try:
            kinds.get(name, CommitRecord).from_json(data, f"{output}/{name}")
        except OtherFormatError as error:
            raise UsageError(str(error)) from error
        except ValueError:
            continue


def begin(output: Output, standing: Standing, overwrite: bool) -> None:
    """Makes an output ready for a run: plan and manifest say nothing that is not so, nor is about to be.

    Args:
        output: held by this run.
        standing: what is there, and the plan of this run, whose flags count only if something is left to do.
        overwrite: its shards go. They do before the plan, by which they might be taken for shards of this run; what
            stays all the time is a record of the photos that were taken down.
    """
    if overwrite:
        if standing.plan.tombstones:
            output.write(layout.PLAN, Plan({}, {}, [], tombstones=standing.plan.tombstones).to_json())
        output.remove(layout.MANIFEST)
        for name in layout.SHARD_FOLDERS:
            output.remove_tree(name)
    plan = standing.plan
    if standing.old and standing.is_finished:
        plan = dataclasses.replace(plan, configuration=standing.old.configuration)
    if plan != standing.old:
        output.write(layout.PLAN, plan.to_json())
    if not standing.is_finished:
        output.remove(layout.MANIFEST)


def source_dataset(plan: Plan) -> PlanInput | None:
    """Returns the dataset that another one was made from; None if that was made from sources."""
    return next((file for file in plan.inputs if file.kind.startswith(DATASET_KIND)), None)


def check_is_of_sources(plan: Plan, output: Output) -> None:
    """Refuses to build on an output that was made from another dataset.

    Raises:
        UsageError: it was.
    """
    old = source_dataset(plan)
    if old:
        raise UsageError(
            f"--output {output} was made from {old.url} by `photobeam reprocess`, not from sources: give that command "
            "again, choose another --output, or give --overwrite to start again"
        )


def check_format(plan: Plan, wanted: typing.Mapping[str, typing.Any]) -> None:
    """Refuses to go on with other format flags than the output was begun with.

    What only one side states does not count: `join` knows nothing of images.

    Raises:
        UsageError: names each difference.
    """
    begun, wanted = with_videos_stated(plan.format), with_videos_stated(wanted)
    differences = [
        f"--{name} is {as_given(wanted[name])}, the output was begun with {as_given(begun[name])}"
        for name in sorted(begun.keys() & wanted.keys())
        if begun[name] != wanted[name]
    ]
    if differences:
        raise UsageError("; ".join(differences) + ": choose another --output, or give --overwrite to start again")


def rows_hold(
    plan: Plan,
    output: Output,
    selection: typing.Mapping[str, typing.Any],
    inputs: list[PlanInput],
    committed: typing.Mapping[int, str],
) -> bool:
    """Tells whether the rows are complete and made from the same inputs and flags.

    Those of committed shards need not be there any more.
    """
    if plan.rows is None or plan.selection != selection or plan.inputs != inputs:
        return False
    names = [layout.rows_file(r.shard) for r in plan.rows if committed.get(r.shard) != r.digest]
    return all(output.exists(name) for name in (layout.INPUT_FAILURES, *names))


def is_finished(output: Output, plan: Plan, commits: typing.Mapping[int, CommitRecord]) -> bool:
    """Tells whether all shards of a plan are built, and the manifest says of them what their commit records say.

    Where the files are now does not matter.
    """
    try:
        manifest = read_record(output, layout.MANIFEST, Manifest)
    except (FileNotFoundError, ValueError):
        return False
    planned = [commits[rows.shard] for rows in plan.rows or [] if rows.shard in commits]
    as_planned = [made_from(commit) for commit in planned] == [rows.digest for rows in plan.rows or []]
    return as_planned and manifest.shards == [manifest_shard(commit) for commit in planned]


def committed_shards(output: Output, plan: Plan) -> dict[int, str]:
    """Lists committed shards of a plan's format, with the digest of the rows each was made from."""
    return {shard: made_from(commit) for shard, commit in read_commits(output, plan).items()}


def made_from(commit: CommitRecord) -> str:
    """Returns the digest of the rows that a shard was made from."""
    return commit.files[layout.rows_file(commit.shard)].sha256


def read_commits(output: Output, plan: Plan) -> dict[int, CommitRecord]:
    """Reads the records of committed shards of a plan's format.

    The records say so, not the files: those may have been moved. A shard whose record is damaged counts as none and
    is built again. Records are asked for by name; only where no plan says how many there are, they are listed.

    Raises:
        UsageError: a record is of another format version.
    """
    names = output.names("commits") if plan.shards is None else [layout.commit_file(s) for s in range(plan.shards)]
    committed: dict[int, CommitRecord] = {}
    for name, data in output.read_present(names).items():
        try:
            commit = CommitRecord.from_json(data, f"{output}/{name}")
        except OtherFormatError as error:
            raise UsageError(str(error)) from error
        except ValueError:
            continue
        rows = commit.files.get(layout.rows_file(commit.shard))
        is_its_own = name == layout.commit_file(commit.shard)
        if is_its_own and rows and commit.rows_digest == rows_digest(rows.sha256, plan.format):
            committed[commit.shard] = commit
    return committed
