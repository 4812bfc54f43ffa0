"""What every place of a dataset promises: a local folder, S3, Google's store, and any other file system of fsspec's."""

import contextlib
import dataclasses
import datetime
import itertools
import os
import pathlib
import pickle
import subprocess
import sys
import threading
import time
import typing

import fsspec
import pyarrow.parquet as pq
import pytest

from beam_jobs.outputs.settle import settle
from schemas import layout
from schemas.records import Plan, Tombstone
from tests import fault_fs
from tests.factories import make_dataset
from tests.store_servers import GcsServer, S3Server
from transforms.files.publish import OutputError
from transforms.stores import s3_output
from transforms.stores.dataset_files import DatasetFiles
from transforms.stores.lease import OutputInUseError, hold_output
from transforms.stores.lease_holder import Holder, read_holder, this_process
from transforms.stores.open_output import open_output
from transforms.stores.output import LeaseLostError, LocalOutput, Output
from transforms.stores.request_signers import S3Options
from transforms.stores.store_output import PART_BYTES, ChangedError, StoreOutput

pytestmark = pytest.mark.usefixtures("no_credentials")

PLACES = ("local", "s3", "gs", "faulty")
STORES = PLACES[1:]
CONDITIONAL = ("s3", "gs")


@pytest.fixture
def make(
    tmp_path: pathlib.Path, s3: S3Server, gcs: GcsServer, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> typing.Callable[[str], Output]:
    """Makes an empty output at a place, next to files of other people's."""
    options = S3Options(endpoint_url=s3.url, access_key_id=s3.key_id, secret_access_key=s3.secret)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.url)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))

    def make(place: str) -> Output:
        (tmp_path / "temporary").mkdir(exist_ok=True)
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
        if place == "local":
            return open_output(str(tmp_path / "out"), options)
        if place == "faulty":
            return open_output(f"faulty://{tmp_path}/out", options)
        {"s3": s3, "gs": gcs}[place].put(bucket, {"out2/rows/a": b"other"})
        return open_output(f"{place}://{bucket}/out", options)

    return make


@pytest.fixture(params=PLACES)
def output(request: pytest.FixtureRequest, make: typing.Callable[[str], Output]) -> Output:
    return make(request.param)


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, make: typing.Callable[[str], Output]) -> StoreOutput:
    made = make(request.param)
    assert isinstance(made, StoreOutput)
    return made


@pytest.fixture(params=CONDITIONAL)
def conditional(request: pytest.FixtureRequest, make: typing.Callable[[str], Output]) -> StoreOutput:
    made = make(request.param)
    assert isinstance(made, StoreOutput)
    return made


def staged(tmp_path: pathlib.Path, data: bytes) -> pathlib.Path:
    path = tmp_path / "staged"
    path.write_bytes(data)
    return path


def test_what_is_published_is_there_whole_and_replaces_what_was(output: Output, tmp_path: pathlib.Path) -> None:
    assert (output.entries(), output.size("rows/000000.parquet"), output.exists("plan.json")) == ([], None, False)
    for data in (b"first" * 1000, b"", b"second"):
        path = staged(tmp_path, data)
        output.publish(path, "rows/000000.parquet")
        assert not path.exists()
        assert output.read("rows/000000.parquet") == data
        assert output.size("rows/000000.parquet") == len(data)
    output.write("plan.json", b"{}")
    assert output.read_range("rows/000000.parquet", 1, 3) == b"eco"
    assert [n for n in output.entries() if n != "_tmp"] == ["plan.json", "rows"]
    assert output.names("rows") == ["rows/000000.parquet"]
    assert output.names("_tmp") == []


def test_what_waits_under_a_passing_name_is_moved_over_what_was(output: Output, tmp_path: pathlib.Path) -> None:
    output.write("shards/a.tar", b"old")
    output.publish(staged(tmp_path, b"new"), "_tmp/rewrites/000000/shards/a.tar")
    output.move("_tmp/rewrites/000000/shards/a.tar", "shards/a.tar")
    assert output.read("shards/a.tar") == b"new"
    assert not output.exists("_tmp/rewrites/000000/shards/a.tar")


