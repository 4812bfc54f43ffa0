"""`photobeam reprocess OUT --output OUT2`: a second dataset of the photos of a finished one.

    photobeam reprocess /data/out --output /data/small --image_size 128 --where "width > height"

Some of the photos, without duplicates, in other shards, at another size or in another format. OUT stays as it is. The
same command goes on where a run of it has ended.
"""

import dataclasses
import logging
import typing

from beam_jobs.building.build_config import with_lists
from beam_jobs.building.finish_config import finish_config
from beam_jobs.building.image_flags import ImageStep, add_image_flags
from beam_jobs.building.recorded_flags import Flags
from beam_jobs.building.report_build import report_build
from beam_jobs.command.errors import JobError, UsageError
from beam_jobs.command.flags import FlagParser, positive
from beam_jobs.command.interrupt import held
from beam_jobs.command.progress_line import show_progress
from beam_jobs.outputs import output_state
from beam_jobs.outputs.output_state import ORIGINALS, SHARDS
from beam_jobs.outputs.run_folder import RunFolder, run_folder
from beam_jobs.outputs.settle import end_take_down, settle
from beam_jobs.reprocess.derive_job import DeriveJob, checked_job, what_stands
from schemas import layout
from schemas.records import Manifest, Plan
from transforms.building.finish_shards import finish_shards
from transforms.building.shard_config import ShardConfig
from transforms.files.image_files import ImagePlaceError
from transforms.files.publish import OutputError
from transforms.join.where_condition import ConditionError
from transforms.places.image_places import check_places
from transforms.reprocess.rows_wanted import FROM_ORIGINALS, DeriveConfig
from transforms.stores.lease import OutputInUseError
from transforms.stores.output import Output, read_record

_log = logging.getLogger("photobeam")

OUTPUT = "output"
"""The flag that asks for a second dataset."""


def add_derive_flags(parser: FlagParser) -> None:
    """Adds what a second dataset may have otherwise than the first."""
    group = parser.add_argument_group("a second dataset")
    group.add_argument(f"--{OUTPUT}", metavar="URL", help="where it goes; the dataset itself stays as it is")
    group.add_argument("--where", metavar="SQL", help="SQL condition on the joined row and the sidecar's columns")
    group.add_argument(
        "--drop_duplicates", action="store_true", help="of photos with the same file keep that of the smallest KEY"
    )
    group.add_argument("--samples_per_shard", type=positive, metavar="N", help="other shards, of the same keys")
    group.add_argument(
        "--from",
        choices=(SHARDS, ORIGINALS),
        help="with another size or format: of the shards' images where they are large enough, or all fetched (shards)",
    )
    group.add_argument("--overwrite", action="store_true", help="start the second dataset again")
    add_image_flags(parser)


def flag_names() -> set[str]:
    """Returns the names of the flags that only a second dataset has, its place left out."""
    parser = FlagParser("reprocess", "")
    add_derive_flags(parser)
    return {action.dest for action in parser._actions} - {OUTPUT, "help"}


def run(old: Output, output: Output, given: Flags) -> int:
    """Makes the second dataset, or goes on with it.

    Args:
        old: the dataset that is read.
        output: where the new one goes.
        given: flags of the command line, by name, without those left out.

    Returns:
        Exit code: 0, or 1 if more photos failed than ``--max_failure_ratio`` permits.

    Raises:
        UsageError: the command cannot be carried out; nothing was done.
        JobError: it failed on the way; what is committed stays.
    """
    try:
        output_state.check_apart(old, output)
        job = checked_job(old, output, given)
        output_state.check_is_ours(output)
        output.check_writable()
        with held(output):
            return _run_held(job)
    except (ConditionError, ImagePlaceError, OutputError, OutputInUseError) as error:
        raise UsageError(str(error)) from error


def _run_held(job: DeriveJob) -> int:
    output, overwrite = job.build.output, job.build.overwrite
    settle(output, job.build.threads, job.build.progress, overwrite)
    standing = what_stands(job)
    if not standing.is_finished and job.origin == ORIGINALS:
        check_places(job.images.places)
    with run_folder(output, job.build.temp_location, not job.build.runner.is_local) as place:
        output_state.begin(output, standing, overwrite)
        if standing.plan.rows is not None:
            end_take_down(output, job.build.threads, job.build.progress)
        if not standing.is_finished:
            _run_graphs(job, standing.plan, standing.committed, place)
            _check_unchanged(job)
            finish_shards(finish_config(job.build, place.folder.name))
    return report_build(output, job.build.max_failure_ratio)


def _run_graphs(job: DeriveJob, plan: Plan, committed: dict[int, str], place: RunFolder) -> Plan:
    """Writes rows and shards, as far as they do not stand; returns the plan with the rows."""
    from beam_jobs.reprocess import derive_graph

    todo = sum(rows.rows for rows in plan.rows or [] if committed.get(rows.shard) != rows.digest)
    runner = job.build.runner
    with show_progress(job.build.progress, todo):
        if plan.rows is None:
            derive_graph.derive_rows(_derive_config(job, plan, place), runner)
            plan = read_record(job.build.output, layout.PLAN, Plan)
        derive_graph.build_shards(plan, _shard_config(job, plan, place), committed, runner)
    return plan


def _derive_config(job: DeriveJob, plan: Plan, place: RunFolder) -> DeriveConfig:
    return DeriveConfig(
        output=job.build.output,
        scratch=place.scratch.child("rows"),
        folder=place.staging,
        old=job.old_dataset,
        rows=tuple(job.old_plan.rows or ()),
        wanted=job.wanted,
        samples_per_shard=plan.format["samples_per_shard"],
        shards=plan.shards,
        taken_down=frozenset(tombstone.photo_id for tombstone in plan.tombstones),
    )


def _shard_config(job: DeriveJob, plan: Plan, place: RunFolder) -> ShardConfig:
    images = _places_listed(job, plan, place)
    return ShardConfig(
        output=job.build.output,
        folder=place.staging,
        image=images.image,
        fetch=images.fetch,
        places=images.places,
        format=plan.format,
        max_failure_ratio=job.build.max_failure_ratio,
        old=job.old_dataset if job.origin == SHARDS else None,
        done=place.done,
    )


def _places_listed(job: DeriveJob, plan: Plan, place: RunFolder) -> ImageStep:
    """Opens the places of images if any photo is to be fetched; else there are none, and none need be reached."""
    images, unusable = job.images, plan.counts[FROM_ORIGINALS]
    if job.origin == SHARDS and not unusable:
        return images._replace(places=dataclasses.replace(images.places, images=(), flickr_requests_per_s=0.0))
    if job.origin == SHARDS:
        _log.info("%d photos are not large enough in the shards, or cut or padded there: they are fetched", unusable)
        check_places(images.places)
    return typing.cast(ImageStep, with_lists(job.build, place.scratch).images)


def _check_unchanged(job: DeriveJob) -> None:
    """Leaves a dataset without manifest whose shards may be of different states of the old one.

    Raises:
        JobError: the old one has changed.
    """
    try:
        root_hash = read_record(job.old, layout.MANIFEST, Manifest).root_hash
    except (FileNotFoundError, ValueError):
        root_hash = ""
    if root_hash != job.manifest.root_hash:
        raise JobError(f"{job.old} was changed while it was read: run the same command again with --overwrite")
