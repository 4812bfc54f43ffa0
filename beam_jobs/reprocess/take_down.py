"""`reprocess --take_down`: photos leave a dataset for good."""

import dataclasses
import logging
import sys
import time

from beam_jobs.building.recorded_flags import Flags, workers_and_progress
from beam_jobs.command.counted import counted
from beam_jobs.command.errors import OK, UsageError
from beam_jobs.command.flags import FlagParser
from beam_jobs.outputs.settle import end_take_down
from schemas import layout
from schemas.records import Plan
from schemas.tombstones import TAKEN_DOWN, UNKNOWN, read_photo_ids, with_tombstones
from transforms.reprocess.purge_lists import BEYOND_REACH
from transforms.stores.intents import begin_rewrites
from transforms.stores.output import Output, read_record

FLAG = "--take_down"

_log = logging.getLogger("photobeam")


def add_flags(parser: FlagParser) -> None:
    """Adds the flag that asks for it."""
    parser.add_argument(
        FLAG,
        action="append",
        metavar="IDS_FILE",
        help="remove photos from all files, and never bring them back: a file of photo ids or KEYs, one a line "
        "(repeatable)",
    )


def check(given: Flags) -> None:
    """Checks the lists.

    Raises:
        UsageError: one cannot be read, or a line is no id.
    """
    _listed(given)


def run(output: Output, plan: Plan, given: Flags) -> int:
    """Takes photos down.

    Returns:
        Exit code.
    """
    ids = _listed(given)
    tombstones = with_tombstones(plan.tombstones, ids, time.strftime("%Y-%m-%d", time.gmtime()))
    new = len(tombstones) - len(plan.tombstones)
    if new:
        output.check_no_links()
        begin_rewrites(output)
        output.write(layout.PLAN, dataclasses.replace(plan, tombstones=tombstones).to_json())
    was_finished = output.exists(layout.MANIFEST)
    end_take_down(output, *workers_and_progress(given))
    after = read_record(output, layout.PLAN, Plan)
    sys.stdout.write(_told(len(ids), new, plan.counts, after.counts))
    if was_finished and not output.exists(layout.MANIFEST):
        _log.warning("the dataset is not finished any more: run the same build again, it makes what was damaged")
    return OK


def _told(listed: int, new: int, before: dict[str, int], after: dict[str, int]) -> str:
    taken, unknown = (after.get(name, 0) - before.get(name, 0) for name in (TAKEN_DOWN, UNKNOWN))
    among = f"{counted(taken, 'photo')} taken down, {unknown:,} not in the dataset" if after else f"{new:,} taken down"
    told = [f"{counted(listed, 'id')}: {among}, {listed - new:,} listed before"]
    if listed:
        told += ["none of them comes back into this dataset; beyond its reach are", *(f"  {p}" for p in BEYOND_REACH)]
    return "".join(f"{line}\n" for line in told)


def _listed(given: Flags) -> set[int]:
    return {photo_id for path in given["take_down"] for photo_id in _read(path)}


def _read(path: str) -> list[int]:
    try:
        with open(path, encoding="utf-8-sig") as file:
            return read_photo_ids(file)
    except OSError as error:
        raise UsageError(f"{FLAG} {path}: cannot be read ({error.strerror}); name a file of photo ids") from error
    except ValueError as error:
        raise UsageError(f"{FLAG} {path}: {error}; nothing was taken down") from error
