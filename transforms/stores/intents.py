"""The files of a committed shard are replaced as one: staged, announced by an intent record, then moved.

A run that dies on the way leaves either the old shard and nothing announced, or an intent that the next
run carries out: readers of a finished dataset never have to do with half a shard.
"""

import logging
import pathlib
import typing

from schemas import layout
from schemas.records import CommitRecord, FileDigest, Intent
from transforms.files.file_digest import DigestingReader
from transforms.stores.output import Output, read_record

_log = logging.getLogger("photobeam")


def begin_rewrites(output: Output) -> None:
    """Says that shards are about to be replaced, so that the manifest will not fit them until it is written anew."""
    output.write(layout.REWRITES_BEGUN, b"\n")


def end_rewrites(output: Output) -> None:
    """Says that the manifest fits the shards again."""
    output.remove_tree(layout.REWRITES)


def replace_shard(
    commit: CommitRecord,
    names: typing.Iterable[str],
    staging: pathlib.Path,
    output: Output,
    with_videos: bool = False,
) -> None:
    """Replaces files of a shard and its commit record; durable when it returns.

    Args:
        commit: the new record.
        names: of its files that are new.
        staging: local directory that holds these under the same names.
        output: the dataset.
        with_videos: whether it takes videos, so that the shard may have had some.
    """
    files = {name: commit.files[name] for name in names}
    removed = [name for name in layout.shard_files(commit.shard, videos=with_videos) if name not in commit.files]
    for name in files:
        output.publish(staging / name, layout.staged_file(commit.shard, name))
    intent = Intent(files=files, removed=removed, commit=commit)
    output.write(layout.intent_file(commit.shard), intent.to_json())
    _carry_out(intent, output)


def roll_forward(output: Output) -> bool:
    """Carries out what a dead run announced; call it before anything else looks at the shards.

    An intent that is damaged, or whose files are not all whole, is dropped: then the old shard stands, or, if
    some of its files were replaced already, none, and it is built again.

    Returns:
        Whether a run has died while it replaced shards: then the manifest may not fit them.
    """
    found = output.names(layout.REWRITES)
    for name in found:
        if name.endswith("/intent.json"):
            _roll_forward(output, name)
    return bool(found)


def roll_forward_shard(output: Output, shard: int) -> None:
    """Carries out what a killed attempt at a shard announced, if it did."""
    name = layout.intent_file(shard)
    if output.exists(name):
        _roll_forward(output, name)


def _roll_forward(output: Output, name: str) -> None:
    try:
        intent = read_record(output, name, Intent)
    except ValueError as error:
        _log.warning("%s; it is dropped", error)
        return
    if all(_is_within_reach(intent.commit.shard, file, digest, output) for file, digest in intent.files.items()):
        _carry_out(intent, output)
    else:
        _log.warning("%s/%s: of its files not all are whole; it is dropped", output, name)


def _carry_out(intent: Intent, output: Output) -> None:
    """Moves what is still staged. The old record goes first, so that it never stands for a mixture."""
    shard, record = intent.commit.shard, layout.commit_file(intent.commit.shard)
    output.remove(record)
    for name in intent.files:
        staged = layout.staged_file(shard, name)
        if output.exists(staged):
            output.move(staged, name)
    for name in intent.removed:
        output.remove(name)
    output.write(record, intent.commit.to_json())
    output.remove(layout.intent_file(shard))
    output.remove_tree(f"{layout.REWRITES}/{layout.shard_name(shard)}")


def _is_within_reach(shard: int, name: str, digest: FileDigest, output: Output) -> bool:
    """Tells whether a file is staged whole, or else has its name already."""
    staged = layout.staged_file(shard, name)
    place = staged if output.exists(staged) else name
    if output.size(place) != digest.bytes:
        return False
    with output.open(place) as file:
        return DigestingReader(file).finish() == digest
