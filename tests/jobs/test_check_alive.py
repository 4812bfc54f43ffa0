"""`photobeam reprocess --check_alive`: asks Flickr at one pace, lists what is gone, and changes nothing else."""

import pathlib
import time
import typing

import pyarrow.parquet as pq
import pytest

from beam_jobs import reprocess_dataset
from beam_jobs.reprocess import check_alive
from schemas import layout
from tests.factories import PHOTO_IDS, make_dataset
from tests.fault_server import Answer, FaultServer
from transforms.building.fetch_loop import run_in_loop
from transforms.fetch import flickr_requests
from transforms.fetch.fetch_options import FetchOptions
from transforms.reprocess import check_alive as asking
from transforms.reprocess.check_alive import Answer as Told
from transforms.reprocess.check_alive import FlickrPhoto, ask_flickr

PLACEHOLDER = b"\x89PNG" + bytes(flickr_requests.PLACEHOLDER_BYTES - 4)
OPTIONS = FetchOptions(timeout_s=0.5, retries=0, allow_private_hosts=True)


@pytest.fixture
def flickr(monkeypatch: pytest.MonkeyPatch) -> typing.Iterator[FaultServer]:
    """Flickr, as far as the code under test knows."""
    with FaultServer() as running:
        monkeypatch.setattr(flickr_requests, "is_flickr", lambda url: str(url).startswith(f"{running.url}/"))
        yield running


def ask(paths: typing.Sequence[str], server: FaultServer, requests_per_s: float = 1_000.0) -> list[Told]:
    told: dict[int, Told] = {}
    photos = [FlickrPhoto(i, server.url + path if path else "") for i, path in enumerate(paths)]
    run_in_loop(ask_flickr([photos], OPTIONS, requests_per_s, told.update))
    return [told[i] for i in range(len(paths))]


def test_each_answer_of_flickr_is_understood(flickr: FaultServer) -> None:
    location = {"Location": "https://s.yimg.com/pw/images/en-us/photo_unavailable.png"}
    cases: dict[str, tuple[Answer | None, Told]] = {
        "/part": (Answer(b"x" * 2052, 206), Told.PUBLIC),
        "/small": (Answer(b"x" * 99, 206), Told.PUBLIC),
        "/whole": (Answer(b"x" * 99_999), Told.PUBLIC),
        "/reserved": (Answer(b"x", 206, {"X-Robots-Tag": "noai"}), Told.PUBLIC),
        "/removed": (Answer(b"", 404), Told.GONE),
        "/deleted": (Answer(b"", 410), Told.GONE),
        "/redirected": (Answer(b"", 302, location), Told.GONE),
        "/placeholder": (Answer(PLACEHOLDER, 206), Told.GONE),
        "/old_placeholder": (Answer(PLACEHOLDER), Told.GONE),
        "/forbidden": (Answer(b"", 403), Told.UNTOLD),
        "/busy": (Answer(b"", 429), Told.UNTOLD),
        "/broken": (Answer(b"", 503), Told.UNTOLD),
        "/hung": (Answer(fault="reset"), Told.UNTOLD),
        "": (None, Told.NO_URL),
    }
    flickr.answers = {path: answer for path, (answer, _) in cases.items() if answer}
    assert dict(zip(cases, ask(list(cases), flickr), strict=True)) == {path: told for path, (_, told) in cases.items()}
    assert all(headers.get("Range") == "bytes=0-2051" for headers in flickr.headers[:1])


def test_other_hosts_than_flickrs_are_not_asked(flickr: FaultServer) -> None:
    with FaultServer({"/1": Answer(b"", 404)}) as other:
        assert ask(["/1"], other) == [Told.UNTOLD]
        assert other.asked == []


def test_the_pace_is_kept(flickr: FaultServer) -> None:
    flickr.answers = {f"/{i}": Answer(b"x", 206) for i in range(20)}
    begun = time.monotonic()
    ask(list(flickr.answers), flickr, requests_per_s=40.0)
    assert time.monotonic() - begun >= 20 / 40


@pytest.mark.parametrize("named", [True, False])
def test_what_is_gone_is_listed_and_can_be_taken_down(
    tmp_path: pathlib.Path,
    flickr: FaultServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    named: bool,
) -> None:
    monkeypatch.setattr(check_alive, "REQUESTS_PER_S", 1_000.0)
    root = make_dataset(tmp_path / "data")
    samples = [i for n in (0, 1) for i in pq.read_table(root / layout.sidecar_file(n))["photo_id"].to_pylist()]
    monkeypatch.setattr(asking, "_flickr_url", lambda row: f"{flickr.url}/{row['photo_id']}")
    flickr.answers = {f"/{photo_id}": Answer(b"x", 206) for photo_id in samples[2:]}
    path = tmp_path / "gone.txt" if named else root / layout.NOT_PUBLIC
    before = {p: p.read_bytes() for p in root.rglob("*") if p.is_file()}
    flags = ["--check_alive", *([str(path)] if named else []), "--allow_private_hosts"]
    assert reprocess_dataset.main([str(root), *flags]) == 0
    assert sorted(map(int, path.read_text().split())) == sorted(samples[:2])
    assert {p: p.read_bytes() for p in before} == before
    out = capsys.readouterr().out
    assert f"{len(samples)} photos: {len(samples) - 2} still public, 2 gone" in out
    assert f"--take_down {path}" in out
    assert reprocess_dataset.main([str(root), "--take_down", str(path)]) == 0
    assert "2 photos taken down" in capsys.readouterr().out
    assert path.exists() == named
    assert len(samples) < len(PHOTO_IDS)


def test_a_check_that_flickr_hardly_answers_has_failed(
    tmp_path: pathlib.Path, flickr: FaultServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check_alive, "REQUESTS_PER_S", 1_000.0)
    monkeypatch.setattr(asking, "_flickr_url", lambda row: f"{flickr.url}/{row['photo_id']}")
    root = make_dataset(tmp_path / "data")
    samples = [i for n in (0, 1) for i in pq.read_table(root / layout.sidecar_file(n))["photo_id"].to_pylist()]
    flickr.answers = {f"/{photo_id}": Answer(b"", 403) for photo_id in samples[1:]} | {f"/{samples[0]}": Answer(b"x")}
    command = [str(root), "--check_alive", "--allow_private_hosts", "--retries=0"]
    assert reprocess_dataset.main([*command, "--max_failure_ratio=1"]) == 0
    (root / layout.NOT_PUBLIC).write_text("7\n")
    assert reprocess_dataset.main(command) == 1
    assert (root / layout.NOT_PUBLIC).read_text() == "7\n"
    told = f"Flickr has not told of {len(samples) - 1} of {len(samples)} photos, more than --max_failure_ratio 0.5"
    assert told in capsys.readouterr().err


def test_a_list_that_could_not_be_written_is_refused_first(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reprocess_dataset.main([str(tmp_path / "data"), "--check_alive", str(tmp_path / "no/where.txt")]) == 2
    assert "there is no folder for it" in capsys.readouterr().err
    assert reprocess_dataset.main([str(tmp_path), "--check_alive", str(tmp_path)]) == 2
    assert "that is a folder" in capsys.readouterr().err
    assert reprocess_dataset.main([str(tmp_path), "--check_alive", str(tmp_path / "a.tar")]) == 2
    assert "that is a file of the dataset" in capsys.readouterr().err
