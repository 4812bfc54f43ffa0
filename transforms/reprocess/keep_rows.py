"""Which rows of a finished dataset another one takes: by a condition on row and sample, and once of each file."""

import concurrent.futures
import contextlib
import glob
import pathlib
import typing

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas import layout
from schemas.elements import KeptRows
from schemas.photo_ids import key
from schemas.records import CommitRecord, PlanRows
from schemas.samples import sidecar_schema
from transforms.building.make_images import usable_size
from transforms.datasets.old_dataset import OldDataset
from transforms.files.publish import staging_in
from transforms.images.image_plan import ImageOptions
from transforms.join.where_condition import matching_rows
from transforms.reprocess.rows_wanted import RowsWanted
from transforms.stores.scratch import Scratch

DUPLICATES_MEMORY = "512MB"
"""Of DuckDB, while it looks for files that are there twice; what is more waits on disk."""

_DROPPED = "dropped.parquet"
_FILES_AT_ONCE = 16
_KEPT_SCHEMA = pa.schema([("shard", pa.int32()), ("photo_id", pa.int64()), ("sha256", pa.string())])
_SIZE_COLUMNS = ["original_width", "original_height", "orientation"]


def keep_rows(planned: PlanRows, wanted: RowsWanted, old: OldDataset, scratch: Scratch) -> KeptRows:
    """Decides which rows of one shard are taken, as far as that needs no other shard, and writes which.

    Where images are to be taken every byte of the shard is read and checked.

    Args:
        planned: the shard's rows.
        wanted: which.
        old: the dataset.
        scratch: gets a file of the photos that stay.

    Raises:
        ConditionError: the condition fails on some row.
        OutputError: a file of the shard is missing or damaged, or belongs to other rows.
    """
    shard, commit = planned.shard, old.commit(planned.shard)
    rows = _rows(planned, commit, old, None if wanted.where else ["photo_id"])
    samples = _samples(commit, old, None if wanted.where else ["photo_id", "sha256", *_SIZE_COLUMNS])
    if wanted.where:
        rows = rows.filter(matching_rows(_with_samples(rows, samples), wanted.where))
    places = pc.index_in(rows["photo_id"].combine_chunks(), samples["photo_id"].combine_chunks())
    kept = pa.table(
        [pa.array([shard] * rows.num_rows, pa.int32()), rows["photo_id"], samples["sha256"].take(places)], _KEPT_SCHEMA
    )
    with scratch.writing(_kept_name(shard)) as path:
        pq.write_table(kept, path)
    unusable = 0
    if wanted.image:
        if commit.samples:
            old.check(layout.tar_file(shard), commit.files[layout.tar_file(shard)])
        if commit.videos:
            old.check(layout.video_tar_file(shard), commit.files[layout.video_tar_file(shard)])
        unusable = _count_unusable(samples.select(_SIZE_COLUMNS).take(places.drop_null()), old.image, wanted.image)
    return KeptRows(shard, planned.rows, rows.num_rows, unusable, _kept_name(shard))


def find_duplicates(names: typing.Iterable[str], scratch: Scratch, folder: pathlib.Path | None) -> int:
    """Finds photos with the same file as another one of a smaller KEY, in bounded memory.

    Args:
        names: of the files of :func:`keep_rows`, one or more.
        scratch: has these; gets a file of ``shard`` and ``photo_id``, by shard, which :func:`kept_ids` leaves out.
        folder: for what does not fit into memory, as of :func:`transforms.files.publish.staged_as`.

    Returns:
        How many there are.
    """
    with contextlib.ExitStack() as files, concurrent.futures.ThreadPoolExecutor(_FILES_AT_ONCE) as threads:
        paths = list(threads.map(lambda name: files.enter_context(scratch.reading(name)), names))
        with scratch.writing(_DROPPED) as dropped, staging_in(folder, "duckdb-") as overflow:
            _write_duplicates(paths, dropped, overflow)
            return pq.read_metadata(dropped).num_rows


