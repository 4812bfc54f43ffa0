"""From joined buckets to shards: how many there are, which rows `--limit` keeps, and `rows/NNNNNN.parquet`."""

import json
import pathlib
import typing

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from schemas import layout
from schemas.elements import JoinedBucket, RowsFile, ShardCut
from schemas.photo_ids import LIMIT_SALT, hash64, key_order, shard_bounds
from schemas.rows import ROW_SCHEMA
from transforms.file_digest import file_digest
from transforms.publish import publish

ROW_GROUP_ROWS = 5_000
_DICTIONARY_COLUMNS = [
    "id_source", "sources.list.element", "user_id", "user_nickname", "capture_device", "license_name", "license_url",
    "extension", "user_tags.list.element", "machine_tags.list.element", "autotags.list.element.name",
    "exif.list.element.tag", "exif.list.element.value", "places.list.element.woeid", "places.list.element.name",
    "places.list.element.type", "warnings.list.element",
]  # fmt: skip
_LIMIT_BINS = 1 << 16


def count_shards(rows: int, samples_per_shard: int) -> int:
    """Returns how many shards hold that many rows.

    Example:
        >>> count_shards(10_001, 10_000)
        2
    """
    return -(-rows // samples_per_shard)


def limit_hash(buckets: typing.Sequence[JoinedBucket], limit: int | None) -> int | None:
    """Finds the largest salted hash among the ``limit`` smallest of all rows, in bounded memory.

    Returns:
        The hash, or None if there are no more rows than the limit.
    """
    if limit is None or sum(b.rows for b in buckets) <= limit:
        return None
    histogram = np.zeros(_LIMIT_BINS, np.int64)
    for salted in _salted_hashes(buckets):
        histogram += np.bincount(salted >> np.uint64(48), minlength=_LIMIT_BINS)
    below = np.concatenate(([0], np.cumsum(histogram)))
    last_bin = int(np.searchsorted(below, limit)) - 1
    candidates = np.concatenate([s[s >> np.uint64(48) == last_bin] for s in _salted_hashes(buckets)])
    return int(np.sort(candidates)[limit - below[last_bin] - 1])


def write_bucket_list(buckets: typing.Iterable[JoinedBucket], path: pathlib.Path, bucket_bits: int) -> None:
    """Writes which file holds which bucket."""
    files = {str(b.bucket): b.path for b in buckets if b.path}
    path.write_text(json.dumps({"bucket_bits": bucket_bits, "files": files}))


def cut_shard(cut: ShardCut, output: pathlib.Path, staging: pathlib.Path) -> RowsFile:
    """Writes the rows of one shard, in KEY order, under their final name.

    Args:
        cut: which shard.
        output: root of the dataset; ``rows/`` exists.
        staging: existing folder on the same file system.
    """
    batches = (_within_limit(batch, cut.max_limit_hash) for batch in _shard_batches(cut))
    table = pa.Table.from_batches(list(batches), ROW_SCHEMA)
    table = table.take(pa.array(key_order(table["photo_id"].to_numpy())))
    staged = staging / f"{layout.shard_name(cut.shard)}.rows.parquet"
    write_rows(table, staged)
    digest = file_digest(staged).sha256
    publish(staged, output / layout.rows_file(cut.shard))
    return RowsFile(cut.shard, table.num_rows, digest)


def write_rows(table: pa.Table, path: pathlib.Path) -> None:
    """Writes a table of ROW_SCHEMA: zstd, row groups of 5,000 rows, same bytes for the same rows."""
    pq.write_table(
        table.combine_chunks(),
        path,
        compression="zstd",
        row_group_size=ROW_GROUP_ROWS,
        use_dictionary=_DICTIONARY_COLUMNS,
        write_statistics=["photo_id"],
    )


def _within_limit(batch: pa.RecordBatch, max_limit_hash: str) -> pa.RecordBatch:
    if not max_limit_hash:
        return batch
    salted = hash64(batch["photo_id"].to_numpy(), LIMIT_SALT)
    return batch.filter(pa.array(salted <= np.uint64(int(max_limit_hash))))


def _salted_hashes(buckets: typing.Iterable[JoinedBucket]) -> typing.Iterator[npt.NDArray[np.uint64]]:
    for bucket in buckets:
        if bucket.path:
            with pa.memory_map(bucket.path) as source:
                reader = pa.ipc.open_file(source)
                for i in range(reader.num_record_batches):
                    yield hash64(reader.get_batch(i)["photo_id"].to_numpy(), LIMIT_SALT)


def _shard_batches(cut: ShardCut) -> typing.Iterator[pa.RecordBatch]:
    """Yields the shard's slices of the joined buckets that its range of hashes touches."""
    listing = json.loads(pathlib.Path(cut.buckets_path).read_text())
    low, high = shard_bounds(cut.shard, cut.shards)
    shift = 64 - listing["bucket_bits"]
    for bucket in range(low >> shift, ((high - 1) >> shift) + 1):
        if path := listing["files"].get(str(bucket)):
            with pa.memory_map(path) as source:
                reader = pa.ipc.open_file(source)
                for i in range(reader.num_record_batches):
                    yield from _slice_of_hashes(reader.get_batch(i), low, high)


def _slice_of_hashes(batch: pa.RecordBatch, low: int, high: int) -> typing.Iterator[pa.RecordBatch]:
    hashes = hash64(batch["photo_id"].to_numpy())
    begin = int(np.searchsorted(hashes, np.uint64(low)))
    end = len(hashes) if high == 2**64 else int(np.searchsorted(hashes, np.uint64(high)))
    if end > begin:
        yield batch.slice(begin, end - begin)
