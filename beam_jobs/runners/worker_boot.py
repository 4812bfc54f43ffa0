"""`photobeam-worker`: starts Beam's Python worker where photobeam is installed already.

Runners with a PROCESS environment start it by name, with the addresses of their services. It asks the runner for the
job's options, as the boot program of Beam's containers does (contract:
https://s.apache.org/beam-fn-api-container-contract), but installs nothing.
"""

import argparse
import json
import os
import queue
import sys
import typing

from beam_jobs.command import versions
from beam_jobs.command.errors import FAILED, OK

if typing.TYPE_CHECKING:
    from apache_beam.portability.api import beam_fn_api_pb2, beam_provision_api_pb2

VERSIONS = "PHOTOBEAM_VERSIONS"
"""Environment variable: the versions that the submitter has, as JSON."""

_LIMIT = "beam:option:element_processing_timeout_minutes:v1"
"""Among the job's options."""

_SOURCE = "beam:runner:source:v1"
"""Of what a runner hands to a bundle."""

_ENDPOINTS = ("logging_endpoint", "artifact_endpoint", "provision_endpoint", "control_endpoint", "semi_persist_dir")


def main(argv: typing.Sequence[str] | None = None) -> int:
    """Serves as a worker until the runner ends it; returns its exit code."""
    parser = argparse.ArgumentParser(prog="photobeam-worker", description="started by Beam's runners")
    parser.add_argument("--id", required=True)
    for name in _ENDPOINTS:
        parser.add_argument(f"--{name}", default="")
    flags = parser.parse_args(argv)
    difference = versions.difference(json.loads(os.environ.get(VERSIONS, "{}")))
    info = _provision_info(flags)
    if difference:
        control = info.control_endpoint.url or flags.control_endpoint
        _refuse_work(control, flags.id, f"the worker {sys.prefix} on {os.uname().nodename} has {difference}")
        return FAILED
    os.environ.update(_environment(flags, info))
    _serve(_limit_minutes(info))
    return OK


def _serve(limit_minutes: float) -> None:
    """Does the runner's work; ends itself if it is stuck for so long, 0 for never."""
    from beam_jobs.runners.stuck_worker import StuckWorker

    watcher = StuckWorker(60 * limit_minutes) if limit_minutes > 0 else None
    from apache_beam.runners.worker import sdk_worker_main

    log_handler, harness, _ = sdk_worker_main.create_harness(dict(os.environ))
    if watcher:
        watcher.watch(harness)
    try:
        harness.run()
    finally:
        if log_handler:
            log_handler.close()


def _limit_minutes(info: "beam_provision_api_pb2.ProvisionInfo") -> float:
    fields = info.pipeline_options.fields
    return float(fields[_LIMIT].string_value or fields[_LIMIT].number_value) if _LIMIT in fields else 0.0


def _provision_info(flags: argparse.Namespace) -> "beam_provision_api_pb2.ProvisionInfo":
    import grpc
    from apache_beam.portability.api import beam_provision_api_pb2, beam_provision_api_pb2_grpc

    with grpc.insecure_channel(flags.provision_endpoint) as channel:
        stub = beam_provision_api_pb2_grpc.ProvisionServiceStub(channel)
        request = beam_provision_api_pb2.GetProvisionInfoRequest()
        return stub.GetProvisionInfo(request, metadata=[("worker_id", flags.id)]).info


def _environment(flags: argparse.Namespace, info: "beam_provision_api_pb2.ProvisionInfo") -> dict[str, str]:
    """Returns what Beam's worker reads from its environment."""
    from apache_beam.portability.api import endpoints_pb2
    from google.protobuf import json_format, text_format

    def address(told: endpoints_pb2.ApiServiceDescriptor, given: str) -> str:
        return text_format.MessageToString(endpoints_pb2.ApiServiceDescriptor(url=told.url or given))

    variables = {
        "WORKER_ID": flags.id,
        "PIPELINE_OPTIONS": json_format.MessageToJson(info.pipeline_options),
        "SEMI_PERSISTENT_DIRECTORY": flags.semi_persist_dir,
        "LOGGING_API_SERVICE_DESCRIPTOR": address(info.logging_endpoint, flags.logging_endpoint),
        "CONTROL_API_SERVICE_DESCRIPTOR": address(info.control_endpoint, flags.control_endpoint),
        "RUNNER_CAPABILITIES": " ".join(info.runner_capabilities),
    }
    if info.status_endpoint.url:
        variables["STATUS_API_SERVICE_DESCRIPTOR"] = address(info.status_endpoint, "")
    return variables


def _refuse_work(control_endpoint: str, worker_id: str, reason: str) -> None:
    """Answers every bundle with an error, so that the submitter is told the reason.

    A runner hears that only when the worker has opened the bundle's stream of data as well.
    """
    import grpc
    from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc

    answers: queue.SimpleQueue[beam_fn_api_pb2.InstructionResponse] = queue.SimpleQueue()
    caller, silence, streams = [("worker_id", worker_id)], queue.SimpleQueue[typing.Any](), []
    with grpc.insecure_channel(control_endpoint) as channel:
        control = beam_fn_api_pb2_grpc.BeamFnControlStub(channel)
        for asked in control.Control(iter(answers.get, None), metadata=caller):
            answer = beam_fn_api_pb2.InstructionResponse(instruction_id=asked.instruction_id)
            if asked.HasField("process_bundle"):
                wanted = beam_fn_api_pb2.GetProcessBundleDescriptorRequest(
                    process_bundle_descriptor_id=asked.process_bundle.process_bundle_descriptor_id
                )
                for endpoint in _data_endpoints(control.GetProcessBundleDescriptor(wanted, metadata=caller)):
                    data = beam_fn_api_pb2_grpc.BeamFnDataStub(grpc.insecure_channel(endpoint))
                    streams.append(data.Data(iter(silence.get, None), metadata=caller))
                answer.error = reason
            answers.put(answer)


def _data_endpoints(bundle: "beam_fn_api_pb2.ProcessBundleDescriptor") -> set[str]:
    """Returns where a bundle has its data from."""
    from apache_beam.portability.api import beam_fn_api_pb2

    sources = (t.spec.payload for t in bundle.transforms.values() if t.spec.urn == _SOURCE)
    return {beam_fn_api_pb2.RemoteGrpcPort.FromString(payload).api_service_descriptor.url for payload in sources}


if __name__ == "__main__":
    sys.exit(main())
