"""What to do about a fault of a dataset: the same build again, after what is damaged was removed."""

from schemas import layout

JOINED_AGAIN = "the rows are joined again, and shards whose rows are the same are kept"
GO_ON = f"remove {layout.MANIFEST} if it is there and run the same build again: it goes on"
REDO_ROWS = f"remove {layout.PLAN} and run the same build again: {JOINED_AGAIN}"
REDO_RECORD = f"remove it and {layout.MANIFEST} and run the same build again"
REDO_OUTDATED = "run the same build again: the shard is built again"
REDO_MANIFEST = f"remove {layout.MANIFEST} and run the same build again: it and {layout.SHARD_INDEX} are written anew"
REDO_INPUT_FAILURES = REDO_ROWS
MOVE_AWAY = "move it elsewhere: readers take every file there for data"


def redo_shard(shard: int) -> str:
    """Returns the remedy for a damaged file of a shard's samples or failures."""
    return f"remove {layout.commit_file(shard)} and {layout.MANIFEST} and {REDO_OUTDATED}"
