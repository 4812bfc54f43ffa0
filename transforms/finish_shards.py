"""The end of phase 2: the shard index and the manifest, from the commit records."""

import dataclasses
import pathlib
import time
import typing

from schemas import layout
from schemas.failures import AccountingError
from schemas.records import CommitRecord, Manifest, Plan, Totals, manifest_shard, root_hash_of, totals_of
from transforms.file_digest import bytes_digest, file_digest
from transforms.publish import write_file
from transforms.tar_shard import indexed_tar, wids_index


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinishConfig:
    """What the manifest says besides the shards.

    Attributes:
        output: root of the dataset.
        configuration: the flags.
        software: versions by name.
        run: what differs between runs; the end time is added.
    """

    output: pathlib.Path
    configuration: dict[str, typing.Any]
    software: dict[str, str]
    run: dict[str, typing.Any]


def finish_shards(shards: typing.Iterable[int], config: FinishConfig) -> Manifest:
    """Writes ``shards/index.json`` and, last of all, ``manifest.json``.

    Raises:
        ValueError: a commit record is damaged.
    """
    output = config.output
    plan = Plan.from_json((output / layout.PLAN).read_bytes(), str(output / layout.PLAN))
    commits = [read_commit(output, shard) for shard in sorted(shards)]
    index = wids_index(indexed_tar(commit) for commit in commits if commit.samples)
    write_file(output, layout.SHARD_INDEX, index)
    index_digest = bytes_digest(index)
    manifest = Manifest(
        configuration=config.configuration,
        software=config.software,
        counts=plan.counts,
        shards=[manifest_shard(c) for c in commits],
        files={
            layout.SHARD_INDEX: index_digest,
            layout.INPUT_FAILURES: file_digest(output / layout.INPUT_FAILURES),
        },
        totals=totals_of(commits),
        root_hash=root_hash_of(commits, layout.SHARD_INDEX, index_digest.sha256),
        run={**config.run, "finished": time.time()},
    )
    check_accounts(manifest.totals, plan.counts["rows"])
    write_file(output, layout.MANIFEST, manifest.to_json())
    return manifest


def check_accounts(totals: Totals, rows: int) -> None:
    """Checks that every row became a sample or a failure.

    Raises:
        AccountingError: rows were lost or made up.
    """
    if not rows == totals.rows == totals.samples + totals.failed:
        raise AccountingError(f"{rows} rows became {totals.samples} samples and {totals.failed} failures")


def read_commit(output: pathlib.Path, shard: int) -> CommitRecord:
    """Reads one commit record.

    Raises:
        FileNotFoundError: the shard is not committed.
        ValueError: the record is damaged.
    """
    path = output / layout.commit_file(shard)
    return CommitRecord.from_json(path.read_bytes(), str(path))
