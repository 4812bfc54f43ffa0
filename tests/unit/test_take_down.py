"""Photos that are taken down leave every file; killed before any step, the next start ends what was begun."""

import json
import multiprocessing
import os
import pathlib
import shutil
import signal
import typing

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_jobs import check_dataset, cli, reprocess_dataset
from beam_jobs.outputs.settle import settle
from schemas import layout
from schemas.failures import INPUT_FAILURE_SCHEMA
from schemas.photo_ids import key
from schemas.records import Manifest, Plan
from schemas.tombstones import IdListError, read_photo_ids
from tests.factories import make_dataset, read_commit
from transforms.datasets.remedies import GO_ON
from transforms.stores.output import LocalOutput
from transforms.verify.verify_dataset import verify

_CHANGES = ("publish", "write", "remove", "remove_tree")


def photos_of(root: pathlib.Path, folder: str) -> set[int]:
    """All photo ids in the tables of a folder."""
    paths = (root / folder).glob("*.parquet")
    return {i for path in paths for i in pq.read_table(path, columns=["photo_id"])["photo_id"].to_pylist()}


def plan_of(root: pathlib.Path) -> Plan:
    return Plan.from_json((root / layout.PLAN).read_bytes(), "plan.json")


def manifest_of(root: pathlib.Path) -> Manifest:
    return Manifest.from_json((root / layout.MANIFEST).read_bytes(), "manifest.json")


def data_of(root: pathlib.Path) -> dict[str, bytes]:
    folders = ("rows", "shards", "failures", "commits")
    return {str(p.relative_to(root)): p.read_bytes() for f in folders for p in (root / f).iterdir()}


def take_down(root: pathlib.Path, ids: pathlib.Path) -> int:
    return reprocess_dataset.main([str(root), "--take_down", str(ids), "--workers=1"])


def die_at(step: int, root: pathlib.Path, ids: pathlib.Path) -> None:
    """Takes photos down, in a process that is killed before its nth change; for a child process."""
    left = step
    original = LocalOutput.__getattribute__

    def counted(self: LocalOutput, name: str) -> typing.Any:
        nonlocal left
        if name in _CHANGES:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return original(self, name)

    LocalOutput.__getattribute__ = counted  # type: ignore[assignment, method-assign]
    os._exit(take_down(root, ids))


@pytest.fixture
def root(tmp_path: pathlib.Path) -> pathlib.Path:
    return make_dataset(tmp_path / "data")


@pytest.fixture
def ids(tmp_path: pathlib.Path, root: pathlib.Path) -> pathlib.Path:
    """Of shard 1 a sample and a failure, by id and by KEY, and one photo that the dataset does not have."""
    path = tmp_path / "ids.txt"
    path.write_text("".join(f"{line}\n" for line in ("# owners asked", *chosen(root), "", "12345 # unknown")))
    return path


def chosen(root: pathlib.Path) -> list[str]:
    failed = pq.read_table(root / layout.failures_file(1))["photo_id"].to_pylist()
    samples = pq.read_table(root / layout.sidecar_file(1))["photo_id"].to_pylist()
    return [str(failed[-1]), key(samples[-1])]


