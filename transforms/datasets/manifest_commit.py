"""The commit record of a shard as the manifest has it, for where the record itself is damaged or lost."""

import collections

from schemas import layout
from schemas.records import CommitRecord, FileDigest, ManifestShard
from transforms.datasets.dataset_records import Records
from transforms.files.file_digest import bytes_digest
from transforms.files.read_parquet import read_parquet
from transforms.stores.dataset_files import DatasetFiles


def commit_by_manifest(dataset: DatasetFiles, records: Records, shard: int) -> CommitRecord | None:
    """Returns a commit record with the hashes of the manifest; sizes and reasons of failures are those of the files.

    Args:
        dataset: where the files lie.
        records: of the dataset.
        shard: its number.

    Returns:
        None if no manifest lists the shard, or if it was made from other rows than the plan names.
    """
    entry = next(iter(records.manifest.shards[shard : shard + 1]), None) if records.manifest else None
    planned, rows = records.planned.get(shard), layout.rows_file(shard)
    if entry is None or rows not in entry.sha256 or (planned and planned.digest != entry.sha256[rows]):
        return None
    return CommitRecord(
        shard=shard,
        rows=entry.samples + entry.videos + entry.failed,
        samples=entry.samples,
        failed=entry.failed,
        failures_by_reason=_reasons(dataset, layout.failures_file(shard), entry),
        rows_digest=entry.rows_digest,
        files={name: FileDigest(dataset.size(name) or 0, sha256) for name, sha256 in entry.sha256.items()},
        videos=entry.videos,
        failed_videos=entry.failed_videos,
        added=entry.added,
    )


def _reasons(dataset: DatasetFiles, name: str, entry: ManifestShard) -> dict[str, int]:
    """Counts the failures by their reasons; nothing if their file is not the one that the manifest names."""
    try:
        data = dataset.read(name)
    except OSError:
        return {}
    if bytes_digest(data).sha256 != entry.sha256.get(name):
        return {}
    return dict(collections.Counter(read_parquet(data, ["reason"])["reason"].to_pylist()))
