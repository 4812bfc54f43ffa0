"""`reprocess --retry`: failed photos are tried again, and shards that gain samples are written again."""

import dataclasses
import logging
import typing

import pyarrow as pa

from beam_jobs.building.build_config import BuildConfig, check_workers_see_inputs, with_lists
from beam_jobs.building.finish_config import finish_config
from beam_jobs.building.recorded_flags import Flags, recorded_build
from beam_jobs.building.report_build import report_build
from beam_jobs.command.counted import counted
from beam_jobs.command.errors import OK, UsageError
from beam_jobs.command.flags import FlagParser
from beam_jobs.command.progress_line import show_progress
from beam_jobs.outputs import output_state
from beam_jobs.outputs.run_folder import run_folder
from schemas import layout
from schemas.failures import FAILURE_SCHEMA, FailureReason
from schemas.records import CommitRecord, Plan, PlanRows
from transforms.building.retry_shard import RETRY_FLAG
from transforms.join.where_condition import ConditionError, check_condition, matching_rows
from transforms.places.image_places import check_places
from transforms.shards.read_shard import read_failures
from transforms.stores.intents import begin_rewrites, end_rewrites
from transforms.stores.output import Output

FLAG = RETRY_FLAG
RETRYABLE = "retryable"
"""The condition that is meant if none is given: a column of the failures."""

_log = logging.getLogger("photobeam")


def add_flags(parser: FlagParser) -> None:
    """Adds the flag that asks for it."""
    parser.add_argument(
        FLAG,
        nargs="?",
        const=RETRYABLE,
        metavar="SQL",
        help="fetch failed photos again: those that may heal, or those whose failure fits a condition such as "
        "\"reason in ('timeout', 'not_found')\"",
    )


def check(given: Flags) -> None:
    """Checks the condition.

    Raises:
        UsageError: it is none.
    """
    try:
        check_condition(given["retry"], FAILURE_SCHEMA, FLAG)
    except ConditionError as error:
        raise UsageError(str(error)) from error


def run(output: Output, plan: Plan, given: Flags) -> int:
    """Tries failed photos again.

    Returns:
        Exit code, by all failures of the dataset as after a build.

    Raises:
        UsageError: nothing can be tried; nothing was done.
        ImagePlaceError: a place of photos is not there.
        JobError: it failed on the way; shards that are written stay, and the same command goes on.
    """
    config = recorded_build(output, plan, given)
    if config.images is None:
        raise UsageError(f"{FLAG}: {output} has rows alone, or is built with --images none: no photo was tried yet")
    check_workers_see_inputs(config.runner.name, {}, config.images.places.images)
    check_places(config.images.places)
    commits = {r.shard: c for r, c in _standing(output, plan)}
    whole = plan.rows is not None and len(commits) == len(plan.rows)
    try:
        todo = _failures_to_try(output, commits, given["retry"])
    except ConditionError as error:
        raise UsageError(str(error)) from error
    output.check_no_links()
    if not whole:
        output.remove(layout.MANIFEST)
    _log.info("tried again: %s in %s", counted(sum(todo.values()), "failure"), counted(len(todo), "shard"))
    if todo:
        begin_rewrites(output)
        _retry(config, plan, todo, given["retry"], whole)
        end_rewrites(output)
        healed = sum(commits[r.shard].failed - c.failed for r, c in _standing(output, plan) if r.shard in todo)
        _log.info("%d of them are samples now", healed)
    elif given["retry"] == RETRYABLE and any(commit.failed for commit in commits.values()):
        _log.info("no failure may heal by itself: say which to try, as in %s \"reason = 'not_found'\"", FLAG)
    if not whole:
        _log.warning("the dataset is not finished: run the same build again, it goes on")
        return OK
    return report_build(output, config.max_failure_ratio)


def _standing(output: Output, plan: Plan) -> list[tuple[PlanRows, CommitRecord]]:
    """Returns the shards that are built from the rows that the plan names."""
    commits = output_state.read_commits(output, plan)
    pairs = [(rows, commits[rows.shard]) for rows in plan.rows or [] if rows.shard in commits]
    return [(rows, commit) for rows, commit in pairs if output_state.made_from(commit) == rows.digest]


def _failures_to_try(output: Output, commits: typing.Mapping[int, CommitRecord], condition: str) -> dict[int, int]:
    """Counts the failures that fit a condition by shard; shards without any are left out."""
    found = {}
    for shard, commit in commits.items():
        reasons = [FailureReason(reason) for reason in commit.failures_by_reason]
        if not reasons or (condition == RETRYABLE and not any(reason.retryable for reason in reasons)):
            continue
        number = pa.compute.sum(matching_rows(read_failures(output, commit), condition, FLAG)).as_py()
        if number:
            found[shard] = number
    return found


def _retry(config: BuildConfig, plan: Plan, todo: typing.Mapping[int, int], condition: str, whole: bool) -> None:
    run = run_folder(config.output, config.temp_location, not config.runner.is_local)
    with run as place, show_progress(config.progress, sum(todo.values())):
        from beam_jobs.building import graph

        config = with_lists(config, place.scratch)
        finish = finish_config(config, place.folder.name) if whole else None
        graph.run(dataclasses.replace(graph.rework(config, plan, todo, place), finish=finish, retry=condition))
