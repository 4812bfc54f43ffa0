"""From joined buckets to shards: how many there are, which rows limits leave, and `rows/NNNNNN.parquet`."""

import json
import pathlib
import typing

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas import layout
from schemas.elements import JoinedBucket, RowsFile, ShardCut
from schemas.photo_ids import LIMIT_SALT, hash64, key_order, shard_bounds
from schemas.rows import ROW_SCHEMA
from transforms.files.file_digest import file_digest
from transforms.files.publish import staged_as
from transforms.join.class_limit import left_by_classes, max_class_hashes
from transforms.join.filter_rows import RowSelection
from transforms.join.rows_file import without_photos, write_rows
from transforms.stores.output import Output
from transforms.stores.scratch import Scratch

_LIMIT_BINS = 1 << 16


class KeptRows(typing.NamedTuple):
    """Which joined rows become rows of the dataset, as far as only all buckets together decide that.

    Attributes:
        rows: how many do.
        max_limit_hash: largest salted hash that ``--limit`` keeps, None if all are kept.
        max_class_hashes: the same for each class by ``--per_class_limit``, which comes first; () without it.
    """

    rows: int
    max_limit_hash: int | None = None
    max_class_hashes: tuple[int, ...] = ()


def count_shards(rows: int, samples_per_shard: int) -> int:
    """Returns how many shards hold that many rows.

    Example:
        >>> count_shards(10_001, 10_000)
        2
    """
    return -(-rows // samples_per_shard)


def keep_rows(buckets: typing.Sequence[JoinedBucket], selection: RowSelection, scratch: Scratch) -> KeptRows:
    """Decides which joined rows become rows of the dataset, in bounded memory, whatever the buckets.

    Args:
        buckets: all of them, their rows selected by ``selection``.
        selection: which rows are kept.
        scratch: has the joined rows.
    """
    rows = sum(b.rows for b in buckets)
    class_hashes: tuple[int, ...] = ()
    if selection.per_class_limit:
        batches = (batch for bucket in buckets for batch in _bucket_batches(scratch, bucket.name))
        class_hashes = max_class_hashes(batches, len(selection.classes), selection.per_class_limit)
        rows = sum(len(salted) for salted in _salted_hashes(buckets, class_hashes, scratch))
    if selection.limit is None or rows <= selection.limit:
        return KeptRows(rows, None, class_hashes)
    return KeptRows(selection.limit, _limit_hash(buckets, selection.limit, class_hashes, scratch), class_hashes)


def _limit_hash(
    buckets: typing.Sequence[JoinedBucket], limit: int, class_hashes: typing.Sequence[int], scratch: Scratch
) -> int:
    """Finds the largest salted hash among the ``limit`` smallest of all rows; there are more."""
    histogram = np.zeros(_LIMIT_BINS, np.int64)
    for salted in _salted_hashes(buckets, class_hashes, scratch):
        histogram += np.bincount(salted >> np.uint64(48), minlength=_LIMIT_BINS)
    below = np.concatenate(([0], np.cumsum(histogram)))
    last_bin = int(np.searchsorted(below, limit)) - 1
    every = _salted_hashes(buckets, class_hashes, scratch)
    candidates = np.concatenate([salted[salted >> np.uint64(48) == last_bin] for salted in every])
    return int(np.sort(candidates)[limit - below[last_bin] - 1])


def write_bucket_list(
    buckets: typing.Iterable[JoinedBucket], kept: KeptRows, scratch: Scratch, name: str, bucket_bits: int
) -> None:
    """Writes which file holds which bucket, and which of their rows are kept."""
    files = {str(b.bucket): b.name for b in buckets if b.name}
    with scratch.writing(name) as path:
        path.write_text(json.dumps({"bucket_bits": bucket_bits, "files": files, "kept": kept._asdict()}))


def read_kept_rows(scratch: Scratch, name: str) -> KeptRows:
    """Reads which rows are kept from the list of buckets."""
    return KeptRows(**_read_bucket_list(scratch, name)["kept"])


def _read_bucket_list(scratch: Scratch, name: str) -> dict[str, typing.Any]:
    listing: dict[str, typing.Any] = json.loads(scratch.local(name).read_text())
    return listing


def cut_shard(
    cut: ShardCut,
    output: Output,
    scratch: Scratch,
    staging: pathlib.Path | None,
    taken_down: typing.Collection[int] = (),
) -> RowsFile:
    """Writes the rows of one shard, in KEY order, under their final name.

    Args:
        cut: which shard.
        output: the dataset.
        scratch: has the joined rows.
        staging: folder as of :func:`transforms.files.publish.staged_as`.
        taken_down: ids of photos that are left out, last of all: no other photo takes their place.
    """
    kept = read_kept_rows(scratch, cut.buckets_name)
    batches = (_kept_of(batch, kept) for batch in _shard_batches(cut, scratch))
    return publish_rows(pa.Table.from_batches(list(batches), ROW_SCHEMA), cut.shard, output, staging, taken_down)


def publish_rows(
    table: pa.Table, shard: int, output: Output, staging: pathlib.Path | None, taken_down: typing.Collection[int] = ()
) -> RowsFile:
    """Writes rows of a shard, given in any order, in KEY order under their final name.

    Args:
        table: of ROW_SCHEMA.
        shard: its number.
        output: the dataset.
        staging: folder as of :func:`transforms.files.publish.staged_as`.
        taken_down: ids of photos that are left out.
    """
    table = table.take(pa.array(key_order(table["photo_id"].to_numpy())))
    joined_rows = table.num_rows
    if taken_down:
        table = without_photos(table, taken_down)
    with staged_as(staging, f"{layout.shard_name(shard)}.parquet") as staged:
        write_rows(table, staged)
        digest = file_digest(staged).sha256
        output.publish(staged, layout.rows_file(shard))
    return RowsFile(shard, table.num_rows, digest, joined_rows - table.num_rows)


def _kept_of(batch: pa.RecordBatch, kept: KeptRows) -> pa.RecordBatch:
    """Keeps what all buckets together have left of a batch, and of its columns those of rows."""
    if kept.max_class_hashes:
        batch = batch.filter(pa.array(left_by_classes(batch, kept.max_class_hashes))).select(ROW_SCHEMA.names)
    if kept.max_limit_hash is not None:
        salted = hash64(batch["photo_id"].to_numpy(), LIMIT_SALT)
        batch = batch.filter(pa.array(salted <= np.uint64(kept.max_limit_hash)))
    return batch


def _salted_hashes(
    buckets: typing.Iterable[JoinedBucket], class_hashes: typing.Sequence[int], scratch: Scratch
) -> typing.Iterator[npt.NDArray[np.uint64]]:
    for bucket in buckets:
        for batch in _bucket_batches(scratch, bucket.name):
            salted = hash64(batch["photo_id"].to_numpy(), LIMIT_SALT)
            yield salted[left_by_classes(batch, class_hashes)] if class_hashes else salted


def _bucket_batches(scratch: Scratch, name: str) -> typing.Iterator[pa.RecordBatch]:
    """Yields the record batches of a joined bucket; none of one without rows."""
    if name:
        with scratch.reading(name) as path, pa.memory_map(str(path)) as source:
            reader = pa.ipc.open_file(source)
            for i in range(reader.num_record_batches):
                yield reader.get_batch(i)


def _shard_batches(cut: ShardCut, scratch: Scratch) -> typing.Iterator[pa.RecordBatch]:
    """Yields the shard's slices of the joined buckets that its range of hashes touches."""
    listing = _read_bucket_list(scratch, cut.buckets_name)
    low, high = shard_bounds(cut.shard, cut.shards)
    shift = 64 - listing["bucket_bits"]
    for bucket in range(low >> shift, ((high - 1) >> shift) + 1):
        for batch in _bucket_batches(scratch, listing["files"].get(str(bucket), "")):
            yield from _slice_of_hashes(batch, low, high)


def _slice_of_hashes(batch: pa.RecordBatch, low: int, high: int) -> typing.Iterator[pa.RecordBatch]:
    hashes = hash64(batch["photo_id"].to_numpy())
    begin = int(np.searchsorted(hashes, np.uint64(low)))
    end = len(hashes) if high == 2**64 else int(np.searchsorted(hashes, np.uint64(high)))
    if end > begin:
        yield batch.slice(begin, end - begin)
