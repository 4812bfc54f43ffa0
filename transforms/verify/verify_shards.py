"""Shards checked one after the other, or many at once in child processes."""

import concurrent.futures
import dataclasses
import itertools
import typing

from schemas import layout
from schemas.records import CommitRecord, FileDigest, PlanRows
from schemas.rows import ROW_SCHEMA
from transforms.datasets.read_table import read_table
from transforms.datasets.remedies import REDO_ROWS
from transforms.files.file_digest import bytes_digest
from transforms.stores.dataset_files import DatasetFiles, Fault, digest_problem, read_checked
from transforms.verify.verify_shard import check_rows, verify_shard
from transforms.workers import progress
from transforms.workers.call_for_shard import call_for_shard
from transforms.workers.worker_pool import WorkerPool
from transforms.workers.worker_process import preload

_BYTES_A_CHILD = 100_000_000
"""With fewer it takes longer to start a child than to read and decode them."""

_ROW_BYTES = 250
"""What a row alone counts for: it takes as long as so many bytes of images."""

StatedShard = CommitRecord | PlanRows
"""What a shard should be: all of it, or its rows alone."""

Check = typing.Callable[[StatedShard], list[Fault]]


@dataclasses.dataclass(frozen=True)
class ShardCheck:
    """Checks shards of a dataset, and counts their photos for the progress line.

    Attributes:
        dataset: where they lie.
        shards: how many the dataset has.
        sizes: every ``--image_size``, as of :func:`transforms.verify.verify_shard.verify_shard`.
        taken_down: ids of photos that are not to be there.
    """

    dataset: DatasetFiles
    shards: int
    sizes: typing.Sequence[int] | None
    taken_down: frozenset[int]

    def __call__(self, stated: StatedShard) -> list[Fault]:
        """Checks one shard."""
        if isinstance(stated, PlanRows):
            faults = self._check_planned_rows(stated)
        else:
            faults = verify_shard(self.dataset, stated, self.shards, self.sizes, self.taken_down)
        progress.count("samples", stated.rows)
        return faults

    def _check_planned_rows(self, planned: PlanRows) -> list[Fault]:
        """Checks the rows of a shard that is not built, or from other rows, as far as the plan tells."""
        name, faults = layout.rows_file(planned.shard), list[Fault]()
        data = read_checked(self.dataset, name, None, REDO_ROWS, faults)
        if data is None:
            return faults
        problem = digest_problem(bytes_digest(data), FileDigest(len(data), planned.digest))
        if problem:
            return [Fault(name, problem, REDO_ROWS)]
        rows = read_table(data, name, ROW_SCHEMA, REDO_ROWS, faults)
        if rows is not None:
            faults += check_rows(rows, planned.shard, self.shards, self.taken_down)
            if rows.num_rows != planned.rows:
                faults.append(Fault(name, f"it has {rows.num_rows:,} rows, the plan says {planned.rows:,}", REDO_ROWS))
        return faults


def verify_shards(check: Check, stated: typing.Sequence[StatedShard], children: int) -> list[Fault]:
    """Checks shards, in children of this process where there are enough photos for several.

    Args:
        check: of one shard; it can be pickled.
        stated: what each of them should be.
        children: how many at most.

    Returns:
        The faults in the order of the shards.

    Raises:
        PoolStoppedError: a child ended; says how, and at which shard.
    """
    progress.count("rows", sum(shard.rows for shard in stated))
    children = min(children, len(stated), sum(map(_bytes_to_read, stated)) // _BYTES_A_CHILD)
    if children < 2:
        return [*itertools.chain.from_iterable(map(check, stated))]
    preload(__name__)
    pool = WorkerPool(children)
    with concurrent.futures.ThreadPoolExecutor(children) as threads:
        try:
            found = threads.map(lambda shard: call_for_shard(pool, shard.shard, check, shard), stated)
            return [*itertools.chain.from_iterable(found)]
        finally:
            pool.stop()


def _bytes_to_read(stated: StatedShard) -> int:
    files = stated.files.values() if isinstance(stated, CommitRecord) else ()
    return _ROW_BYTES * stated.rows + sum(file.bytes for file in files)