def test_photos_leave_every_file_and_the_accounts_hold(
    root: pathlib.Path, ids: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone, before, counts = {int(i) for i in chosen(root)}, data_of(root), plan_of(root).counts
    names = {key(i).encode() for i in gone} | {str(i).encode() for i in gone}
    assert take_down(root, ids) == 0
    assert not gone & (photos_of(root, "rows") | photos_of(root, "shards") | photos_of(root, "failures"))
    holding = [p for p in root.rglob("*") if p.is_file() and any(name in p.read_bytes() for name in names)]
    assert {p.name for p in holding} == {layout.PLAN, layout.MANIFEST}
    plan, out = plan_of(root), capsys.readouterr().out
    assert [t.photo_id for t in plan.tombstones] == sorted({*gone, 12345})
    assert plan.counts == {
        **counts, "rows": counts["rows"] - 2, "removed_by_filters": 5, "taken_down": 2, "taken_down_unknown": 1,
    }  # fmt: skip
    assert "3 ids: 2 photos taken down, 1 not in the dataset, 0 listed before" in out
    assert "--cache_dir" in out
    changed = {name for name, data in data_of(root).items() if before[name] != data}
    of_shard = {layout.rows_file(1), layout.commit_file(1), *layout.shard_files(1)}
    assert changed <= of_shard | {layout.SHARD_INDEX, layout.INPUT_FAILURES}
    assert {*of_shard, layout.SHARD_INDEX} <= changed
    assert verify(str(root)).faults == []
    assert [p.name for p in (root / layout.TMP).iterdir()] == ["lease.json"]


def test_the_same_list_again_changes_nothing(
    root: pathlib.Path, ids: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert take_down(root, ids) == 0
    before = {p: p.read_bytes() for p in root.rglob("*") if p.is_file() and p.name != "lease.json"}
    capsys.readouterr()
    assert take_down(root, ids) == 0
    assert "0 photos taken down, 0 not in the dataset, 3 listed before" in capsys.readouterr().out
    assert {p: p.read_bytes() for p in before} == before


def test_a_list_of_none_changes_nothing(
    tmp_path: pathlib.Path, root: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "none.txt").write_text("# nobody asked\n")
    before = data_of(root)
    assert take_down(root, tmp_path / "none.txt") == 0
    assert capsys.readouterr().out == "0 ids: 0 photos taken down, 0 not in the dataset, 0 listed before\n"
    assert data_of(root) == before


def test_all_photos_of_a_shard(tmp_path: pathlib.Path, root: pathlib.Path) -> None:
    everything = tmp_path / "all.txt"
    everything.write_text("".join(f"{i}\n" for i in pq.read_table(root / layout.rows_file(0))["photo_id"].to_pylist()))
    assert take_down(root, everything) == 0
    assert not (root / layout.tar_file(0)).exists()
    assert (read_commit(root, 0).rows, read_commit(root, 0).samples) == (0, 0)
    assert verify(str(root)).faults == []


def test_input_failures_of_the_photo_leave_with_it(tmp_path: pathlib.Path, root: pathlib.Path) -> None:
    table = pq.read_table(root / layout.INPUT_FAILURES).to_pylist()
    table[0] |= {"photo_id": -1, "raw": b"x\thttp://f/4711_ab.jpg"}
    pq.write_table(pa.Table.from_pylist(table, INPUT_FAILURE_SCHEMA), root / layout.INPUT_FAILURES)
    (tmp_path / "ids").write_text("4711\n")
    counts = plan_of(root).counts
    assert take_down(root, tmp_path / "ids") == 0
    assert pq.read_table(root / layout.INPUT_FAILURES).num_rows == len(table) - 1
    after = plan_of(root).counts
    assert sum(n for name, n in after.items() if name.endswith("_failures")) == len(table) - 1
    assert (
        after["removed_by_filters"] - counts["removed_by_filters"] == counts["input_failures"] - after["input_failures"]
    )
    assert verify(str(root)).faults == []


def test_a_list_of_photos_no_longer_public_loses_those_taken_down(root: pathlib.Path, ids: pathlib.Path) -> None:
    path = root / layout.NOT_PUBLIC
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{chosen(root)[0]}\n99\n")
    assert take_down(root, ids) == 0
    assert path.read_text() == "99\n"
    path.write_text("12345\n")
    ids.write_text("99\n")
    assert take_down(root, ids) == 0
    assert not path.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("7\nseven\n", "line 2: 'seven' is no photo id"),
        ("-7\n", "line 1: '-7'"),
        ("7 8\n", "line 1: '7 8'"),
        ("9223372036854775808\n", "line 1"),
        ("\u0667\n", "line 1"),
        ("#\n\n7" + "x" * 100_000, "line 3: '7xxxx"),
    ],
)
def test_garbage_in_the_list_is_refused_by_its_line(
    tmp_path: pathlib.Path, root: pathlib.Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    (tmp_path / "ids").write_text(text, encoding="utf-8")
    before = (root / layout.PLAN).read_bytes()
    assert take_down(root, tmp_path / "ids") == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error) < 1_000
    assert (root / layout.PLAN).read_bytes() == before
    with pytest.raises(IdListError):
        read_photo_ids(text.splitlines())


def test_several_lists_are_all_heard(tmp_path: pathlib.Path, root: pathlib.Path) -> None:
    lists = [tmp_path / str(i) for i in range(3)]
    for i, path in enumerate(lists):
        path.write_text(f"{i}\n")
    (tmp_path / "flags.yaml").write_text(f"take_down: [{lists[1]}, {lists[2]}]\n")
    assert reprocess_dataset.main([str(root), *(f"--take_down={path}" for path in lists[:2]), "--workers=1"]) == 0
    assert [t.photo_id for t in plan_of(root).tombstones] == [0, 1]
    assert reprocess_dataset.main([str(root), f"--config={tmp_path / 'flags.yaml'}", "--workers=1"]) == 0
    assert [t.photo_id for t in plan_of(root).tombstones] == [0, 1, 2]
    lists[2].write_text("x\n")
    assert reprocess_dataset.main([str(root), *(f"--take_down={path}" for path in lists)]) == 2


