"""The end of phase 2: the shard indexes and the manifest, from the commit records."""

import dataclasses
import errno
import logging
import time
import typing

from schemas import layout
from schemas.failures import AccountingError
from schemas.records import (
    CommitRecord,
    Manifest,
    Plan,
    Totals,
    manifest_shard,
    members_problem,
    root_hash_of,
    totals_of,
)
from schemas.videos import takes_videos
from transforms.datasets.remedies import INTO_SHARDS
from transforms.files.file_digest import DigestingReader, bytes_digest
from transforms.files.publish import OutputError
from transforms.shards.shard_indexes import shard_indexes, write_indexes
from transforms.stores.output import Output, read_record

_log = logging.getLogger("photobeam")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinishConfig:
    """What the manifest says besides the shards.

    Attributes:
        output: the dataset.
        configuration: the flags, for plans that do not tell them.
        software: versions by name.
        run: what differs between runs; the end time is added.
    """

    output: Output
    configuration: dict[str, typing.Any]
    software: dict[str, str]
    run: dict[str, typing.Any]


def finish_shards(config: FinishConfig, built: typing.Iterable[int] = ()) -> Manifest:
    """Writes the indexes of shards and videos, unless they say the same already, and, last of all, ``manifest.json``.

    Args:
        config: what the manifest says besides.
        built: shards that this run has built. A worker that a cluster has given up may have gone on beside its
            replacement, so their files are held against their records.

    Raises:
        FileNotFoundError: a shard is not committed.
        OutputError: a file of a shard that was built has another size than its commit record says.
        ValueError: a commit record is damaged.
    """
    output = config.output
    plan = read_record(output, layout.PLAN, Plan)
    commits = _read_commits(output, sorted(rows.shard for rows in plan.rows or ()))
    _check_sizes(output, commits, set(built))
    if problem := members_problem(commits):
        _log.warning("%s/shards: %s; %s", output, problem, INTO_SHARDS)
    indexes = shard_indexes(commits, takes_videos(plan.format))
    write_indexes(indexes, output)
    digests = {name: bytes_digest(index) for name, index in indexes.items()}
    with output.open(layout.INPUT_FAILURES) as file:
        input_failures = DigestingReader(file).finish()
    manifest = Manifest(
        configuration=plan.configuration or config.configuration,
        software=config.software,
        counts=plan.counts,
        shards=[manifest_shard(c) for c in commits],
        files={**digests, layout.INPUT_FAILURES: input_failures},
        totals=totals_of(commits),
        root_hash=root_hash_of(commits, digests),
        run={**config.run, "finished": time.time()},
        tombstones=plan.tombstones,
    )
    check_accounts(manifest.totals, plan.counts["rows"])
    output.write(layout.MANIFEST, manifest.to_json())
    return manifest


def _read_commits(output: Output, shards: typing.Iterable[int]) -> list[CommitRecord]:
    names = [layout.commit_file(shard) for shard in shards]
    found = output.read_present(names)
    for name in names:
        if name not in found:
            raise FileNotFoundError(errno.ENOENT, "the shard is not committed", f"{output}/{name}")
    return [CommitRecord.from_json(found[name], f"{output}/{name}") for name in names]


def _check_sizes(output: Output, commits: typing.Iterable[CommitRecord], built: typing.Container[int]) -> None:
    """Lists sizes by folder, and asks for a file by its name where that differs: a listing may lag behind."""
    wanted = {name: file.bytes for commit in commits if commit.shard in built for name, file in commit.files.items()}
    folders = {name.partition("/")[0] for name in wanted}
    listed = {name: size for folder in folders for name, size in output.sizes(folder).items()}
    for name, size_bytes in wanted.items():
        if listed.get(name) == size_bytes:
            continue
        found_bytes = output.size(name)
        if found_bytes != size_bytes:
            raise OutputError(
                f"{output}/{name} has {found_bytes} bytes, its commit record says {size_bytes}: two attempts at "
                f"its shard have met; run `photobeam verify {output} --repair`"
            )


def finish_again(output: Output, plan: Plan) -> None:
    """Writes index and manifest anew, if there is a manifest, since shards are others than it says.

    If it is damaged, or rows or shards are not complete any more, it goes, and a build writes it at its end.
    """
    if plan.rows is None:
        output.remove(layout.MANIFEST)
        return
    try:
        finish_as(output, read_record(output, layout.MANIFEST, Manifest))
    except (FileNotFoundError, ValueError):
        output.remove(layout.MANIFEST)


def finish_as(output: Output, old: Manifest) -> Manifest:
    """Writes index and manifest anew, with what an older manifest says besides the shards.

    Raises: as :func:`finish_shards`.
    """
    return finish_shards(
        FinishConfig(output=output, configuration=old.configuration, software=old.software, run=old.run)
    )


def check_accounts(totals: Totals, rows: int) -> None:
    """Checks that every row became a sample or a failure.

    Raises:
        AccountingError: rows were lost or made up.
    """
    if not rows == totals.rows == totals.samples + totals.videos + totals.failed:
        raise AccountingError(
            f"{rows} rows became {totals.samples} samples, {totals.videos} videos and {totals.failed} failures"
        )
