"""`reprocess --check_alive`: which photos are no longer public at Flickr; changes nothing but that list."""

import collections
import os
import pathlib
import shlex
import sys

from beam_jobs.building.build_flags import MAX_FAILURE_RATIO
from beam_jobs.building.recorded_flags import Flags, recorded_build
from beam_jobs.command.counted import counted
from beam_jobs.command.errors import FAILED, OK, UsageError
from beam_jobs.command.flags import FlagParser
from beam_jobs.command.progress_line import PROGRESS, show_progress
from beam_jobs.outputs import output_state
from schemas import layout
from schemas.records import Plan
from transforms.building.fetch_loop import run_in_loop
from transforms.fetch.flickr_requests import REQUESTS_PER_S
from transforms.reprocess.check_alive import Answer, ask_flickr, read_flickr_photos
from transforms.reprocess.purge_lists import id_list
from transforms.stores.output import Output

FLAG = "--check_alive"


def add_flags(parser: FlagParser) -> None:
    """Adds the flag that asks for it."""
    parser.add_argument(
        FLAG,
        nargs="?",
        const="",
        metavar="FILE",
        help=f"ask Flickr for every sample, {REQUESTS_PER_S:g} a second, and write the ids of photos that are gone "
        f"(OUT/{layout.NOT_PUBLIC})",
    )


def check(given: Flags) -> None:
    """Checks where the list goes.

    Raises:
        UsageError: there is no such folder, or it is one, or the dataset's.
    """
    path = given["check_alive"]
    if path and pathlib.Path(path).is_dir():
        raise UsageError(f"{FLAG} {path}: that is a folder; name a file in it, and the dataset before the flag")
    if path and pathlib.Path(path).resolve().is_relative_to(
        pathlib.Path(os.path.expanduser(given["dataset"])).resolve()
    ):
        raise UsageError(f"{FLAG} {path}: that is a file of the dataset; name one elsewhere, or none")
    if path and not pathlib.Path(path).absolute().parent.is_dir():
        raise UsageError(f"{FLAG} {path}: there is no folder for it; make it, or name another file")


def run(output: Output, plan: Plan, given: Flags) -> int:
    """Asks for every sample's photo. The list is written anew with each shard that has photos that are gone.

    If none is, it is written at the end, unless the check has failed.

    Returns:
        Exit code: 1 if Flickr does not answer for more of them than ``--max_failure_ratio`` permits; that of the build
        does not count.

    Raises:
        UsageError: there are no samples.
    """
    build = recorded_build(output, plan, given)
    if build.images is None:
        raise UsageError(f"{FLAG}: {output} has rows alone, and no sample to ask for; build it first")
    commits = output_state.read_commits(output, plan)
    shards = [shard for shard, commit in sorted(commits.items()) if commit.samples]
    answers: collections.Counter[Answer] = collections.Counter()
    gone: set[int] = set()

    def tell(of_shard: dict[int, Answer]) -> None:
        answers.update(of_shard.values())
        gone.update(photo_id for photo_id, answer in of_shard.items() if answer is Answer.GONE)
        if gone:
            _write(gone, given["check_alive"], output)

    photos = (read_flickr_photos(output, shard) for shard in shards)
    with show_progress(given.get("progress", PROGRESS), sum(commits[shard].samples for shard in shards)):
        run_in_loop(ask_flickr(photos, build.images.fetch, REQUESTS_PER_S, tell))
    sys.stdout.write(f"{counted(answers.total(), 'photo')}: {', '.join(f'{answers[a]:,} {a.value}' for a in Answer)}\n")
    if gone:
        path = given["check_alive"] or f"{output}/{layout.NOT_PUBLIC}"
        command = shlex.join(["photobeam", "reprocess", str(output), "--take_down", path])
        sys.stdout.write(f"the ids of those that are gone are in {path}; take them down with\n  {command}\n")
    code = _exit_code(answers, given.get("max_failure_ratio", MAX_FAILURE_RATIO))
    if not gone and code == OK:
        _write(gone, given["check_alive"], output)
    return code


def _exit_code(answers: collections.Counter[Answer], max_failure_ratio: float) -> int:
    untold, asked = answers[Answer.UNTOLD], answers.total() - answers[Answer.NO_URL]
    if untold <= max_failure_ratio * asked:
        return OK
    sys.stderr.write(
        f"photobeam: Flickr has not told of {untold:,} of {counted(asked, 'photo')}, more than --max_failure_ratio "
        f"{max_failure_ratio}: the list may lack photos that are gone; see whether Flickr can be reached from here, "
        "and run the same command again\n"
    )
    return FAILED


def _write(gone: set[int], path: str, output: Output) -> None:
    if path:
        pathlib.Path(path).write_bytes(id_list(gone))
    else:
        output.write(layout.NOT_PUBLIC, id_list(gone))
