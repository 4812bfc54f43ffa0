"""The cluster that deploy/flink starts, without any job of photobeam's."""

import json
import pathlib
import subprocess
import sys

import pytest

_BOOT = f"""#!{sys.executable}
import argparse, os
import grpc
from apache_beam.portability.api import beam_provision_api_pb2, beam_provision_api_pb2_grpc, endpoints_pb2
from apache_beam.runners.worker import sdk_worker_main
from google.protobuf import json_format, text_format

flags = argparse.ArgumentParser()
flags.add_argument("--id")
flags.add_argument("--provision_endpoint")
given, _ = flags.parse_known_args()
provision = beam_provision_api_pb2_grpc.ProvisionServiceStub(grpc.insecure_channel(given.provision_endpoint))
request = beam_provision_api_pb2.GetProvisionInfoRequest()
info = provision.GetProvisionInfo(request, metadata=[("worker_id", given.id)]).info
os.environ.update({{
    "WORKER_ID": given.id,
    "PIPELINE_OPTIONS": json_format.MessageToJson(info.pipeline_options),
    "LOGGING_API_SERVICE_DESCRIPTOR": text_format.MessageToString(info.logging_endpoint),
    "CONTROL_API_SERVICE_DESCRIPTOR": text_format.MessageToString(info.control_endpoint),
    "RUNNER_CAPABILITIES": " ".join(info.runner_capabilities),
}})
sdk_worker_main.main([])
"""


@pytest.fixture
def worker_command(tmp_path):
    boot = tmp_path / "boot"
    boot.write_text(_BOOT)
    boot.chmod(0o755)
    return str(boot)


def _options(flink, worker_command):
    return [
        "--runner=FlinkRunner",
        f"--flink_master={flink.master}",
        "--flink_version=1.20",
        f"--flink_job_server_jar={flink.job_server_jar}",
        "--environment_type=PROCESS",
        f"--environment_config={json.dumps({'command': worker_command})}",
        "--execution_mode_for_batch=BATCH_FORCED",
        "--parallelism=2",
    ]


def test_each_taskmanager_has_a_python_worker_that_works(flink, worker_command, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    command = [sys.executable, "-m", "tests.jobs.flink_sessions", str(out), *_options(flink, worker_command)]
    subprocess.run(command, check=True, cwd=pathlib.Path(__file__).resolve().parents[2])
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
