"""`photobeam doctor`: one line for each thing that a run needs, and nothing is changed."""

import bz2
import importlib.metadata
import json
import os
import pathlib
import resource
import ssl
import subprocess
import tempfile
import time
import typing
import urllib.request

import pytest

from beam_jobs import doctor
from beam_jobs.diagnosis.findings import FAULT, OK, WARNING, Finding, look_at
from beam_jobs.diagnosis.machine_findings import (
    look_at_cores,
    look_at_open_files,
    look_at_packages,
    look_at_temporary_files,
)
from beam_jobs.diagnosis.output_findings import look_at_temp_location
from beam_jobs.diagnosis.place_findings import look_at_server
from beam_jobs.diagnosis.runner_findings import look_at_runner
from beam_jobs.runners import job_server_jar
from schemas import layout
from tests.factories import make_dataset
from tests.fault_server import Answer, FaultServer, closed_port
from tests.jobs.conftest import write_lines
from tests.raw_server import raw_server
from tests.source_files import write_four_sources
from tests.store_servers import GcsServer, S3Server
from tests.unit.test_flink_cluster import OVERVIEW, write_jar, write_java
from transforms.fetch.fetch_options import FetchOptions
from transforms.places.reach_server import UnreachableError, reach
from transforms.stores import store_requests
from transforms.stores.lease import hold_output
from transforms.stores.open_output import open_output
from transforms.stores.output import LocalOutput
from transforms.stores.request_signers import S3Options
from transforms.workers.worker_process import MAX_TEMP_DIR_BYTES

pytestmark = pytest.mark.usefixtures("no_credentials")

Said = dict[str, list[dict[str, str]]]


@pytest.fixture
def source(lines: list[str], tmp_path: pathlib.Path) -> pathlib.Path:
    return write_lines(tmp_path / "in/yfcc100m_dataset", lines)


class Examine(typing.Protocol):
    def __call__(self, *flags: object) -> tuple[int, Said]: ...


@pytest.fixture
def examine(capsys: pytest.CaptureFixture[str]) -> Examine:
    """Runs the command; gives its exit code, and what it says by check."""

    def run(*flags: object) -> tuple[int, Said]:
        capsys.readouterr()
        code = doctor.main([*map(str, flags), "--json", "--workers=1"])
        said: Said = {}
        for line in capsys.readouterr().out.splitlines():
            finding = json.loads(line)
            said.setdefault(finding["check"], []).append(finding)
        return code, said

    return run


def faults(said: Said) -> dict[str, str]:
    return {name: f["found"] for name, found in said.items() for f in found if f["status"] == FAULT}


def test_all_is_well_where_a_build_would_do(
    source: pathlib.Path, mirror: FaultServer, tmp_path: pathlib.Path, examine: Examine
) -> None:
    before = sorted(tmp_path.rglob("*"))
    place = f"yfcc={mirror.url}"
    code, said = examine("--yfcc", source, "--output", tmp_path / "new/out", "--mirror", place)
    assert (code, faults(said)) == (0, {})
    assert sorted(tmp_path.rglob("*")) == before
    photos = [found for check, (found, *_) in said.items() if check.startswith("photo ")]
    assert len(photos) == doctor.PHOTOS
    assert any("bytes from mirror" in photo["found"] and mirror.url in photo["found"] for photo in photos)
    assert "dataset (1 file)" in said["--yfcc"][0]["found"]
    assert {"python", "packages", "cores", "memory", "open files", "TMPDIR", "proxy", "disk"} <= set(said)
    assert [c for c in said if c.startswith("--mirror")] == [f"--mirror {place}"]


