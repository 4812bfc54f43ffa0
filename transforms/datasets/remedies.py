"""What to do about a fault of a dataset: go on with what is not finished, have what is damaged made again."""

REPAIR_COMMAND = "photobeam verify OUT --repair"
GO_ON = "run the same build again: it goes on"
REDO_OUTDATED = "run the same build again: the shard is built again"
REDO_ROWS = f"`{REPAIR_COMMAND}` joins the rows again"
REDO_SHARD = f"`{REPAIR_COMMAND}` makes the shard again"
TAKE_OUT = f"`{REPAIR_COMMAND}` takes them out"
TAKEN_DOWN_STILL = f"photos that were taken down may still be there; {TAKE_OUT}"
JOIN_WITHOUT = (
    "remove it and the commit record of its shard, and run the same build again: the rows are joined again without them"
)
INTO_SHARDS = "run `photobeam text OUT --into_shards` again, with its other flags"
REDO_RECORD = f"`{REPAIR_COMMAND}` restores it"
JOIN_ANEW = (
    "put back a copy of it; if no photos were taken down, remove it and rows/ instead, and run the same build again: "
    "the rows are joined again, and shards whose rows are the same are kept"
)
MOVE_AWAY = "move it elsewhere: readers take every file there for data"
SWEEP = f"a run is under way or has died; if none is, `{REPAIR_COMMAND}` removes it"

OF_REPAIRS = frozenset({REDO_ROWS, REDO_SHARD, TAKE_OUT, REDO_RECORD, SWEEP})
"""What `verify --repair` does itself."""
