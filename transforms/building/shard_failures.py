"""The failures of one shard: those that are final, and those that are tried once more at its end."""

import typing

from schemas.failures import Failure, FailureReason
from transforms.workers import progress


class ShardFailures:
    """Why photos of a shard are not in it.

    Args:
        videos: ids of those that count as videos: no failure of theirs counts for ``--max_failure_ratio``.

    Attributes:
        final: in order of arrival.
        deferred: failures that may heal, by number of the row.
    """

    def __init__(self, videos: typing.Container[int] = ()) -> None:
        self._videos = videos
        self.final: list[Failure] = []
        self.deferred: dict[int, Failure] = {}
        self._untried: set[int] = set()

    def add(self, row: int, failure: Failure, is_own: bool = True) -> None:
        """Notes a photo's failure, and defers it if it may heal; replaces an earlier one.

        Args:
            row: number of the row.
            failure: why.
            is_own: False if it is but that of the host's other photos: an earlier one says more.
        """
        if not is_own:
            if row in self.deferred:
                return
            self._untried.add(row)
        self.healed(row)
        if failure.reason.retryable:
            self.deferred[row] = failure
            self._count(failure, "deferred", 1)
        else:
            self._end(failure)

    def keep(self, failure: Failure) -> None:
        """Notes a failure that was final before this run."""
        self._end(failure)

    def healed(self, row: int) -> None:
        """Forgets a photo's failure, if there is one."""
        failure = self.deferred.pop(row, None)
        if failure:
            self._count(failure, "deferred", -1)

    def rows_to_try(self) -> list[int]:
        """Returns the rows whose failures are deferred: first those never asked for, last what may cost a deadline."""
        return sorted(self.deferred, key=self._rank)

    def give_up(self) -> None:
        """Makes the deferred failures final."""
        for row, failure in sorted(self.deferred.items()):
            self.healed(row)
            self._end(failure)

    def _end(self, failure: Failure) -> None:
        self.final.append(failure)
        self._count(failure, "failed", 1)

    def _count(self, failure: Failure, what: str, amount: int) -> None:
        if failure.photo_id not in self._videos:
            progress.count(what, amount)
            progress.count(failure.reason.value, amount)
        elif what == "failed":
            progress.count("failed_videos", amount)

    def _rank(self, row: int) -> tuple[bool, bool, int]:
        return row not in self._untried, self.deferred[row].reason is FailureReason.TIMEOUT, row
