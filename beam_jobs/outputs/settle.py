"""The first thing that a command does with an output it holds: what a dead run began is ended."""

from beam_jobs.command.errors import JobError
from beam_jobs.command.interrupt import end_on_signals
from beam_jobs.command.progress_line import show_progress
from beam_jobs.outputs import output_state
from beam_jobs.outputs.find_tombstones import find_tombstones
from schemas import layout
from schemas.records import Plan
from schemas.tombstones import is_carried_out
from transforms.building.finish_shards import finish_again
from transforms.files.publish import OutputError
from transforms.reprocess.take_down import FOLDER, take_down
from transforms.stores.intents import roll_forward
from transforms.stores.output import Output, read_record


def settle(output: Output, workers: int, progress: str, overwrite: bool = False) -> None:
    """Carries out what dead runs announced, and removes what they left unfinished.

    Args:
        output: held by this run.
        workers: shards at once.
        progress: how it is shown: ``auto``, ``json`` or ``none``.
        overwrite: nothing of the output is to stay, so that no photo need be taken out of it.

    Raises:
        UsageError: the plan is damaged, nothing tells which photos were taken down, or a record is of another format
            version.
        JobError: a photo cannot be taken out.
    """
    if not overwrite:
        output_state.check_versions(output, with_commits=False)
    find_tombstones(output)
    has_begun = roll_forward(output)
    plan = None if overwrite else output_state.read_plan(output)
    if plan:
        end_take_down(output, workers, progress)
        if has_begun and is_carried_out(plan):
            finish_again(output, plan)
    output.sweep()


def roll_forward_and_sweep(output: Output) -> None:
    """Replaces the shards that dead runs were about to replace, and removes what else they left unfinished."""
    roll_forward(output)
    output.sweep()


def end_take_down(output: Output, workers: int, progress: str, drop_missing: bool = False) -> None:
    """Takes out the photos that the plan says are taken down and that are there still.

    Args:
        output: held by this run.
        workers: shards at once.
        progress: how it is shown: ``auto``, ``json`` or ``none``.
        drop_missing: as for :func:`transforms.reprocess.take_down.take_down`.

    Raises:
        JobError: a file is missing, or cannot be read or written; the next run goes on.
    """
    if is_carried_out(read_record(output, layout.PLAN, Plan)):
        return
    try:
        output.check_no_links()
        with end_on_signals(output.run_folder(FOLDER)), show_progress(progress, 0):
            take_down(output, workers, drop_missing)
    except OutputError as error:
        raise JobError(f"{error}; photos are still to be taken out, the next run goes on") from error
    except OSError as error:
        what = f"{error.filename or output}: {error.strerror or error}"
        raise JobError(f"{what}; photos are still to be taken out, the next run goes on") from error
