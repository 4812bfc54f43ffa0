"""Shards of one worker overlap: the last photos of one hold up no other."""

import pathlib
import subprocess
import sys
import time

from schemas import layout
from tests.fault_server import Answer, FaultServer
from tests.jobs.conftest import write_lines
from tests.jobs.test_build_yfcc import manifest_of
from tests.yfcc_corpus import mirror_path


def test_a_photo_that_is_late_holds_up_its_own_shard_only(
    tmp_path: pathlib.Path, lines: list[str], mirror: FaultServer
) -> None:
    late, answers = mirror_path(lines[1]), dict(mirror.answers)
    mirror.answers[late] = Answer(fault="stall")
    output = tmp_path / "out"
    flags = ["--yfcc", write_lines(tmp_path / "in", lines), "--output", output, "--mirror", f"yfcc={mirror.url}"]
    more = ["--samples_per_shard", "15", "--workers", "1", "--progress", "none", "--timeout_s", "300"]
    command = [sys.executable, "-m", "beam_jobs.build_dataset", *map(str, flags), *more, "--deadline_s", "300"]
    process = subprocess.Popen(command)
    try:
        given_up_at = time.monotonic() + 60
        while len(list(output.glob("commits/*"))) < 3:
            assert time.monotonic() < given_up_at
            assert process.poll() is None
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    assert mirror.asked.count(late) == 1
    mirror.answers.update(answers)
    assert not (output / layout.MANIFEST).exists()
    assert subprocess.run(command, timeout=60).returncode == 0
    assert manifest_of(output).totals.samples == 54
    assert mirror.asked.count(late) == 2
