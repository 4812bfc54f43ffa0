"""Which shards a run has built, for attempts that an engine repeats: none of them is built again.

A build writes the note when all files of a shard are in place, and the commit record after it: whenever an attempt is
killed, a shard with a commit record has a note, and one with a note lacks nothing but, it may be, the record.
"""

from schemas import layout
from schemas.records import CommitRecord
from transforms.stores.output import Output
from transforms.stores.scratch import Scratch


def note_done(commit: CommitRecord, done: Scratch | None) -> None:
    """Notes the record of a shard; nothing where no attempt is repeated in the same run."""
    if done:
        with done.writing(_note(commit.shard)) as path:
            path.write_bytes(commit.to_json())


def done_before(shard: int, done: Scratch | None, output: Output) -> CommitRecord | None:
    """Returns the record of a shard that an earlier attempt has built, having committed it if that attempt did not."""
    if not done or not done.exists(_note(shard)):
        return None
    with done.reading(_note(shard)) as path:
        data = path.read_bytes()
    if not output.exists(layout.commit_file(shard)):
        output.write(layout.commit_file(shard), data)
    return CommitRecord.from_json(data, _note(shard))


def _note(shard: int) -> str:
    return f"{layout.shard_name(shard)}.json"
