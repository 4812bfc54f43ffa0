"""What `photobeam reprocess OUT --output OUT2` is asked to do, checked; and the plan of the dataset that it makes."""

import argparse
import dataclasses
import typing

from beam_jobs.building.build_config import BuildConfig, check_workers_see_inputs
from beam_jobs.building.image_flags import ImageStep, add_image_flags, image_options
from beam_jobs.building.recorded_flags import REPROCESSED, Flags, recorded_build
from beam_jobs.command.errors import UsageError
from beam_jobs.command.flags import FlagParser
from beam_jobs.outputs import output_state
from beam_jobs.outputs.find_tombstones import find_tombstones
from beam_jobs.outputs.output_state import SHARDS, Standing
from beam_jobs.runners.check_runner import check_workers_see
from schemas import layout
from schemas.records import Manifest, OtherFormatError, Plan, PlanInput
from schemas.tombstones import is_carried_out
from transforms.datasets.old_dataset import OldDataset
from transforms.datasets.remedies import TAKEN_DOWN_STILL
from transforms.files.url_credentials import without_credentials
from transforms.images.image_plan import ImageOptions
from transforms.join.where_condition import check_condition
from transforms.reprocess.rows_wanted import RowsWanted, where_schema
from transforms.stores.dataset_files import no_dataset_error
from transforms.stores.output import LocalOutput, Output, read_record

