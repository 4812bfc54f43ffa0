"""The files of deploy/ and the shell scripts, each held against a real validator, which is shown to find faults."""

import json
import pathlib
import re
import subprocess

import pytest
from packaging.requirements import Requirement

from beam_jobs.build_dataset import make_parser
from tests import deploy_findings

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_DEPLOY = _ROOT / "deploy"
_DOCKERFILES = sorted(_DEPLOY.glob("**/Dockerfile*"))
_SCRIPTS = [*sorted(_DEPLOY.glob("**/*.sh")), _ROOT / "tests" / "run", _ROOT / ".ci" / "run"]
_MANIFESTS = sorted(_DEPLOY.glob("**/kubernetes/**/*.yaml"))
_TEMPLATE = _DEPLOY / "dataflow" / "template.json"
_FILLED_IN = {"runner", "project", "region", "temp_location", "staging_location", "job_name", "sdk_container_image"}
_GOOD_JOB = """\
apiVersion: batch/v1
kind: Job
metadata: {name: photobeam}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: photobeam, image: photobeam}]
"""
_GOOD_FLINK = """\
apiVersion: flink.apache.org/v1beta1
kind: FlinkDeployment
metadata: {name: photobeam}
spec:
  image: photobeam
  flinkVersion: v1_20
  serviceAccount: flink
  flinkConfiguration: {taskmanager.numberOfTaskSlots: "1"}
  jobManager: {resource: {memory: 1g, cpu: 0.5}}
  taskManager: {resource: {memory: 2g, cpu: 1}}
"""


def _name(path: pathlib.Path) -> str:
    return str(path.relative_to(_ROOT))


@pytest.mark.parametrize("path", _DOCKERFILES, ids=_name)
def test_dockerfiles(path):
    text = path.read_text("utf-8")
    assert deploy_findings.in_dockerfile(text) == []
    assert re.findall(r"^USER (?!0$)\S+", text, re.MULTILINE), "nobody but root is said to run it"
    bases = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    stages = set(re.findall(r"^FROM \S+ AS (\S+)", text, re.MULTILINE))
    assert [base for base in bases if base not in stages and not re.search(r":(?!latest$)[\w.-]+$", base)] == []


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("python:3.11-slim-bookworm", "python", "DL3006"),
        ("# hadolint ignore=DL3008\n", "", "DL3008"),
        ("WORKDIR /src", "WORKDIR src", "DL3000"),
        ("COPY schemas", "COPPY schemas", "unexpected"),
    ],
)
def test_faults_of_a_dockerfile_are_found(old, new, rule):
    text = (_DEPLOY / "Dockerfile").read_text("utf-8")
    assert old in text
    assert any(rule in finding for finding in deploy_findings.in_dockerfile(text.replace(old, new)))


@pytest.mark.parametrize("path", _SCRIPTS, ids=_name)
def test_scripts(path):
    assert deploy_findings.in_shell_script(path) == []


@pytest.mark.parametrize(
    ("line", "rule"), [("rm -rf $1/x", "SC2086"), ("cd nowhere", "SC2164"), ("if true; then", "SC1")]
)
def test_faults_of_a_script_are_found(tmp_path, line, rule):
    path = tmp_path / "x.sh"
    path.write_text(f"#!/usr/bin/env bash\n{line}\n")
    assert any(rule in finding for finding in deploy_findings.in_shell_script(path))


def test_manifests():
    findings = {_name(path): deploy_findings.in_manifests(path.read_text("utf-8")) for path in _MANIFESTS}
    assert {name: found for name, found in findings.items() if found} == {}


@pytest.mark.parametrize("manifest", [_GOOD_JOB, _GOOD_FLINK], ids=["job", "flink"])
def test_good_manifests_pass(manifest):
    assert deploy_findings.in_manifests(manifest) == []


@pytest.mark.parametrize(
    ("manifest", "old", "new"),
    [
        (_GOOD_JOB, "restartPolicy", "restartPolice"),
        (_GOOD_JOB, "kind: Job", "kind: Jobb"),
        (_GOOD_JOB, "image: photobeam", "image: 7"),
        (_GOOD_JOB, "kind: Job\n", ""),
        (_GOOD_FLINK, "v1_20", "v9_9"),
        (_GOOD_FLINK, "jobManager", "jobManagerr"),
        (_GOOD_FLINK, "memory: 2g", "memmory: 2g"),
        (_GOOD_FLINK, '"1"', "1"),
    ],
)
def test_faults_of_a_manifest_are_found(manifest, old, new):
    assert old in manifest
    assert len(deploy_findings.in_manifests(manifest.replace(old, new))) == 1


