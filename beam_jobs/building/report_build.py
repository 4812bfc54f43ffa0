"""What a finished `build` or `join` says of the dataset, and with which exit code it ends."""

import logging
import shlex
import sys
import typing

from beam_jobs.command.counted import counted
from beam_jobs.command.errors import FAILED, OK, JobError
from beam_jobs.outputs import output_state
from schemas import layout
from schemas.failures import FailureReason
from schemas.records import Manifest, Plan, Totals
from schemas.videos import takes_videos
from transforms.stores.output import Output, read_record
from transforms.workers.failure_share import too_many

_log = logging.getLogger("photobeam")

_OF_PLACES = {
    FailureReason.NO_IMAGE_SOURCE,
    FailureReason.NOT_FOUND,
    FailureReason.FORBIDDEN,
    FailureReason.OPTED_OUT,
    FailureReason.BLOCKED_ADDRESS,
}
"""Final reasons that another place of images may mend."""

_OF_ALL = {"input", "collapsed"}
"""What ``_lines`` are counted of, beside kinds and sources."""


def report_build(output: Output, max_failure_ratio: float | None) -> int:
    """Prints what the dataset holds.

    Args:
        output: the dataset.
        max_failure_ratio: above it the build counts as failed; None where only rows were made.

    Returns:
        The exit code.

    Raises:
        JobError: the rows are not complete.
    """
    plan = output_state.read_plan(output)
    if plan is None or plan.rows is None:
        raise JobError(f"{output}: the rows are not complete")
    sys.stdout.write(accounts(plan))
    if max_failure_ratio is None:
        _warn_of_stale_shards(output, plan)
        return OK
    totals = read_record(output, layout.MANIFEST, Manifest).totals
    videos = f", {counted(totals.videos, 'video')}" if takes_videos(plan.format) else ""
    samples, failures = counted(totals.samples, "sample"), counted(totals.failed, "failure")
    sys.stdout.write(f"{samples}{videos} and {failures} in {counted(len(plan.rows), 'shard')}\n")
    for reason, number in sorted(totals.failures_by_reason.items()):
        sys.stdout.write(f"  {reason}: {number:,}\n")
    return _exit_code(output, totals, max_failure_ratio)


def accounts(plan: Plan) -> str:
    """Returns what became of the input lines: those of the base, then of each pack and each column of a source."""
    counts = plan.counts
    lines = [
        f"{counted(counts['input_lines'], 'line')}: {counted(counts['rows'], 'row')}, "
        f"{counts['removed_by_filters']:,} removed by filters, {counts['collapsed_lines']:,} repeated, "
        f"{counts['input_failures']:,} malformed or duplicate\n"
    ]
    for name in sorted({name.removesuffix("_lines") for name in counts if name.endswith("_lines")} - _OF_ALL):
        found = {"without a photo": counts.get(f"{name}_unmatched"), "refused": counts.get(f"{name}_failures") or None}
        told = [f"{number:,} {what}" for what, number in found.items() if number is not None]
        if told:
            lines.append(f"  {name}: {counted(counts[f'{name}_lines'], 'line')}, {', '.join(told)}\n")
    if any(number for name, number in counts.items() if name.endswith("_failures")):
        lines.append(f"  what was refused, and why: {layout.INPUT_FAILURES}\n")
    return "".join(lines)


def _exit_code(output: Output, totals: Totals, max_failure_ratio: float) -> int:
    failed_videos = totals.failed_videos + totals.failures_by_reason.get(FailureReason.IS_VIDEO.value, 0)
    photos, failed = totals.rows - totals.videos - failed_videos, totals.failed - failed_videos
    if failed <= max_failure_ratio * photos:
        return OK
    reasons = {FailureReason(name): number for name, number in totals.failures_by_reason.items()}
    told = too_many(failed, photos, max_failure_ratio, reasons)
    sys.stderr.write(f"photobeam: {told}; the dataset is complete all the same{_how_to_retry(output, reasons)}\n")
    return FAILED


def _how_to_retry(output: Output, reasons: typing.Iterable[FailureReason]) -> str:
    """Names the command that fetches photos again, if there are such as may come then."""
    names = ", ".join(f"'{reason.value}'" for reason in reasons if reason.retryable or reason in _OF_PLACES)
    if not names:
        return ""
    command = f'photobeam reprocess {shlex.quote(str(output))} --retry "reason IN ({names})"'
    return f"; once that is mended, `{command}` fetches them again"


def _warn_of_stale_shards(output: Output, plan: Plan) -> None:
    committed = output_state.committed_shards(output, plan)
    stale = [r.shard for r in plan.rows or [] if r.shard in committed and committed[r.shard] != r.digest]
    if stale:
        _log.warning("%d shards no longer fit their rows: run `photobeam build` on this output", len(stale))
