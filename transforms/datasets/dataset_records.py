"""The records of a dataset as they are found: plan, commits and manifest, each whole, damaged or missing."""

import contextlib
import typing

from schemas import layout
from schemas.records import CommitRecord, Manifest, OtherFormatError, Plan, PlanRows, Record
from schemas.videos import takes_videos
from transforms.datasets.remedies import GO_ON, JOIN_ANEW, REDO_RECORD
from transforms.stores.dataset_files import DatasetFiles, Fault, no_dataset_error, unreadable

IMAGE_FLAG = "image_size"
"""The plan's format has it if images are made."""

R = typing.TypeVar("R", bound=Record)


class Records(typing.NamedTuple):
    """The records of a dataset, as far as they are whole.

    Attributes:
        plan: what it is made from; None if damaged or missing.
        planned: the rows that the plan lists, by shard.
        manifest: of the finished dataset; None if damaged, missing, or not due.
        commits: by shard.
        shards: how many there should be.
        rows_only: whether the dataset was made without images, and ends with its rows.
    """

    plan: Plan | None
    planned: dict[int, PlanRows]
    manifest: Manifest | None
    commits: dict[int, CommitRecord]
    shards: int
    rows_only: bool

    def image_sizes(self) -> list[int] | None:
        """Returns every size by the plan, or by the manifest where the plan is damaged; None if neither says them."""
        stated = self.plan.format if self.plan else self.manifest.configuration if self.manifest else {}
        sizes = stated.get(IMAGE_FLAG)
        return sizes if isinstance(sizes, list) and all(isinstance(size, int) for size in sizes) else None

    def takes_videos(self) -> bool:
        """Tells whether there are to be videos, by the plan, or by the manifest where the plan is damaged."""
        stated = self.plan.format if self.plan else self.manifest.configuration if self.manifest else {}
        return takes_videos(stated)

    def is_outdated(self, shard: int) -> bool:
        """Tells whether a shard was made from other rows than the plan names: another selection was joined since."""
        planned, made_from = self.planned.get(shard), self.commits[shard].files.get(layout.rows_file(shard))
        return planned is not None and made_from is not None and planned.digest != made_from.sha256

    def is_current(self, shard: int) -> bool:
        """Tells whether a shard is committed, and made from the rows that the plan names."""
        return shard in self.commits and not self.is_outdated(shard)

    def taken_down(self) -> frozenset[int]:
        """Returns the ids of photos that are not to be there."""
        return frozenset(tombstone.photo_id for tombstone in self.plan.tombstones) if self.plan else frozenset()

    def input_failures(self) -> int | None:
        """Returns how many lines the table of input failures should have; None if no plan counts them."""
        counts = self.plan.counts if self.plan else {}
        return sum(count for what, count in counts.items() if what.endswith("_failures")) if counts else None


def read_records(dataset: DatasetFiles, faults: list[Fault]) -> Records:
    """Reads all records of a dataset.

    Args:
        dataset: where they lie.
        faults: what is damaged or missing is added here.

    Raises:
        NoDatasetError: there is neither plan nor manifest.
    """
    has_manifest = dataset.exists(layout.MANIFEST)
    if not has_manifest and not dataset.exists(layout.PLAN):
        raise no_dataset_error(dataset)
    plan = _read_record(dataset, layout.PLAN, Plan, REDO_RECORD if has_manifest else JOIN_ANEW, REDO_RECORD, faults)
    rows_only = bool(plan and plan.rows is not None and IMAGE_FLAG not in plan.format and not has_manifest)
    manifest = None
    if not rows_only:
        manifest = _read_record(dataset, layout.MANIFEST, Manifest, REDO_RECORD, GO_ON, faults)
    shards = _count_shards(dataset, plan, manifest)
    missing = REDO_RECORD if has_manifest else GO_ON
    commits = {} if rows_only else _read_commits(dataset, shards, missing, faults)
    planned = {rows.shard: rows for rows in (plan and plan.rows) or []}
    return Records(plan, planned, manifest, commits, shards, rows_only)


def _read_commits(dataset: DatasetFiles, shards: int, missing: str, faults: list[Fault]) -> dict[int, CommitRecord]:
    commits: dict[int, CommitRecord] = {}
    present: dict[str, bytes] = {}
    with contextlib.suppress(OSError):
        present = dataset.read_present([layout.commit_file(shard) for shard in range(shards)])
    for shard in range(shards):
        name = layout.commit_file(shard)
        commit = _read_record(dataset, name, CommitRecord, REDO_RECORD, missing, faults, present.get(name))
        if commit and commit.shard == shard:
            commits[shard] = commit
        elif commit:
            faults.append(Fault(name, f"it is the record of shard {commit.shard}", REDO_RECORD))
    return commits


def _read_record(
    dataset: DatasetFiles,
    name: str,
    record: type[R],
    damaged: str,
    missing: str,
    faults: list[Fault],
    data: bytes | None = None,
) -> R | None:
    """Reads a record, unless its data is at hand; if it is damaged or missing, a fault with the remedy is added."""
    try:
        return record.from_json(dataset.read(name) if data is None else data, name)
    except FileNotFoundError as error:
        faults.append(Fault(name, unreadable(error), missing))
    except OSError as error:
        faults.append(Fault(name, unreadable(error), damaged))
    except OtherFormatError as error:
        faults.append(Fault(name, f"it {error.problem}", error.remedy))
    except ValueError as error:
        faults.append(Fault(name, str(error), damaged))
    return None


def _count_shards(dataset: DatasetFiles, plan: Plan | None, manifest: Manifest | None) -> int:
    if plan and plan.shards is not None:
        return plan.shards
    return len(manifest.shards) if manifest else len(dataset.names("commits"))
