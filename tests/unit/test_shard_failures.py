"""Which failures of a shard are final, and which are tried again."""

from schemas.failures import Failure, FailureReason, Stage
from transforms.building.shard_failures import ShardFailures
from transforms.workers import progress


def failure(reason: FailureReason, detail: str = "") -> Failure:
    return Failure(1, reason, Stage.FETCH, detail=detail)


def test_what_may_heal_is_deferred_and_then_final() -> None:
    progress.reset()
    failures = ShardFailures()
    failures.add(3, failure(FailureReason.NOT_FOUND))
    failures.add(2, failure(FailureReason.TIMEOUT))
    failures.add(1, failure(FailureReason.SERVER_ERROR))
    failures.add(0, failure(FailureReason.SERVER_ERROR))
    assert [f.reason for f in failures.final] == [FailureReason.NOT_FOUND]
    assert failures.rows_to_try() == [0, 1, 2]
    failures.healed(0)
    failures.add(1, failure(FailureReason.GONE))
    failures.give_up()
    assert [f.reason.value for f in failures.final] == ["not_found", "gone", "timeout"]
    counts = progress.counts()
    assert (counts["failed"], counts["deferred"]) == (3, 0)
    assert (counts["timeout"], counts["gone"], counts["server_error"]) == (1, 1, 0)


def test_a_photo_that_was_never_asked_for_comes_first_and_its_own_reason_counts() -> None:
    failures = ShardFailures()
    failures.add(1, failure(FailureReason.SERVER_ERROR, "own"))
    failures.add(1, failure(FailureReason.TIMEOUT, "of others"), is_own=False)
    failures.add(2, failure(FailureReason.TIMEOUT, "of others"), is_own=False)
    assert failures.rows_to_try() == [2, 1]
    assert failures.deferred[1].detail == "own"


def test_videos_end_no_run() -> None:
    progress.reset()
    failures = ShardFailures(videos={1})
    failures.add(0, failure(FailureReason.NOT_FOUND))
    failures.add(1, failure(FailureReason.TIMEOUT))
    failures.give_up()
    counts = progress.counts()
    assert counts["failed_videos"] == len(failures.final) == 2
    assert sum(counts.values()) == 2
