"""What a user sees when something is wrong: one clear sentence and an exit code, or a failure row."""

import bz2
import dataclasses
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import typing

import psutil
import pyarrow.parquet as pq
import pytest

from beam_jobs import build_dataset, check_dataset, join_metadata
from schemas import layout
from schemas.records import Plan
from schemas.sources import Source
from tests.fault_server import Answer, FaultServer
from tests.jobs.conftest import write_lines
from tests.jobs.test_build_yfcc import build, data_hashes, manifest_of
from tests.worker_processes import worker_processes
from transforms.sources import find_inputs

BAD_ROOTS = [
    "http://",
    "http://host?a=b",
    "http://host#f",
    "http://h:99999",
    "http://h:abc",
    "http://a b",
    "http://[::1",
]


def join(source: typing.Any, output: pathlib.Path, *flags: typing.Any) -> int:
    arguments = ["--yfcc", source, "--output", output, "--progress", "none", *flags]
    return join_metadata.main([str(a) for a in arguments])


def failures(output: pathlib.Path) -> list[dict[str, typing.Any]]:
    return pq.read_table(output / layout.INPUT_FAILURES).to_pylist()


def assert_refused(
    code: int, expected: int, capsys: pytest.CaptureFixture[str], output: pathlib.Path, *words: str
) -> None:
    shown = capsys.readouterr().err
    assert code == expected
    assert all(word in shown for word in words), shown
    assert "Traceback" not in shown
    assert not [p for name in ("rows", "shards") for p in (output / name).glob("*")]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ["there is no such file"]),
        (b"", ["the file is empty", "download it again"]),
        (b"\x1f\x8b\x08rest", ["gzip-compressed", "decompress it first"]),
        (b"nothing\nto see\n", ["no line looks like a YFCC pack", "autotags="]),
        (b"1\toutdoor:0.9\n", ["no yfcc100m_dataset among the files"]),
    ],
)
def test_a_useless_input_is_refused_before_any_work(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], content: bytes | None, words: list[str]
) -> None:
    path = tmp_path / "pack"
    if content is not None:
        path.write_bytes(content)
    assert_refused(join(path, tmp_path / "out"), 2, capsys, tmp_path / "out", "--yfcc", *words)
    assert not (tmp_path / "out").exists()


