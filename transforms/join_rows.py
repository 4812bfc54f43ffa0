"""Phase 1 as a graph: input ranges → index of images → spool → buckets → joined rows → `rows/`."""

import dataclasses
import pathlib
import typing

import apache_beam as beam

from schemas.classes import ChosenClass
from schemas.elements import (
    Bucket,
    ImageIndex,
    IndexedImages,
    InputRange,
    JoinedBucket,
    RowsFile,
    ShardCut,
    SpoolFile,
)
from schemas.sources import Source
from transforms import progress
from transforms.annotation_files import AnnotationFiles
from transforms.base_photos import base_photos
from transforms.cut_rows import count_shards, cut_shard, keep_rows, read_kept_rows, write_bucket_list
from transforms.filter_rows import RowSelection
from transforms.finish_rows import RowsSummary, finish_rows
from transforms.gather import Gather
from transforms.index_images import index_images, lists_images, merge_indexes
from transforms.join_bucket import join_bucket, write_spool_index
from transforms.output import Output
from transforms.spool_annotations import spool_annotations
from transforms.spool_lines import spool_lines


@dataclasses.dataclass(frozen=True, kw_only=True)
class JoinConfig:
    """What phase 1 works on.

    Attributes:
        output: the dataset.
        folder: existing folder for everything unfinished.
        files: all input files.
        ranges: input ranges, numbered in order.
        base: whose photos make the dataset: a source or ``all``.
        bucket_bits: log2 of the number of buckets.
        selection: which rows are kept.
        classes: those of the selection.
        samples_per_shard: rows per shard; decides the number of shards.
        shards: number of shards of an existing dataset, None to count.
        taken_down: ids of photos that become no rows.
    """

    output: Output
    folder: pathlib.Path
    files: AnnotationFiles
    ranges: tuple[InputRange, ...]
    base: str
    bucket_bits: int
    selection: RowSelection
    samples_per_shard: int
    classes: tuple[ChosenClass, ...] = ()
    shards: int | None = None
    taken_down: frozenset[int] = frozenset()

    @property
    def buckets_path(self) -> pathlib.Path:
        """File that lists the joined buckets."""
        return self.folder / "buckets.json"


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
        ranges = (
            pipeline
            | "Start" >> beam.Impulse()
            | "ListRanges" >> beam.FlatMap(lambda _: config.ranges).with_output_types(InputRange)
            | "SpreadRanges" >> beam.Reshuffle()
        )
        index = (
            ranges
            | "ListImages" >> beam.Filter(lists_images).with_output_types(InputRange)
            | "IndexImages" >> beam.ParDo(_IndexFn(config))
            | "GatherIndexes" >> Gather(IndexedImages)
            | "MergeIndexes" >> beam.ParDo(_MergeIndexesFn(config)).with_output_types(ImageIndex)
        )
        spooled = (
            ranges
            | "Spool" >> beam.ParDo(_SpoolFn(config), beam.pvalue.AsSingleton(index))
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


class _IndexFn(beam.DoFn):
    def __init__(self, config: JoinConfig):
        self._config = config

    def process(self, input_range: InputRange) -> typing.Iterator[IndexedImages]:
        yield index_images(input_range, self._config.files, self._config.folder)


class _MergeIndexesFn(beam.DoFn):
    def __init__(self, config: JoinConfig):
        self._config = config

    def process(self, indexed: list[IndexedImages]) -> typing.Iterator[ImageIndex]:
        yield merge_indexes(indexed, self._config.base, self._config.folder)


class _SpoolFn(beam.DoFn):
    def __init__(self, config: JoinConfig):
        self._config = config
        self._lines = beam.metrics.Metrics.counter("JoinRows", "lines")
        self._malformed = beam.metrics.Metrics.counter("JoinRows", "malformed")

    def process(self, input_range: InputRange, index: ImageIndex) -> typing.Iterator[SpoolFile]:
        config = self._config
        if input_range.source == Source.YFCC.value:
            base = base_photos(index, input_range.source)
            spooled = spool_lines(input_range, config.folder, config.bucket_bits, base)
        else:
            spooled = spool_annotations(input_range, config.files, index, config.folder, config.bucket_bits)
        self._lines.inc(spooled.lines)
        self._malformed.inc(spooled.malformed)
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
        config = self._config
        joined = join_bucket(bucket, urls, config.base, config.selection, config.folder, config.classes)
        self._rows.inc(joined.rows)
        yield joined


class _PlanShardsFn(beam.DoFn):
    def __init__(self, config: JoinConfig):
        self._config = config

    def process(self, joined: list[JoinedBucket]) -> typing.Iterator[ShardCut]:
        config = self._config
        kept = keep_rows(joined, config.selection)
        write_bucket_list(joined, kept, config.buckets_path, config.bucket_bits)
        shards = config.shards or count_shards(kept.rows, config.samples_per_shard)
        for shard in range(shards):
            yield ShardCut(shard, shards, str(config.buckets_path))


class _CutFn(beam.DoFn):
    def __init__(self, config: JoinConfig):
        self._config = config

    def process(self, cut: ShardCut) -> typing.Iterator[RowsFile]:
        written = cut_shard(cut, self._config.output, self._config.folder, self._config.taken_down)
        progress.count("rows", written.rows)
        yield written


class _CompleteFn(beam.DoFn):
    def __init__(self, config: JoinConfig):
        self._config = config

    def process(
        self, written: list[RowsFile], spooled: list[SpoolFile], joined: list[JoinedBucket]
    ) -> typing.Iterator[RowsFile]:
        planned = read_kept_rows(self._config.buckets_path).rows
        summary = RowsSummary(spooled, joined, written, self._config.base, planned)
        finish_rows(self._config.output, self._config.folder, summary)
        yield from sorted(written)