def test_a_list_that_cannot_be_read_is_refused(
    tmp_path: pathlib.Path, root: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ids").write_bytes(b"\xff\xfe7\x00")
    assert take_down(root, tmp_path / "none") == take_down(root, tmp_path) == take_down(root, tmp_path / "ids") == 2
    assert "--take_down" in capsys.readouterr().err


@pytest.mark.parametrize("name", [layout.tar_file(0), "shards"])
def test_what_is_elsewhere_by_a_link_is_refused(
    tmp_path: pathlib.Path, root: pathlib.Path, ids: pathlib.Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The link would be replaced, and the photos stay where it led."""
    (root / name).rename(tmp_path / "elsewhere")
    (root / name).symlink_to(tmp_path / "elsewhere")
    before = data_of(root)
    for command in (["reprocess", str(root), "--take_down", str(ids)], ["verify", str(root), "--repair"]):
        assert cli.main(command) == 2
        assert f"{root / name} is a link to {tmp_path / 'elsewhere'}" in capsys.readouterr().err
    assert data_of(root) == before
    (tmp_path / "linked").symlink_to(root)
    (root / name).unlink()
    (tmp_path / "elsewhere").rename(root / name)
    assert take_down(tmp_path / "linked", ids) == 0


def test_what_was_moved_is_named_and_the_next_start_goes_on_when_it_is_back(
    tmp_path: pathlib.Path,
    root: pathlib.Path,
    ids: pathlib.Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    gone, other = {int(i) for i in chosen(root)}, pq.read_table(root / layout.sidecar_file(0))["photo_id"][0].as_py()
    with ids.open("a") as file:
        file.write(f"{other}\n")
    (root / layout.tar_file(0)).rename(tmp_path / "tar")
    assert take_down(root, ids) == 1
    assert f"{layout.tar_file(0)} is missing; bring it back if it was moved, else" in caplog.text
    assert not gone & (photos_of(root, "rows") | photos_of(root, "shards"))
    second = ["reprocess", str(root), "--output", str(tmp_path / "second"), "--samples_per_shard=3"]
    for command in (second, ["diff", str(root), str(root)]):
        assert cli.main(command) == 2
        assert f"{root}: photos that were taken down may still be there" in capsys.readouterr().err
    assert not (tmp_path / "second").exists()
    (tmp_path / "tar").rename(root / layout.tar_file(0))
    settle(LocalOutput(root), 1, "none")
    assert plan_of(root).counts["taken_down"] == 3
    assert verify(str(root)).faults == []


@pytest.mark.parametrize("name", [layout.tar_file(1), layout.rows_file(1), layout.INPUT_FAILURES])
@pytest.mark.parametrize("is_lost", [True, False])
def test_what_is_damaged_of_the_photos_goes_and_a_build_goes_on(
    root: pathlib.Path, ids: pathlib.Path, name: str, is_lost: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else neither could go on: the photos could not leave a damaged shard, nor the shard be made again with them."""
    gone = {int(i) for i in chosen(root)}
    if is_lost:
        (root / name).unlink()
    else:
        (root / name).write_bytes(b"rotten")
    if is_lost:
        assert take_down(root, ids) == 1
        assert f"{name} is missing" in (said := capsys.readouterr().err)
        assert "verify OUT --repair" in said
        check_dataset.main([str(root), "--repair", "--workers=1", "--progress=none"])
    else:
        assert take_down(root, ids) == 0
        told = "3 ids: 2 photos taken down" if name == layout.tar_file(1) else "3 ids: 3 taken down"
        assert told in capsys.readouterr().out
    assert GO_ON in {fault.remedy for fault in verify(str(root)).faults}
    assert not gone & (photos_of(root, "rows") | photos_of(root, "shards") | photos_of(root, "failures"))
    settle(LocalOutput(root), 1, "none")


def test_killed_before_any_change_the_next_start_ends_it(
    tmp_path: pathlib.Path, root: pathlib.Path, ids: pathlib.Path
) -> None:
    whole = shutil.copytree(root, tmp_path / "whole")
    assert take_down(whole, ids) == 0
    expected, untouched, steps, ends = data_of(whole), data_of(root), 0, set()
    while True:
        copy = shutil.copytree(root, tmp_path / "copy")
        child = multiprocessing.get_context("fork").Process(target=die_at, args=(steps, copy, ids))
        child.start()
        child.join()
        settle(LocalOutput(copy), 1, "none")
        begun = bool(plan_of(copy).tombstones)
        assert data_of(copy) == (expected if begun else untouched), steps
        assert verify(str(copy)).faults == [], steps
        assert manifest_of(copy).root_hash == manifest_of(whole if begun else root).root_hash
        ends.add(begun)
        if child.exitcode == 0:
            break
        assert child.exitcode == -signal.SIGKILL
        shutil.rmtree(copy)
        steps += 1
    assert ends == {False, True}
    assert steps > 20


def test_progress_is_shown(root: pathlib.Path, ids: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reprocess_dataset.main([str(root), f"--take_down={ids}", "--progress=json"]) == 0
    shown, rows = json.loads(capsys.readouterr().err.splitlines()[-1]), pq.read_metadata(root / layout.rows_file(1))
    assert shown["samples"] == shown["rows"] >= rows.num_rows + 2