def test_a_fifo_is_refused(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pack")
    assert_refused(join(tmp_path / "pack", tmp_path / "out"), 2, capsys, tmp_path / "out", "no regular file")


def test_an_input_that_shrinks_stops_the_run(
    tmp_path: pathlib.Path, lines: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_lines(tmp_path / "in", lines)
    seen = find_inputs.find_inputs({Source.YFCC: [str(source)]})
    larger = seen._replace(files=[f._replace(size=f.size + 1) for f in seen.files])
    monkeypatch.setattr(build_dataset, "find_inputs", lambda specs: larger)
    assert_refused(join(source, tmp_path / "out"), 1, capsys, tmp_path / "out", str(source), "run it again")


@pytest.mark.parametrize("damage", ["truncated", "flipped", "trailing"])
def test_damaged_bz2_stops_the_run_and_names_the_place(
    tmp_path: pathlib.Path, lines: list[str], capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    path = tmp_path / "yfcc100m_dataset.bz2"
    data = bytearray(bz2.compress("".join(line + "\n" for line in lines * 200).encode(), 1))
    if damage == "truncated":
        data = data[:-100]
    elif damage == "flipped":
        data[len(data) // 2] ^= 0x10
    else:
        data += b"and more"
    path.write_bytes(data)
    assert_refused(join(path, tmp_path / "out"), 1, capsys, tmp_path / "out", str(path), "again")


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        (b"a\tb\tc", "3 fields where 25 were expected"),
        (b"", "1 fields where 25 were expected"),
        (b"\t".join([b"x"] * 25), "the photo id is not a positive integer"),
        (b"\t".join([b"-5"] * 25), "the photo id is not a positive integer"),
        (b"\t".join([b"9" * 19] * 25), "the photo id is not a positive integer"),
        (b"\t".join([b"5"] * 24 + [b"\xff\xfe"]), "the line is not valid UTF-8"),
        (b"\t".join([b"5"] * 24 + [b"x" * (1 << 20)]), "the line is longer than 1048576 bytes"),
    ],
)
def test_a_malformed_line_is_a_failure_row_at_its_place(
    tmp_path: pathlib.Path, lines: list[str], line: bytes, detail: str
) -> None:
    path = tmp_path / "in"
    good = [one.encode() for one in lines]
    path.write_bytes(b"\n".join([*good[:30], line, *good[30:]]) + b"\n")
    assert join(path, tmp_path / "out") == 0
    (failure,) = failures(tmp_path / "out")
    assert (failure["reason"], failure["detail"], failure["raw"]) == ("malformed_row", detail, line[:2048])
    assert failure["offset"] == len(b"\n".join(good[:30])) + 1
    assert pq.read_table(tmp_path / "out" / layout.rows_file(0)).num_rows == len(lines)


def test_carriage_returns_and_a_missing_last_newline_are_harmless(tmp_path: pathlib.Path, lines: list[str]) -> None:
    write_lines(tmp_path / "unix", lines)
    (tmp_path / "dos").write_bytes("\r\n".join(lines).encode())
    assert join(tmp_path / "unix", tmp_path / "a") == join(tmp_path / "dos", tmp_path / "b") == 0
    assert (tmp_path / "a/rows/000000.parquet").read_bytes() == (tmp_path / "b/rows/000000.parquet").read_bytes()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--where", "titel = 'x'"], ["--where", "titel"]),
        (["--where", "title ="], ["--where"]),
        (["--where", "photo_id + 1"], ["--where", "not a condition"]),
        (["--where", "photo_id = 'abc'"], ["--where", "'abc'"]),
        (["--where", "user_tags = 3"], ["--where", "VARCHAR[]"]),
        (["--where", "random() < 0.5"], ["--where", "random gives another answer each time"]),
        (["--where", '"Random" () < 0.5'], ["--where", "random gives another answer each time"]),
        (["--where", "date_taken < current_date"], ["--where", "current_date gives another answer each time"]),
        (["--where", "photo_id = (SELECT max(photo_id) FROM photos)"], ["--where", "photos"]),
        (["--where", "true), (false"], ["--where"]),
        (["--where", "\ud800"], ["--where"]),
        (["--where", "count(*) > 0"], ["--where", "aggregates"]),
        (["--where", "unnest(user_tags) = 'x'"], ["--where", "UNNEST"]),
        (["--where", "row_number() OVER () > 1"], ["--where", "window"]),
        (["--where", "(SELECT count(*) FROM '/etc/passwd') > 0"], ["--where"]),
        (["--limit", "0"], ["--limit", "not a positive number"]),
        (["--worker", "3"], ["unknown flag --worker", "--workers"]),
        (["--samples_per_shard", "many"], ["--samples_per_shard"]),
        (["--runner", "SparkRunner"], ["--runner: SparkRunner is not supported"]),
        (["--direct_num_workers=3"], ["--direct_num_workers"]),
        (["stray"], ["unknown argument stray"]),
        (["--config", "/nowhere.yaml"], ["--config /nowhere.yaml"]),
        (["--config", "a\0b"], ["'a\\x00b'", "a NUL character"]),
    ],
)
def test_a_wrong_flag_is_refused(
    tmp_path: pathlib.Path, lines: list[str], capsys: pytest.CaptureFixture[str], flags: list[str], words: list[str]
) -> None:
    source = write_lines(tmp_path / "in", lines)
    assert_refused(join(source, tmp_path / "out", *flags), 2, capsys, tmp_path / "out", *words)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--image_size", "0"], ["--image_size"]),
        (["--image_size", "256,"], ["--image_size", "256, is no size in pixels", "256,512"]),
        (["--image_size", "256,512,256"], ["--image_size 256,512,256", "twice"]),
        (["--image_size", "256,512", "--resize", "none"], ["--image_size 256,512 with --resize none"]),
        (["--resize", "bigger"], ["--resize"]),
        (["--mirror", "flickr=http://x"], ["--mirror"]),
        *((["--mirror", f"yfcc={url}"], ["--mirror yfcc=http:"]) for url in BAD_ROOTS),
        (["--max_failure_ratio", "nan"], ["--max_failure_ratio", "from 0 to 1"]),
        (["--images", "/no/such/place"], ["--images /no/such/place"]),
        (["--images", "none", "--images", "auto"], ["--images none stands alone"]),
        (["--timeout_s", "-1"], ["--timeout_s"]),
    ],
)
def test_a_wrong_image_flag_is_refused(
    tmp_path: pathlib.Path, lines: list[str], capsys: pytest.CaptureFixture[str], flags: list[str], words: list[str]
) -> None:
    source = write_lines(tmp_path / "in", lines)
    arguments = ["--yfcc", str(source), "--output", str(tmp_path / "out"), *flags]
    assert_refused(build_dataset.main(arguments), 2, capsys, tmp_path / "out", *words)


