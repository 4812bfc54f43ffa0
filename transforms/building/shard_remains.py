"""What is left of a damaged shard: the record that says what it was, and which of its files still are that."""

import typing

from schemas import layout
from schemas.records import CommitRecord, PlanRows, rows_digest
from transforms.datasets.dataset_records import Records
from transforms.datasets.manifest_commit import commit_by_manifest
from transforms.stores.dataset_files import DatasetFiles
from transforms.verify.verify_records import check_commit, lists_its_files
from transforms.verify.verify_shard import verify_shard


class Remains(typing.NamedTuple):
    """What is left of a shard.

    Attributes:
        commit: what it was: its commit record, or what the manifest says of it.
        whole: names of its files, the commit record among them, that are as they were.
    """

    commit: CommitRecord
    whole: frozenset[str]

    @property
    def has_samples(self) -> bool:
        """Whether its samples can be read back."""
        shard = self.commit.shard
        return not self.commit.samples or {layout.tar_file(shard), layout.sidecar_file(shard)} <= self.whole

    @property
    def has_videos(self) -> bool:
        """Whether its videos can be read back."""
        shard = self.commit.shard
        return not self.commit.videos or {layout.video_tar_file(shard), layout.video_sidecar_file(shard)} <= self.whole

    @property
    def has_failures(self) -> bool:
        """Whether its failures can be read back."""
        return layout.failures_file(self.commit.shard) in self.whole

    @property
    def is_whole(self) -> bool:
        """Whether nothing is lost but, it may be, the commit record that stands in the dataset, and the rows."""
        shard, commit = self.commit.shard, self.commit
        return {*layout.shard_files(shard, commit.samples, commit.videos), layout.commit_file(shard)} <= self.whole


def find_remains(dataset: DatasetFiles, records: Records, planned: PlanRows) -> Remains | None:
    """Compares the files of a shard with what the commit record and the manifest say of it; reads them for each.

    Args:
        dataset: where they lie.
        records: of the dataset, with its plan.
        planned: the rows that the shard is to be made from.

    Returns:
        What is left by the record that fits more of the files; None if no record is of a shard of these rows.
    """
    shard, found = planned.shard, list[Remains]()
    for commit in (records.commits.get(shard), commit_by_manifest(dataset, records, shard)):
        if commit and _is_made_from(commit, planned, records):
            faults = verify_shard(dataset, commit, records.shards, records.image_sizes()) + check_commit(commit)
            names = {*commit.files, layout.commit_file(shard)}
            found.append(Remains(commit, frozenset(names - {fault.file for fault in faults})))
    return max(found, key=lambda remains: len(remains.whole), default=None)


def _is_made_from(commit: CommitRecord, planned: PlanRows, records: Records) -> bool:
    plan_format = records.plan.format if records.plan else {}
    is_listed = lists_its_files(commit) and commit.files[layout.rows_file(commit.shard)].sha256 == planned.digest
    return is_listed and commit.rows_digest == rows_digest(planned.digest, plan_format)
