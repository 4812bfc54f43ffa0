"""The wids indexes of a dataset, from its commit records: of the shards, and of the videos where these are taken."""

import typing

from schemas import layout
from schemas.records import CommitRecord
from transforms.shards.tar_shard import indexed_tar, indexed_video_tar, wids_index
from transforms.stores.output import Output


def shard_indexes(commits: typing.Iterable[CommitRecord], with_videos: bool) -> dict[str, bytes]:
    """Returns the indexes by name.

    Args:
        commits: of all shards.
        with_videos: whether the dataset takes videos, be there any or not.
    """
    commits = list(commits)
    indexes = {layout.SHARD_INDEX: wids_index(indexed_tar(c) for c in commits if c.samples)}
    if with_videos:
        indexes[layout.VIDEO_INDEX] = wids_index(indexed_video_tar(c) for c in commits if c.videos)
    return indexes


def write_indexes(indexes: typing.Mapping[str, bytes], output: Output) -> None:
    """Writes those that are not there already."""
    for name, index in indexes.items():
        if not output.exists(name) or output.read(name) != index:
            output.write(name, index)
