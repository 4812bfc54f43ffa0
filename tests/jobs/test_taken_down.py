"""A photo that was taken down does not come back, whatever is built into the output afterwards."""

import dataclasses
import importlib
import pathlib
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest

from beam_jobs import build_dataset, check_dataset, cli, join_metadata, reprocess_dataset
from beam_jobs.command.errors import UsageError
from beam_jobs.outputs.output_state import read_commits
from beam_jobs.outputs.settle import settle
from schemas import layout
from schemas.records import CommitRecord, Manifest, Plan
from tests.factories import make_dataset
from tests.fault_server import FaultServer
from tests.jobs.conftest import write_lines
from transforms.stores.output import LocalOutput

GONE = (10_007, 10_070, 10_014)
"""A sample, a failure and a duplicate of the corpus."""


def build(source: pathlib.Path, mirror: FaultServer, output: pathlib.Path, *flags: str) -> int:
    arguments = ["--yfcc", str(source), f"--mirror=yfcc={mirror.url}", "--output", str(output), "--progress=none"]
    return build_dataset.main([*arguments, "--workers=1", "--retries=0", "--samples_per_shard=20", *flags])


def data_of(output: pathlib.Path) -> dict[str, bytes]:
    folders = ("rows", "shards", "failures", "commits")
    return {str(p.relative_to(output)): p.read_bytes() for f in folders for p in (output / f).iterdir()}


def counts_of(output: pathlib.Path) -> dict[str, int]:
    return Plan.from_json((output / layout.PLAN).read_bytes(), "plan.json").counts


@pytest.fixture
def source(tmp_path: pathlib.Path, lines: list[str]) -> pathlib.Path:
    """The corpus, with another line of one of its photos and one without an id."""
    other = lines[2].split("\t")
    other[8] = "another+title"
    return write_lines(tmp_path / "in/yfcc100m_dataset", [*lines, "\t".join(other), "http://f/10007_ab.jpg"])


