"""A run that is killed with all its children leaves nothing that the next one trips over."""

import pathlib
import random
import sys

from tests.fault_server import FaultServer
from tests.jobs.conftest import write_lines
from tests.killed_runs import data_hashes, kill_and_resume
from transforms.verify.verify_dataset import verify

KILLS = 3
"""More of them: tests/endurance/kill_builds.py."""


def test_a_killed_build_goes_on_to_the_same_bytes(
    tmp_path: pathlib.Path, lines: list[str], mirror: FaultServer
) -> None:
    output = tmp_path / "out"
    flags = ["--yfcc", write_lines(tmp_path / "in", lines), "--mirror", f"yfcc={mirror.url}", "--output", output]
    command = [sys.executable, "-m", "beam_jobs.build_dataset", *map(str, flags), "--samples_per_shard=10"]
    seen: list[dict[str, str]] = []

    def check() -> None:
        assert not verify(str(output)).faults
        seen.append(data_hashes(output))

    killed = kill_and_resume([*command, "--workers=2", "--progress=none"], output, KILLS, random.Random(1), check)
    assert len(seen) == killed.finished >= 2
    assert all(hashes == seen[0] for hashes in seen)
