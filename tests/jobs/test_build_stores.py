"""`photobeam build` with images on object stores: the same dataset as from a folder, and no secret in it."""

import hashlib
import io
import pathlib
import struct
import typing
import zipfile

import pytest

from beam_jobs import build_dataset, check_dataset
from tests.jobs.conftest import picture, write_lines
from tests.store_servers import GcsServer, S3Server
from tests.yfcc_corpus import mirror_path

pytestmark = pytest.mark.usefixtures("no_credentials")

Files = dict[str, bytes]


@pytest.fixture
def photos(lines: list[str]) -> Files:
    """The pictures of the first photos, under the names that they have on the mirror."""
    return {mirror_path(line).removeprefix("/"): picture(i) for i, line in enumerate(lines[:12])}


@pytest.fixture
def source(lines: list[str], tmp_path: pathlib.Path) -> pathlib.Path:
    return write_lines(tmp_path / "in/yfcc100m_dataset", lines[:14])


def build(source: pathlib.Path, output: pathlib.Path, *flags: object) -> int:
    arguments = ["--yfcc", source, "--output", output, "--samples_per_shard", 7, "--workers", 2, *flags]
    return build_dataset.main([str(a) for a in (*arguments, "--progress", "none")])


def data_of(output: pathlib.Path) -> dict[str, str]:
    files = [p for name in ("rows", "shards", "failures") for p in sorted((output / name).iterdir())]
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files if p.name != "input.parquet"}


def all_of(output: pathlib.Path) -> dict[pathlib.Path, bytes]:
    return {p: p.read_bytes() for p in output.rglob("*") if p.is_file() and p.name != "lease.json"}


def key_flags(s3: S3Server) -> list[str]:
    values = {"endpoint_url": s3.url, "access_key_id": s3.key_id, "secret_access_key": s3.secret}
    return [f"--s3_{name}={value}" for name, value in values.items()]


def zipped(files: Files) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as zip_:
        for name, body in files.items():
            zip_.writestr(name, body)
    return data.getvalue()


def test_the_dataset_is_the_same_wherever_the_photos_lie(
    source: pathlib.Path,
    photos: Files,
    tmp_path: pathlib.Path,
    s3: S3Server,
    gcs: GcsServer,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.url)
    s3.put(bucket, {"x.zip": zipped(photos)})
    gcs.put(bucket, photos)
    for name, body in photos.items():
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(body)
    specs = [tmp_path / "photos", f"s3://{bucket}/x.zip", f"gs://{bucket}"]
    built = []
    for i, spec in enumerate(specs):
        assert build(source, tmp_path / f"out{i}", "--images", spec, *key_flags(s3)) == 0
        built.append(data_of(tmp_path / f"out{i}"))
        assert list((tmp_path / f"out{i}" / "_tmp").glob("*/*")) == []
    assert len(built[0]) > 6
    assert all(data == built[0] for data in built)
    assert check_dataset.main([str(tmp_path / "out1")]) == 0


def test_no_secret_is_written(
    source: pathlib.Path,
    photos: Files,
    tmp_path: pathlib.Path,
    s3: S3Server,
    bucket: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    s3.put(bucket, {f"copy/{name}": body for name, body in photos.items()})
    s3.asked.clear()
    flags = [f"--mirror=yfcc=s3://{bucket}/copy", "--images=auto", *key_flags(s3)]
    assert build(source, tmp_path / "out", *flags) == 0
    read = [asked for asked in s3.asked if asked.path.startswith(f"/{bucket}/copy/") and asked.status == 200]
    assert len({asked.path for asked in read}) == 12
    assert all(asked.is_signed for asked in read)
    said = capfd.readouterr()
    written = {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert b"s3_endpoint_url" in written[tmp_path / "out/manifest.json"]
    for secret in (s3.key_id, s3.secret):
        assert [str(path) for path, data in written.items() if secret.encode() in data] == []
        assert secret not in said.out + said.err


def test_a_place_that_is_refused_costs_no_work(
    source: pathlib.Path, photos: Files, tmp_path: pathlib.Path, s3: S3Server, bucket: str, capsys: typing.Any
) -> None:
    s3.put(bucket, photos)
    assert build(source, tmp_path / "out", "--images", f"s3://{bucket}", f"--s3_endpoint_url={s3.url}") == 2
    said = capsys.readouterr().err
    assert f"--images s3://{bucket} is not open to us (status 403, AccessDenied); no credentials were found" in said
    assert build(source, tmp_path / "out", "--images", "auto", "--s3_access_key_id", "half") == 2
    assert "--s3_access_key_id and --s3_secret_access_key belong together" in capsys.readouterr().err
    assert build(source, tmp_path / "out", "--mirror", "yfcc=ftp://host") == 2
    assert "give one like http://host/path or s3://bucket/prefix" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_list_that_fails_leaves_the_dataset_as_it_was(
    source: pathlib.Path, photos: Files, tmp_path: pathlib.Path, s3: S3Server, bucket: str, capsys: typing.Any
) -> None:
    whole, output = zipped(photos), tmp_path / "out"
    broken = bytearray(whole)
    struct.pack_into("<I", broken, whole.rindex(b"PK\x01\x02") + 42, len(whole) - 30)
    s3.put(bucket, {"whole.zip": whole, "broken.zip": bytes(broken)})
    assert build(source, output, "--images", f"s3://{bucket}/whole.zip", *key_flags(s3)) == 0
    before = all_of(output)
    spec = f"s3://{bucket}/broken.zip"
    assert build(source, output, "--images", spec, *key_flags(s3), "--overwrite") == 2
    assert f"--images {spec} is a broken zip" in capsys.readouterr().err
    assert all_of(output) == before
