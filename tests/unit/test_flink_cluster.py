"""What is said of a Flink cluster, of Java and of the job server, before anything is submitted."""

import json
import pathlib
import zipfile

import pytest

from beam_jobs.command.errors import UsageError
from beam_jobs.runners import job_server_jar
from beam_jobs.runners.flink_cluster import (
    ClusterState,
    check_flink,
    check_java,
    cluster_warnings,
    default_java,
    java_version,
    java_warnings,
    read_cluster,
)
from beam_jobs.runners.flink_options import flink_options
from beam_jobs.runners.job_server_jar import beam_version, find_jar, jar_warnings
from tests.fault_server import Answer, FaultServer, closed_port
from tests.raw_server import raw_server

OVERVIEW = {
    "taskmanagers": 2,
    "slots-total": 2,
    "slots-available": 1,
    "jobs-running": 1,
    "jobs-finished": 0,
    "jobs-cancelled": 0,
    "jobs-failed": 0,
    "flink-version": "1.20.5",
    "flink-commit": "ad4a5ac",
}
STATE = ClusterState("1.20.5", 2, 2, 2)


def write_java(folder: pathlib.Path, version: str) -> str:
    """Writes a program that says of itself what Java does."""
    program = folder / "java"
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-04-15' >&2\n")
    program.chmod(0o755)
    return str(program)


def write_jar(path: pathlib.Path, beam: str = "", flink: str = "1.20.5") -> pathlib.Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as jar:
        jar.writestr("org/apache/beam/runners/flink/FlinkJobServerDriver.class", b"")
        jar.writestr("org/apache/beam/sdk/sdk.properties", f"version={beam or beam_version()}\nbuild.date=now\n")
        jar.writestr(".flink-runtime.version.properties", f"project.version={flink}\ngit.commit.id=1\n")
    return path


@pytest.mark.parametrize("scheme", ["", "http://"])
def test_a_cluster_says_what_it_has(scheme: str) -> None:
    with FaultServer({"/overview": Answer(json.dumps(OVERVIEW).encode())}) as server:
        address = scheme + server.url.removeprefix("http://")
        assert read_cluster(address) == ClusterState("1.20.5", 2, 2, 1)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(b"", 404), "no REST server of Flink (status 404)"),
        (Answer(b"<html>hello</html>"), "no REST server of Flink"),
        (Answer(b"[]"), "no REST server of Flink"),
        (Answer(b"{}"), "no REST server of Flink"),
        (Answer(fault="reset"), "does not answer"),
        (Answer(fault="garbage"), "does not answer"),
        (Answer(fault="stall"), "does not answer (timed out)"),
    ],
)
def test_what_is_no_cluster_is_refused(answer: Answer, said: str) -> None:
    with FaultServer({"/overview": answer}) as server:
        address = server.url.removeprefix("http://")
        with pytest.raises(UsageError) as refused:
            read_cluster(address, timeout_s=0.3)
    assert str(refused.value).startswith(f"--flink_master {address} ")
    assert said in str(refused.value)
    assert "8081" in str(refused.value)


def test_a_server_that_never_ends_its_answer_is_no_cluster() -> None:
    with raw_server(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536) as url, pytest.raises(UsageError, match="no REST server"):
        read_cluster(url.removesuffix("/a"))


@pytest.mark.parametrize("address", ["", "host:port", "ftp://host", "host:99999", "a b:1"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="--flink_master .*give HOST:8081"):
        read_cluster(address, timeout_s=0.3)


def test_a_cluster_that_is_down_is_named_with_the_remedy() -> None:
    with pytest.raises(UsageError, match=r"does not answer \(.*refused\): start the cluster"):
        read_cluster(f"127.0.0.1:{closed_port()}")


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (STATE, []),
        (STATE._replace(free_slots=0), ["all 2 slots are taken"]),
        (STATE._replace(slots=4, free_slots=4), ["4 slots on 2 TaskManagers"]),
        (ClusterState("1.20.0", 0, 0, 0), ["no TaskManager"]),
    ],
)
def test_what_slows_a_job_is_warned_of(state: ClusterState, said: list[str]) -> None:
    warnings = cluster_warnings("here:8081", state, "1.20")
    assert len(warnings) == len(said)
    assert all(text in warning for text, warning in zip(said, warnings, strict=True))


@pytest.mark.parametrize(("cluster", "wanted"), [("2.2.1", "1.20"), ("1.20.5", "2.2"), ("1.2.0", "1.20")])
def test_a_cluster_of_another_release_is_refused(cluster: str, wanted: str) -> None:
    with pytest.raises(UsageError, match=f"--flink_master here:1 is Flink {cluster}, --flink_version is {wanted}"):
        cluster_warnings("here:1", STATE._replace(version=cluster), wanted)