def _write_duplicates(paths: typing.Iterable[pathlib.Path], dropped: pathlib.Path, folder: pathlib.Path) -> None:
    connection = duckdb.connect(config={"memory_limit": DUPLICATES_MEMORY, "temp_directory": str(folder), "threads": 2})
    kept, target = ", ".join(_quoted(glob.escape(str(path))) for path in paths), _quoted(str(dropped))
    connection.execute(f"CREATE VIEW kept AS SELECT *, printf('%012d', photo_id) AS key FROM read_parquet([{kept}])")
    connection.execute(
        "CREATE VIEW firsts AS SELECT sha256, min(key) AS first FROM kept WHERE sha256 IS NOT NULL "
        "GROUP BY sha256 HAVING count(*) > 1"
    )
    connection.execute(
        "COPY (SELECT shard, photo_id FROM kept JOIN firsts USING (sha256) WHERE key > first ORDER BY shard, photo_id) "
        f"TO {target} (FORMAT parquet)"
    )
    connection.close()


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def kept_ids(shard: int, scratch: Scratch) -> pa.Array:
    """Returns the photos that are taken from a shard.

    Args:
        shard: its number.
        scratch: with the files of :func:`keep_rows`, and that of :func:`find_duplicates` if duplicates are dropped.
    """
    with scratch.reading(_kept_name(shard)) as path:
        ids = pq.read_table(path, columns=["photo_id"])["photo_id"]
    if scratch.exists(_DROPPED):
        dropped = scratch.local(_DROPPED)
        gone = pq.read_table(dropped, columns=["photo_id"], filters=[("shard", "=", shard)])["photo_id"]
        ids = ids.filter(pc.invert(pc.is_in(ids, gone.combine_chunks())))
    return ids.combine_chunks()


def count_dropped(scratch: Scratch) -> int:
    """Returns how many duplicates :func:`find_duplicates` has found; none if it was not asked."""
    return pq.read_metadata(scratch.local(_DROPPED)).num_rows if scratch.exists(_DROPPED) else 0


def _kept_name(shard: int) -> str:
    return f"kept/{layout.shard_name(shard)}.parquet"


def read_rows(planned: PlanRows, old: OldDataset) -> pa.Table:
    """Reads the rows of a shard.

    Raises:
        OutputError: they are missing or damaged.
    """
    return _rows(planned, old.commit(planned.shard), old)


def _rows(planned: PlanRows, commit: CommitRecord, old: OldDataset, columns: list[str] | None = None) -> pa.Table:
    name = layout.rows_file(planned.shard)
    if commit.files[name].sha256 != planned.digest:
        raise old.damaged(layout.commit_file(planned.shard), "its shard was made from other rows than the plan names")
    return old.table(name, commit.files[name], columns)


def _samples(commit: CommitRecord, old: OldDataset, columns: list[str] | None) -> pa.Table:
    if not commit.samples:
        return sidecar_schema(old.image.further_sizes).empty_table()
    name = layout.sidecar_file(commit.shard)
    return old.table(name, commit.files[name], columns)


def _with_samples(rows: pa.Table, samples: pa.Table) -> pa.Table:
    """Adds the sidecar's columns to rows; they are null where there is no sample, but for ``key``."""
    places = pc.index_in(rows["photo_id"].combine_chunks(), samples["photo_id"].combine_chunks())
    names = [name for name in samples.column_names if name not in rows.column_names]
    beside = samples.select(names).take(places)
    keys = pa.array(map(key, rows["photo_id"].to_pylist()), pa.string())
    joined = pa.table([*rows.columns, *beside.columns], [*rows.column_names, *names])
    return joined.set_column(joined.column_names.index("key"), "key", keys)


def _count_unusable(sizes: pa.Table, old: ImageOptions, new: ImageOptions) -> int:
    if old == new:
        return 0
    counted = sizes.group_by(_SIZE_COLUMNS).aggregate([([], "count_all")]).to_pylist()
    return sum(
        size["count_all"]
        for size in counted
        if usable_size((size["original_width"], size["original_height"]), size["orientation"], old, new) is None
    )
