"""`photobeam reprocess --retry`: only failed photos are fetched, only shards that gain are written, as if at once."""

import contextlib
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
import typing

import pyarrow.parquet as pq
import pytest

from beam_jobs import build_dataset, check_dataset, reprocess_dataset
from schemas import layout
from schemas.records import Manifest
from tests.damaged_dataset import stamps
from tests.factories import make_dataset
from tests.fault_server import Answer, FaultServer
from tests.jobs.conftest import picture, write_lines
from tests.jobs.test_build_sources import build as build_sources
from tests.jobs.test_build_sources import mirrors, serve_four_sources
from tests.source_files import write_four_sources
from tests.yfcc_corpus import dataset_line, mirror_path
from transforms.stores.output import LocalOutput

_ROOT = pathlib.Path(__file__).resolve().parents[2]


def build(source: pathlib.Path, mirror: FaultServer, output: pathlib.Path, *flags: str) -> int:
    arguments = ["--yfcc", str(source), f"--mirror=yfcc={mirror.url}", "--output", str(output), "--progress=none"]
    return build_dataset.main([*arguments, "--workers=1", "--retries=0", "--samples_per_shard=10", *flags])


def reprocess(output: pathlib.Path, *flags: str) -> int:
    return reprocess_dataset.main([str(output), "--workers=1", "--progress=none", *flags])


def data_of(output: pathlib.Path) -> dict[str, bytes]:
    folders = ("rows", "shards", "failures", "commits")
    return {str(p.relative_to(output)): p.read_bytes() for f in folders for p in (output / f).iterdir()}


Stamp = tuple[int, int] | None


def stamp(path: pathlib.Path) -> Stamp:
    """What another file in its place has otherwise; a new file may get the number of one that is gone."""
    with contextlib.suppress(FileNotFoundError):
        found = path.stat()
        return found.st_ino, found.st_mtime_ns
    return None


def stamps_of_shards(output: pathlib.Path) -> dict[str, tuple[int, int]]:
    return {name: seen for name, seen in stamps(output).items() if layout.shard_of(name) is not None}


def manifest_of(output: pathlib.Path) -> Manifest:
    return Manifest.from_json((output / layout.MANIFEST).read_bytes(), "manifest.json")


def shards_with(output: pathlib.Path, lines: typing.Iterable[str]) -> set[str]:
    ids = {int(line.split("\t")[1]) for line in lines}
    paths = sorted((output / "rows").iterdir())
    return {p.stem for p in paths if ids & set(pq.read_table(p)["photo_id"].to_pylist())}


@pytest.fixture
def broken(
    tmp_path: pathlib.Path, lines: list[str], mirror: FaultServer
) -> tuple[pathlib.Path, pathlib.Path, list[str]]:
    """An untroubled dataset, one in which three photos met a broken server that works by now, and their lines."""
    source = write_lines(tmp_path / "in", lines)
    assert build(source, mirror, tmp_path / "smooth", "--image_size=32,16") == 0
    troubled = [lines[1], lines[2], lines[3]]
    for line in troubled:
        mirror.answers[mirror_path(line)] = Answer(b"", 503)
    assert build(source, mirror, tmp_path / "out", "--image_size=32,16") == 0
    for i in (1, 2, 3):
        mirror.answers[mirror_path(lines[i])] = Answer(picture(i))
    mirror.asked.clear()
    return tmp_path / "smooth", tmp_path / "out", troubled


