"""`failures/input.parquet` without the lines of photos that were taken down, and its part of the accounts."""

import collections
import pathlib
import typing

import pyarrow as pa
import pyarrow.parquet as pq

from schemas import layout
from schemas.failures import INPUT_FAILURE_SCHEMA
from schemas.records import PlanInput
from schemas.tombstones import is_of
from transforms.stores.output import Output

BATCH_ROWS = 1_000

Counts = dict[str, int]


def write_input_failures(
    batches: typing.Iterable[pa.RecordBatch], ids: typing.Collection[int], staged: pathlib.Path, output: Output
) -> "collections.Counter[str]":
    """Writes input failures, but for those of some photos, under their final name.

    Args:
        batches: of :data:`schemas.failures.INPUT_FAILURE_SCHEMA`.
        ids: of the photos whose lines are left out.
        staged: local file to write.
        output: the dataset.

    Returns:
        How many are left of each input file.
    """
    left: collections.Counter[str] = collections.Counter()
    with pq.ParquetWriter(staged, INPUT_FAILURE_SCHEMA, compression="zstd") as writer:
        for batch in batches:
            kept = _without(batch, ids) if ids else batch
            left.update(kept["file"].to_pylist())
            if kept.num_rows:
                writer.write_batch(kept)
    output.publish(staged, layout.INPUT_FAILURES)
    return left


def _without(batch: pa.RecordBatch, ids: typing.Container[int]) -> pa.RecordBatch:
    lines = zip(batch["photo_id"].to_pylist(), batch["raw"].to_pylist(), strict=True)
    return batch.filter(pa.array([not is_of(ids, *line) for line in lines], pa.bool_()))


def input_failure_batches(paths: typing.Iterable[typing.Any]) -> typing.Iterator[pa.RecordBatch]:
    """Reads files of input failures, one batch in memory."""
    for path in paths:
        yield from pq.ParquetFile(path, pre_buffer=False).iter_batches(BATCH_ROWS, use_threads=False)


def recounted(counts: Counts, left: typing.Mapping[str, int], inputs: typing.Iterable[PlanInput]) -> Counts:
    """Returns the accounts of a plan for the input failures that are left: those that are gone count as filtered.

    Args:
        counts: of the plan.
        left: how many there are of each input file.
        inputs: the input files.

    Example:
        >>> dataset, tags = PlanInput("/d", "yfcc/dataset", 1, ""), PlanInput("/t", "yfcc/autotags", 1, "")
        >>> before = {"input_failures": 3, "removed_by_filters": 0, "autotags_failures": 2}
        >>> recounted(before, {"/d": 2, "/t": 2}, [dataset, tags])
        {'input_failures': 2, 'removed_by_filters': 1, 'autotags_failures': 2}
    """
    found = {name: 0 for name in counts if name.endswith("_failures")}
    for file in inputs:
        source, _, kind = file.kind.partition("/")
        name = next((n for n in (f"{kind}_failures", f"{source}_failures") if n in found), "input_failures")
        found[name] += left.get(file.url, 0)
    gone = counts["input_failures"] - found["input_failures"]
    return {**counts, **found, "removed_by_filters": counts["removed_by_filters"] + gone}