def test_text_is_a_line_for_each_thing_and_a_summary(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    assert doctor.main(["--output", str(tmp_path), "--images=none", "--workers=9999"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "1 fault, 2 warnings"
    assert all(line.startswith(("ok  ", "warning  ", "fault  ")) for line in lines[:-1])
    assert f"fault    --output {tmp_path}: holds something else (thesis.txt); choose another directory" in lines
    assert any(line.startswith("warning  cores: --workers 9999 on") and "give --workers=" in line for line in lines)


def test_one_fault_never_hides_the_next(
    lines: list[str], tmp_path: pathlib.Path, examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:1")
    wrong = write_lines(tmp_path / "in/notes.txt", ["no pack"])
    source = write_lines(tmp_path / "in/yfcc100m_dataset", lines[:9])
    flags = ["--coco", wrong, "--yfcc", source, "--output", wrong, "--where", "nope = 1", "--images", "/no/where"]
    code, said = examine(*flags)
    assert code == 1
    found = faults(said)
    assert "HTTPS_PROXY begins with socks5://" in found["proxy"]
    assert "--where" in found["flags"]
    assert "annotation file" in found["--coco"]
    assert "is a file" in found[f"--output {wrong}"]
    assert said["--yfcc"][0]["status"] == OK


def test_a_proxy_that_is_down_is_named(
    source: pathlib.Path, tmp_path: pathlib.Path, examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = f"http://me:secret@127.0.0.1:{closed_port()}"
    monkeypatch.setenv("HTTP_PROXY", proxy)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setattr(store_requests, "_opener", urllib.request.build_opener(store_requests._NoRedirect))
    code, said = examine("--yfcc", source, "--mirror=yfcc=http://photos.invalid")
    assert code == 1
    assert "refused" in faults(said)["--mirror yfcc=http://photos.invalid"]
    assert "through the proxy http://127.0.0.1" in faults(said)["--mirror yfcc=http://photos.invalid"]
    assert "secret" not in json.dumps(said)


@pytest.mark.parametrize(("root", "why"), [("http://photos.invalid", "not resolve"), ("http://127.0.0.1:1", "refused")])
def test_a_mirror_that_cannot_be_reached_is_a_fault(
    root: str, why: str, source: pathlib.Path, examine: Examine
) -> None:
    code, said = examine("--yfcc", source, f"--mirror=yfcc={root}")
    assert code == 1
    assert why in faults(said)[f"--mirror yfcc={root}"]
    assert "none of 4" in faults(said)["photos"]
    assert {f["status"] for check, (f, *_) in said.items() if check.startswith("photo ")} == {WARNING}


def test_photos_of_all_sources_are_tried_in_places_that_are_here(
    tmp_path: pathlib.Path, mirror: FaultServer, examine: Examine
) -> None:
    sources = write_four_sources(tmp_path / "sources")
    (tmp_path / "photos").mkdir()
    for source in ("coco", "open_images", "flickr8k"):
        flags = [f"--{source}", sources[source], "--images", tmp_path / "photos"]
        code, said = examine(*flags)
        assert code == 1, said
        assert "none of 4" in faults(said)["photos"], said
        missing = [f["found"] for check, (f, *_) in said.items() if check.startswith("photo ")]
        assert all("no file of --images has the photo's name" in text for text in missing)


def test_classes_are_looked_up(tmp_path: pathlib.Path, examine: Examine) -> None:
    coco = write_four_sources(tmp_path / "sources")["coco"]
    code, said = examine("--coco", coco, "--images=none", "--classes=dog")
    assert (code, said["--classes"][0]["found"]) == (0, "1 class that the inputs know")
    code, said = examine("--coco", coco, "--images=none", "--classes=unicorn")
    assert code == 1
    assert "none of the" in faults(said)["--classes"]


@pytest.mark.parametrize("compressed", [False, True])
def test_a_rule_of_the_server_is_said(
    compressed: bool, lines: list[str], tmp_path: pathlib.Path, mirror: FaultServer, examine: Examine
) -> None:
    data = "".join(line + "\n" for line in lines).encode()
    path = tmp_path / ("yfcc100m_dataset.bz2" if compressed else "yfcc100m_dataset")
    path.write_bytes(bz2.compress(data) if compressed else data)
    for answer in mirror.answers.values():
        answer.headers = {"X-Robots-Tag": "noai"}
    code, said = examine("--yfcc", path, f"--mirror=yfcc={mirror.url}")
    assert code == 1
    assert any("opted_out" in f["found"] for found in said.values() for f in found)


def test_a_dead_host_costs_no_more_than_its_time(
    source: pathlib.Path, tmp_path: pathlib.Path, examine: Examine
) -> None:
    with FaultServer({"/": Answer(fault="stall")}) as dead:
        dead.answer_for = lambda path, headers: Answer(fault="stall")  # type: ignore[method-assign]
        begun_s = time.monotonic()
        flags = ["--yfcc", source, "--timeout_s=0.3", "--output", tmp_path / "out", f"--mirror=yfcc={dead.url}"]
        code, said = examine(*flags)
    assert time.monotonic() - begun_s < 15
    assert code == 1
    assert said[f"--output {tmp_path / 'out'}"][0]["status"] == OK


def test_a_look_that_hangs_or_breaks_is_reported() -> None:
    def hangs() -> typing.Iterator[Finding]:
        yield Finding(OK, "first", "seen")
        time.sleep(1)

    def breaks() -> typing.Iterator[Finding]:
        raise RuntimeError("a bug")

    looks = [("slow", hangs), ("broken", breaks), ("well", lambda: [Finding(OK, "well", "")])]
    found = list(look_at(looks, 0.2))
    assert [(f.status, f.check) for f in found] == [(OK, "first"), (FAULT, "slow"), (FAULT, "broken"), (OK, "well")]
    assert "0.2 s" in found[1].found
    assert found[2].found == "a bug"


def test_an_output_says_what_stands_there(tmp_path: pathlib.Path, examine: Examine) -> None:
    output = make_dataset(tmp_path / "out")
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in output.rglob("*") if p.is_file()}
    check = f"--output {output}"
    flags = ["--output", output, "--samples_per_shard=8", "--image_size=32", "--mirror=yfcc=http://127.0.0.1:1"]
    assert "a finished dataset of 3 shards" in examine(*flags)[1][check][-1]["found"]
    assert {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in output.rglob("*") if p.is_file()} == before
    code, said = examine(*flags, "--image_size=64")
    assert code == 1
    assert "--image_size is 64, the output was begun with 32" in faults(said)[check]
    assert "drops what is there" in examine(*flags, "--image_size=64", "--overwrite")[1][check][-1]["found"]
    (output / layout.MANIFEST).unlink()
    assert "3 of 3 shards are there" in examine(*flags)[1][check][-1]["found"]
    with hold_output(open_output(str(output), S3Options())):
        code, said = examine(*flags)
    assert code == 1
    assert f"process {os.getpid()}" in faults(said)[check]
    (output / layout.PLAN).write_bytes(b"{}")
    assert "remove it" in faults(examine(*flags)[1])[check]


def test_a_bucket_is_looked_at_and_left_as_it_is(
    source: pathlib.Path, mirror: FaultServer, s3: S3Server, bucket: str, examine: Examine
) -> None:
    s3.put(bucket, {})
    check = f"--output s3://{bucket}/out"
    place = ["--yfcc", source, "--output", f"s3://{bucket}/out", f"--mirror=yfcc={mirror.url}"]
    keys = [f"--s3_access_key_id={s3.key_id}", f"--s3_secret_access_key={s3.secret}"]
    endpoint = f"--s3_endpoint_url={s3.url}"
    code, said = examine(*place, *keys, endpoint)
    assert (code, faults(said)) == (0, {})
    assert [f["status"] for f in said[check]] == [OK] * 5
    assert not s3.client.list_objects_v2(Bucket=bucket).get("Contents")
    assert s3.secret not in json.dumps(said)

    assert "no credentials were found" in faults(examine(*place, endpoint)[1])[check]
    wrong = [keys[0], "--s3_secret_access_key=wrong"]
    assert "do not permit it" in faults(examine(*place, *wrong, endpoint)[1])[check]
    place[3] = f"s3://{bucket}-not/out"
    assert "no such bucket" in faults(examine(*place, *keys, endpoint)[1])[f"{check[:-4]}-not/out"]
    down = f"--s3_endpoint_url=http://127.0.0.1:{closed_port()}"
    assert "refused" in faults(examine(*place, *keys, down)[1])[f"{check[:-4]}-not/out"]


def test_a_lease_in_a_bucket_is_told_by_its_holder(
    gcs: GcsServer, bucket: str, examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    gcs.put(bucket, {})
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.url)
    url = f"gs://{bucket}/out"
    with hold_output(open_output(url, S3Options())):
        code, said = examine("--output", url, "--images=none")
    assert code == 1
    assert f"process {os.getpid()}" in faults(said)[f"--output {url}"]
    code, said = examine("--output", url, "--images=none")
    assert (code, faults(said)) == (0, {})


def test_photos_of_a_bucket_are_tried(
    lines: list[str], source: pathlib.Path, s3: S3Server, bucket: str, mirror: FaultServer, examine: Examine
) -> None:
    s3.public.add(bucket)
    s3.put(bucket, {path.lstrip("/"): answer.body for path, answer in mirror.answers.items()})
    place = f"s3://{bucket}/data"
    flags = ["--yfcc", source, f"--s3_endpoint_url={s3.url}", "--images", place]
    code, said = examine(*flags)
    assert (code, faults(said)) == (0, {})
    assert said[f"--images {place}"][-1]["found"] == "is there, and can be listed"
    assert any("bytes from images" in f["found"] for found in said.values() for f in found)
    assert "s3" in "".join(said)


def test_clocks_that_are_apart_are_told() -> None:
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() - 3600))
    head = f"HTTP/1.1 403 Forbidden\r\nDate: {date}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
    with raw_server(head) as url:
        found = list(look_at_server("a bucket", url, FetchOptions(), is_signed=True))
        assert [f.status for f in look_at_server("a bucket", url, FetchOptions())] == [OK]
    assert [f.status for f in found] == [OK, FAULT]
    assert "+60 minutes" in found[1].found


def test_a_certificate_that_nobody_trusts_is_told(tmp_path: pathlib.Path) -> None:
    command = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout key -out cert"
    subprocess.run(["openssl", *command.split()], cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    with FaultServer() as server:
        server._server.socket = context.wrap_socket(server._server.socket, server_side=True)
        with pytest.raises(UnreachableError, match=r"no trusted TLS connection \(self.signed certificate"):
            reach(server.url.replace("http:", "https:"), FetchOptions())


def test_a_machine_that_is_too_small_is_told() -> None:
    assert [f.status for f in look_at_cores(1)] == [OK, OK]
    assert [f.status for f in look_at_cores(100_000)] == [WARNING, WARNING]
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert [f.status for f in look_at_open_files(1)] == [OK]
    assert [(f.status, f.remedy) for f in look_at_open_files(limit)] == [
        (FAULT, f"ulimit -n {limit + 256}, or a lower --concurrency")
    ]


def test_a_folder_for_temporary_files_with_too_long_a_name_is_a_fault(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("x" * MAX_TEMP_DIR_BYTES)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    [finding] = look_at_temporary_files()
    assert (finding.status, f"set TMPDIR to one of at most {MAX_TEMP_DIR_BYTES} bytes" in finding.found) == (
        FAULT,
        True,
    )


def test_packages_that_lack_are_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name in ("s3fs", "gcsfs"):
            raise importlib.metadata.PackageNotFoundError(name)
        return "12.0.0" if name == "pillow" else real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    found = {f.check: f for f in look_at_packages(["s3"], ["gcs"])}
    assert found["packages"].status == FAULT
    assert "pillow 12.0.0 does not fit" in found["packages"].found
    assert found["packages for s3"][0::3] == (FAULT, "pip install 'photobeam[s3]'")
    assert found["packages for gcs"][0::3] == (WARNING, "pip install 'photobeam[gcs]'")


def test_flink_is_looked_at_by_its_flags(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_java(tmp_path, "17.0.15")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    jar = str(write_jar(tmp_path / "a.jar"))
    flags = {"runner": "FlinkRunner", "flink_version": "1.20", "flink_job_server_jar": jar}
    with FaultServer({"/overview": Answer(json.dumps(OVERVIEW).encode())}) as server:
        found = list(look_at_runner({**flags, "flink_master": server.url}))
    assert [f.status for f in found] == [OK, OK, OK, OK]
    assert found[2].check == "photobeam-worker"
    assert found[-1].found == "Flink 1.20.5, 2 TaskManagers, 1 of 2 slots free"
    found = list(look_at_runner({**flags, "flink_master": server.url, "flink_version": "1.19"}))
    assert [f.status for f in found] == [OK, FAULT, OK, FAULT]
    assert "refused" in found[-1].found
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    monkeypatch.setattr(job_server_jar, "JAR_CACHE", tmp_path)
    monkeypatch.setattr(job_server_jar, "_REPOSITORY", f"http://127.0.0.1:{closed_port()}")
    found = list(look_at_runner({**flags, "flink_master": "[local]", "flink_job_server_jar": ""}))
    assert [f.status for f in found] == [FAULT, FAULT, OK]


def test_the_java_and_the_worker_that_flags_name_are_looked_at(tmp_path: pathlib.Path) -> None:
    flags = {"runner": "FlinkRunner", "flink_master": "[local]", "flink_job_server_jar": str(write_jar(tmp_path / "a"))}
    java, worker = str(tmp_path / "java"), tmp_path / "worker"

    def statuses() -> dict[str, str]:
        given = {"job_server_java_launcher": java, "environment_config": json.dumps({"command": str(worker)})}
        return {f.check: f.status for f in look_at_runner({**flags, **given})}

    assert statuses()[f"--job_server_java_launcher {java}"] == FAULT
    assert statuses()["photobeam-worker"] == WARNING
    write_java(tmp_path, "17.0.15")
    worker.touch(0o755)
    assert set(statuses().values()) == {OK}
    assert statuses()["photobeam-worker"] == OK


def test_the_temp_location_is_looked_at_and_left_as_it_was(tmp_path: pathlib.Path) -> None:
    place, output = LocalOutput(tmp_path / "a/b"), LocalOutput(tmp_path / "out")
    assert [f.status for f in look_at_temp_location(place, output)] == [OK]
    assert not list(tmp_path.iterdir())
    (inside,) = look_at_temp_location(output.child("temp"), output)
    assert (inside.status, "lies in" in inside.found) == (FAULT, True)
    (tmp_path / "a").touch()
    (told,) = look_at_temp_location(place, None)
    assert str(told).startswith(
        f"fault    --temp_location {place}: cannot be written (Not a directory); choose another"
    )


def test_prism_and_dataflow_are_looked_at(tmp_path: pathlib.Path) -> None:
    def statuses(**flags: str) -> list[str]:
        return [f.status for f in look_at_runner(flags)]

    binary = tmp_path / "prism"
    assert statuses(runner="PrismRunner") == [FAULT]
    assert statuses(runner="PrismRunner", prism_location=str(binary)) == [FAULT]
    binary.write_text("#!/bin/sh\n")
    assert statuses(runner="PrismRunner", prism_location=str(binary)) == [FAULT]
    binary.chmod(0o755)
    assert statuses(runner="PrismRunner", prism_location=str(binary)) == [OK]
    assert statuses(runner="DataflowRunner", project="p", region="r") == [FAULT, FAULT]
    where = {"project": "p", "region": "r", "temp_location": "gs://t", "sdk_container_image": "i"}
    assert statuses(runner="DataflowRunner", **where) == [OK, FAULT]
    assert statuses(runner="DirectRunner") == [OK]


def test_a_wrong_command_line_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main(["--yfc", "x"]) == 2
    assert "did you mean --yfcc?" in capsys.readouterr().err