def test_the_result_is_as_if_the_photos_had_come_at_once(
    broken: tuple[pathlib.Path, pathlib.Path, list[str]],
    mirror: FaultServer,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    smooth, output, troubled = broken
    before = stamps_of_shards(output)
    assert data_of(output) != data_of(smooth)
    assert reprocess(output, "--retry") == 0
    assert sorted(mirror.asked) == sorted(map(mirror_path, troubled))
    assert data_of(output) == data_of(smooth)
    assert manifest_of(output).root_hash == manifest_of(smooth).root_hash
    assert manifest_of(output).configuration["yfcc"] == manifest_of(smooth).configuration["yfcc"]
    gained = shards_with(output, troubled)
    assert len(gained) < 6
    changed = {
        pathlib.PurePath(name).stem for name, seen in stamps_of_shards(output).items() if before.get(name) != seen
    }
    assert changed == gained
    assert "54 samples and 6 failures in 6 shards" in capsys.readouterr().out
    assert check_dataset.main([str(output)]) == 0
    assert [p.name for p in (output / "_tmp").iterdir()] == ["lease.json"]
    assert reprocess(output, "--retry") == 0
    assert """say which to try, as in --retry "reason = 'not_found'\"""" in caplog.text


def test_a_condition_says_which_failures_are_tried_again(
    broken: tuple[pathlib.Path, pathlib.Path, list[str]], lines: list[str], mirror: FaultServer
) -> None:
    _, output, troubled = broken
    mirror.answers[mirror_path(lines[0])] = Answer(picture(0))
    assert reprocess(output, "--retry", "reason = 'not_found'") == 0
    assert set(mirror.asked) == {mirror_path(lines[i]) for i in range(0, 60, 10)}
    assert manifest_of(output).totals.failures_by_reason == {"not_found": 5, "server_error": 3}
    assert check_dataset.main([str(output)]) == 0


def test_what_fails_again_changes_nothing(
    broken: tuple[pathlib.Path, pathlib.Path, list[str]], mirror: FaultServer
) -> None:
    _, output, troubled = broken
    for line in troubled:
        mirror.answers[mirror_path(line)] = Answer(b"", 500)
    before, bytes_before = stamps_of_shards(output), data_of(output)
    assert reprocess(output, "--retry") == 0
    assert len(mirror.asked) >= 3
    assert (stamps_of_shards(output), data_of(output)) == (before, bytes_before)
    assert check_dataset.main([str(output)]) == 0


def test_a_build_after_it_finds_nothing_to_do(
    broken: tuple[pathlib.Path, pathlib.Path, list[str]], tmp_path: pathlib.Path, mirror: FaultServer
) -> None:
    _, output, _ = broken
    assert reprocess(output, "--retry") == 0
    before = (output / layout.MANIFEST).read_bytes()
    mirror.asked.clear()
    assert build(tmp_path / "in", mirror, output, "--image_size=32,16") == 0
    assert mirror.asked == []
    assert (output / layout.MANIFEST).read_bytes() == before


def test_a_manifest_that_was_not_switched_yet_is_written_by_the_next_build(
    broken: tuple[pathlib.Path, pathlib.Path, list[str]], tmp_path: pathlib.Path, mirror: FaultServer
) -> None:
    smooth, output, _ = broken
    old = (output / layout.MANIFEST).read_bytes()
    assert reprocess(output, "--retry") == 0
    (output / layout.MANIFEST).write_bytes(old)
    LocalOutput(output).write(layout.REWRITES_BEGUN, b"")
    mirror.asked.clear()
    assert check_dataset.main([str(output)]) == 1
    assert build(tmp_path / "in", mirror, output, "--image_size=32,16") == 0
    assert mirror.asked == []
    assert manifest_of(output).root_hash == manifest_of(smooth).root_hash
    assert check_dataset.main([str(output)]) == 0


def test_an_unfinished_dataset_keeps_its_open_shards(
    broken: tuple[pathlib.Path, pathlib.Path, list[str]], tmp_path: pathlib.Path, mirror: FaultServer
) -> None:
    smooth, output, troubled = broken
    (output / layout.MANIFEST).unlink()
    opened = next(iter({f"{i:06d}" for i in range(6)} - shards_with(output, troubled)))
    (output / f"commits/{opened}.json").unlink()
    assert reprocess(output, "--retry", f"--mirror=yfcc={mirror.url}") == 0
    assert sorted(mirror.asked) == sorted(map(mirror_path, troubled))
    assert not (output / layout.MANIFEST).exists()
    assert build(tmp_path / "in", mirror, output, "--image_size=32,16") == 0
    assert data_of(output) == data_of(smooth)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "give one of --retry"),
        (["--retry", "reson = 'x'"], "--retry \"reson = 'x'\""),
        (["--retry", "reason"], "--retry 'reason' gives string, not a condition"),
        (["--retrys"], "did you mean --retry?"),
        (["--retry", "--overwrite"], "--overwrite is for a second dataset"),
        (["--retry", "--quality=5"], "--quality is for a second dataset"),
    ],
)
def test_wrong_commands_are_refused_before_anything_is_done(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], flags: list[str], said: str
) -> None:
    assert reprocess(tmp_path / "none", *flags) == 2
    assert said.split("=")[0] in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_a_condition_that_fails_on_a_failure_is_refused(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = make_dataset(tmp_path / "out")
    before = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}
    assert reprocess(output, "--retry", "CAST(detail AS int) = 404") == 2
    assert "--retry 'CAST(detail AS int) = 404': Conversion Error" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("flag", ["retry", "check_alive"])
