"""Phase 2 as a graph: rows files → shards → manifest. No grouping, no state; elements are numbers."""

import dataclasses
import typing

import apache_beam as beam

from schemas.elements import RowsFile, ShardDone
from transforms.build_shard import ShardConfig, build_shard
from transforms.failure_share import MIN_PHOTOS
from transforms.finish_shards import FinishConfig, finish_shards
from transforms.gather import Gather
from transforms.probe_photos import probe_photos
from transforms.worker_pool import shared_pool


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardsConfig:
    """What phase 2 works on.

    Attributes:
        shard: how one shard is built.
        finish: what the manifest says besides.
        committed: digest of the rows of each shard that is already committed and still holds.
        workers: child processes.
    """

    shard: ShardConfig
    finish: FinishConfig
    committed: dict[int, str]
    workers: int


class BuildShards(beam.PTransform):
    """Builds every shard that is not committed yet, then writes index and manifest.

    Input: RowsFile, one per shard. Output: ShardDone of the shards built now.

    Counters (namespace "BuildShards"): samples, failed.
    """

    def __init__(self, config: ShardsConfig):
        super().__init__()
        self._config = config

    def expand(self, rows: beam.PCollection[RowsFile]) -> beam.PCollection[ShardDone]:
        """Wires the stages."""
        todo = rows | "LeaveCommitted" >> beam.Filter(_is_open, self._config.committed).with_output_types(RowsFile)
        probed = todo | "GatherOpen" >> Gather(RowsFile) | "ProbePhotos" >> beam.ParDo(_ProbeFn(self._config))
        built = (
            todo
            | "SpreadShards" >> beam.Reshuffle()
            | "BuildShard" >> beam.ParDo(_BuildFn(self._config), beam.pvalue.AsSingleton(probed))
        )
        planned = rows | "GatherRows" >> Gather(RowsFile)
        finished = built | "GatherBuilt" >> Gather(ShardDone)
        _ = finished | "Finish" >> beam.ParDo(_FinishFn(self._config), beam.pvalue.AsSingleton(planned))
        return built


def _is_open(rows: RowsFile, committed: typing.Mapping[int, str]) -> bool:
    return committed.get(rows.shard) != rows.digest


class _ProbeFn(beam.DoFn):
    """Ends the run before its first shard if that is of no use; gives the number of photos to come."""

    def __init__(self, config: ShardsConfig):
        self._config = config

    def process(self, shards: list[RowsFile]) -> typing.Iterator[int]:
        photos = sum(rows.rows for rows in shards)
        if photos >= MIN_PHOTOS:
            shared_pool(self._config.workers).call(probe_photos, [rows.shard for rows in shards], self._config.shard)
        yield photos


class _BuildFn(beam.DoFn):
    def __init__(self, config: ShardsConfig):
        self._config = config
        self._samples = beam.metrics.Metrics.counter("BuildShards", "samples")
        self._failed = beam.metrics.Metrics.counter("BuildShards", "failed")

    def process(self, rows: RowsFile, probed: int) -> typing.Iterator[ShardDone]:
        pool = shared_pool(self._config.workers)
        commit = pool.call(build_shard, rows.shard, rows.digest, self._config.shard)
        self._samples.inc(commit.samples)
        self._failed.inc(commit.failed)
        yield ShardDone(commit.shard, commit.samples, commit.failed)


class _FinishFn(beam.DoFn):
    def __init__(self, config: ShardsConfig):
        self._config = config

    def process(self, _: list[ShardDone], planned: list[RowsFile]) -> None:
        finish_shards([rows.shard for rows in planned], self._config.finish)