@pytest.fixture
def ids(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "ids"
    path.write_text("".join(f"{photo_id}\n" for photo_id in (*GONE, 5)))
    return path


def test_the_dataset_is_as_if_built_without_the_photos_and_stays_so(
    tmp_path: pathlib.Path, source: pathlib.Path, ids: pathlib.Path, mirror: FaultServer
) -> None:
    output = tmp_path / "out"
    without = f"--where=photo_id not in ({', '.join(map(str, GONE))})"
    assert build(source, mirror, tmp_path / "without", without) == 0
    assert build(source, mirror, output) == 0
    mirror.asked.clear()
    assert reprocess_dataset.main([str(output), "--take_down", str(ids)]) == 0
    assert check_dataset.main([str(output)]) == 0
    expected, taken = data_of(tmp_path / "without"), data_of(output)
    del expected[layout.INPUT_FAILURES]
    assert pq.read_table(output / layout.INPUT_FAILURES).num_rows == 0
    assert {name: data for name, data in taken.items() if name in expected} == expected
    assert counts_of(output) == {
        "input_lines": 62, "rows": 57, "removed_by_filters": 5, "collapsed_lines": 0, "input_failures": 0,
        "taken_down": 3, "taken_down_unknown": 1,
    }  # fmt: skip

    assert build(source, mirror, output) == 0
    assert mirror.asked == []
    counts, rows = counts_of(output), output / layout.rows_file(0)
    rows.unlink()
    assert join_metadata.main(["--yfcc", str(source), "--output", str(output), "--samples_per_shard=20"]) == 0
    assert (counts_of(output), data_of(output)) == (counts, taken)
    assert build(source, mirror, output) == 0
    assert mirror.asked == []
    assert check_dataset.main([str(output)]) == 0

    assert build(source, mirror, output, "--where=photo_id < 10_300") == 0
    assert counts_of(output)["taken_down"] == 3
    assert check_dataset.main([str(output)]) == 0
    assert build(source, mirror, output, "--overwrite", "--image_size=32") == 0
    assert not set(GONE) & {i for p in (output / "rows").iterdir() for i in pq.read_table(p)["photo_id"].to_pylist()}
    assert check_dataset.main([str(output)]) == 0


def test_rows_alone_and_shards_that_are_not_built(
    tmp_path: pathlib.Path, source: pathlib.Path, ids: pathlib.Path, mirror: FaultServer
) -> None:
    output = tmp_path / "out"
    assert build(source, mirror, output, "--images=none") == 0
    assert reprocess_dataset.main([str(output), "--take_down", str(ids)]) == 0
    assert check_dataset.main([str(output)]) == 0
    assert counts_of(output)["rows"] == 57
    assert build(source, mirror, output) == 0
    assert check_dataset.main([str(output)]) == 0
    assert not any("10007" in path for path in mirror.asked)


def test_without_the_list_of_those_taken_down_nothing_is_built(
    tmp_path: pathlib.Path,
    source: pathlib.Path,
    ids: pathlib.Path,
    mirror: FaultServer,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "out"
    assert build(source, mirror, output) == 0
    assert reprocess_dataset.main([str(output), "--take_down", str(ids)]) == 0
    plan, before = (output / layout.PLAN).read_bytes(), data_of(output)
    (output / layout.PLAN).unlink()
    join = ["--yfcc", str(source), "--output", str(output), "--samples_per_shard=20"]
    for again in (lambda: build(source, mirror, output), lambda: join_metadata.main(join)):
        assert again() == 2
        assert "photos were taken down: put back a copy" in capsys.readouterr().err
    assert data_of(output) == before
    (output / layout.PLAN).write_bytes(plan)
    assert build(source, mirror, output) == 0
    assert data_of(output) == before
    (output / layout.PLAN).write_bytes(b"{")
    assert build(source, mirror, output, "--overwrite") == 0
    assert data_of(output) == before
    (output / layout.PLAN).write_bytes(b"{")
    (output / layout.MANIFEST).unlink()
    for again in (lambda: build(source, mirror, output, "--overwrite"), lambda: build(source, mirror, output)):
        assert again() == 2
        assert "nothing else tells which photos were taken down" in capsys.readouterr().err
    assert data_of(output) == before


def test_what_a_newer_version_wrote_is_left_as_it_is(
    tmp_path: pathlib.Path, ids: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = make_dataset(tmp_path / "out")
    plan = Plan.from_json((output / layout.PLAN).read_bytes(), layout.PLAN)
    for name, kind in ((layout.PLAN, Plan), (layout.MANIFEST, Manifest), (layout.commit_file(1), CommitRecord)):
        path = output / name
        good = path.read_bytes()
        path.write_bytes(dataclasses.replace(kind.from_json(good, name), format_version=99).to_json())
        before = {p: p.read_bytes() for p in output.rglob("*") if p.is_file()}
        for operation in (["--take_down", str(ids)], ["--retry"]):
            assert reprocess_dataset.main([str(output), *operation]) == 2
            assert f"{name} was written by a newer photobeam" in capsys.readouterr().err
        with pytest.raises(UsageError, match="newer photobeam"):
            read_commits(LocalOutput(output), plan) if kind is CommitRecord else settle(LocalOutput(output), 1, "none")
        assert {p: p.read_bytes() for p in before} == before
        path.write_bytes(good)


def test_interrupted_while_it_starts_a_command_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib, "import_module", interrupt)
    assert cli.main(["reprocess", "out", "--retry"]) == 130


def test_ended_on_the_way_it_leaves_what_the_same_command_ends(tmp_path: pathlib.Path) -> None:
    output, ids = make_dataset(tmp_path / "out", photo_ids=range(3_000), shards=2, failed=()), tmp_path / "ids"
    ids.write_text("7\n8\n9\n10\n")
    command = [sys.executable, "-m", "beam_jobs.cli", "reprocess", str(output), "--take_down", str(ids)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not (output / "_tmp/take_down").exists():
            time.sleep(0.002)
        process.terminate()
        assert "interrupted; what is committed stays" in process.communicate()[1]
    assert process.returncode == 128 + signal.SIGTERM
    assert not (output / "_tmp/take_down").exists()
    assert reprocess_dataset.main(command[-3:]) == 0
    assert check_dataset.main([str(output)]) == 0
    assert counts_of(output)["taken_down"] == 4


def test_what_cannot_be_read_on_the_way_is_said_with_what_is_left_to_do(
    tmp_path: pathlib.Path, ids: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = make_dataset(tmp_path / "out")
    (output / layout.INPUT_FAILURES).unlink()
    (output / layout.INPUT_FAILURES).mkdir()
    assert reprocess_dataset.main([str(output), "--take_down", str(ids)]) == 1
    assert "`photobeam verify OUT --repair`" in capsys.readouterr().err