_OPERATIONS = ("where", "drop_duplicates", "samples_per_shard")
_NEEDS_ORIGINALS = ("keep_exif", "max_aspect_ratio", "max_image_bytes", "max_pixels", "min_side")
"""Format flags about the photos' own files, of which written images tell nothing."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeriveJob:
    """A checked command.

    Attributes:
        old: the dataset that is read.
        old_plan: its plan.
        manifest: its manifest.
        origin: ``shards`` or ``originals``: where images are taken from.
        wanted: which rows.
        build: how rows become samples, and how the run goes; its output is the new dataset.
    """

    old: Output
    old_plan: Plan
    manifest: Manifest
    origin: str
    wanted: RowsWanted
    build: BuildConfig

    @property
    def images(self) -> ImageStep:
        """What happens to the images."""
        return typing.cast(ImageStep, self.build.images)

    @property
    def old_dataset(self) -> OldDataset:
        """The old dataset as workers read it."""
        image = _old_image(self.old, self.old_plan)
        return OldDataset(files=self.old, shards=len(self.old_plan.rows or ()), image=image)

    @property
    def selection(self) -> dict[str, typing.Any]:
        """Which rows are taken, as the plan records it."""
        return {"where": self.wanted.where, "drop_duplicates": self.wanted.drop_duplicates}


def checked_job(old: Output, output: Output, given: Flags) -> DeriveJob:
    """Checks a command as far as that needs the records of the old dataset alone.

    Args:
        old: the dataset that is read.
        output: where the new one goes.
        given: flags of the command line, by name.

    Raises:
        UsageError: names flag, value and remedy.
        ConditionError: ``--where`` is no condition on the columns that there are.
    """
    image_flags = _image_flags() & given.keys()
    if not image_flags and "from" in given:
        raise UsageError(
            f"--from {given['from']}: it says where another size or format is taken from; give --image_size, "
            "--resize, --format or such, or leave it out"
        )
    if not image_flags and not any(given.get(name) for name in _OPERATIONS):
        raise UsageError(
            "the second dataset would be the same: name --where, --drop_duplicates, --samples_per_shard, --image_size "
            "or --format"
        )
    plan, manifest = _finished(old)
    build = dataclasses.replace(recorded_build(old, plan, given), output=output)
    if isinstance(output, LocalOutput):
        check_workers_see(build.runner.name, "--output", str(output))
    origin = given.get("from", SHARDS)
    if origin == SHARDS:
        _check_needs_no_originals(plan, build)
    elif build.images:
        check_workers_see_inputs(build.runner.name, {}, build.images.places.images)
    where = given.get("where", "")
    if where:
        check_condition(where, where_schema(_old_image(old, plan).further_sizes))
    image = typing.cast(ImageStep, build.images).image if origin == SHARDS else None
    wanted = RowsWanted(where=where, drop_duplicates=given.get("drop_duplicates", False), image=image)
    about = {
        "output": without_credentials(str(output)),
        REPROCESSED: without_credentials(str(old)),
        "from": origin,
        **dataclasses.asdict(wanted),
        "image": None,
    }
    build = dataclasses.replace(build, flags=build.flags | about)
    return DeriveJob(old=old, old_plan=plan, manifest=manifest, origin=origin, wanted=wanted, build=build)


def _old_image(old: Output, plan: Plan) -> ImageOptions:
    try:
        return image_options(plan.format)
    except ValueError as error:
        raise UsageError(f"{old}/{layout.PLAN}: {error}; `photobeam verify {old}` says what to do") from error


def _image_flags() -> set[str]:
    parser = argparse.ArgumentParser(add_help=False)
    add_image_flags(typing.cast(FlagParser, parser))
    return {action.dest for action in parser._actions}


def _finished(old: Output) -> tuple[Plan, Manifest]:
    """Reads the records of a dataset that has images and is complete.

    Raises:
        UsageError: there is none.
    """
    plan = output_state.read_plan(old)
    try:
        manifest = read_record(old, layout.MANIFEST, Manifest)
    except FileNotFoundError as error:
        if plan is None:
            raise UsageError(str(no_dataset_error(old))) from error
        if plan.rows is not None and "image_size" not in plan.format:
            raise UsageError(f"{old} has rows alone; run `photobeam build` on it first") from error
        raise UsageError(f"{old} is not finished; run the same build again first: it goes on") from error
    except OtherFormatError as error:
        raise UsageError(str(error)) from error
    except ValueError as error:
        raise UsageError(f"{error}; `photobeam verify {old}` says what to do") from error
    if plan is None or plan.rows is None:
        raise UsageError(f"{old}/{layout.PLAN} is missing or not complete; `photobeam verify {old}` says what to do")
    if not is_carried_out(plan):
        raise UsageError(f"{old}: {TAKEN_DOWN_STILL}")
    return plan, manifest


def _check_needs_no_originals(plan: Plan, build: BuildConfig) -> None:
    for name in _NEEDS_ORIGINALS:
        if build.format[name] != plan.format[name]:
            raise UsageError(
                f"--{name} {build.format[name]}: that is told by the photos' own files, not by the shards' images; "
                "add --from originals, or leave it out"
            )


def what_stands(job: DeriveJob) -> Standing:
    """Returns the plan of this run, and what is in its output already.

    Raises:
        UsageError: what stands was made from something else, or with other format flags.
    """
    output, form = job.build.output, {**job.old_plan.format, **job.build.format}
    kind = output_state.DATASET_KIND + job.origin
    source = PlanInput(without_credentials(str(job.old)), kind, job.manifest.totals.bytes, job.manifest.root_hash)
    tombstones = {t.photo_id: t for t in (*find_tombstones(output), *job.old_plan.tombstones)}
    taken_down = [tombstones[photo_id] for photo_id in sorted(tombstones)]
    plan = Plan(job.selection, form, [source], tombstones=taken_down, configuration=job.build.flags)
    if not any(job.selection.values()) and form["samples_per_shard"] == job.old_plan.format["samples_per_shard"]:
        plan = dataclasses.replace(plan, shards=job.old_plan.shards)
    before = None if job.build.overwrite else output_state.read_plan(output)
    if before is None:
        return Standing(plan, before, {}, False)
    _check_same_source(before, source, output)
    output_state.check_format(before, form)
    plan = dataclasses.replace(plan, shards=before.shards)
    commits = output_state.read_commits(output, plan)
    committed = {shard: output_state.made_from(commit) for shard, commit in commits.items()}
    if not output_state.rows_hold(before, output, job.selection, [source], committed):
        return Standing(plan, before, committed, False)
    plan = dataclasses.replace(plan, counts=before.counts, rows=before.rows)
    return Standing(plan, before, committed, output_state.is_finished(output, plan, commits))


def _check_same_source(before: Plan, source: PlanInput, output: Output) -> None:
    """Refuses to go on with images of another dataset, of the same one as it was before, or from elsewhere.

    Raises:
        UsageError: says which.
    """
    again = "choose another --output, or give --overwrite to start again"
    old = output_state.source_dataset(before)
    if old is None:
        raise UsageError(f"--output {output} was built from sources, not made from {source.url}: {again}")
    if old.kind != source.kind:
        origins = [kind.removeprefix(output_state.DATASET_KIND) for kind in (source.kind, old.kind)]
        raise UsageError(f"--from is {origins[0]}, the output was begun with {origins[1]}: {again}")
    if old.fingerprint != source.fingerprint:
        raise UsageError(f"--output {output} was made from {old.url} as it was before it changed: {again}")
