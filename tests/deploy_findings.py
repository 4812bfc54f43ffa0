"""What real validators find in files of deploy/: each function returns findings, none if all is well."""

import functools
import json
import os
import pathlib
import subprocess
import sysconfig
import typing
import zipfile

import jsonschema
import kubernetes_validate
import yaml
from google.cloud.dataflow_v1beta3 import ContainerSpec
from google.protobuf.json_format import ParseError

_PROGRAMS = pathlib.Path(sysconfig.get_path("scripts"))
_KUBERNETES = "1.30"
"""The oldest release that still gets fixes from somebody."""

_OPERATOR = "org.apache.flink:flink-kubernetes-operator-api:1.10.0"
_CRD = "META-INF/fabric8/{}s.flink.apache.org-v1.yml"
_PLAIN_KEYS: typing.Final = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {}}

Schema = dict[str, typing.Any]


def in_dockerfile(text: str) -> list[str]:
    """Asks hadolint."""
    return _lines(["hadolint", "--no-color", "-"], text)


def in_shell_script(path: pathlib.Path) -> list[str]:
    """Asks shellcheck, which follows what the script sources."""
    return _lines(["shellcheck", "--external-sources", "--source-path=SCRIPTDIR", "--format=gcc", str(path)], "")


def in_manifests(text: str) -> list[str]:
    """Holds each document against the schema of its kind: Kubernetes' own, or one of the Flink operator's."""
    documents = [document for document in yaml.safe_load_all(text) if document is not None]
    return [finding for document in documents for finding in _in_manifest(document)] or ([] if documents else ["empty"])


def in_flex_template(text: str) -> list[str]:
    """Reads the template as the message of Dataflow's API that it is."""
    try:
        ContainerSpec.from_json(text)
    except ParseError as error:
        return [str(error)]
    return []


def _lines(command: list[str], text: str) -> list[str]:
    done = subprocess.run(
        [str(_PROGRAMS / command[0]), *command[1:]], input=text, capture_output=True, text=True, timeout=60
    )
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.splitlines()


def _in_manifest(document: dict[str, typing.Any]) -> list[str]:
    if document.get("apiVersion", "").startswith("flink.apache.org/"):
        errors = jsonschema.Draft7Validator(_operator_schema(document["kind"].lower())).iter_errors(document)
        return [f"{error.json_path}: {error.message}" for error in errors]
    try:
        kubernetes_validate.validate(document, _KUBERNETES, strict=True)
    except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError, KeyError) as error:
        return [f"{type(error).__name__} {error}"]
    return []


@functools.cache
def _operator_schema(kind: str) -> Schema:
    with zipfile.ZipFile(_operator_jar()) as jar:
        definition = yaml.load(jar.read(_CRD.format(kind)), yaml.CSafeLoader)
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema["properties"] |= _PLAIN_KEYS
    return _closed(schema)


def _closed(schema: typing.Any) -> typing.Any:
    """Lets objects have no other keys than their schema names, as an API server that validates strictly does."""
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    is_open = "additionalProperties" in schema or schema.get("x-kubernetes-preserve-unknown-fields")
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object" and not is_open:
        closed["additionalProperties"] = False
    return closed


def _operator_jar() -> pathlib.Path:
    """Returns the jar that holds the operator's schemas; Maven fetches it once."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "photobeam" / "tools"
    _, name, version = _OPERATOR.split(":")
    jar = cache / f"{name}-{version}.jar"
    if not jar.exists():
        subprocess.run(
            ["mvn", "-q", "-B", "dependency:copy", f"-Dartifact={_OPERATOR}", f"-DoutputDirectory={cache}"],
            check=True,
            timeout=300,
        )
    return jar


def parameters_of(template: str) -> set[str]:
    """Returns the names of a flex template's parameters."""
    return {parameter["name"] for parameter in json.loads(template)["metadata"]["parameters"]}
