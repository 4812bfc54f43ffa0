"""The failures of one shard: those that are final, and those that are tried once more at its end."""

from schemas.failures import Failure, FailureReason
from transforms.progress import count


class ShardFailures:
    """Why photos of a shard are not in it.

    Attributes:
        final: in order of arrival.
        deferred: failures that may heal, by number of the row.
    """

    def __init__(self) -> None:
        self.final: list[Failure] = []
        self.deferred: dict[int, Failure] = {}

    def add(self, row: int, failure: Failure) -> None:
        """Notes a photo's failure, and defers it if it may heal; replaces an earlier one."""
        self.healed(row)
        if failure.reason.retryable:
            self.deferred[row] = failure
            count("deferred")
            count(failure.reason.value)
        else:
            self._end(failure)

    def healed(self, row: int) -> None:
        """Forgets a photo's failure, if there is one."""
        failure = self.deferred.pop(row, None)
        if failure:
            count("deferred", -1)
            count(failure.reason.value, -1)

    def rows_to_try(self) -> list[int]:
        """Returns the rows whose failures are deferred; those that cost a whole deadline last."""
        return sorted(self.deferred, key=lambda row: (self.deferred[row].reason is FailureReason.TIMEOUT, row))

    def give_up(self) -> None:
        """Makes the deferred failures final."""
        for row, failure in sorted(self.deferred.items()):
            self.healed(row)
            self._end(failure)

    def _end(self, failure: Failure) -> None:
        self.final.append(failure)
        count("failed")
        count(failure.reason.value)
