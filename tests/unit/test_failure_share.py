"""When too many photos have failed."""

import pytest

from schemas.failures import FailureReason
from transforms.workers import progress
from transforms.workers.failure_share import TooManyFailuresError, check_sample, check_share


@pytest.fixture(autouse=True)
def _no_counts() -> None:
    progress.reset()


def add(samples: int = 0, deferred: int = 0, **reasons: int) -> None:
    progress.count("samples", samples)
    progress.count("deferred", deferred)
    for reason, number in reasons.items():
        progress.count(reason, number)
    progress.count("failed", sum(reasons.values()) - deferred)


def test_a_share_is_judged_from_1000_photos_on() -> None:
    add(samples=199, not_found=800)
    check_share(0.5)
    add(samples=1)
    with pytest.raises(TooManyFailuresError, match="800 of 1,000 photos failed, more than --max_failure_ratio 0.5"):
        check_share(0.5)
    check_share(0.8)


def test_videos_are_left_out_and_deferred_photos_are_not() -> None:
    add(samples=600, is_video=5_000)
    check_share(0.0)
    add(deferred=600, timeout=600)
    with pytest.raises(TooManyFailuresError, match=r"600 of 1,200 .*: 600 timeout \(lower --concurrency"):
        check_share(0.4)


def test_the_commonest_reasons_come_first() -> None:
    add(not_found=2_000, timeout=3_000, gone=1, forbidden=5)
    with pytest.raises(TooManyFailuresError, match=r"3,000 timeout .*; 2,000 not_found .*; 5 forbidden [^;]*$"):
        check_share(0.9)


@pytest.mark.parametrize(
    ("failed", "ratio", "stops"),
    [(32, 0.5, False), (43, 0.5, False), (45, 0.5, True), (1, 0.0, True), (64, 1.0, False), (64, 0.9, False)],
)
def test_a_sample_stops_the_run_only_if_chance_is_hardly_to_blame(failed: int, ratio: float, stops: bool) -> None:
    if stops:
        with pytest.raises(TooManyFailuresError):
            check_sample({FailureReason.GONE: failed}, 64, ratio)
    else:
        check_sample({FailureReason.GONE: failed}, 64, ratio)
