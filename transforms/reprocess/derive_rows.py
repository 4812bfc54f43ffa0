"""Phase 1 of a dataset that is made from another one, as a graph: its shards → what stays → `rows/` of new shards.

Shards are ranges of the hash of the photo id, so each new one is cut from neighbours among the old: no shuffle.
"""

import typing

import apache_beam as beam

from schemas.elements import KeptRows, RowsFile, ShardCuts
from transforms.reprocess.cut_kept import complete_rows, cut_shards, plan_cuts
from transforms.reprocess.keep_rows import keep_rows
from transforms.reprocess.rows_wanted import DeriveConfig
from transforms.stores.references import read_references, write_references
from transforms.workers import progress
from transforms.workers.gather import Gather

_KEPT = "kept_rows"


class DeriveRows(beam.PTransform):
    """Writes `rows/` of the new dataset and an empty `failures/input.parquet`, then completes `plan.json`.

    Output: one list of RowsFile, in order of the shards. Only references cross between stages; each step writes its
    files whole under fixed names, so that a repeated step writes the same bytes, be it twice at once.

    Counters (namespace "DeriveRows"): rows.
    """

    def __init__(self, config: DeriveConfig):
        super().__init__()
        self._config = config

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection[list[RowsFile]]:
        """Wires the stages."""
        config = self._config
        start = pipeline | "Start" >> beam.Impulse()
        kept = (
            start
            | "ListShards" >> beam.FlatMap(lambda _: range(len(config.rows))).with_output_types(int)
            | "SpreadOld" >> beam.Reshuffle()
            | "KeepRows" >> beam.ParDo(_KeepFn(config))
            | "GatherKept" >> Gather(KeptRows, start)
        )
        return (
            kept
            | "PlanShards" >> beam.ParDo(_PlanFn(config))
            | "SpreadShards" >> beam.Reshuffle()
            | "CutShards" >> beam.ParDo(_CutFn(config))
            | "GatherShards" >> Gather(RowsFile, kept)
            | "Complete" >> beam.ParDo(_CompleteFn(config))
        )


class _KeepFn(beam.DoFn):
    def __init__(self, config: DeriveConfig):
        self._config = config

    def process(self, shard: int) -> typing.Iterator[KeptRows]:
        config = self._config
        yield keep_rows(config.rows[shard], config.wanted, config.old, config.scratch)


class _PlanFn(beam.DoFn):
    def __init__(self, config: DeriveConfig):
        self._config = config

    def process(self, kept: list[KeptRows]) -> typing.Iterator[ShardCuts]:
        write_references(self._config.scratch, _KEPT, kept)
        yield from plan_cuts(kept, self._config)


class _CutFn(beam.DoFn):
    def __init__(self, config: DeriveConfig):
        self._config = config
        self._rows = beam.metrics.Metrics.counter("DeriveRows", "rows")

    def process(self, cuts: ShardCuts) -> typing.Iterator[RowsFile]:
        for written in cut_shards(cuts, self._config):
            self._rows.inc(written.rows)
            progress.count("rows", written.rows)
            yield written


class _CompleteFn(beam.DoFn):
    def __init__(self, config: DeriveConfig):
        self._config = config

    def process(self, written: list[RowsFile]) -> typing.Iterator[typing.List[RowsFile]]:  # noqa: UP006
        kept = read_references(self._config.scratch, _KEPT)
        complete_rows(sorted(written), kept, self._config)
        yield sorted(written)
