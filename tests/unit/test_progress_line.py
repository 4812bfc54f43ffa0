"""What the progress line says, of counts that a run has at some moment."""

import json
import logging
import time

import pytest

from beam_jobs.command import progress_line
from beam_jobs.command.progress_line import describe, show_progress
from transforms.workers import progress

NOTHING = dict.fromkeys(progress.COUNTERS, 0)


@pytest.mark.parametrize(
    ("counts", "total_rows", "said"),
    [
        ({}, 397, ["0 of 397 photos"]),
        ({"lines": 1200, "rows": 1000}, 0, ["joining: 1,200 lines read, 1,000 rows"]),
        ({"samples": 397}, 397, ["397 of 397 photos"]),
        ({"samples": 7, "failed": 1_390}, 1_397, ["1,397 of 1,397 photos, 1,390 failed"]),
        ({}, 0, []),
    ],
)
def test_a_line_says_what_is_under_way_or_is_not_there(
    counts: dict[str, int], total_rows: int, said: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "photobeam"), show_progress("auto", total_rows):
        for name, number in counts.items():
            progress.count(name, number)
    progress.reset()
    assert caplog.messages == said


def test_the_time_left_is_that_of_the_photos_that_are_left() -> None:
    assert describe({**NOTHING, "samples": 300}, 400, 100.0)["eta_s"] == 1


def test_the_rate_is_of_what_comes_after_the_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first may be a whole shard, after other work."""
    monkeypatch.setattr(progress_line, "TERMINAL_S", 0.05)
    monkeypatch.setattr(progress_line, "LOG_S", 0.0)
    with show_progress("json", 40_000):
        for _ in range(4):
            time.sleep(0.3)
            progress.count("samples", 10_000)
        time.sleep(0.2)
    progress.reset()
    states = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert {state["images_per_s"] for state in states if state["samples"] == 10_000} == {0.0}
    assert max(state["images_per_s"] for state in states) > 0
