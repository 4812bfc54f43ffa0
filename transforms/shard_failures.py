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
            count("deferred")
            count(failure.reason.value)
        else:
            self._end(failure)

    def keep(self, failure: Failure) -> None:
        """Notes a failure that was final before this run."""
        self._end(failure)

    def healed(self, row: int) -> None:
        """Forgets a photo's failure, if there is one."""
        failure = self.deferred.pop(row, None)
        if failure:
            count("deferred", -1)
            count(failure.reason.value, -1)

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
        count("failed")
        count(failure.reason.value)

    def _rank(self, row: int) -> tuple[bool, bool, int]:
        return row not in self._untried, self.deferred[row].reason is FailureReason.TIMEOUT, row
