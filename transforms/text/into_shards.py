"""Token ids and classes put into the samples of a shard, as members of the tar and as columns of its sidecar."""

import dataclasses
import pathlib
import typing

from schemas import layout
from schemas.label_files import SINGLE, labels_file
from schemas.records import CommitRecord
from schemas.sample_members import CLASS, TOKENS, AddedMembers
from schemas.text_files import tokens_file
from schemas.videos import takes_videos
from transforms.datasets.finished_dataset import read_columns
from transforms.datasets.shard_sources import shard_sources
from transforms.features.feature_product import keep_features
from transforms.files.publish import staging_in
from transforms.shards.image_spool import ImageSpool
from transforms.shards.read_shard import failures_of, read_failures, read_rows, spool_samples
from transforms.shards.write_shard import Format, write_shard
from transforms.stores.intents import replace_shard, roll_forward_shard
from transforms.stores.output import Output, read_record
from transforms.stores.scratch import Scratch
from transforms.videos.spool_videos import spool_videos

Values = dict[int, dict[str, typing.Any]]
"""By photo id a value for each column of the members."""


@dataclasses.dataclass(frozen=True)
class IntoShards:
    """Writes the samples of a shard again with members, unless they have these already.

    Attributes:
        output: the dataset.
        scratch: has what :func:`transforms.datasets.shard_sources.note_sources` wrote of the tables of captions and
            labels.
        folder: for what is unfinished, as of :func:`transforms.files.publish.staging_in`.
        plan_format: that the shard was made in.
        added: the members.
        labels: set that the classes are of; '' without classes.
    """

    output: Output
    scratch: Scratch
    folder: pathlib.Path | None
    plan_format: Format
    added: AddedMembers
    labels: str

    def __call__(self, shard: int) -> int:
        """Writes tar, sidecar and index; returns the number of samples.

        A repetition ends what an attempt that was killed has begun.

        Raises:
            DamagedShardError: a file of the shard is not the one that was committed.
            DamagedDatasetError: a table of captions or labels is damaged.
        """
        roll_forward_shard(self.output, shard)
        old = read_record(self.output, layout.commit_file(shard), CommitRecord)
        if old.samples and old.added != self.added:
            with staging_in(self.folder, f"shard-{layout.shard_name(shard)}-") as staging:
                written, names = self._write(old, staging), layout.shard_files(shard)[:3]
                files = {**old.files, **{name: written.files[name] for name in names}}
                new = dataclasses.replace(written, files=files)
                replace_shard(new, names, staging, self.output, takes_videos(self.plan_format))
            keep_features(self.output, old, new)
        return old.samples

    def _write(self, old: CommitRecord, staging: pathlib.Path) -> CommitRecord:
        rows, failures = read_rows(self.output, old), failures_of(read_failures(self.output, old))
        photo_ids, values = rows.table["photo_id"].to_pylist(), self._values(old.shard)
        with ImageSpool(staging / "images") as spool:
            images = [
                image._replace(columns={**image.columns, **values[photo_ids[image.row]]})
                for image in spool_samples(self.output, old, rows.table, self.plan_format, spool)
            ]
            videos = spool_videos(self.output, old, rows.table, staging)
            return write_shard(rows, images, failures, spool, staging, self.plan_format, videos, self.added)

    def _values(self, shard: int) -> Values:
        values: Values = {}
        if TOKENS in self.added.sizes:
            for photo in self._read(shard, tokens_file(shard), "captions"):
                captions = photo["captions"]
                ids, lengths = [c["ids"] for c in captions], [c["length"] for c in captions]
                values[photo["photo_id"]] = {"token_ids": ids, "token_lengths": lengths}
        if CLASS in self.added.sizes:
            for photo in self._read(shard, labels_file(self.labels, shard, SINGLE), "class_id"):
                values.setdefault(photo["photo_id"], {})["class_id"] = photo["class_id"]
        return values

    def _read(self, shard: int, name: str, column: str) -> list[dict[str, typing.Any]]:
        sha256 = shard_sources(self.scratch, shard)[name]
        return read_columns(self.output, name, sha256, ["photo_id", column]).to_pylist()