def test_photos_are_taken_out_of_a_dataset(output: Output, tmp_path: pathlib.Path) -> None:
    root = make_dataset(tmp_path / "local")
    photo_id = pq.read_table(root / layout.sidecar_file(1))["photo_id"][0].as_py()
    plan = Plan.from_json((root / layout.PLAN).read_bytes(), layout.PLAN)
    tombstones = [Tombstone(photo_id, "2026-11-21")]
    (root / layout.PLAN).write_bytes(dataclasses.replace(plan, tombstones=tombstones).to_json())
    for path in [path for path in root.rglob("*") if path.is_file()]:
        output.publish(staged(tmp_path, path.read_bytes()), str(path.relative_to(root)))
    settle(output, 2, "none")
    settle(LocalOutput(root), 2, "none")
    names = [name for folder in ("rows", "shards", "failures", "commits") for name in output.names(folder)]
    assert {name: output.read(name) for name in names} == {name: (root / name).read_bytes() for name in names}
    assert output.names(layout.TMP) == []
    counts = Plan.from_json(output.read(layout.PLAN), layout.PLAN).counts
    assert (counts["taken_down"], counts["taken_down_unknown"]) == (1, 0)


def test_a_large_file_arrives_in_parts(output: Output, tmp_path: pathlib.Path) -> None:
    data = bytes(range(256)) * (PART_BYTES // 128 + 1000)
    output.publish(staged(tmp_path, data), "shards/000000.tar")
    assert output.read("shards/000000.tar") == data


def test_what_is_moved_replaces_what_was(output: Output) -> None:
    for data in (b"1", b"22"):
        output.write("_tmp/rewrites/000000/[1]", data)
        output.move("_tmp/rewrites/000000/[1]", "rows/000000.parquet")
        assert output.read("rows/000000.parquet") == data
        assert output.names("_tmp") == []
    with pytest.raises(FileNotFoundError):
        output.move("_tmp/nothing", "rows/000000.parquet")
    assert output.read("rows/000000.parquet") == b"22"


def test_files_are_removed_one_by_one_and_by_folder(output: Output) -> None:
    for name in ("rows/000000.parquet", "rows/000001.parquet", "rows2/a", "plan.json"):
        output.write(name, name.encode())
    output.remove("plan.json")
    output.remove("plan.json")
    output.remove_tree("rows")
    output.remove_tree("nowhere")
    assert [n for n in output.entries() if n != "_tmp"] == ["rows2"]
    assert output.read("rows2/a") == b"rows2/a"


def test_many_small_files_are_read_by_name(output: Output) -> None:
    names = [layout.commit_file(shard) for shard in range(5)]
    for name in names[:3]:
        output.write(name, name.encode())
    assert output.read_present(names) == {name: name.encode() for name in names[:3]}
    assert output.read_present([]) == {}


def test_a_child_is_an_output_of_its_own(output: Output) -> None:
    output.child("train").write("plan.json", b"train")
    assert output.read("train/plan.json") == b"train"
    assert str(output.child("train")) == f"{output}/train"


def test_a_file_is_no_place_for_a_dataset(output: Output) -> None:
    output.write("plan.json", b"{}")
    with pytest.raises(NotADirectoryError):
        output.child("plan.json").entries()


def test_another_process_writes_and_reads_it(output: Output) -> None:
    output.write("a", b"here")
    code = (
        "import pickle, sys, tests.fault_fs\n"
        "output = pickle.loads(bytes.fromhex(sys.argv[1]))\n"
        "output.write('b', output.read('a') + b' and there')\n"
    )
    pickled = pickle.dumps(output)
    assert len(pickled) < 2_000
    subprocess.run([sys.executable, "-c", code, pickled.hex()], check=True, cwd=pathlib.Path(__file__).parents[2])
    assert output.read("b") == b"here and there"


def test_it_can_be_written(output: Output) -> None:
    output.check_writable()
    assert output.names("_tmp") == []


def test_names_of_all_kinds_are_names(output: Output) -> None:
    for folder in ("a b", "ä%20", "[x]*"):
        child = output.child(folder)
        child.write("rows/0", folder.encode())
        assert child.read_present(["rows/0"]) == {"rows/0": folder.encode()}
        assert child.names("rows") == ["rows/0"]
        child.remove_tree("rows")
        assert child.names("rows") == []


def test_one_at_a_time_holds_it(output: Output) -> None:
    for _ in range(2):
        with hold_output(output):
            with pytest.raises(OutputInUseError, match=r"is in use by another run \(process [0-9]+ on "):
                hold_output(output).__enter__()
            output.write("plan.json", b"{}")
        output.write("plan.json", b"{}")


def test_sweeping_leaves_the_lease_and_what_is_whole(output: Output) -> None:
    with hold_output(output):
        output.write("_tmp/dead-run/half", b"half")
        output.write("rows/0", b"rows")
        (output.run_folder("dead") / "join").mkdir(parents=True)
        output.sweep()
        assert output.names("_tmp") == [layout.LEASE]
        assert output.names("rows") == ["rows/0"]
        assert not output.run_folder("dead").exists()


@pytest.mark.parametrize("year", [1971, 2099])
def test_no_clock_decides_what_is_swept_and_who_holds_it(
    make: typing.Callable[[str], Output], monkeypatch: pytest.MonkeyPatch, year: int
) -> None:
    output = make("local")
    assert isinstance(output, LocalOutput)
    date_s = datetime.datetime(year, 1, 1).timestamp()
    monkeypatch.setattr(time, "time", lambda: date_s)
    output.write("_tmp/dead-run/half", b"half")
    output.write(layout.LEASE, this_process().to_json())
    for path in (output.path / "_tmp").rglob("*"):
        os.utime(path, (date_s, date_s))
    with hold_output(output):
        for seconds in (0.0, date_s, 4e9):
            os.utime(output.path / layout.LEASE, (seconds, seconds))
            with pytest.raises(OutputInUseError):
                hold_output(LocalOutput(output.path)).__enter__()
        output.sweep()
        assert output.names("_tmp") == [layout.LEASE]


@pytest.mark.parametrize("year", [1971, 2099])
@pytest.mark.parametrize("place", ["s3", "faulty"])
def test_no_clock_decides_whose_lease_is_over(
    make: typing.Callable[[str], Output], monkeypatch: pytest.MonkeyPatch, place: str, year: int
) -> None:
    store = make(place)
    assert isinstance(store, StoreOutput)
    jumps, started = itertools.cycle([0.0, 4e9]), f"{year}-01-01T00:00:00Z"
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    write_lease(store, host="elsewhere", started=started)
    with renewed(store, started), pytest.raises(OutputInUseError, match=f"on elsewhere, since {year}"):
        hold_output(store, expiry_s=3).__enter__()
    begun = time.monotonic()
    with hold_output(store, expiry_s=0.6):
        assert time.monotonic() - begun >= 0.6


def write_lease(store: StoreOutput, **changes: typing.Any) -> None:
    holder = dataclasses.replace(this_process(), **changes)
    store.write(layout.LEASE, holder.to_json())


@contextlib.contextmanager
def renewed(store: StoreOutput, started: str = "2026-01-01T00:00:00Z") -> typing.Iterator[None]:
    """Has a holder elsewhere renew its lease for the length of a ``with`` block."""
    stopping = threading.Event()

    def renew() -> None:
        beat = 0
        while not stopping.wait(0.3):
            beat += 1
            write_lease(store, host="elsewhere", started=started, beat=beat)

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def holder_of(store: StoreOutput) -> Holder:
    holder = read_holder(store.read(layout.LEASE))
    assert holder
    return holder


@pytest.mark.parametrize("changes", [{"pid": 2**22 + 1}, {"pid_started": "1"}, {"is_over": True, "host": "elsewhere"}])
def test_a_lease_that_is_over_is_taken_at_once(store: StoreOutput, changes: dict[str, typing.Any]) -> None:
    write_lease(store, **changes)
    begun = time.monotonic()
    with hold_output(store):
        assert holder_of(store).id == store.holder
    assert time.monotonic() - begun < 5
    assert holder_of(store).is_over


def test_a_lease_that_could_not_be_given_back_is_taken_again_by_the_same_process(
    make: typing.Callable[[str], Output], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make("faulty")

    def refuse(*_: typing.Any) -> str:
        raise OSError("the store is gone")

    with monkeypatch.context() as patch, hold_output(store):
        patch.setattr(store, "swap", refuse)
    with hold_output(store), pytest.raises(OutputInUseError):
        hold_output(make("faulty")).__enter__()


def test_a_silent_holder_elsewhere_is_waited_for_then_taken_over(store: StoreOutput) -> None:
    write_lease(store, host="elsewhere")
    begun = time.monotonic()
    with hold_output(store, expiry_s=1.2):
        assert 1.2 <= time.monotonic() - begun < 6
        assert holder_of(store).id == store.holder


def test_a_holder_elsewhere_that_gives_signs_is_left_alone(store: StoreOutput) -> None:
    write_lease(store, host="elsewhere")
    with renewed(store), pytest.raises(OutputInUseError, match="process .* on elsewhere, since 20"):
        hold_output(store, expiry_s=3).__enter__()


def test_a_lease_that_cannot_be_read_is_waited_for(store: StoreOutput) -> None:
    store.write(layout.LEASE, b"garbage")
    with hold_output(store, expiry_s=0.6):
        assert holder_of(store).id == store.holder


def test_a_holder_keeps_it_by_renewing(store: StoreOutput) -> None:
    with hold_output(store, expiry_s=0.6):
        time.sleep(1.5)
        assert holder_of(store).beat >= 3
        store.write("plan.json", b"{}")


def test_who_has_lost_it_is_told_and_writes_nothing(store: StoreOutput, tmp_path: pathlib.Path) -> None:
    lost: list[str] = []
    store.write("plan.json", b"before")
    with hold_output(store, lost.append, expiry_s=1.2):
        worker = pickle.loads(pickle.dumps(store))
        other = type(store)(store.root, store.s3)
        write_lease(other, host="elsewhere")
        for mine in (store, worker):
            with pytest.raises(LeaseLostError, match="another run has taken it over"):
                mine.write("plan.json", b"after")
            with pytest.raises(LeaseLostError):
                mine.publish(staged(tmp_path, b"x"), "rows/0")
            with pytest.raises(LeaseLostError):
                mine.remove("plan.json")
        deadline = time.monotonic() + 5
        while not lost and time.monotonic() < deadline:
            time.sleep(0.05)
    assert store.read("plan.json") == b"before"
    assert [reason for reason in lost if "another run has taken it over" in reason]
    assert holder_of(store).host == "elsewhere"


def test_one_of_many_wins(conditional: StoreOutput) -> None:
    conditional.write("warm", b"")
    won, lost = list[str](), list[ChangedError]()
    gate = threading.Barrier(8)

    def run(number: int) -> None:
        mine = pickle.loads(pickle.dumps(conditional))
        for round_ in range(3):
            gate.wait()
            try:
                won.append(mine.swap(f"race{round_}", f"{number}".encode(), None))
            except ChangedError as error:
                lost.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (3, 21)


def test_swapping_needs_the_version_that_stands(store: StoreOutput) -> None:
    first = store.swap("a", b"1", None)
    assert store.read_token("a") == (b"1", first)
    second = store.swap("a", b"2", first)
    for token in (first, None):
        with pytest.raises(ChangedError):
            store.swap("a", b"3", token)
    assert store.read_token("a") == (b"2", second)
    with pytest.raises(ChangedError):
        store.swap("b", b"1", second)
    assert store.read_token("b") is None


def test_a_store_without_preconditions_is_told_of(
    make: typing.Callable[[str], Output], caplog: pytest.LogCaptureFixture
) -> None:
    with hold_output(make("faulty")):
        assert "this store has no conditional writes" in caplog.text


def test_stores_with_preconditions_need_no_warning(conditional: StoreOutput, caplog: pytest.LogCaptureFixture) -> None:
    with hold_output(conditional):
        assert caplog.text == ""


def test_unfinished_uploads_are_swept(
    make: typing.Callable[[str], Output], s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = make("s3")
    names = ["out/shards/000000.tar", "out/notes.txt", "out2/shards/000000.tar"]
    for name in names:
        s3.client.create_multipart_upload(Bucket=bucket, Key=name)

    def left() -> list[str]:
        return sorted(u["Key"] for u in s3.client.list_multipart_uploads(Bucket=bucket).get("Uploads", ()))

    day = s3_output.FOREIGN_UPLOAD_AGE
    monkeypatch.setattr(s3_output, "FOREIGN_UPLOAD_AGE", 365_000 * day)
    with hold_output(output):
        output.sweep()
        assert left() == names[1:]
        monkeypatch.setattr(s3_output, "FOREIGN_UPLOAD_AGE", day)  # For moto all uploads began in 2010.
        output.sweep()
        assert left() == names[2:]


@pytest.mark.parametrize("kind", ["fail", "cut", "stop", "lose"])
@pytest.mark.parametrize("number", [0, 1])
def test_a_write_that_goes_wrong_leaves_the_old_file_or_the_new_one(
    make: typing.Callable[[str], Output],
    kind: str,
    number: int,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = make("faulty")
    output.write("plan.json", b"old file")
    monkeypatch.setenv(fault_fs.VARIABLE, f"{kind}:{number}:{tmp_path / 'count'}")
    if (kind, number) in (("cut", 1), ("stop", 1)):
        kind = "lose" if kind == "stop" else ""
    error = None
    try:
        output.write("plan.json", b"the new one")
    except OSError as caught:
        error = caught
    assert output.read("plan.json") in ((b"old file",) if error and kind != "lose" else (b"old file", b"the new one"))
    assert error or output.read("plan.json") == b"the new one"
    assert output.names("_tmp") == []


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("memory://x", "memory is of one process alone"),
        ("simplecache::s3://a/b", "places within places"),
        ("gcs://a/b", "write gs://a/b"),
    ],
)
def test_places_that_are_none_are_refused(url: str, message: str) -> None:
    with pytest.raises(OutputError, match=message):
        open_output(url, S3Options())


def test_local_urls_are_local(tmp_path: pathlib.Path) -> None:
    for url in (f"file://{tmp_path}", str(tmp_path)):
        output = open_output(url, S3Options())
        assert isinstance(output, LocalOutput)
        assert output.path == tmp_path


def test_what_only_reads_is_refused() -> None:
    output = open_output("data://x", S3Options())
    with pytest.raises(OutputError, match=r"--output data://x: cannot be written"):
        output.check_writable()


class _SilentFileSystem(fault_fs.FaultFileSystem):
    """A server that breaks every connection."""

    protocol = "silent"

    def info(self, path: str, **kwargs: typing.Any) -> dict[str, typing.Any]:
        raise ConnectionResetError(104, "the connection was reset")


def test_a_file_is_not_said_to_be_missing_where_the_place_does_not_answer(tmp_path: pathlib.Path) -> None:
    fsspec.register_implementation("silent", _SilentFileSystem, clobber=True)
    (tmp_path / "plan.json").touch()
    with pytest.raises(ConnectionResetError):
        DatasetFiles(f"silent://{tmp_path}").exists("plan.json")
    assert not DatasetFiles(str(tmp_path / "plan.json")).exists("plan.json")
