"""`photobeam build --output` on object stores: the bytes of a local run, whole files, and errors before any work."""

import json
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pyarrow.parquet as pq
import pytest

from beam_jobs import build_dataset, check_dataset, cli, join_metadata
from schemas import layout
from schemas.records import Manifest
from tests.factories import make_dataset
from tests.fault_server import FaultServer
from tests.jobs.conftest import write_lines
from tests.store_servers import GcsServer, S3Server
from transforms.datasets.has_photos import has_photos
from transforms.stores.lease_holder import read_holder
from transforms.stores.request_signers import S3Options
from transforms.stores.s3_output import S3Output

pytestmark = pytest.mark.usefixtures("no_credentials")

_ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def source(lines: list[str], tmp_path: pathlib.Path) -> pathlib.Path:
    return write_lines(tmp_path / "in/yfcc100m_dataset", lines[:20])


def flags(s3: S3Server, url: str = "") -> list[str]:
    values = {"endpoint_url": url or s3.url, "access_key_id": s3.key_id, "secret_access_key": s3.secret}
    return [f"--s3_{name}={value}" for name, value in values.items()]


def arguments(source: pathlib.Path, mirror: FaultServer, output: object, *more: str) -> list[str]:
    given = ["--yfcc", source, "--output", output, "--samples_per_shard", 7, "--workers", 2, "--progress", "none"]
    return [*map(str, given), f"--mirror=yfcc={mirror.url}", *more]


def objects(s3: S3Server, bucket: str) -> dict[str, bytes]:
    """All that is in a bucket, by the names in its dataset `out`."""
    keys = [o["Key"] for o in s3.client.list_objects_v2(Bucket=bucket).get("Contents", ())]
    return {k.removeprefix("out/"): s3.client.get_object(Bucket=bucket, Key=k)["Body"].read() for k in keys}


def manifest_in(data: bytes) -> Manifest:
    return Manifest.from_json(data, layout.MANIFEST)


