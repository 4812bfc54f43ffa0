"""Names of the files of a dataset, relative to its root."""

import typing

FORMAT_VERSION = 2
"""Of the whole output. A reader refuses any other one."""

PLAN = "plan.json"
MANIFEST = "manifest.json"
SHARD_INDEX = "shards/index.json"
VIDEO_INDEX = "videos/index.json"
INPUT_FAILURES = "failures/input.parquet"
TMP = "_tmp"
LEASE = "_tmp/lease.json"
SCRATCH_NOTE = "_tmp/scratch-"
"""Begins the name of a note that a run has a folder below a ``--temp_location``; its name follows."""
REWRITES_BEGUN = "_tmp/rewrites/begun"
"""There from before the first shard is replaced until the manifest says what all of them are."""
NOT_PUBLIC = "log/not_public.txt"
REWRITES = "_tmp/rewrites"
"""Holds a folder for each shard whose files are being replaced: the new files, and the intent record."""

LOG = "log"
SHARD_FOLDERS = ("commits", "shards", "videos", "failures", "rows", LOG)
"""Folders whose files are of one shard each; what says that a shard is complete comes first."""


def is_unfinished(name: str) -> bool:
    """Tells whether something in the folder of what is unfinished is, and may go with the run that left it.

    Example:
        >>> is_unfinished("_tmp/rewrites"), is_unfinished("_tmp/lease.json"), is_unfinished("_tmp/scratch-2026")
        (True, False, False)
    """
    return name != LEASE and not name.startswith(SCRATCH_NOTE)


def shard_name(shard: int) -> str:
    """Returns the shard's six-digit name.

    Example:
        >>> shard_name(42)
        '000042'
    """
    return f"{shard:06d}"


def shard_of(name: str, folders: typing.Container[str] = SHARD_FOLDERS) -> int | None:
    """Returns the number of the shard that a file of the dataset is of, None if it is of none.

    Args:
        name: of the file.
        folders: whose files are of one shard each.

    Example:
        >>> shard_of("shards/000042.tar"), shard_of("shards/index.json")
        (42, None)
    """
    folder, _, file = name.partition("/")
    stem = file.partition(".")[0]
    return int(stem) if folder in folders and stem.isdecimal() else None


def rows_file(shard: int) -> str:
    """Returns the name of the joined rows of a shard."""
    return f"rows/{shard_name(shard)}.parquet"


def tar_file(shard: int) -> str:
    """Returns the name of the samples of a shard."""
    return f"shards/{shard_name(shard)}.tar"


def sidecar_file(shard: int) -> str:
    """Returns the name of the table beside the tar."""
    return f"shards/{shard_name(shard)}.parquet"


def idx_file(shard: int) -> str:
    """Returns the name of the DALI index beside the tar."""
    return f"shards/{shard_name(shard)}.idx"


def video_tar_file(shard: int) -> str:
    """Returns the name of the videos of a shard."""
    return f"videos/{shard_name(shard)}.tar"


def video_sidecar_file(shard: int) -> str:
    """Returns the name of the table beside the tar of videos."""
    return f"videos/{shard_name(shard)}.parquet"


def video_idx_file(shard: int) -> str:
    """Returns the name of the DALI index beside the tar of videos."""
    return f"videos/{shard_name(shard)}.idx"


def failures_file(shard: int) -> str:
    """Returns the name of the failures of a shard."""
    return f"failures/{shard_name(shard)}.parquet"


def commit_file(shard: int) -> str:
    """Returns the name of the commit record of a shard."""
    return f"commits/{shard_name(shard)}.json"


def log_file(shard: int) -> str:
    """Returns the name of the log of a shard's last attempt."""
    return f"log/{shard_name(shard)}.json"


def intent_file(shard: int) -> str:
    """Returns the name of the record that says what a shard's files are to be replaced with."""
    return f"{REWRITES}/{shard_name(shard)}/intent.json"


def staged_file(shard: int, name: str) -> str:
    """Returns where a shard's new file waits until it is moved to its name."""
    return f"{REWRITES}/{shard_name(shard)}/{name}"


def shard_files(shard: int, samples: int = 1, videos: int = 0) -> list[str]:
    """Returns the names of the files that phase 2 writes for a shard, the commit record left out.

    Args:
        shard: its number.
        samples: how many it has; without any it has no tar, and nothing beside it.
        videos: how many it has; likewise.
    """
    of_samples = [tar_file(shard), sidecar_file(shard), idx_file(shard)] if samples else []
    of_videos = [video_tar_file(shard), video_sidecar_file(shard), video_idx_file(shard)] if videos else []
    return [*of_samples, *of_videos, failures_file(shard)]
