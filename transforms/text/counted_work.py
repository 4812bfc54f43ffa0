"""What the progress line needs of work on shards."""

import dataclasses
import typing

from transforms.workers.progress import count


@dataclasses.dataclass(frozen=True)
class CountedWork:
    """Counts the photos of each shard as samples when it is done.

    Attributes:
        work: as of :class:`transforms.workers.each_shard.ShardWork`.
    """

    work: typing.Callable[[int], int]

    def __call__(self, shard: int) -> int:
        """Does it; returns the number of photos."""
        photos = self.work(shard)
        count("samples", photos)
        return photos
