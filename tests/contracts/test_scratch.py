"""What every place for what workers share promises: a local folder, S3, Google's store, any file system of fsspec's."""

import concurrent.futures
import dataclasses
import pathlib
import pickle
import threading
import typing

import pytest

import tests.fault_fs  # noqa: F401  gives fsspec faulty://
from tests.store_servers import GcsServer, S3Server
from transforms.files.publish import OutputError
from transforms.stores import local_copies
from transforms.stores.open_output import open_output
from transforms.stores.request_signers import S3Options
from transforms.stores.scratch import LocalScratch, Range, Scratch, StoreScratch, scratch_of

pytestmark = pytest.mark.usefixtures("no_credentials")

PLACES = ("local", "s3", "gs", "faulty")
RUN = "20261121T000000-0123abcd"


@pytest.fixture
def options(
    tmp_path: pathlib.Path, s3: S3Server, gcs: GcsServer, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> S3Options:
    """How S3 is reached; both stores have the bucket, with a file of somebody else's."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.url)
    for server in (s3, gcs):
        server.put(bucket, {"temp/other/a": b"other"})
    return S3Options(endpoint_url=s3.url, access_key_id=s3.key_id, secret_access_key=s3.secret)


@pytest.fixture(params=PLACES)
def scratch(request: pytest.FixtureRequest, options: S3Options, bucket: str, tmp_path: pathlib.Path) -> Scratch:
    output = open_output(str(tmp_path / "out"), options)
    places = {"local": str(tmp_path / "temp"), "faulty": f"faulty://{tmp_path}/temp"}
    return scratch_of(output, RUN, open_output(places.get(request.param, f"{request.param}://{bucket}/temp"), options))


def write(scratch: Scratch, name: str, data: bytes) -> None:
    with scratch.writing(name) as path:
        path.write_bytes(data)


def read(scratch: Scratch, name: str) -> bytes:
    with scratch.reading(name) as path:
        return path.read_bytes()


def temporary_files(tmp_path: pathlib.Path) -> list[str]:
    return [path.name for path in (tmp_path / "temporary").rglob("*") if path.is_file()]


def test_many_files_are_read_in_the_order_of_their_names(scratch: Scratch) -> None:
    for i in range(20):
        write(scratch, f"notes/{i}", b"%d" % i)
    assert scratch.read_files(f"notes/{i}" for i in range(20)) == [b"%d" % i for i in range(20)]
    with pytest.raises(FileNotFoundError):
        scratch.read_files(["notes/1", "notes/none"])


def test_what_is_written_is_read(scratch: Scratch, tmp_path: pathlib.Path) -> None:
    scratch.check_writable()
    for data in (b"first" * 1000, b"", b"second"):
        write(scratch, "kept/000001.npy", data)
        assert read(scratch, "kept/000001.npy") == data
    assert scratch.exists("kept/000001.npy")
    assert not scratch.exists("kept/000002.npy")
    with pytest.raises(FileNotFoundError):
        read(scratch, "kept/000002.npy")
    child = scratch.child("kept")
    assert read(child, "000001.npy") == b"second"
    assert temporary_files(tmp_path) == []


def test_a_path_to_write_to_has_the_ending_of_its_name(scratch: Scratch) -> None:
    with scratch.writing("a/000001.index.npy") as path:
        assert path.name.endswith("000001.index.npy")
        path.write_bytes(b"")


def test_an_error_leaves_what_was(scratch: Scratch, tmp_path: pathlib.Path) -> None:
    def fail(name: str) -> None:
        with scratch.writing(name) as path:
            path.write_bytes(b"half")
            raise ZeroDivisionError

    write(scratch, "a", b"whole")
    for name in ("a", "b"):
        with pytest.raises(ZeroDivisionError):
            fail(name)
    assert read(scratch, "a") == b"whole"
    assert not scratch.exists("b")
    assert temporary_files(tmp_path) == []


def test_parts_of_many_files_come_as_they_are_asked_for(scratch: Scratch) -> None:
    data = {f"{i}.spool": bytes([i]) * 10 + bytes(range(100)) for i in range(5)}
    for name, content in data.items():
        write(scratch, name, content)
    places = ((40, 5), (10, 20), (30, 10), (0, 3))
    wanted = [Range(name, begin, length) for begin, length in places for name in data]
    expected = [data[name][begin : begin + length] for name, begin, length in wanted]
    assert scratch.read_ranges(iter(wanted)) == expected
    assert scratch.read_ranges([]) == []
    with pytest.raises(FileNotFoundError):
        scratch.read_ranges([*wanted, Range("missing", 0, 1)])


def test_adjoining_parts_are_one_request(s3: S3Server, options: S3Options, bucket: str) -> None:
    scratch = StoreScratch(f"s3://{bucket}/temp/{RUN}", options)
    write(scratch, "a", bytes(range(100)))
    s3.asked.clear()
    assert scratch.read_ranges([Range("a", 10, 5), Range("a", 15, 5), Range("a", 20, 1)])[2] == b"\x14"
    assert [(asked.method, asked.range) for asked in s3.asked] == [("GET", "bytes=10-20")]
    with pytest.raises(OSError, match="a ends before it should"):
        scratch.read_ranges([Range("a", 95, 6)])


def test_attempts_at_once_never_show_half_a_file(scratch: Scratch) -> None:
    contents = [bytes([i]) * 300_000 for i in range(4)]
    write(scratch, "a", contents[0])
    gate, seen = threading.Barrier(len(contents) + 1), list[bytes]()

    def attempt(content: bytes) -> None:
        with scratch.writing("a") as path, path.open("wb") as file:
            file.write(content[:100_000])
            gate.wait()
            file.write(content[100_000:])

    with concurrent.futures.ThreadPoolExecutor(len(contents)) as threads:
        attempts = [threads.submit(attempt, content) for content in contents]
        gate.wait()
        while not all(a.done() for a in attempts):
            seen.append(read(scratch, "a"))
        for done in attempts:
            done.result()
    assert {*seen, read(scratch, "a")} <= set(contents)


def test_a_copy_is_made_once_for_a_machine(
    s3: S3Server, options: S3Options, bucket: str, tmp_path: pathlib.Path
) -> None:
    scratch = StoreScratch(f"s3://{bucket}/temp/{RUN}", options)
    write(scratch, "join/base.npy", b"ids")
    s3.asked.clear()
    same = pickle.loads(pickle.dumps(scratch))
    assert (same, hash(same), len(pickle.dumps(scratch)) < 2_000) == (scratch, hash(scratch), True)
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        paths = set(threads.map(lambda s: s.child("join").local("base.npy"), [scratch, same] * 4))
    (path,) = paths
    assert path.read_bytes() == b"ids"
    assert [asked.method for asked in s3.asked].count("GET") == 1
    scratch.remove()
    assert temporary_files(tmp_path) == []
    assert s3.client.list_objects_v2(Bucket=bucket)["KeyCount"] == 1


def test_copies_of_dead_runs_go_when_they_are_old(
    options: S3Options, bucket: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead, alive = (StoreScratch(f"s3://{bucket}/temp/{name}", options) for name in ("dead", "alive"))
    for scratch in (dead, alive):
        write(scratch, "a", b"")
    dead.local("a")
    alive.local("a")
    assert len(temporary_files(tmp_path)) == 2
    write(alive, "b", b"")
    monkeypatch.setattr(local_copies, "STALE_S", -1)
    alive.local("b")
    assert temporary_files(tmp_path) == ["b"]


def test_a_local_copy_of_what_is_local_is_the_file(tmp_path: pathlib.Path) -> None:
    scratch = LocalScratch(tmp_path)
    write(scratch, "a", b"a")
    with scratch.reading("a") as path:
        assert path == scratch.local("a") == tmp_path / "a"


def test_a_run_removes_its_own_alone(scratch: Scratch, bucket: str, s3: S3Server, gcs: GcsServer) -> None:
    for name in ("a", "join/b", "join/c/d"):
        write(scratch, name, b"")
    scratch.remove()
    assert not any(map(scratch.exists, ("a", "join/b", "join/c/d")))
    keys = {o["Key"] for o in s3.client.list_objects_v2(Bucket=bucket)["Contents"]} | set(gcs.names(bucket))
    assert keys == {"temp/other/a"}
    scratch.remove()


def test_where_it_is(options: S3Options, bucket: str, tmp_path: pathlib.Path) -> None:
    here, there = open_output(str(tmp_path / "out"), options), open_output(f"s3://{bucket}/out", options)
    below = tmp_path / "out/_tmp" / RUN
    assert scratch_of(here, RUN) == LocalScratch(below)
    assert scratch_of(here, RUN, is_shared=True) == LocalScratch(below, is_shared=True)
    assert scratch_of(there, RUN) == LocalScratch(there.run_folder(RUN))
    shared = StoreScratch(f"s3://{bucket}/out/_tmp/{RUN}", options, is_shared=True)
    assert scratch_of(there, RUN, is_shared=True) == shared
    temp = open_output(f"s3://{bucket}/temp", options)
    assert scratch_of(here, RUN, temp) == StoreScratch(f"s3://{bucket}/temp/{RUN}", options)
    temp = open_output(str(tmp_path / "temp"), options)
    assert scratch_of(there, RUN, temp) == LocalScratch(tmp_path / "temp" / RUN)
    assert shared.child("done").child("a") == dataclasses.replace(shared, folder="done/a")


def test_a_place_that_cannot_be_written_is_told(options: S3Options, bucket: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for place in (StoreScratch(f"s3://{bucket}-not/a", options), LocalScratch(tmp_path / "file/a")):
        with pytest.raises(OutputError, match=r"--temp_location .*a: cannot be written \(.*; choose another place"):
            place.check_writable()


def test_what_a_dead_run_left_below_the_output_is_swept(options: S3Options, bucket: str) -> None:
    output = open_output(f"s3://{bucket}/out", options)
    scratch: typing.Final = scratch_of(output, RUN, is_shared=True)
    write(scratch, "join/a", b"")
    output.sweep()
    assert output.names("_tmp") == []
