"""Phase 1 as a graph: input ranges → spool → buckets → joined rows → `rows/`."""

import dataclasses
import pathlib
import typing

import apache_beam as beam

from schemas.elements import Bucket, InputRange, JoinedBucket, RowsFile, ShardCut, SpoolFile
from transforms import progress
from transforms.cut_rows import count_shards, cut_shard, limit_hash, write_bucket_list
from transforms.filter_rows import RowSelection
from transforms.finish_rows import RowsSummary, finish_rows
from transforms.gather import Gather
from transforms.join_bucket import join_bucket, write_spool_index
from transforms.spool_lines import spool_range


@dataclasses.dataclass(frozen=True, kw_only=True)
class JoinConfig:
    """What phase 1 works on.

    Attributes:
        output: root of the dataset.
        folder: existing folder for everything unfinished, on the same file system.
        ranges: input ranges, numbered in order.
        bucket_bits: log2 of the number of buckets.
        selection: which rows are kept.
        samples_per_shard: rows per shard; decides the number of shards.
        shards: number of shards of an existing dataset, None to count.
    """

    output: pathlib.Path
    folder: pathlib.Path
    ranges: tuple[InputRange, ...]
    bucket_bits: int
    selection: RowSelection
    samples_per_shard: int
    shards: int | None = None


class JoinRows(beam.PTransform):
    """Joins the inputs and writes `rows/` and `failures/input.parquet`, then completes `plan.json`.

    Output: RowsFile, one per shard. Only references cross between stages; each step writes its
    files under fixed names, so that a retried step writes the same bytes.

    Counters (namespace "JoinRows"): lines, malformed, rows.
    """

    def __init__(self, config: JoinConfig):
        super().__init__()
        self._config = config

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection[RowsFile]:
        """Wires the stages."""
        config = self._config
        spooled = (
            pipeline
            | "Start" >> beam.Impulse()
            | "ListRanges" >> beam.FlatMap(lambda _: config.ranges).with_output_types(InputRange)
            | "SpreadRanges" >> beam.Reshuffle()
            | "SpoolLines" >> beam.ParDo(_SpoolFn(config))
            | "GatherSpool" >> Gather(SpoolFile)
        )
        joined = (
            spooled
            | "ListBuckets" >> beam.ParDo(_ListBucketsFn(config))
            | "SpreadBuckets" >> beam.Reshuffle()
            | "JoinBucket" >> beam.ParDo(_JoinFn(config))
            | "GatherBuckets" >> Gather(JoinedBucket)
        )
        written = (
            joined
            | "PlanShards" >> beam.ParDo(_PlanShardsFn(config))
            | "SpreadShards" >> beam.Reshuffle()
            | "CutShard" >> beam.ParDo(_CutFn(config))
            | "GatherShards" >> Gather(RowsFile)
        )
        return written | "Complete" >> beam.ParDo(
            _CompleteFn(config), beam.pvalue.AsSingleton(spooled), beam.pvalue.AsSingleton(joined)
        )


class _SpoolFn(beam.DoFn):
    def __init__(self, config: JoinConfig):
        self._config = config
        self._lines = beam.metrics.Metrics.counter("JoinRows", "lines")
        self._malformed = beam.metrics.Metrics.counter("JoinRows", "malformed")

    def process(self, input_range: InputRange) -> typing.Iterator[SpoolFile]:
        spooled = spool_range(input_range, self._config.folder, self._config.bucket_bits)
        self._lines.inc(spooled.lines)
        self._malformed.inc(spooled.malformed)
        progress.count("lines", spooled.lines)
        yield spooled


class _ListBucketsFn(beam.DoFn):
    def __init__(self, config: JoinConfig):
        self._path = config.folder / "spool.arrow"

    def process(self, spooled: list[SpoolFile]) -> typing.Iterator[Bucket]:
        for bucket in write_spool_index(spooled, self._path):
            yield Bucket(bucket, str(self._path))


class _JoinFn(beam.DoFn):
    def __init__(self, config: JoinConfig):
        self._config = config
        self._rows = beam.metrics.Metrics.counter("JoinRows", "rows")

    def process(self, bucket: Bucket) -> typing.Iterator[JoinedBucket]:
        urls = [r.url for r in self._config.ranges]
        joined = join_bucket(bucket, urls, self._config.selection, self._config.folder)
        self._rows.inc(joined.rows)
        yield joined


class _PlanShardsFn(beam.DoFn):
    def __init__(self, config: JoinConfig):
        self._config = config

    def process(self, joined: list[JoinedBucket]) -> typing.Iterator[ShardCut]:
        config = self._config
        path = config.folder / "buckets.json"
        write_bucket_list(joined, path, config.bucket_bits)
        largest = limit_hash(joined, config.selection.limit)
        rows = sum(b.rows for b in joined)
        if largest is not None:
            rows = typing.cast(int, config.selection.limit)
        shards = config.shards or count_shards(rows, config.samples_per_shard)
        for shard in range(shards):
            yield ShardCut(shard, shards, str(path), "" if largest is None else str(largest))


class _CutFn(beam.DoFn):
    def __init__(self, config: JoinConfig):
        self._config = config

    def process(self, cut: ShardCut) -> typing.Iterator[RowsFile]:
        written = cut_shard(cut, self._config.output, self._config.folder)
        progress.count("rows", written.rows)
        yield written


class _CompleteFn(beam.DoFn):
    def __init__(self, config: JoinConfig):
        self._config = config

    def process(
        self, written: list[RowsFile], spooled: list[SpoolFile], joined: list[JoinedBucket]
    ) -> typing.Iterator[RowsFile]:
        summary = RowsSummary(spooled, joined, written, self._config.selection.limit)
        finish_rows(self._config.output, self._config.folder, summary)
        yield from sorted(written)
