"""`photobeam build` on a real Flink cluster: the bytes of a local run, faults, and what is left behind."""

import collections
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import typing

import psutil
import pyarrow.parquet as pq
import pytest

from beam_jobs import build_dataset, check_dataset
from beam_jobs.runners.worker_boot import VERSIONS
from tests.fault_server import FaultServer
from tests.flink_cluster import SHORT_LIVED, FlinkCluster
from tests.jobs.conftest import write_lines
from tests.jobs.test_build_yfcc import data_hashes
from tests.yfcc_corpus import mirror_path

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_WAIT_S = 180


@pytest.fixture
def source(tmp_path: pathlib.Path, lines: list[str]) -> pathlib.Path:
    return write_lines(tmp_path / "in" / "yfcc100m_dataset", lines)


def _arguments(source: pathlib.Path, mirror: FaultServer, output: pathlib.Path, *more: typing.Any) -> list[str]:
    given = ["--yfcc", source, "--mirror", f"yfcc={mirror.url}", "--output", output, "--samples_per_shard", 5]
    return [str(a) for a in (*given, "--progress", "none", *more)]


def _on(flink: FlinkCluster) -> list[str]:
    where = ["--runner=FlinkRunner", f"--flink_master={flink.master}", f"--flink_job_server_jar={flink.job_server_jar}"]
    return where + [f"--job_server_jvm_properties={option}" for option in SHORT_LIVED.split()]


@contextlib.contextmanager
def _begun(arguments: list[str]) -> typing.Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "beam_jobs.build_dataset", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=_ROOT, text=True, start_new_session=True, **pipes) as run:
        try:
            yield run
        finally:
            run.kill()


def _until(condition: typing.Callable[[], typing.Any], run: "subprocess.Popen[str]") -> None:
    until = time.monotonic() + _WAIT_S
    while not condition():
        assert run.poll() is None, f"ended with {run.returncode}: {run.communicate()[1]}"
        assert time.monotonic() < until, "nothing came of it"
        time.sleep(0.05)


def _commits(output: pathlib.Path) -> list[str]:
    return sorted(path.stem for path in output.glob("commits/*.json"))


def _paths_of(output: pathlib.Path, shards: typing.Iterable[str], lines: list[str]) -> set[str]:
    """Where the mirror has the photos of some shards."""
    ids = {i for shard in shards for i in pq.read_table(output / f"rows/{shard}.parquet")["photo_id"].to_pylist()}
    return {mirror_path(line) for line in lines if int(line.split("\t")[1]) in ids}


def _workers(flink: FlinkCluster) -> list[psutil.Process]:
    """Beam's Python workers, without their own children."""
    return [p for p in flink.processes() if any("photobeam-worker" in part for part in p.cmdline())]


def test_only_this_machine_reaches_an_idle_cluster(flink):
    """While a job runs, Beam's servers in the TaskManagers listen on every interface; nothing sets them otherwise."""
    listening = [
        connection.laddr.ip
        for process in flink.processes()
        for connection in process.net_connections("tcp")
        if connection.status == "LISTEN"
    ]
    assert len(listening) >= 2 + len(flink.taskmanagers)
    assert {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}


def test_the_bytes_are_those_of_a_local_run_and_all_taskmanagers_work(flink, source, mirror, tmp_path):
    assert build_dataset.main(_arguments(source, mirror, tmp_path / "here")) == 0
    mirror.delay_s = 0.2
    assert build_dataset.main(_arguments(source, mirror, tmp_path / "there", *_on(flink))) == 0
    assert data_hashes(tmp_path / "there") == data_hashes(tmp_path / "here")
    assert check_dataset.main([str(tmp_path / "there")]) == 0
    logs = [json.loads(path.read_text()) for path in (tmp_path / "there" / "log").glob("[0-9]*.json")]
    spans = collections.defaultdict(list)
    for log in logs:
        spans[log["parent_pid"]] += [log["started"], log["started"] + log["seconds"]]
    assert len(spans) == 2, "one Python worker on each of two TaskManagers"
    first, second = spans.values()
    assert min(first) < max(second)
    assert min(second) < max(first)


def test_a_killed_worker_costs_what_it_had_in_hand(flink, source, mirror, lines, tmp_path):
    assert build_dataset.main(_arguments(source, mirror, tmp_path / "here")) == 0
    mirror.asked.clear()
    mirror.delay_s = 0.5
    there = tmp_path / "there"
    with _begun(_arguments(source, mirror, there, "--concurrency", 1, *_on(flink))) as run:
        _until(lambda: _commits(there), run)
        committed = _commits(there)
        _workers(flink)[0].kill()
        assert run.wait(_WAIT_S) == 0, run.communicate()[1]
    assert data_hashes(there) == data_hashes(tmp_path / "here")
    asked = collections.Counter(mirror.asked)
    assert {asked[path] for path in _paths_of(there, committed, lines)} == {1}
    assert max(asked.values()) == 2, "what the dead worker had in hand was fetched again"


@pytest.mark.parametrize(
    ("send", "number"), [(os.kill, signal.SIGTERM), (os.killpg, signal.SIGINT)], ids=["kill", "terminal"]
)
def test_a_signal_takes_the_job_along(flink, source, mirror, tmp_path, send, number):
    """SIGTERM goes to the submitter alone, Ctrl-C to all processes of its terminal."""
    mirror.delay_s = 1.0
    output = tmp_path / "out"
    with _begun(_arguments(source, mirror, output, "--concurrency", 1, *_on(flink))) as run:
        _until(lambda: _commits(output), run)
        children = psutil.Process(run.pid).children(recursive=True)
        assert any("java" in child.name() for child in children)
        send(run.pid, number)
        told = run.communicate(timeout=60)[1]
    assert run.returncode == 128 + number
    assert told.endswith("\n\nphotobeam: interrupted; what is committed stays, the same command goes on\n")
    assert "Traceback" not in told
    psutil.wait_procs(children, 10)
    assert [child for child in children if child.is_running()] == []
    assert {job["state"] for job in flink.ask("/jobs/overview")["jobs"]} <= {"FINISHED", "FAILED", "CANCELED"}
    assert not list((output / "_tmp").glob("2*"))
    assert build_dataset.main(_arguments(source, mirror, output)) == 0


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        (
            {"env": {VERSIONS: json.dumps({"photobeam": "9.9", "pyarrow": "1.0"})}},
            "where the submitter has 9.9, pyarrow",
        ),
        (
            {"command": "/nowhere/photobeam-worker"},
            "a worker cannot start /nowhere/photobeam-worker: install photobeam there",
        ),
    ],
)
def test_a_worker_that_lacks_photobeam_or_has_another_is_named(
    flink, source, mirror, tmp_path, capsys, environment, told
):
    given = [*_on(flink), f"--environment_config={json.dumps(environment)}"]
    assert build_dataset.main(_arguments(source, mirror, tmp_path / "out", *given)) == 1
    assert told in capsys.readouterr().err


def test_what_fails_in_a_worker_is_told_by_the_submitter(flink, source, mirror, tmp_path, capsys):
    (source.parent / "yfcc100m_autotags.bz2").write_bytes(b"BZh91AY&SY" + bytes(50))
    assert build_dataset.main(_arguments(source.parent, mirror, tmp_path / "out", *_on(flink))) in (1, 2)
    told = capsys.readouterr().err
    assert "yfcc100m_autotags.bz2" in told
    assert "Traceback" not in told