def test_a_condition_that_fails_on_some_row_stops_the_run(
    tmp_path: pathlib.Path, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_lines(tmp_path / "in", lines)
    code = join(source, tmp_path / "out", "--where", "title::INT > 3")
    assert_refused(code, 1, capsys, tmp_path / "out", "--where", "Could not convert")


def test_an_output_that_holds_something_else_is_left_alone(
    tmp_path: pathlib.Path, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_lines(tmp_path / "in", lines)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.txt").write_text("precious")
    for flags in ([], ["--overwrite"]):
        assert_refused(join(source, tmp_path / "out", *flags), 2, capsys, tmp_path / "out", "thesis.txt")
    assert os.listdir(tmp_path / "out") == ["thesis.txt"]


def test_a_directory_with_our_names_but_no_plan_is_not_ours(
    tmp_path: pathlib.Path, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_lines(tmp_path / "in", lines)
    precious = write_lines(tmp_path / "out/log/diary.txt", ["precious"])
    assert join(source, tmp_path / "out", "--overwrite") == 2
    assert "holds something else (log)" in capsys.readouterr().err
    assert precious.read_text() == "precious\n"


def test_a_refused_command_changes_nothing(tmp_path: pathlib.Path, lines: list[str], mirror: FaultServer) -> None:
    source = write_lines(tmp_path / "in", lines)
    build(source, mirror, tmp_path / "out")
    before = {p: p.read_bytes() for p in sorted((tmp_path / "out").rglob("*")) if p.is_file() and "_tmp" not in p.parts}
    for flags in (["--runner", "FlinkRunner"], ["--where", "no_such_column"], ["--where", "title::INT"]):
        assert build(source, mirror, tmp_path / "out", "--overwrite", *flags) == 2
    after = {p: p.read_bytes() for p in sorted((tmp_path / "out").rglob("*")) if p.is_file() and "_tmp" not in p.parts}
    assert after == before


def test_an_output_that_cannot_be_written_is_refused(
    tmp_path: pathlib.Path, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_lines(tmp_path / "in", lines)
    output = source / "below_a_file"
    assert_refused(join(source, output), 2, capsys, output, f"--output {output}: cannot be written")


def test_other_format_flags_are_refused_by_name_until_overwritten(
    tmp_path: pathlib.Path, lines: list[str], mirror: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_lines(tmp_path / "in", lines)
    build(source, mirror, tmp_path / "out")
    before = data_hashes(tmp_path / "out")
    assert build(source, mirror, tmp_path / "out", "--image_size", 20) == 2
    assert "--image_size is 20, the output was begun with 256" in capsys.readouterr().err
    assert data_hashes(tmp_path / "out") == before
    assert build(source, mirror, tmp_path / "out", "--image_size", 20, "--overwrite") == 0
    assert check_dataset.main([str(tmp_path / "out")]) == 0


def test_an_output_of_an_older_format_is_refused_until_overwritten(
    tmp_path: pathlib.Path, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    source, plan = write_lines(tmp_path / "in", lines), tmp_path / "out" / layout.PLAN
    join(source, tmp_path / "out")
    older = dataclasses.replace(Plan.from_json(plan.read_bytes(), "plan.json"), format_version=1).to_json()
    plan.write_bytes(older)
    assert join(source, tmp_path / "out") == 2
    shown = capsys.readouterr().err
    assert "plan.json was written by an older photobeam (format 1" in shown
    assert "with --overwrite" in shown
    assert "remove" not in shown
    assert plan.read_bytes() == older
    assert join(source, tmp_path / "out", "--overwrite") == 0
    assert check_dataset.main([str(tmp_path / "out")]) == 0


def test_a_damaged_plan_is_named(tmp_path: pathlib.Path, lines: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    source = write_lines(tmp_path / "in", lines)
    join(source, tmp_path / "out")
    (tmp_path / "out" / layout.PLAN).write_text("{}")
    assert join(source, tmp_path / "out") == 2
    assert "remove it, manifest.json and rows/" in capsys.readouterr().err
    assert join(source, tmp_path / "out", "--overwrite") == 2
    (tmp_path / "out" / layout.PLAN).unlink()
    assert join(source, tmp_path / "out") == 2
    shutil.rmtree(tmp_path / "out" / "rows")
    assert join(source, tmp_path / "out") == 0


def test_a_full_disk_stops_the_run_and_leaves_no_half_file(
    tmp_path: pathlib.Path, lines: list[str], mirror: FaultServer
) -> None:
    source = write_lines(tmp_path / "in", lines)
    command = build_command(source, mirror, tmp_path / "out")
    limited = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, resource.RLIM_INFINITY)),
    )
    assert limited.returncode == 1
    assert "File too large" in limited.stderr
    assert "the command goes on from there" in limited.stderr
    assert "Traceback" not in limited.stderr
    assert not list((tmp_path / "out").glob("shards/*"))
    assert subprocess.run(command, timeout=60).returncode == 0
    assert check_dataset.main([str(tmp_path / "out")]) == 0


def build_command(source: pathlib.Path, mirror: FaultServer, output: pathlib.Path) -> list[str]:
    flags = ["--yfcc", source, "--output", output, "--mirror", f"yfcc={mirror.url}", "--samples_per_shard", 30]
    return [sys.executable, "-m", "beam_jobs.build_dataset", *map(str, flags), "--workers", "2", "--progress", "none"]


@pytest.fixture
def short_folder() -> typing.Iterator[str]:
    """For temporary files: the name of pytest's own has no room for a socket behind it."""
    with tempfile.TemporaryDirectory() as folder:
        yield folder


@pytest.fixture
def stalled(
    tmp_path: pathlib.Path, lines: list[str], mirror: FaultServer, short_folder: str
) -> typing.Iterator[tuple[subprocess.Popen[str], list[str], dict[str, Answer]]]:
    """A build that waits for its images, its command, and the answers that would let it end."""
    answers = dict(mirror.answers)
    for path in answers:
        mirror.answers[path] = Answer(fault="stall")
    command = build_command(write_lines(tmp_path / "in", lines), mirror, tmp_path / "out")
    environment = {**os.environ, "TMPDIR": short_folder}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    while not mirror.asked:
        assert process.poll() is None
        time.sleep(0.05)
    yield process, command, answers
    process.kill()
    process.communicate()


def test_a_killed_worker_is_an_error_within_seconds(
    tmp_path: pathlib.Path, mirror: FaultServer, stalled: tuple[subprocess.Popen[str], list[str], dict[str, Answer]]
) -> None:
    process, command, answers = stalled
    workers = worker_processes(process.pid)
    killed = next(worker for worker in workers if worker.net_connections())
    killed.kill()
    killed_at = time.monotonic()
    _, shown = process.communicate(timeout=20)
    assert time.monotonic() - killed_at < 10
    assert process.returncode == 1
    assert f"worker process {killed.pid} was ended by SIGKILL at work on shard 00000" in shown
    assert "use fewer --workers" in shown
    assert "Traceback" not in shown
    assert not psutil.wait_procs(workers, timeout=5)[1]
    mirror.answers.update(answers)
    assert subprocess.run(command, timeout=60).returncode == 0
    assert manifest_of(tmp_path / "out").totals.samples == 54


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_and_its_workers_at_once(
    tmp_path: pathlib.Path,
    stalled: tuple[subprocess.Popen[str], list[str], dict[str, Answer]],
    short_folder: str,
    number: signal.Signals,
    code: int,
) -> None:
    process, _, _ = stalled
    workers = worker_processes(process.pid)
    process.send_signal(number)
    _, shown = process.communicate(timeout=10)
    assert process.returncode == code
    assert "the same command goes on" in shown
    assert not psutil.wait_procs(workers, timeout=5)[1]
    assert os.listdir(tmp_path / "out/_tmp") == ["lease.json"]
    assert os.listdir(short_folder) == []


def test_workers_end_with_a_killed_parent(
    stalled: tuple[subprocess.Popen[str], list[str], dict[str, Answer]],
) -> None:
    process, _, _ = stalled
    workers = worker_processes(process.pid)
    assert workers
    process.kill()
    assert not psutil.wait_procs(workers, timeout=5)[1]


def test_two_runs_never_share_an_output(
    stalled: tuple[subprocess.Popen[str], list[str], dict[str, Answer]],
) -> None:
    process, command, _ = stalled
    second = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert second.returncode == 2
    assert f"process {process.pid} on" in second.stderr