def test_a_flag_of_a_config_file_does_not_take_the_dataset_for_its_value(tmp_path: pathlib.Path, flag: str) -> None:
    (tmp_path / "flags.yaml").write_text(f"{flag}: true\n")
    given = reprocess_dataset.parse_args(["--config", str(tmp_path / "flags.yaml"), "out"])
    assert given["dataset"] == "out"
    assert given[flag] == reprocess_dataset.parse_args(["out", f"--{flag}"])[flag]


def test_where_there_is_no_dataset_nothing_is_made(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reprocess(tmp_path / "none", "--retry") == 2
    assert "holds no dataset" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_a_damaged_shard_is_named_and_left_as_it_is(
    broken: tuple[pathlib.Path, pathlib.Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    _, output, troubled = broken
    name = f"shards/{min(shards_with(output, troubled))}.tar"
    data = bytearray((output / name).read_bytes())
    data[600] ^= 1
    (output / name).write_bytes(data)
    before = data_of(output)
    assert reprocess(output, "--retry") == 1
    assert f"{name} is damaged" in capsys.readouterr().err
    after = data_of(output)
    assert {
        n for n in before if pathlib.PurePath(n).stem == pathlib.PurePath(name).stem and after[n] != before[n]
    } == set()


def test_annotations_of_all_sources_are_kept(tmp_path: pathlib.Path, mirror: FaultServer) -> None:
    sources = write_four_sources(tmp_path / "in")
    serve_four_sources(mirror)
    flags = ("--base=all", "--samples_per_shard=30", "--workers=1", "--retries=0", "--image_size=24", *mirrors(mirror))
    assert build_sources(tmp_path / "smooth", sources, *flags) == 0
    answers = dict(mirror.answers)
    for photo in range(1000, 1050, 6):
        ends = (f"{photo - 900:012d}.jpg", f"{photo * 7919:016x}.jpg")
        yfcc = mirror_path(dataset_line(photo - 1000, photo, random.Random(photo - 1000)))
        mirror.answers |= {path: Answer(b"", 503) for path in answers if path == yfcc or path.endswith(ends)}
    assert build_sources(tmp_path / "out", sources, *flags) == 0
    mirror.answers.update(answers)
    assert manifest_of(tmp_path / "out").totals.failures_by_reason["server_error"] >= 7
    assert reprocess(tmp_path / "out", "--retry") == 0
    assert data_of(tmp_path / "out") == data_of(tmp_path / "smooth")
    assert check_dataset.main([str(tmp_path / "out")]) == 0


def test_killed_amid_a_retry_the_same_command_goes_on(
    broken: tuple[pathlib.Path, pathlib.Path, list[str]], lines: list[str], mirror: FaultServer
) -> None:
    smooth, output, troubled = broken
    mirror.answers[mirror_path(troubled[2])] = Answer(fault="stall")
    before = {path: stamp(path) for path in (output / "commits").iterdir()}
    command = [sys.executable, "-m", "beam_jobs.reprocess_dataset", str(output), "--retry", "--workers=2"]
    with subprocess.Popen(command, cwd=_ROOT, start_new_session=True) as process:
        try:
            while {path: stamp(path) for path in before} == before:
                assert process.poll() is None
                time.sleep(0.01)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    mirror.answers[mirror_path(troubled[2])] = Answer(picture(3))
    assert reprocess(output, "--retry") == 0
    assert data_of(output) == data_of(smooth)
    assert manifest_of(output).root_hash == manifest_of(smooth).root_hash
    assert check_dataset.main([str(output)]) == 0
    assert [p.name for p in (output / "_tmp").iterdir()] == ["lease.json"]
