"""What would be handed to Dataflow, as far as that shows without its service."""

import json
import pathlib
import typing

import pytest
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner

from beam_jobs import build_dataset

_FLAGS = (
    "--output=gs://bucket/out",
    "--runner=DataflowRunner",
    "--project=my-project",
    "--region=europe-west1",
    "--temp_location=gs://bucket/tmp",
    "--staging_location=gs://bucket/staging",
    "--sdk_container_image=registry/photobeam:1",
)
_PICKLED = "beam:coder:pickled_python:v1"
_OWN_CODERS = ("ListCoder", "PaneInfoCoder")
"""Coders that Beam sends pickled, which do not pickle what they encode."""


@pytest.fixture
def source(lines, gcs, bucket, monkeypatch, no_credentials) -> str:
    """The packs, where Dataflow's workers would see them."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.url)
    gcs.put(bucket, {"packs/yfcc100m_dataset": "".join(f"{line}\n" for line in lines).encode()})
    return f"gs://{bucket}/packs"


@pytest.fixture
def graph(source, monkeypatch) -> typing.Iterator[beam_runner_api_pb2.Pipeline]:
    """The graph of a dry run."""
    graphs = []
    run = DataflowRunner.run_pipeline

    def keep(self: DataflowRunner, *arguments: typing.Any, **more: typing.Any) -> typing.Any:
        result = run(self, *arguments, **more)
        graphs.append(self.proto_pipeline)
        return result

    monkeypatch.setattr(DataflowRunner, "run_pipeline", keep)
    assert build_dataset.main(["--yfcc", source, *_FLAGS, "--dry_run=True"]) == 0
    return graphs[0]


def _coders_of(graph: beam_runner_api_pb2.Pipeline, coder_id: str) -> typing.Iterator[beam_runner_api_pb2.Coder]:
    coder = graph.components.coders[coder_id]
    yield coder
    for component in coder.component_coder_ids:
        yield from _coders_of(graph, component)


def test_nothing_is_pickled_on_its_way_between_steps(graph):
    between = {
        collection
        for transform in graph.components.transforms.values()
        if transform.spec.urn == common_urns.primitives.GROUP_BY_KEY.urn and "Reshuffle" not in transform.unique_name
        for collection in transform.inputs.values()
    }
    assert len(between) >= 4
    for name, collection in graph.components.pcollections.items():
        if "ReshufflePerKey" in collection.unique_name or "Finish" in collection.unique_name:
            continue
        for coder in _coders_of(graph, collection.coder_id):
            is_own = any(own.encode() in coder.spec.payload for own in _OWN_CODERS)
            assert coder.spec.urn != _PICKLED or is_own, f"{name}: {collection.unique_name}"


def test_no_step_has_side_inputs(graph):
    steps = graph.components.transforms.values()
    payloads = [t.spec.payload for t in steps if t.spec.urn == common_urns.primitives.PAR_DO.urn]
    assert len(payloads) > 20
    assert [p for p in payloads if beam_runner_api_pb2.ParDoPayload.FromString(p).side_inputs] == []


def test_workers_run_the_given_image_and_have_memory(graph):
    (environment,) = graph.components.environments.values()
    payload = beam_runner_api_pb2.DockerPayload.FromString(environment.payload)
    assert payload.container_image == "registry/photobeam:1"
    assert environment.resource_hints == {"beam:resources:min_ram_bytes:v1": b"4000000000"}
    assert not [a for a in environment.dependencies if b"pickled_main_session" in a.role_payload]


def test_a_template_is_made_without_the_service(source, tmp_path, bucket, monkeypatch):
    from apache_beam.options.pipeline_options import GoogleCloudOptions
    from apache_beam.runners.dataflow.internal import apiclient

    from beam_jobs.runners import dataflow_runner

    staged, left = {}, []

    def keep(self: typing.Any, location: str, name: str, stream: typing.Any, *_: typing.Any, **__: typing.Any) -> None:
        staged[name] = stream.read()

    def leave(message: str) -> typing.NoReturn:
        left.append(message)
        raise SystemExit(0)

    monkeypatch.setattr(apiclient.DataflowApplicationClient, "stage_file", keep)
    monkeypatch.setattr(GoogleCloudOptions, "_warn_if_soft_delete_policy_enabled", lambda *_: None)
    monkeypatch.setattr(dataflow_runner, "leave", leave)
    template = tmp_path / "template.json"
    flags = [flag.replace("gs://bucket", f"gs://{bucket}") for flag in _FLAGS]
    with pytest.raises(SystemExit):
        build_dataset.main(["--yfcc", source, *flags, "--no_auth", f"--template_location={template}"])
    assert left == ["the job is Dataflow's now; its last step writes the manifest"]
    job = json.loads(pathlib.Path(template).read_text() if template.exists() else staged["template.json"])
    pool = job["environment"]["workerPools"][0]
    assert pool["sdkHarnessContainerImages"][0]["containerImage"] == "registry/photobeam:1"
    assert "use_multiple_sdk_containers" in job["environment"]["experiments"]
    assert pool["numThreadsPerWorker"] == 1
