"""`photobeam verify OUT --repair`: what is damaged or lost of a dataset is made again, and nothing else is touched."""

import logging
import typing

from beam_jobs.building import build_flags
from beam_jobs.building.build_config import BuildConfig
from beam_jobs.building.finish_config import finish_config
from beam_jobs.building.recorded_flags import Flags, recorded_build, workers_and_progress
from beam_jobs.command.errors import UsageError
from beam_jobs.command.interrupt import held
from beam_jobs.outputs.find_tombstones import find_tombstones
from beam_jobs.outputs.output_state import check_versions
from beam_jobs.outputs.run_folder import RunFolder, run_folder
from beam_jobs.outputs.settle import end_take_down, roll_forward_and_sweep
from beam_jobs.outputs.verify_output import verify_output
from beam_jobs.repair.repair_rows import repair_rows, restore_plan
from beam_jobs.repair.repair_shards import Lost, repair_shards
from beam_jobs.runners.runner_flags import LOCAL
from schemas import layout
from schemas.records import Plan
from transforms.building.finish_shards import finish_shards
from transforms.datasets.dataset_records import read_records
from transforms.files.publish import OutputError
from transforms.shards.shard_indexes import shard_indexes, write_indexes
from transforms.stores.dataset_files import Fault, no_dataset_error
from transforms.stores.lease import OutputInUseError
from transforms.stores.output import Output, read_record
from transforms.verify.verify_dataset import VerifyReport, leftovers, verify

_log = logging.getLogger("photobeam")


class Repaired(typing.NamedTuple):
    """What came of a repair.

    Attributes:
        report: what is still wrong.
        lost: what could not be fetched again.
    """

    report: VerifyReport
    lost: Lost = Lost()


def repair(output: Output, given: Flags) -> Repaired:
    """Repairs a dataset; what a repair that dies leaves undone is done by the next.

    Args:
        output: holds the dataset.
        given: flags of this command line, by name: they win over those recorded.

    Raises:
        UsageError: it cannot be repaired; nothing was done.
        JobError: it failed on the way; what is repaired stays.
    """
    _check_records(output)
    try:
        output.check_writable()
        with held(output):
            output.check_no_links()
            find_tombstones(output)
            roll_forward_and_sweep(output)
            return _repair_held(output, given)
    except (OutputError, OutputInUseError) as error:
        raise UsageError(str(error)) from error


def _check_records(output: Output) -> None:
    """Refuses what is no dataset, and one that another version of the format wrote, be it in part."""
    if not output.exists(layout.PLAN) and not output.exists(layout.MANIFEST):
        raise UsageError(str(no_dataset_error(output)))
    check_versions(output)


def _repair_held(output: Output, given: Flags) -> Repaired:
    is_shared = given.get("runner", LOCAL) != LOCAL
    with run_folder(output, build_flags.temp_location(given), is_shared) as place:
        restore_plan(output, given, place)
        end_take_down(output, *workers_and_progress(given), drop_missing=True)
        report = verify_output(output.root, output.s3, *workers_and_progress(given))
        faults = [fault for fault in report.faults if not fault.file.startswith(f"{layout.TMP}/")]
        if not faults:
            return Repaired(report._replace(faults=[]))
        lost = _repair_faults(output, read_record(output, layout.PLAN, Plan), faults, given, place)
    for name in leftovers(output, report.shards):
        output.remove_tree(name)
    at_fault = {shard for fault in faults if (shard := layout.shard_of(fault.file)) is not None}
    report = verify_output(output.root, output.s3, *workers_and_progress(given), only=at_fault)
    return Repaired(report, lost)


def _repair_faults(output: Output, plan: Plan, faults: typing.Iterable[Fault], given: Flags, place: RunFolder) -> Lost:
    for fault in faults:
        _log.info("found: %s: %s", fault.file, fault.problem)
    if plan.rows is None:
        return Lost()
    config = recorded_build(output, plan, given)
    files = {fault.file for fault in faults}
    joined = repair_rows(config, plan, files, place)
    if config.images is None:
        return Lost()
    of_images = {layout.shard_of(name) for name in files if not name.startswith(("rows/", f"{layout.LOG}/"))}
    lost = repair_shards(config, plan, of_images, place)
    _repair_records(config, layout.INPUT_FAILURES in joined, place.folder.name)
    return lost


def _repair_records(config: BuildConfig, has_new_failures: bool, run_id: str) -> None:
    """Writes indexes and manifest anew, each if it does not fit the commit records, once all shards stand."""
    output = config.output
    records = read_records(output, [])
    if not all(map(records.is_current, range(records.shards))):
        return
    indexes = shard_indexes(records.commits.values(), records.takes_videos())
    write_indexes(indexes, output)
    at_fault = {fault.file for fault in verify(output.root, only=(), s3=output.s3).faults}
    if layout.INPUT_FAILURES in at_fault and not has_new_failures:
        return
    if at_fault & {layout.MANIFEST, layout.INPUT_FAILURES, *indexes}:
        finish_shards(finish_config(config, run_id))
