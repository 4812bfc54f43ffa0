"""A run in which too many photos fail ends before it has asked for all of them, and says why."""

import pathlib
import random

import pytest

from beam_jobs import build_dataset
from schemas import layout
from tests.fault_server import Answer, FaultServer
from tests.jobs.conftest import picture, write_lines
from tests.yfcc_corpus import dataset_line, mirror_path

PHOTOS = 1_500


@pytest.fixture
def many_lines() -> list[str]:
    rnd = random.Random(5)
    return [dataset_line(i, 10_000 + 7 * i, rnd) for i in range(PHOTOS)]


def build(source: pathlib.Path, mirror: FaultServer, output: pathlib.Path, *flags: str) -> int:
    arguments = ["--yfcc", str(source), f"--mirror=yfcc={mirror.url}", "--output", str(output), "--progress=none"]
    return build_dataset.main([*arguments, "--workers=1", "--samples_per_shard=300", "--retries=0", *flags])


def test_a_mirror_without_the_photos_is_seen_by_the_probe(
    tmp_path: pathlib.Path, many_lines: list[str], mirror: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_lines(tmp_path / "in", many_lines)
    assert build(source, mirror, tmp_path / "out") == 1
    assert 30 <= len(mirror.asked) <= 64 < PHOTOS
    error = capsys.readouterr().err
    assert "photos failed, more than --max_failure_ratio 0.5: " in error
    assert "not_found (see that --mirror" in error
    assert "what is committed stays" in error
    assert not list((tmp_path / "out").glob("commits/*"))
    assert build(source, mirror, tmp_path / "out", "--max_failure_ratio", "1") == 0


def test_a_share_that_grows_too_large_ends_the_run_and_keeps_what_is_committed(
    tmp_path: pathlib.Path, many_lines: list[str], mirror: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    for i, line in enumerate(many_lines):
        if i % 2:
            mirror.answers[mirror_path(line)] = Answer(picture(i))
    source = write_lines(tmp_path / "in", many_lines)
    assert build(source, mirror, tmp_path / "out", "--max_failure_ratio", "0.4") == 1
    assert 1_000 <= len(mirror.asked) < PHOTOS
    assert "more than --max_failure_ratio 0.4: " in capsys.readouterr().err
    assert len(list((tmp_path / "out").glob("commits/*"))) >= 2
    assert not (tmp_path / "out" / layout.MANIFEST).exists()
    assert build(source, mirror, tmp_path / "out", "--max_failure_ratio", "0.6") == 0
