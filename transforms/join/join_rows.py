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
from transforms.join.base_photos import base_photos
from transforms.join.cut_rows import count_shards, cut_shard, keep_rows, read_kept_rows, write_bucket_list
from transforms.join.filter_rows import RowSelection
from transforms.join.finish_rows import RowsSummary, finish_rows
from transforms.join.index_images import index_images, lists_images, merge_indexes
from transforms.join.join_bucket import join_bucket, write_spool_index
from transforms.join.spool_annotations import spool_annotations
from transforms.join.spool_lines import spool_lines
from transforms.sources.annotation_files import AnnotationFiles
from transforms.stores.output import Output
from transforms.stores.references import read_references, write_references
from transforms.stores.scratch import Scratch
from transforms.workers import progress
from transforms.workers.gather import Gather

_SPOOL_INDEX = "spool.arrow"
_BUCKETS = "buckets.json"
_IMAGES, _SPOOLED, _JOINED = "images", "spooled", "joined"


@dataclasses.dataclass(frozen=True, kw_only=True)
class JoinConfig:
    """What phase 1 works on.

    Attributes:
        output: the dataset.
        scratch: for what the steps leave each other; to itself.
        folder: local, for files on their way into the output; need not exist. None for temporary files of each
            worker's machine.
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
    scratch: Scratch
    folder: pathlib.Path | None
    files: AnnotationFiles
    ranges: tuple[InputRange, ...]
    base: str
    bucket_bits: int
    selection: RowSelection
    samples_per_shard: int
    classes: tuple[ChosenClass, ...] = ()
    shards: int | None = None
    taken_down: frozenset[int] = frozenset()


class JoinRows(beam.PTransform):
    """Joins the inputs and writes `rows/` and `failures/input.parquet`, then completes `plan.json`.

    Output: one list of RowsFile, in order of the shards. Only references cross between stages; each step writes its
    files whole under fixed names, so that a repeated step writes the same bytes, be it twice at once.

    Counters (namespace "JoinRows"): lines, malformed, rows.
    """

    def __init__(self, config: JoinConfig):
        super().__init__()
        self._config = config

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection[list[RowsFile]]:
        """Wires the stages."""
        config = self._config
        indexed = self._index(pipeline | "Start" >> beam.Impulse())
        spooled = (
            indexed
            | "ListRanges" >> beam.ParDo(_ListRangesFn(config))
            | "SpreadRanges" >> beam.Reshuffle()
            | "Spool" >> beam.ParDo(_SpoolFn(config))
            | "GatherSpool" >> Gather(SpoolFile, indexed)
        )
        joined = (
            spooled
            | "ListBuckets" >> beam.ParDo(_ListBucketsFn(config))
            | "SpreadBuckets" >> beam.Reshuffle()
            | "JoinBucket" >> beam.ParDo(_JoinFn(config))
            | "GatherBuckets" >> Gather(JoinedBucket, spooled)
        )
        return (
            joined
            | "PlanShards" >> beam.ParDo(_PlanShardsFn(config))
            | "SpreadShards" >> beam.Reshuffle()
            | "CutShard" >> beam.ParDo(_CutFn(config))
            | "GatherShards" >> Gather(RowsFile, joined)
            | "Complete" >> beam.ParDo(_CompleteFn(config))
        )

    def _index(self, start: beam.PCollection[bytes]) -> beam.PCollection[list[IndexedImages]]:
        """Indexes the files that list images; most runs on a cluster read none, and are spared the steps."""
        listing = tuple(filter(lists_images, self._config.ranges))
        if not listing:
            none = beam.Map(lambda _: []).with_output_types(typing.List[IndexedImages])  # noqa: UP006
            return start | "IndexNone" >> none
        return (
            start
            | "ListFiles" >> beam.FlatMap(lambda _: listing).with_output_types(InputRange)
            | "SpreadFiles" >> beam.Reshuffle()
            | "IndexImages" >> beam.ParDo(_IndexFn(self._config))
            | "GatherIndexes" >> Gather(IndexedImages, start)
        )


class _IndexFn(beam.DoFn):
    def __init__(self, config: JoinConfig):
        self._config = config

    def process(self, input_range: InputRange) -> typing.Iterator[IndexedImages]:
        yield index_images(input_range, self._config.files, self._config.scratch)


class _ListRangesFn(beam.DoFn):
    def __init__(self, config: JoinConfig):
        self._config = config

    def process(self, indexed: list[IndexedImages]) -> typing.Iterator[InputRange]:
        config = self._config
        write_references(config.scratch, _IMAGES, [merge_indexes(indexed, config.base, config.scratch)])
        yield from config.ranges


class _SpoolFn(beam.DoFn):
    def __init__(self, config: JoinConfig):
        self._config = config
        self._lines = beam.metrics.Metrics.counter("JoinRows", "lines")
        self._malformed = beam.metrics.Metrics.counter("JoinRows", "malformed")

    def process(self, input_range: InputRange) -> typing.Iterator[SpoolFile]:
        config = self._config
        index: ImageIndex = read_references(config.scratch, _IMAGES)[0]
        if input_range.source == Source.YFCC.value:
            base = base_photos(index, input_range.source, config.scratch)
            spooled = spool_lines(input_range, config.scratch, config.bucket_bits, base)
        else:
            spooled = spool_annotations(input_range, config.files, index, config.scratch, config.bucket_bits)
        self._lines.inc(spooled.lines)
        self._malformed.inc(spooled.malformed)
        yield spooled


class _ListBucketsFn(beam.DoFn):
    def __init__(self, config: JoinConfig):
        self._scratch = config.scratch

    def process(self, spooled: list[SpoolFile]) -> typing.Iterator[Bucket]:
        write_references(self._scratch, _SPOOLED, [spool._replace(pieces=b"") for spool in spooled])
        for bucket in write_spool_index(spooled, self._scratch, _SPOOL_INDEX):
            yield Bucket(bucket, _SPOOL_INDEX)


class _JoinFn(beam.DoFn):
    def __init__(self, config: JoinConfig):
        self._config = config
        self._rows = beam.metrics.Metrics.counter("JoinRows", "rows")

    def process(self, bucket: Bucket) -> typing.Iterator[JoinedBucket]:
        urls = [r.url for r in self._config.ranges]
        config = self._config
        joined = join_bucket(bucket, urls, config.base, config.selection, config.scratch, config.classes)
        self._rows.inc(joined.rows)
        yield joined


class _PlanShardsFn(beam.DoFn):
    def __init__(self, config: JoinConfig):
        self._config = config

    def process(self, joined: list[JoinedBucket]) -> typing.Iterator[ShardCut]:
        config = self._config
        write_references(config.scratch, _JOINED, joined)
        kept = keep_rows(joined, config.selection, config.scratch)
        write_bucket_list(joined, kept, config.scratch, _BUCKETS, config.bucket_bits)
        shards = config.shards or count_shards(kept.rows, config.samples_per_shard)
        for shard in range(shards):
            yield ShardCut(shard, shards, _BUCKETS)


class _CutFn(beam.DoFn):
    def __init__(self, config: JoinConfig):
        self._config = config

    def process(self, cut: ShardCut) -> typing.Iterator[RowsFile]:
        config = self._config
        written = cut_shard(cut, config.output, config.scratch, config.folder, config.taken_down)
        progress.count("rows", written.rows)
        yield written


class _CompleteFn(beam.DoFn):
    def __init__(self, config: JoinConfig):
        self._config = config

    def process(self, written: list[RowsFile]) -> typing.Iterator[typing.List[RowsFile]]:  # noqa: UP006
        config = self._config
        spooled, joined = (read_references(config.scratch, name) for name in (_SPOOLED, _JOINED))
        planned = read_kept_rows(config.scratch, _BUCKETS).rows
        summary = RowsSummary(spooled, joined, written, config.base, planned)
        finish_rows(config.output, config.scratch, config.folder, summary)
        yield sorted(written)