def test_no_manifest_is_no_good_manifest():
    assert deploy_findings.in_manifests("# nothing\n")


def test_the_flex_template():
    text = _TEMPLATE.read_text("utf-8")
    assert deploy_findings.in_flex_template(text) == []
    flags = {action.dest for action in make_parser()._actions if action.nargs != 0}
    assert deploy_findings.parameters_of(text) <= flags - _FILLED_IN


@pytest.mark.parametrize(
    ("old", "new"),
    [('"image"', '"immage"'), ('"PYTHON"', '"PYTHONN"'), ('"isOptional": true', '"isOptional": "yes"'), ("}", "")],
)
def test_faults_of_the_flex_template_are_found(old, new):
    text = _TEMPLATE.read_text("utf-8")
    assert old in text
    assert len(deploy_findings.in_flex_template(text.replace(old, new))) == 1


@pytest.fixture
def submit(tmp_path):
    """Runs submit.sh with a `gcloud` that keeps its arguments, a line each, and then its input."""
    (tmp_path / "gcloud").write_text(
        f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {tmp_path}/arguments\ncat > {tmp_path}/input\n"
    )
    (tmp_path / "gcloud").chmod(0o755)
    places = {"PROJECT": "p", "REGION": "r", "IMAGE": "r-docker.pkg.dev/p/a/photobeam:1", "BUCKET": "gs://b"}
    workers = {"SERVICE_ACCOUNT": "w@p.iam.gserviceaccount.com", "SUBNETWORK": "regions/r/subnetworks/s"}
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", **places, **workers}

    def call(*arguments: str) -> tuple[list[str], str]:
        command = ["bash", _DEPLOY / "dataflow" / "submit.sh", *arguments]
        subprocess.run(command, check=True, env=environment, stdin=subprocess.DEVNULL, timeout=60)
        return (tmp_path / "arguments").read_text().splitlines(), (tmp_path / "input").read_text()

    return call


def test_submit_names_the_image_in_the_template(submit):
    _, template = submit("template")
    assert deploy_findings.in_flex_template(template) == []
    spec = json.loads(template)
    assert {spec["image"], spec["defaultEnvironment"]["sdkContainerImage"]} == {"r-docker.pkg.dev/p/a/photobeam:1"}


def test_submit_passes_values_that_hold_commas(submit):
    arguments, _ = submit("run", "job-1", "output=gs://b/out", "classes=Cat,Dog")
    assert arguments[:4] == ["dataflow", "flex-template", "run", "job-1"]
    assert [a for a in arguments if "parameters" in a] == [
        "--parameters=^~^output=gs://b/out",
        "--parameters=^~^classes=Cat,Dog",
    ]


@pytest.mark.parametrize("command", ["jar", "start", "fetch"])
def test_a_job_server_that_is_named_and_not_there_is_refused_first(tmp_path, command):
    jar = tmp_path / "no.jar"
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "FLINK_JOB_SERVER_JAR": str(jar)}
    script = ["bash", _DEPLOY / "flink" / "flink.sh", command]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, timeout=60)
    told = f"flink.sh: FLINK_JOB_SERVER_JAR {jar} is no file: check the path, or unset it\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", told)
    assert not list(tmp_path.iterdir())


def test_images_hold_what_setup_asks_for():
    lines = (_DEPLOY / "requirements.txt").read_text("utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    asked = [Requirement(text) for text in _required()]
    asked = [requirement for requirement in asked if not requirement.marker or requirement.marker.evaluate()]
    assert len(asked) > 20
    assert [str(r) for r in asked if r.name.lower() not in pinned or pinned[r.name.lower()] not in r.specifier] == []


def _required() -> list[str]:
    """What `setup.py` asks for, with the extras of the images."""
    import setuptools

    seen: dict[str, dict] = {}
    original, setuptools.setup = setuptools.setup, lambda **arguments: seen.update(arguments)
    try:
        exec(compile((_ROOT / "setup.py").read_text("utf-8"), "setup.py", "exec"), {})
    finally:
        setuptools.setup = original
    extras = seen["extras_require"]
    of_images = ("s3", "gcs", "dataflow", "text", "features")
    return [*seen["install_requires"], *(one for extra in of_images for one in extras[extra])]
