"""Builds that are killed with all their children, at any moment, and go on."""

import collections
import hashlib
import os
import pathlib
import random
import shutil
import signal
import subprocess
import time
import typing

from schemas import layout

DATA_FOLDERS = ("rows", "shards", "failures")
REACHED = {
    "the manifest": layout.MANIFEST,
    "commit records": "commits/*.json",
    "shards' files": "shards/*.tar",
    "rows": "rows/*.parquet",
    "a spool": f"{layout.TMP}/*/join/*",
    "the plan": layout.PLAN,
}
"""How far a run had come when it was killed: the first of these that was there."""


class Killed(typing.NamedTuple):
    """What became of a series of runs.

    Attributes:
        moments: how many were killed how far, by :data:`REACHED`.
        finished: times that the output was whole, and was compared.
    """

    moments: "collections.Counter[str]"
    finished: int


def kill_and_resume(
    command: typing.Sequence[str],
    output: pathlib.Path,
    kills: int,
    chance: random.Random,
    check: typing.Callable[[], None],
) -> Killed:
    """Starts a command again and again, and kills it with its children, until so many runs have been killed.

    Args:
        command: goes on with what it finds in the output.
        output: where it writes; removed whenever a run has ended by itself, so that the next one begins anew.
        kills: how many.
        chance: says when each is killed.
        check: called whenever a run has ended by itself with code 0, and at the end.

    Raises:
        subprocess.CalledProcessError: a run failed of itself.
    """
    longest_s = _seconds_of(command)
    check()
    shutil.rmtree(output)
    moments: collections.Counter[str] = collections.Counter()
    finished = 1
    while moments.total() < kills:
        if _is_killed(command, chance.uniform(0.02, 1) * longest_s):
            moments[_reached(output)] += 1
        else:
            check()
            finished += 1
            shutil.rmtree(output)
    _seconds_of(command)
    check()
    return Killed(moments, finished + 1)


def data_hashes(output: pathlib.Path) -> dict[str, str]:
    """Returns the SHA-256 of every file of data, by its name in the dataset."""
    files = [path for folder in DATA_FOLDERS for path in sorted((output / folder).iterdir())]
    return {str(path.relative_to(output)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _seconds_of(command: typing.Sequence[str]) -> float:
    begun = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return time.monotonic() - begun


def _is_killed(command: typing.Sequence[str], after_s: float) -> bool:
    """Runs a command for so long; tells whether it had to be killed."""
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            process.wait(after_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return True
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return False


def _reached(output: pathlib.Path) -> str:
    return next((how_far for how_far, pattern in REACHED.items() if any(output.glob(pattern))), "nothing")