def test_it_is_the_local_dataset_and_goes_on(
    source: pathlib.Path,
    mirror: FaultServer,
    tmp_path: pathlib.Path,
    s3: S3Server,
    bucket: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    s3.put(bucket, {})
    url, keys = f"s3://{bucket}/out", flags(s3)
    assert build_dataset.main(arguments(source, mirror, tmp_path / "out")) == 0
    temp = f"--temp_location=s3://{bucket}/temp"
    assert join_metadata.main([a for a in arguments(source, mirror, url, temp, *keys) if "mirror" not in a]) == 0
    assert sum(a.method == "PUT" and a.path.startswith(f"/{bucket}/temp/") for a in s3.asked) >= 5
    assert build_dataset.main(arguments(source, mirror, url, *keys)) == 0
    local = {str(p.relative_to(tmp_path / "out")): p for p in (tmp_path / "out").rglob("*") if p.is_file()}
    there = objects(s3, bucket)
    assert there.keys() == local.keys()
    data = [n for n in local if n.split("/")[0] in ("rows", "shards", "failures") and n != layout.INPUT_FAILURES]
    assert {name: there[name] for name in data} == {name: local[name].read_bytes() for name in data}
    whole = manifest_in(there[layout.MANIFEST])
    assert whole.root_hash == manifest_in(local[layout.MANIFEST].read_bytes()).root_hash

    mirror.asked.clear()
    s3.asked.clear()
    assert build_dataset.main(arguments(source, mirror, url, *keys)) == 0
    data_asked = [a.path for a in s3.asked if "/out/rows/" in a.path or "/out/shards/" in a.path]
    assert (mirror.asked, data_asked) == ([], [])
    for name in (layout.MANIFEST, layout.commit_file(1)):
        s3.client.delete_object(Bucket=bucket, Key=f"out/{name}")
    assert build_dataset.main(arguments(source, mirror, url, *keys)) == 0
    assert 0 < len(mirror.asked) < 12
    assert manifest_in(objects(s3, bucket)[layout.MANIFEST]).root_hash == whole.root_hash

    assert check_dataset.main([url, *keys]) == 0
    assert cli.main(["diff", str(tmp_path / "out"), url, *keys]) == 0
    assert cli.main(["show", url, "10007", *keys]) == 0
    s3.client.put_object(Bucket=bucket, Key=f"out/{layout.tar_file(0)}", Body=there[layout.tar_file(0)][:-1])
    assert check_dataset.main([url, *keys, "--fast"]) == 1


def test_googles_store_has_the_same_dataset(
    source: pathlib.Path,
    mirror: FaultServer,
    tmp_path: pathlib.Path,
    gcs: GcsServer,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.url)
    gcs.put(bucket, {})
    temp = f"--temp_location=gs://{bucket}/temp"
    assert build_dataset.main(arguments(source, mirror, f"gs://{bucket}/a/out", temp)) == 0
    assert build_dataset.main(arguments(source, mirror, tmp_path / "out", temp)) == 0
    assert not [name for name in gcs.names(bucket) if name.startswith("temp/")]
    assert check_dataset.main([f"gs://{bucket}/a/out"]) == 0
    assert cli.main(["diff", str(tmp_path / "out"), f"gs://{bucket}/a/out"]) == 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--s3_access_key_id=wrong", "--s3_secret_access_key=wrong"], "is not open to us (status 403"),
        ([], "no credentials were found"),
    ],
)
def test_a_store_that_is_closed_costs_no_work(
    source: pathlib.Path,
    mirror: FaultServer,
    s3: S3Server,
    bucket: str,
    more: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    s3.put(bucket, {})
    where = [f"--s3_endpoint_url={s3.url}", *more]
    assert build_dataset.main(arguments(source, mirror, f"s3://{bucket}/out", *where)) == 2
    assert message in capsys.readouterr().err
    assert check_dataset.main([f"s3://{bucket}/out", *where]) > 0
    capsys.readouterr()
    for change in (["verify", "--repair"], ["reprocess", "--retry=retryable"]):
        assert cli.main([change[0], f"s3://{bucket}/out", change[1], *where]) == 2
        assert message in capsys.readouterr().err
    assert cli.main(["diff", f"s3://{bucket}/out", f"s3://{bucket}/out", *where]) > 0
    assert "--s3_access_key_id" in (said := capsys.readouterr().err) or "the credentials that were found" in said
    assert (objects(s3, bucket), mirror.asked) == ({}, [])


def test_what_is_no_place_is_refused(
    source: pathlib.Path, mirror: FaultServer, s3: S3Server, bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    s3.put(bucket, {"out/notes.txt": b"other"})
    for output, message in (
        (f"s3://{bucket}-not", "there is no such bucket"),
        (f"s3://{bucket}/out", "holds something else (notes.txt)"),
        (f"s3://{bucket}/out/notes.txt", "is a file; choose a directory"),
        ("memory://out", "memory is of one process alone"),
        ("data://out", "cannot be listed"),
        ("zork://out", "cannot be opened"),
    ):
        assert build_dataset.main(arguments(source, mirror, output, *flags(s3))) == 2, output
        assert message in capsys.readouterr().err
    assert objects(s3, bucket) == {"notes.txt": b"other"}
    for temp, message in (("zork://temp", "cannot be opened"), (f"s3://{bucket}-not/temp", "cannot be written")):
        more = [f"--temp_location={temp}", *flags(s3)]
        assert build_dataset.main(arguments(source, mirror, f"s3://{bucket}/new", *more)) == 2
        said = capsys.readouterr().err
        assert f"--temp_location {temp}" in said
        assert message in said


def test_a_store_that_throttles_and_cuts_is_survived(
    source: pathlib.Path, mirror: FaultServer, s3: S3Server, bucket: str
) -> None:
    s3.put(bucket, {})
    counts = {"slow": 0, "cut": 0}
    lock = threading.Lock()

    def fault(method: str, path: str) -> str:
        with lock:
            kind = "slow" if path.endswith(("plan.json", ".tar")) else "cut" if path.endswith(".parquet") else ""
            if method != "PUT" or not kind or counts[kind] >= 4:
                return ""
            counts[kind] += 1
            return kind

    s3.fault = fault
    try:
        assert build_dataset.main(arguments(source, mirror, f"s3://{bucket}/out", *flags(s3))) == 0
    finally:
        s3.fault = lambda method, path: ""
    assert counts == {"slow": 4, "cut": 4}
    assert check_dataset.main([f"s3://{bucket}/out", *flags(s3)]) == 0


def test_an_answer_that_breaks_off_is_an_error_and_no_damage(
    tmp_path: pathlib.Path,
    s3: S3Server,
    bucket: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = make_dataset(tmp_path / "data")
    good = {f"out/{p.relative_to(root)}": p.read_bytes() for p in root.rglob("*") if p.is_file()}
    s3.put(bucket, good)
    url, keys = f"s3://{bucket}/out", flags(s3)
    photo_id = pq.read_table(root / layout.sidecar_file(1))["photo_id"][0].as_py()
    (tmp_path / "ids").write_text(f"{photo_id}\n")
    with monkeypatch.context() as patch:
        patch.setattr(s3, "fault", lambda method, path: "short" if method == "GET" and path[-5:] == "1.tar" else "")
        assert check_dataset.main([url, *keys]) == 1
        assert f"{layout.tar_file(1)}: it cannot be read: the store does not do it" in capsys.readouterr().out
        assert cli.main(["reprocess", url, f"--take_down={tmp_path / 'ids'}", "--progress=none", *keys]) == 1
        assert "photos are still to be taken out" in capsys.readouterr().err
        patch.setattr(s3, "fault", lambda method, path: "short" if method == "GET" else "")
        dataset = S3Output(url, S3Options(endpoint_url=s3.url, access_key_id=s3.key_id, secret_access_key=s3.secret))
        with pytest.raises(OSError, match="the store does not do it"):
            has_photos(dataset, layout.sidecar_file(1), frozenset())
    assert objects(s3, bucket)[layout.tar_file(1)] == good[f"out/{layout.tar_file(1)}"]


def test_an_interrupted_run_gives_its_lease_back(
    source: pathlib.Path, mirror: FaultServer, s3: S3Server, bucket: str
) -> None:
    s3.put(bucket, {})
    mirror.delay_s = 2
    command = [sys.executable, "-m", "beam_jobs.build_dataset"]
    with subprocess.Popen(
        [*command, *arguments(source, mirror, f"s3://{bucket}/out", *flags(s3))], cwd=_ROOT, stderr=subprocess.PIPE
    ) as process:
        deadline = time.monotonic() + 60
        while not mirror.asked and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    holder = read_holder(objects(s3, bucket)[layout.LEASE])
    assert holder
    assert holder.is_over


def test_a_run_whose_lease_is_taken_ends_and_writes_no_more(
    source: pathlib.Path, mirror: FaultServer, s3: S3Server, bucket: str
) -> None:
    """The photos are slow, so that the run is at work when the lease is another's."""
    s3.put(bucket, {})
    for answer in mirror.answers.values():
        answer.fault = "drip"
    command = [sys.executable, "-m", "tests.short_lease", *arguments(source, mirror, f"s3://{bucket}/out", *flags(s3))]
    with subprocess.Popen(command, cwd=_ROOT, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 60
        while layout.INPUT_FAILURES not in objects(s3, bucket) and time.monotonic() < deadline:
            time.sleep(0.2)
        holder = read_holder(objects(s3, bucket)[layout.LEASE])
        assert holder
        assert holder.pid == process.pid
        other = json.dumps({**json.loads(holder.to_json()), "id": "other", "host": "elsewhere"})
        s3.client.put_object(Bucket=bucket, Key=f"out/{layout.LEASE}", Body=other.encode())
        before = objects(s3, bucket)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert b"another run has taken it over" in said
    assert objects(s3, bucket) == before
    assert layout.MANIFEST not in before
