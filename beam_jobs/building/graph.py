"""The graph of `build` and `join`: both phases, or what is left of them."""

import dataclasses
import typing

import apache_beam as beam

from beam_jobs.building.build_config import BuildConfig
from beam_jobs.building.image_flags import ImageStep
from beam_jobs.outputs.run_folder import RunFolder
from beam_jobs.runners.run_graph import run_graph
from beam_jobs.runners.runner_flags import RunnerConfig
from schemas.classes import ChosenClass
from schemas.elements import RowsFile
from schemas.records import Plan
from schemas.splits import SPLITS
from transforms.building.build_shards import BuildShards, ShardsConfig
from transforms.building.finish_shards import FinishConfig
from transforms.building.shard_config import ShardConfig
from transforms.building.shard_remains import Remains
from transforms.join.filter_rows import RowSelection
from transforms.join.join_rows import JoinConfig, JoinRows
from transforms.sources.annotation_files import AnnotationFiles
from transforms.sources.find_inputs import bucket_bits
from transforms.sources.input_files import InputFile
from transforms.sources.input_ranges import ranges_of
from transforms.stores.output import Output


@dataclasses.dataclass(frozen=True, kw_only=True)
class Work:
    """What is to be done.

    Attributes:
        output: the dataset.
        place: for what is unfinished.
        files: inputs.
        plan: of the output; its rows are None until phase 1 is complete.
        selection: which rows are kept.
        classes: those of the selection.
        images: what happens to the images; None for rows alone.
        committed: shards that stand, with the digest of their rows.
        runner: where it is done.
        finish: what the manifest says besides; None to write no manifest.
        max_failure_ratio: above it the run ends.
        retry: SQL condition on the failures that are tried again in shards that do not stand; '' to build these.
        remains: what is left of shards that do not stand and are restored; None to build these.
    """

    output: Output
    place: RunFolder
    files: list[InputFile]
    plan: Plan
    selection: RowSelection
    classes: tuple[ChosenClass, ...]
    images: ImageStep | None
    committed: dict[int, str]
    runner: RunnerConfig
    finish: FinishConfig | None
    max_failure_ratio: float = 1.0
    retry: str = ""
    remains: typing.Mapping[int, Remains] | None = None


def rework(config: BuildConfig, plan: Plan, shards: typing.Container[int], place: RunFolder) -> Work:
    """Returns the work on some shards of a plan whose rows are complete; the others stand."""
    return Work(
        output=config.output,
        place=place,
        files=[],
        plan=plan,
        selection=config.selection,
        classes=(),
        images=config.images,
        committed={rows.shard: rows.digest for rows in plan.rows or [] if rows.shard not in shards},
        runner=config.runner,
        finish=None,
    )


def run(work: Work) -> None:
    """Runs the graph.

    Raises:
        JobError: a step failed for a reason that the operator can mend.
    """
    run_graph(lambda pipeline: build(pipeline, work), work.runner, work.output)


def build(pipeline: beam.Pipeline, work: Work) -> None:
    """Adds what is left to do to a pipeline."""
    if work.plan.rows is None:
        rows = pipeline | "JoinRows" >> JoinRows(_join_config(work))
    else:
        rows = list_rows(pipeline, work.plan)
    if work.images:
        _ = rows | "BuildShards" >> BuildShards(_build_config(work, work.images))


def list_rows(pipeline: beam.Pipeline, plan: Plan) -> beam.PCollection[list[RowsFile]]:
    """Returns the list of the rows files of a plan that is complete, as one element."""
    known = [RowsFile(r.shard, r.rows, r.digest) for r in plan.rows or ()]
    listed = beam.Map(lambda _: known).with_output_types(typing.List[RowsFile])  # noqa: UP006
    return pipeline | "Start" >> beam.Impulse() | "ListRows" >> listed


def _join_config(work: Work) -> JoinConfig:
    return JoinConfig(
        output=work.output,
        scratch=work.place.scratch.child("join"),
        folder=work.place.staging,
        files=_annotation_files(work),
        ranges=tuple(ranges_of(work.files)),
        base=work.plan.format["base"],
        bucket_bits=bucket_bits(work.files),
        selection=work.selection,
        classes=work.classes,
        samples_per_shard=work.plan.format["samples_per_shard"],
        shards=work.plan.shards,
        taken_down=frozenset(tombstone.photo_id for tombstone in work.plan.tombstones),
    )


def _annotation_files(work: Work) -> AnnotationFiles:
    """Without a list of Open Images' images, ``--split`` says which split they are in."""
    files, split = AnnotationFiles(tuple(work.files)), work.selection.split
    return files if files.lists_open_images or split not in SPLITS else dataclasses.replace(files, split=split)


def _build_config(work: Work, images: ImageStep) -> ShardsConfig:
    return ShardsConfig(
        shard=ShardConfig(
            output=work.output,
            folder=work.place.staging,
            image=images.image,
            fetch=images.fetch,
            places=images.places,
            format=work.plan.format,
            max_failure_ratio=work.max_failure_ratio,
            retry=work.retry,
            remains=work.remains,
            done=work.place.done,
        ),
        finish=work.finish,
        committed=work.committed,
        workers=work.runner.children,
    )
