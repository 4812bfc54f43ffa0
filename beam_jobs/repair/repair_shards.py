"""The damaged shards of a dataset, made again: from what is whole of them, else from their photos."""

import dataclasses
import logging
import typing

from beam_jobs.building.build_config import BuildConfig, with_lists
from beam_jobs.building.image_flags import ImageStep
from beam_jobs.command.errors import JobError
from beam_jobs.command.progress_line import show_progress
from beam_jobs.outputs import output_state
from beam_jobs.outputs.run_folder import RunFolder
from schemas import layout
from schemas.records import Plan, PlanRows
from transforms.building.shard_remains import Remains, find_remains
from transforms.datasets.dataset_records import Records, read_records
from transforms.files.file_digest import bytes_digest
from transforms.files.image_files import ImagePlaceError
from transforms.places.image_places import check_places
from transforms.stores.output import Output

_log = logging.getLogger("photobeam")

_Todo = dict[int, Remains | None]
"""What is left of each shard that is to be made again."""


class Lost(typing.NamedTuple):
    """How much of shards that were made again are failures now, since it could not be fetched."""

    samples: int = 0
    videos: int = 0


def repair_shards(config: BuildConfig, plan: Plan, at_fault: typing.Container[int | None], place: RunFolder) -> Lost:
    """Makes damaged shards again. Those that are still to be built are left to a build.

    Args:
        config: of the build that made the dataset; with images.
        plan: of the dataset.
        at_fault: shards of which a file, other than the rows, is damaged or lost.
        place: for what is unfinished.

    Raises:
        JobError: it failed on the way, or the places of photos are not there; shards that are made again stay.
    """
    output = config.output
    records = _read(output)
    damaged = [r for r in plan.rows or [] if r.shard in at_fault and not _is_open(output, records, r.shard)]
    source, todo = output_state.source_dataset(plan), _Todo()
    for rows in damaged:
        remains = find_remains(output, records, rows)
        if _needs_photos(remains) and source and source.kind == output_state.DATASET_KIND + output_state.SHARDS:
            _log.error(
                "shard %s was made of the images of %s, and its photos would give others: remove %s, and run the same "
                "`photobeam reprocess %s --output %s …` again",
                layout.shard_name(rows.shard), source.url, layout.commit_file(rows.shard), source.url, output,
            )  # fmt: skip
        elif remains is None or not remains.is_whole:
            todo |= {rows.shard: remains} if _are_whole(rows, output) else {}
        elif remains.commit != records.commits.get(rows.shard):
            output.write(layout.commit_file(rows.shard), remains.commit.to_json())
    if todo:
        _restore(config, plan, todo, place)
    return _lost(todo, _read(output))


def _read(output: Output) -> Records:
    return read_records(output, [])


def _is_open(output: Output, records: Records, shard: int) -> bool:
    """Tells whether a shard is not damaged but still to be built; with a manifest, all have been."""
    if output.exists(layout.MANIFEST):
        return False
    return records.is_outdated(shard) if shard in records.commits else not output.exists(layout.commit_file(shard))


def _are_whole(rows: PlanRows, output: Output) -> bool:
    name = layout.rows_file(rows.shard)
    return output.exists(name) and bytes_digest(output.read(name)).sha256 == rows.digest


def _needs_photos(remains: Remains | None) -> bool:
    """Tells whether a shard cannot be written again from what is left of it."""
    return remains is None or not (remains.has_samples and remains.has_videos and remains.has_failures)


def _lost(todo: _Todo, records: Records) -> Lost:
    pairs = [(left.commit, records.commits[shard]) for shard, left in todo.items() if left and shard in records.commits]
    samples = sum(max(0, had.samples - has.samples) for had, has in pairs)
    return Lost(samples, sum(max(0, had.videos - has.videos) for had, has in pairs))


def _restore(config: BuildConfig, plan: Plan, todo: _Todo, place: RunFolder) -> None:
    images = config.images
    if images and any(map(_needs_photos, todo.values())):
        config = _with_places(config, images, place)
    with show_progress(config.progress, sum(rows.rows for rows in plan.rows or [] if rows.shard in todo)):
        from beam_jobs.building import graph

        remains = {shard: left for shard, left in todo.items() if left}
        work = graph.rework(config, plan, todo, place)
        graph.run(dataclasses.replace(work, max_failure_ratio=config.max_failure_ratio, remains=remains))


def _with_places(config: BuildConfig, images: ImageStep, place: RunFolder) -> BuildConfig:
    """Looks at the places of photos, of which some are to be fetched."""
    try:
        check_places(images.places)
        return with_lists(config, place.scratch)
    except ImagePlaceError as error:
        raise JobError(str(error)) from error