def test_java_is_asked_for_its_version(tmp_path: pathlib.Path) -> None:
    java = write_java(tmp_path, "11.0.2")
    assert java_version(java) == check_java(java) == "11.0.2"
    assert java_version(str(tmp_path / "none")) is java_version("/bin/true") is java_version("/bin/false") is None
    with pytest.raises(UsageError, match="Java 11 or newer, and `/bin/true -version` gives none"):
        check_java("/bin/true")
    with pytest.raises(UsageError, match=r"is 1.8.0_392"):
        check_java(write_java(tmp_path, "1.8.0_392"))
    assert java_warnings("17.0.15") == java_warnings("11.0.2") == []
    assert "not tested" in java_warnings("21")[0]


def test_java_home_is_heeded_and_named_where_it_has_none(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(UsageError, match=f"`{tmp_path}/bin/java -version` gives none: JAVA_HOME is {tmp_path}; set it"):
        check_java(default_java())
    with pytest.raises(UsageError, match="`/bin/true -version` gives none: install one"):
        check_java("/bin/true")
    (tmp_path / "bin").mkdir()
    assert flink_options({}, 1)["job_server_java_launcher"] == write_java(tmp_path / "bin", "17.0.15")
    assert check_java(default_java()) == "17.0.15"
    monkeypatch.delenv("JAVA_HOME")
    assert default_java() == "java"


def test_the_jar_that_beam_keeps_is_found(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_server_jar, "JAR_CACHE", tmp_path)
    name = f"beam-runners-flink-1.20-job-server-{beam_version()}.jar"
    kept = write_jar(tmp_path / name)
    found = find_jar("", "1.20")
    assert found == (str(kept), beam_version(), "1.20.5")
    assert jar_warnings(found, "1.20") == []
    with FaultServer() as server:
        monkeypatch.setattr(job_server_jar, "_REPOSITORY", server.url)
        with pytest.raises(
            UsageError, match=r"--flink_version 1.19: .*status 404.*put it there as .*or give .*flink.sh jar"
        ) as lacks:
            find_jar("", "1.19")
        server.answers = {"/a.jar": Answer()}
        assert find_jar(f"{server.url}/a.jar", "1.20") == (f"{server.url}/a.jar", "", "")
    assert str(tmp_path) in str(lacks.value)


def test_what_is_no_job_server_is_refused(tmp_path: pathlib.Path) -> None:
    for content in (b"", b"no zip"):
        (tmp_path / "a.jar").write_bytes(content)
        with pytest.raises(UsageError, match="is no job server for Flink"):
            find_jar(str(tmp_path / "a.jar"), "1.20")
    with zipfile.ZipFile(tmp_path / "b.jar", "w") as jar:
        jar.writestr("Main.class", b"")
    with pytest.raises(UsageError, match="is no job server for Flink"):
        find_jar(str(tmp_path / "b.jar"), "1.20")
    with pytest.raises(UsageError, match="--flink_job_server_jar /no/where.jar is no file"):
        find_jar("/no/where.jar", "1.20")
    with pytest.raises(UsageError, match="does not give it") as refused:
        find_jar(f"http://me:secret@127.0.0.1:{closed_port()}/a.jar", "1.20")
    assert "secret" not in str(refused.value)


def test_a_jar_of_other_versions_is_told(tmp_path: pathlib.Path) -> None:
    jar = find_jar(str(write_jar(tmp_path / "a.jar", beam="2.65.0")), "1.20")
    assert "is of Beam 2.65.0" in jar_warnings(jar, "1.20")[0]
    with pytest.raises(UsageError, match=r"is for Flink 1.20.5, --flink_version is 1.2"):
        jar_warnings(jar, "1.2")


def test_all_of_it_is_looked_at_before_a_job_is_submitted(tmp_path: pathlib.Path) -> None:
    jar, java = str(write_jar(tmp_path / "a.jar", flink="2.2.1")), write_java(tmp_path, "17.0.15")
    overview = {**OVERVIEW, "flink-version": "2.2.1", "slots-total": 4}
    with FaultServer({"/overview": Answer(json.dumps(overview).encode())}) as server:
        warnings = check_flink(server.url, "2.2", jar, java)
    assert ["as streams" in warnings[0], "4 slots" in warnings[1], len(warnings)] == [True, True, 2]
    assert check_flink("[local]", "2.2", jar, java) == warnings[:1]
    with pytest.raises(UsageError, match="needs Java"):
        check_flink("[local]", "2.2", jar, str(tmp_path / "none"))
