"""What the progress line says, of counts that a run has at some moment."""

import logging

import pytest

from beam_jobs.command.progress_line import describe, show_progress
from transforms.workers import progress

NOTHING = dict.fromkeys(progress.COUNTERS, 0)


@pytest.mark.parametrize(
    ("counts", "total_rows", "said"),
    [
        ({}, 397, ["0 of 397 photos, 0 failed"]),
        ({"lines": 1200, "rows": 1000}, 0, ["joining: 1,200 lines read, 1,000 rows"]),
        ({"samples": 397}, 397, ["397 of 397 photos, 0 failed"]),
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
    assert [line.split(" failed")[0] + " failed" * (" failed" in line) for line in caplog.messages] == said


def test_the_time_left_is_that_of_the_photos_that_are_left() -> None:
    assert describe({**NOTHING, "samples": 300}, 400, 3.0)["eta_s"] == 1
