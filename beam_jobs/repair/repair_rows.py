"""The plan, the rows and the input failures of a dataset, put back from its inputs if they are damaged or lost."""

import logging
import typing

from beam_jobs.building.build_config import BuildConfig
from beam_jobs.building.recorded_flags import REPROCESSED, Flags, recorded_build
from beam_jobs.command.errors import UsageError
from beam_jobs.outputs.find_tombstones import find_tombstones
from beam_jobs.outputs.run_folder import RunFolder
from beam_jobs.repair.join_again import join_again
from schemas import layout
from schemas.records import Manifest, Plan, rows_digest
from transforms.datasets.dataset_records import read_records
from transforms.datasets.remedies import GO_ON, JOIN_ANEW, TAKE_OUT
from transforms.sources.input_files import InputError
from transforms.stores.output import Output, read_record
from transforms.verify.verify_records import check_records

_log = logging.getLogger("photobeam")


def restore_plan(output: Output, given: Flags, place: RunFolder) -> None:
    """Restores a plan that is damaged or lost: from the inputs, with the rows that the manifest names.

    Args:
        output: holds the dataset.
        given: flags of this command line, by name.
        place: for what is unfinished.

    Raises:
        UsageError: it cannot be restored.
        JobError: the join failed.
    """
    records = read_records(output, [])
    faults = check_records(records._replace(commits={}, manifest=None))
    if records.plan and (records.manifest is None or all(fault.remedy in (GO_ON, TAKE_OUT) for fault in faults)):
        return
    if records.manifest is None:
        raise UsageError(f"{output}/{layout.PLAN} is damaged, and no {layout.MANIFEST} tells what it said; {JOIN_ANEW}")
    output.write(layout.PLAN, _joined_plan(output, records.manifest, given, place).to_json())


def _joined_plan(output: Output, manifest: Manifest, given: Flags, place: RunFolder) -> Plan:
    if old := manifest.configuration.get(REPROCESSED):
        raise UsageError(
            f"{output}/{layout.PLAN} is damaged or lost, and its rows were not joined, but taken from {old}: put back "
            f"a copy of it, or run the same `photobeam reprocess {old} --output {output}` again with --overwrite"
        )
    config = recorded_build(output, None, given)
    wanted = Plan(
        config.selection.as_json(), config.format, [], len(manifest.shards), find_tombstones(output),
        configuration=manifest.configuration,
    )  # fmt: skip
    try:
        joined = read_record(join_again(config, wanted, place), layout.PLAN, Plan)
    except InputError as error:
        raise UsageError(f"{output}/{layout.PLAN} is lost, and the rows cannot be joined again: {error}") from error
    digests = [rows_digest(rows.digest, joined.format) for rows in joined.rows or []]
    if digests != [shard.rows_digest for shard in manifest.shards]:
        raise UsageError(
            f"{output}/{layout.PLAN} is lost, and inputs, flags and libraries no longer give the rows that "
            f"{layout.MANIFEST} names: put them back as they were, or {JOIN_ANEW}"
        )
    return joined


def repair_rows(config: BuildConfig, plan: Plan, at_fault: typing.Container[str], place: RunFolder) -> list[str]:
    """Joins again what is damaged or lost of the rows and of the input failures.

    Args:
        config: of the build that made the dataset.
        plan: of the dataset.
        at_fault: names of damaged and lost files.
        place: for what is unfinished.

    Returns:
        Names of the files that are whole now. Why others are not is logged.

    Raises:
        JobError: the join failed.
    """
    planned = {layout.rows_file(rows.shard): rows.digest for rows in plan.rows or []}
    wanted = [name for name in (*planned, layout.INPUT_FAILURES) if name in at_fault]
    if not wanted:
        return []
    try:
        joined = join_again(config, plan, place)
    except InputError as error:
        _log.error("%s cannot be joined again: %s", ", ".join(wanted), error)
        return []
    again = read_record(joined, layout.PLAN, Plan)
    digests = {layout.rows_file(rows.shard): rows.digest for rows in again.rows or []}
    as_planned = [name for name in wanted if name in planned and digests[name] == planned[name]]
    if layout.INPUT_FAILURES in wanted and _failures(again) == _failures(plan):
        as_planned.append(layout.INPUT_FAILURES)
    for name in as_planned:
        config.output.publish(joined.path / name, name)
    if other := [name for name in wanted if name not in as_planned]:
        _log.error(
            "%s: joined again they are others than planned, since inputs or libraries are not what they were: put "
            "these back, or run the same build again, which builds anew what has changed",
            ", ".join(other),
        )
    return as_planned


def _failures(plan: Plan) -> dict[str, int]:
    return {what: number for what, number in plan.counts.items() if what.endswith("_failures")}
