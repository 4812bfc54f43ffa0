"""The same work on each of some shards, as a graph; elements are numbers of shards."""

import dataclasses
import typing

import apache_beam as beam

from transforms.workers.call_for_shard import call_for_shard
from transforms.workers.worker_pool import renew_shared_pool, shared_pool


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardWork:
    """What is done with each shard.

    Attributes:
        name: of the step and of its counter.
        work: an importable function, or an object of an importable class, that can be pickled; it gets the number of a
            shard and returns how many rows it has done. It writes whole files under fixed names: an engine may repeat
            it at any time, and run it twice at once.
        shards: their numbers.
        children: child processes of each of Beam's own processes; 0 where the work leaves Python's lock alone and
            need not be guarded against crashes: then it runs in the engine's threads.
    """

    name: str
    work: typing.Callable[[int], int]
    shards: tuple[int, ...]
    children: int


class SpreadShards(beam.PTransform):
    """Gives the numbers of shards, spread over all workers.

    Args:
        shards: their numbers.
    """

    def __init__(self, shards: tuple[int, ...]):
        super().__init__()
        self._shards = shards

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection[int]:
        """Lists them."""
        shards = self._shards
        return (
            pipeline
            | "Start" >> beam.Impulse()
            | "ListShards" >> beam.FlatMap(lambda _: shards).with_output_types(int)
            | "SpreadShards" >> beam.Reshuffle()
        )


class EachShard(beam.PTransform):
    """Does some work on each shard, in no particular order.

    Output: the number of each shard that is done.

    Counters (namespace: name of the work): rows.

    Args:
        work: what is done, and with which shards.
    """

    def __init__(self, work: ShardWork):
        super().__init__()
        self._work = work

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection[int]:
        """Wires the stages."""
        return pipeline | SpreadShards(self._work.shards) | self._work.name >> beam.ParDo(_WorkFn(self._work))


class _WorkFn(beam.DoFn):
    def __init__(self, work: ShardWork):
        self._work = work
        self._rows = beam.metrics.Metrics.counter(work.name, "rows")

    def start_bundle(self) -> None:
        renew_shared_pool()

    def process(self, shard: int) -> typing.Iterator[int]:
        work, children = self._work.work, self._work.children
        self._rows.inc(call_for_shard(shared_pool(children), shard, work, shard) if children else work(shard))
        yield shard
