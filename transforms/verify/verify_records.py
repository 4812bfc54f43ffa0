"""Checks the records of a dataset against one another and against themselves; opens no file."""

from schemas import layout
from schemas.records import (
    CommitRecord,
    Manifest,
    Plan,
    manifest_shard,
    members_problem,
    root_hash,
    rows_digest,
    totals_of,
)
from schemas.tombstones import is_carried_out
from transforms.datasets.dataset_records import IMAGE_FLAG, Records
from transforms.datasets.remedies import GO_ON, INTO_SHARDS, REDO_OUTDATED, REDO_RECORD, REDO_ROWS, TAKE_OUT
from transforms.stores.dataset_files import Fault


def check_records(records: Records) -> list[Fault]:
    """Checks commits, plan and manifest: what they count, and what they say of each other."""
    faults = [fault for commit in records.commits.values() for fault in check_commit(commit)]
    if records.plan:
        faults += _check_plan(records, records.plan)
    if records.manifest:
        faults += _check_manifest(records, records.manifest)
    problem = members_problem(records.commits.values())
    return [*faults, Fault("shards", problem, INTO_SHARDS)] if problem else faults


def check_commit(commit: CommitRecord) -> list[Fault]:
    """Checks that a commit lists the files of a shard with so many samples and videos, and that its counts add up."""
    problems = []
    if not lists_its_files(commit):
        listed = sorted(commit.files)
        videos = f" and {commit.videos:,} videos" if commit.videos else ""
        problems.append(f"it lists other files than a shard of {commit.samples:,} samples{videos} has: {listed}")
    if commit.rows != commit.samples + commit.videos + commit.failed:
        videos = f", {commit.videos:,} videos" if commit.videos else ""
        problems.append(
            f"it says {commit.rows:,} rows, but {commit.samples:,} samples{videos} and {commit.failed:,} failures"
        )
    counted = sum(commit.failures_by_reason.values())
    if commit.failed != counted:
        problems.append(f"it says {commit.failed:,} failures, but {counted:,} by their reasons")
    return [Fault(layout.commit_file(commit.shard), problem, REDO_RECORD) for problem in problems]


def lists_its_files(commit: CommitRecord) -> bool:
    """Tells whether a commit lists just the files that a shard with so many samples and videos has."""
    return set(commit.files) == {
        layout.rows_file(commit.shard),
        *layout.shard_files(commit.shard, commit.samples, commit.videos),
    }


def _check_plan(records: Records, plan: Plan) -> list[Fault]:
    """Checks the plan against the commit records, and its accounts."""
    if plan.rows is None:
        return [Fault(layout.PLAN, "its rows are not complete", GO_ON)]
    faults = _check_counts(plan)
    if not is_carried_out(plan):
        faults.append(Fault(layout.PLAN, "photos that it says are taken down may still be there", TAKE_OUT))
    if list(records.planned) != list(range(records.shards)):
        faults.append(Fault(layout.PLAN, f"it does not list the rows of {records.shards:,} shards", REDO_ROWS))
    if records.commits and not records.image_sizes():
        faults.append(Fault(layout.PLAN, f"its format has no list of sizes as {IMAGE_FLAG}", REDO_ROWS))
    for commit in records.commits.values():
        faults += _check_made_from(records, plan, commit)
    return faults


def _check_made_from(records: Records, plan: Plan, commit: CommitRecord) -> list[Fault]:
    """Checks that a shard was made from the rows that the plan lists, in the plan's format."""
    shard, name = commit.shard, layout.commit_file(commit.shard)
    rows, file = records.planned.get(shard), commit.files.get(layout.rows_file(shard))
    if rows is None or file is None:
        return []
    if records.is_outdated(shard):
        return [Fault(name, "its shard was made from other rows than the plan names", REDO_OUTDATED)]
    if rows.rows != commit.rows:
        problem = f"it lists {rows.rows:,} rows of shard {layout.shard_name(shard)}, the commit record {commit.rows:,}"
        return [Fault(layout.PLAN, problem, REDO_ROWS)]
    if commit.rows_digest != rows_digest(file.sha256, plan.format):
        return [Fault(name, "its rows_digest does not fit its rows and the plan's format", REDO_RECORD)]
    return []


def _check_counts(plan: Plan) -> list[Fault]:
    """Checks that every input line became something: ``input_lines`` = rows + filtered + collapsed + failures."""
    parts = ("rows", "removed_by_filters", "collapsed_lines", "input_failures")
    missing = [name for name in ("input_lines", *parts) if name not in plan.counts]
    if missing:
        return [Fault(layout.PLAN, f"its counts lack {', '.join(missing)}", REDO_ROWS)]
    faults: list[Fault] = []
    lines, accounted = plan.counts["input_lines"], sum(plan.counts[name] for name in parts)
    if lines != accounted:
        problem = f"it counts {lines:,} input lines, but {accounted:,} rows, filtered, repeated and failed ones"
        faults.append(Fault(layout.PLAN, problem, REDO_ROWS))
    rows = sum(r.rows for r in plan.rows or [])
    if plan.counts["rows"] != rows:
        problem = f"it counts {plan.counts['rows']:,} rows, but lists {rows:,} in its shards"
        faults.append(Fault(layout.PLAN, problem, REDO_ROWS))
    return faults


def _check_manifest(records: Records, manifest: Manifest) -> list[Fault]:
    """Checks the manifest against the commit records, the plan and itself."""
    commits = [records.commits[shard] for shard in sorted(records.commits)]
    problems: list[str] = []
    if records.plan and manifest.counts != records.plan.counts:
        problems.append("its counts are not the plan's")
    if records.plan and is_carried_out(records.plan) and manifest.tombstones != records.plan.tombstones:
        problems.append("its tombstones are not the plan's")
    if [s.name for s in manifest.shards] != [layout.shard_name(i) for i in range(records.shards)]:
        problems.append(f"it does not list the {records.shards:,} shards in order")
    entries = {entry.name: entry for entry in manifest.shards}
    problems += [
        f"what it says of shard {layout.shard_name(c.shard)} is not what the commit record says"
        for c in commits
        if entries.get(layout.shard_name(c.shard)) != manifest_shard(c)
    ]
    if len(commits) == records.shards and manifest.totals != totals_of(commits):
        problems.append("its totals are not the sums over its shards")
    hashes = {name: sha256 for entry in manifest.shards for name, sha256 in entry.sha256.items()}
    indexes = [layout.SHARD_INDEX, *([layout.VIDEO_INDEX] if records.takes_videos() else [])]
    hashes |= {name: manifest.files[name].sha256 for name in indexes if name in manifest.files}
    if manifest.root_hash != root_hash(hashes):
        problems.append("its root hash is not that of the files it lists")
    problems += [f"it lacks {n}" for n in (*indexes, layout.INPUT_FAILURES) if n not in manifest.files]
    return [Fault(layout.MANIFEST, problem, REDO_RECORD) for problem in problems]
