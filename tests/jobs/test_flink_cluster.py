"""The cluster that deploy/flink starts, without any job of photobeam's."""

import json
import os
import pathlib
import subprocess
import sys

from tests.flink_cluster import SHORT_LIVED

_WORKER = pathlib.Path(sys.executable).with_name("photobeam-worker")


def _options(flink):
    return [
        "--runner=FlinkRunner",
        f"--flink_master={flink.master}",
        "--flink_version=1.20",
        f"--flink_job_server_jar={flink.job_server_jar}",
        "--environment_type=PROCESS",
        f"--environment_config={json.dumps({'command': str(_WORKER)})}",
        "--execution_mode_for_batch=BATCH_FORCED",
        "--parallelism=2",
    ]


def test_each_taskmanager_has_a_python_worker_that_works(flink, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    command = [sys.executable, "-m", "tests.jobs.flink_sessions", str(out), *_options(flink)]
    environment = os.environ | {"JDK_JAVA_OPTIONS": SHORT_LIVED}
    subprocess.run(command, check=True, cwd=pathlib.Path(__file__).resolve().parents[2], env=environment)
    units = {int(file.name): [int(unit) for unit in file.read_text().split()] for file in out.iterdir()}
    assert set(units) == set(flink.taskmanagers.values())
    assert sorted(sum(units.values(), [])) == list(range(16))


def test_a_killed_taskmanager_is_replaced_by_another(flink):
    killed = min(flink.taskmanagers)
    flink.kill_taskmanager(killed)
    flink.add_taskmanager()
    assert killed not in flink.taskmanagers
    assert len(flink.taskmanagers) == 2


def test_only_this_machine_reaches_the_cluster(flink):
    listening = [
        connection.laddr.ip
        for process in flink.processes()
        for connection in process.net_connections("tcp")
        if connection.status == "LISTEN"
    ]
    assert len(listening) >= 2 + len(flink.taskmanagers)
    assert {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}
