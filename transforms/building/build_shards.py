"""Phase 2 as a graph: rows files → shards → manifest. No grouping, no state; elements are numbers."""

import concurrent.futures
import dataclasses
import time
import typing

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.windowed_value import WindowedValue

from schemas.elements import RowsFile, ShardDone
from schemas.records import CommitRecord
from transforms.building.build_in_worker import build_in_worker, probe_in_worker
from transforms.building.finish_shards import FinishConfig, finish_shards
from transforms.building.shard_config import ShardConfig
from transforms.workers.failure_share import MIN_PHOTOS
from transforms.workers.gather import Gather
from transforms.workers.worker_pool import LANES, WorkerPool, renew_shared_pool, shared_pool


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardsConfig:
    """What phase 2 works on.

    Attributes:
        shard: how one shard is built.
        finish: what the manifest says besides; None to write no manifest, since other shards are not built.
        committed: digest of the rows of each shard that is already committed and still holds.
        workers: child processes.
    """

    shard: ShardConfig
    finish: FinishConfig | None
    committed: dict[int, str]
    workers: int


class BuildShards(beam.PTransform):
    """Builds, retries or restores every shard that is not committed yet; then writes index and manifest.

    Input: one list of RowsFile, one per shard. Output: ShardDone of the shards built now.

    Counters (namespace "BuildShards"): samples, videos, failed. Distributions: shard_bytes, shard_ms (from begin to
    commit).
    """

    def __init__(self, config: ShardsConfig):
        super().__init__()
        self._config = config

    def expand(self, rows: beam.PCollection[list[RowsFile]]) -> beam.PCollection[ShardDone]:
        """Wires the stages."""
        built = (
            rows
            | "ListOpen" >> beam.ParDo(_ListOpenFn(self._config))
            | "SpreadShards" >> beam.Reshuffle()
            | "BuildShard" >> beam.ParDo(_BuildFn(self._config))
        )
        if self._config.finish:
            done = built | "GatherBuilt" >> Gather(ShardDone, rows)
            _ = done | "Finish" >> beam.ParDo(_FinishFn(self._config.finish)).with_output_types(int)
        return built


class _ListOpenFn(beam.DoFn):
    """Lists the shards that are not committed; ends the run before the first of them if it is of no use."""

    def __init__(self, config: ShardsConfig):
        self._config = config

    def process(self, planned: list[RowsFile]) -> typing.Iterator[RowsFile]:
        todo = [rows for rows in planned if self._config.committed.get(rows.shard) != rows.digest]
        config = self._config.shard
        takes_all = not config.retry and config.remains is None and config.old is None
        if sum(rows.rows for rows in todo) >= MIN_PHOTOS and takes_all:
            probe_in_worker(shared_pool(self._config.workers), [rows.shard for rows in todo], config)
        yield from todo


class _Built(typing.NamedTuple):
    commit: CommitRecord
    seconds: float


class _BuildFn(beam.DoFn):
    """Has :data:`LANES` shards of a bundle under way at once."""

    def __init__(self, config: ShardsConfig):
        self._config = config
        self._samples = beam.metrics.Metrics.counter("BuildShards", "samples")
        self._videos = beam.metrics.Metrics.counter("BuildShards", "videos")
        self._failed = beam.metrics.Metrics.counter("BuildShards", "failed")
        self._bytes = beam.metrics.Metrics.distribution("BuildShards", "shard_bytes")
        self._ms = beam.metrics.Metrics.distribution("BuildShards", "shard_ms")

    def setup(self) -> None:
        self._threads = concurrent.futures.ThreadPoolExecutor(LANES)

    def start_bundle(self) -> None:
        if self._config.shard.done:
            renew_shared_pool()
        self._begun: set[concurrent.futures.Future[_Built]] = set()

    def process(self, rows: RowsFile) -> typing.Iterator[ShardDone]:
        pool = shared_pool(self._config.workers)
        self._begun.add(self._threads.submit(_build, pool, rows, self._config.shard))
        if len(self._begun) == LANES:
            done, self._begun = concurrent.futures.wait(self._begun, return_when=concurrent.futures.FIRST_COMPLETED)
            yield from map(self._built, done)

    def finish_bundle(self) -> typing.Iterator[WindowedValue]:
        for future in concurrent.futures.as_completed(self._begun):
            yield GlobalWindows.windowed_value(self._built(future))

    def teardown(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _built(self, future: "concurrent.futures.Future[_Built]") -> ShardDone:
        """Counts in the thread of the step: Beam drops without a word what others count."""
        commit, seconds = future.result()
        self._samples.inc(commit.samples)
        self._videos.inc(commit.videos)
        self._failed.inc(commit.failed)
        self._bytes.update(sum(file.bytes for file in commit.files.values()))
        self._ms.update(round(1000 * seconds))
        return ShardDone(commit.shard, commit.samples, commit.failed)


def _build(pool: WorkerPool, rows: RowsFile, config: ShardConfig) -> _Built:
    begun_s = time.monotonic()
    return _Built(build_in_worker(pool, rows, config), time.monotonic() - begun_s)


class _FinishFn(beam.DoFn):
    def __init__(self, config: FinishConfig):
        self._config = config

    def process(self, built: list[ShardDone]) -> None:
        finish_shards(self._config, [done.shard for done in built])
