"""Builds onto a file system of which one write operation goes wrong, and what the next run makes of what they left."""

import os
import pathlib
import subprocess
import sys
import typing

from tests import fault_fs
from tests.killed_runs import data_hashes
from transforms.verify.verify_dataset import verify

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_BUILD = "import sys, tests.fault_fs; from beam_jobs import build_dataset; sys.exit(build_dataset.main(sys.argv[1:]))"


class FaultyBuilds(typing.NamedTuple):
    """How builds go right.

    Attributes:
        flags: of `build`, all but the output.
        hashes: of the data that come of it.
        operations: how many write operations it takes.
    """

    flags: list[str]
    hashes: dict[str, str]
    operations: int

    @classmethod
    def after_a_good_one(cls, flags: list[str], folder: pathlib.Path) -> "FaultyBuilds":
        """Runs a build without faults in an existing folder."""
        code = _build(flags, folder, f"none:-1:{folder / 'count'}")
        assert code == 0
        return cls(flags, data_hashes(folder / "out"), (folder / "count").stat().st_size)

    def check(self, kind: str, number: int, folder: pathlib.Path) -> int:
        """Runs a build with a fault, then one without, in an existing empty folder; returns the first one's exit code.

        Raises:
            AssertionError: a wrong dataset passes for a good one, or the second run does not come out right.
        """
        code = _build(self.flags, folder, f"{kind}:{number}:{folder / 'count'}")
        assert code in (0, 1, 2)
        is_whole = (folder / "out/plan.json").exists() and not verify(str(folder / "out")).faults
        assert is_whole or code
        assert not is_whole or data_hashes(folder / "out") == self.hashes
        assert _build(self.flags, folder, "") == 0
        assert verify(str(folder / "out")).faults == []
        assert data_hashes(folder / "out") == self.hashes
        return code


def _build(flags: list[str], folder: pathlib.Path, fault: str) -> int:
    command = [sys.executable, "-c", _BUILD, *flags, f"--output=faulty://{folder}/out"]
    environment = {**os.environ, fault_fs.VARIABLE: fault or ":-1:", "TMPDIR": str(folder)}
    done = subprocess.run(command, cwd=_ROOT, env=environment, capture_output=True, timeout=300)
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done.returncode
