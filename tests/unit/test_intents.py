"""Replacing the files of a shard: killed before any step, the next start finds the old shard or makes the new one."""

import multiprocessing
import os
import pathlib
import shutil
import signal
import typing

import pytest

from schemas import layout
from schemas.records import CommitRecord
from tests.factories import SHARDS, make_dataset, make_rows, read_commit, stage_shard
from transforms.files.file_digest import file_digest
from transforms.shards.read_shard import read_rows
from transforms.stores.intents import replace_shard, roll_forward
from transforms.stores.output import LocalOutput
from transforms.verify.verify_dataset import verify

STEPS = 16
"""More than there are."""


class Dying(LocalOutput):
    """Kills its process before one of the steps that change anything."""

    steps_left = STEPS

    def __getattribute__(self, name: str) -> typing.Any:
        if name in ("publish", "write", "remove", "remove_tree"):
            self.steps_left -= 1
            if self.steps_left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return super().__getattribute__(name)


@pytest.fixture
def root(tmp_path: pathlib.Path) -> pathlib.Path:
    """A dataset whose shard 1 has samples and failures."""
    return make_dataset(tmp_path / "data")


def ids_of(root: pathlib.Path) -> list[int]:
    return read_rows(LocalOutput(root), read_commit(root, 1)).table["photo_id"].to_pylist()


def replace_until(root: pathlib.Path, staging: pathlib.Path, commit: CommitRecord, steps: int) -> bool:
    """Returns whether the child got to its end."""
    output = Dying(root)
    output.steps_left = steps
    arguments = (commit, layout.shard_files(1, commit.samples), staging, output)
    child = multiprocessing.get_context("fork").Process(target=replace_shard, args=arguments)
    child.start()
    child.join()
    assert child.exitcode in (0, -signal.SIGKILL)
    return child.exitcode == 0


def check_whole(root: pathlib.Path) -> CommitRecord:
    """Checks that the shard's files are those of its record, and that nothing else is there."""
    commit = read_commit(root, 1)
    own = {name for name in layout.shard_files(1) if (root / name).exists()}
    assert own | {layout.rows_file(1)} == set(commit.files)
    assert {name: file_digest(root / name) for name in commit.files} == commit.files
    assert not (root / layout.intent_file(1)).exists()
    return commit


@pytest.mark.parametrize("has_samples", [True, False])
def test_killed_at_any_step_the_next_start_has_a_whole_shard(
    tmp_path: pathlib.Path, root: pathlib.Path, has_samples: bool
) -> None:
    ids, old, seen = ids_of(root), read_commit(root, 1), set()
    for steps in range(STEPS):
        copy, staging = tmp_path / f"copy-{steps}", tmp_path / f"staging-{steps}"
        shutil.copytree(root, copy)
        new = stage_shard(1, make_rows(ids), staging, [] if has_samples else ids)
        ended = replace_until(copy, staging, new, steps)
        rolled = (copy / layout.intent_file(1)).exists()
        roll_forward(LocalOutput(copy))
        commit = check_whole(copy)
        assert commit in (old, new)
        assert not ended or (commit == new and not rolled)
        seen.add((commit == new, bool(rolled)))
    assert ended
    assert seen == {(False, False), (True, True), (True, False)}
    assert {fault.file for fault in verify(str(copy)).faults} == {layout.MANIFEST, layout.SHARD_INDEX}


def interrupted(root: pathlib.Path, staging: pathlib.Path) -> None:
    """Leaves an intent of which only the old record's removal, and a move, is carried out."""
    new = stage_shard(1, make_rows(ids_of(root)), staging)
    assert not replace_until(root, staging, new, 7)
    assert (root / layout.intent_file(1)).exists()
    assert not (root / layout.commit_file(1)).exists()


def test_an_intent_whose_files_are_not_whole_is_dropped_and_the_shard_counts_as_not_built(
    tmp_path: pathlib.Path, root: pathlib.Path
) -> None:
    interrupted(root, tmp_path / "staging")
    staged = [path for path in (root / layout.REWRITES).rglob("*") if path.is_file() and path.suffix != ".json"]
    staged[0].write_bytes(staged[0].read_bytes()[:-1])
    assert roll_forward(LocalOutput(root))
    assert not (root / layout.commit_file(1)).exists()


def test_a_damaged_intent_is_dropped(tmp_path: pathlib.Path, root: pathlib.Path) -> None:
    interrupted(root, tmp_path / "staging")
    (root / layout.intent_file(1)).write_bytes(b"{}")
    assert roll_forward(LocalOutput(root))
    assert not (root / layout.commit_file(1)).exists()


def test_a_reader_that_has_the_old_tar_open_reads_it_to_its_end(tmp_path: pathlib.Path, root: pathlib.Path) -> None:
    old = (root / layout.tar_file(1)).read_bytes()
    new = stage_shard(1, make_rows(ids_of(root)), tmp_path / "staging")
    with (root / layout.tar_file(1)).open("rb") as reader:
        begin = reader.read(100)
        replace_shard(new, layout.shard_files(1), tmp_path / "staging", LocalOutput(root))
        assert begin + reader.read() == old
    assert (root / layout.tar_file(1)).read_bytes() != old


def test_other_shards_are_not_touched(tmp_path: pathlib.Path, root: pathlib.Path) -> None:
    before = {p: p.stat() for shard in range(SHARDS) if shard != 1 for p in root.rglob(f"{layout.shard_name(shard)}.*")}
    new = stage_shard(1, make_rows(ids_of(root)), tmp_path / "staging")
    replace_shard(new, layout.shard_files(1), tmp_path / "staging", LocalOutput(root))
    assert {p: p.stat().st_ino for p in before} == {p: s.st_ino for p, s in before.items()}
