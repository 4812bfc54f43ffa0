"""A store of which one write goes wrong never holds a wrong dataset that passes for a good one."""

import pathlib

from tests import fault_fs
from tests.fault_server import FaultServer
from tests.faulty_builds import FaultyBuilds
from tests.jobs.conftest import write_lines

MOMENTS = (("fail", 0.5), ("lose", 0.96))
"""Kinds of faults, and when in the course of a run. All kinds and moments: tests/endurance/fail_writes.py."""


def test_any_write_may_fail(tmp_path: pathlib.Path, lines: list[str], mirror: FaultServer) -> None:
    source = write_lines(tmp_path / "in", lines[:9])
    flags = [f"--yfcc={source}", f"--mirror=yfcc={mirror.url}", "--samples_per_shard=5", "--workers=1"]
    (tmp_path / "good").mkdir()
    builds = FaultyBuilds.after_a_good_one([*flags, "--progress=none"], tmp_path / "good")
    assert builds.operations > 30
    assert {kind for kind, _ in MOMENTS} <= set(fault_fs.KINDS)
    codes = []
    for kind, moment in MOMENTS:
        (tmp_path / kind).mkdir()
        codes.append(builds.check(kind, int(moment * builds.operations), tmp_path / kind))
    assert 1 in codes
