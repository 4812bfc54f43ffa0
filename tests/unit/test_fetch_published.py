import io
import json
import logging
import pathlib
import shutil
import threading
import typing
import zipfile

import pytest

from schemas import published_sets
from schemas.sources import Source
from tests.fault_server import Answer, FaultServer, closed_port
from tests.published_server import PublishedServer, Served
from transforms.fetch.fetch_options import FetchOptions
from transforms.sources import download_file
from transforms.sources.download_cache import cache_path
from transforms.sources.download_file import DownloadError
from transforms.sources.fetch_published import PublishedPlaces, fetch_published
from transforms.sources.find_inputs import find_inputs
from transforms.sources.input_files import InputError

_ZIP = "/annotations/annotations_trainval2017.zip"


def _coco_json(name: str) -> bytes:
    return json.dumps({"info": {"description": name}, "images": [], "annotations": [], "padding": "x" * 50}).encode()


def _zip(*names: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        for name in names:
            file.writestr(f"annotations/{name}.json", _coco_json(name))
    return data.getvalue()


TRAINVAL = _zip("instances_train2017", "instances_val2017", "captions_train2017", "captions_val2017")


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download_file, "BACKOFF_S", 0.01)


@pytest.fixture
def server() -> typing.Iterator[PublishedServer]:
    with PublishedServer() as server:
        server.files[_ZIP] = Served(TRAINVAL)
        yield server


@pytest.fixture
def places(server: PublishedServer, tmp_path: pathlib.Path) -> PublishedPlaces:
    return PublishedPlaces(
        cache_dir=tmp_path / "cache",
        roots={"coco": server.url, "open_images": server.url + "/oi"},
        fetch=FetchOptions(retries=2, timeout_s=5),
    )


def _fetch(places: PublishedPlaces, *names: str) -> tuple[str, ...]:
    return fetch_published({Source.COCO: names or ("2017:val",)}, places)[Source.COCO]


def _cached(places: PublishedPlaces) -> pathlib.Path:
    return cache_path(places.cache_dir, places.roots["coco"] + _ZIP)


def test_a_split_becomes_the_members_of_its_zip(places: PublishedPlaces, server: PublishedServer) -> None:
    urls = _fetch(places)
    assert urls == (
        f"zip://annotations/captions_val2017.json::{_cached(places)}",
        f"zip://annotations/instances_val2017.json::{_cached(places)}",
    )
    assert _cached(places).read_bytes() == TRAINVAL
    assert [file.url for file in find_inputs({Source.COCO: urls}).files] == list(urls)
    assert len(server.asked) == 1


def test_a_second_run_asks_for_nothing_and_finds_the_same_inputs(
    places: PublishedPlaces, server: PublishedServer
) -> None:
    first = find_inputs({Source.COCO: _fetch(places)})
    asked = len(server.asked)
    server.files.clear()
    assert find_inputs({Source.COCO: _fetch(places)}) == first
    assert len(server.asked) == asked


def test_a_file_that_is_fetched_again_is_the_same_input(places: PublishedPlaces, server: PublishedServer) -> None:
    first = find_inputs({Source.COCO: _fetch(places)})
    _cached(places).unlink()
    assert find_inputs({Source.COCO: _fetch(places)}) == first
    assert len(server.asked) == 2


def test_train_and_val_are_one_download(places: PublishedPlaces, server: PublishedServer) -> None:
    assert len(_fetch(places, "2017", "2017:val")) == 4
    assert len(server.asked) == 1


def test_what_is_fetched_is_listed_before(
    places: PublishedPlaces, server: PublishedServer, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[list[str]] = []
    with caplog.at_level(logging.INFO, "photobeam"):
        fetch_published({Source.COCO: ("2017:val",)}, places, lambda *_: seen.append(caplog.messages[:]))
    assert seen[0] == [
        f"to fetch into {places.cache_dir}:",
        f"  {server.url}{_ZIP}: 0.0 MB",
        "  1 files, 0.0 MB to fetch",
    ]


def test_a_cut_download_goes_on_where_it_ended(places: PublishedPlaces, server: PublishedServer) -> None:
    server.files[_ZIP].cuts = [100, 50]
    reports: list[tuple[str, int, int]] = []
    fetch_published({Source.COCO: ("2017:val",)}, places, lambda *r: reports.append(r))
    assert _cached(places).read_bytes() == TRAINVAL
    assert [(a.range, a.if_range) for a in server.asked] == [
        ("", ""), ("bytes=100-", '"one"'), ("bytes=150-", '"one"'),
    ]  # fmt: skip
    assert reports[-1] == (_cached(places).name, len(TRAINVAL), len(TRAINVAL))
    assert {r[2] for r in reports} == {len(TRAINVAL)}


def test_a_later_run_goes_on_too(places: PublishedPlaces, server: PublishedServer) -> None:
    server.files[_ZIP].cuts = [100, 0, 0, 0]
    with pytest.raises(DownloadError, match=r"ended after 100 bytes; check the network.*it goes on"):
        _fetch(places)
    assert not _cached(places).exists()
    _fetch(places)
    assert server.asked[-1].range == "bytes=100-"
    assert _cached(places).read_bytes() == TRAINVAL


def test_progress_is_no_retry(places: PublishedPlaces, server: PublishedServer) -> None:
    server.files[_ZIP].cuts = [40] * 10
    _fetch(places)
    assert _cached(places).read_bytes() == TRAINVAL


@pytest.mark.parametrize(("etag", "modified"), [('"two"', ""), ("", "Wed, 11 Jul 2018 12:00:00 GMT"), ('W/"1"', "")])
def test_a_file_that_changed_meanwhile_is_fetched_anew(
    places: PublishedPlaces, server: PublishedServer, etag: str, modified: str
) -> None:
    server.files[_ZIP].cuts = [100, 0, 0, 0]
    with pytest.raises(DownloadError):
        _fetch(places)
    other = _zip("instances_val2017", "captions_val2017")
    server.files[_ZIP] = Served(other, etag=etag, last_modified=modified)
    assert len(_fetch(places)) == 2
    assert _cached(places).read_bytes() == other


def test_a_server_that_goes_on_with_another_file_is_found_out(places: PublishedPlaces, server: PublishedServer) -> None:
    server.files[_ZIP].cuts = [100, 0, 0, 0]
    with pytest.raises(DownloadError):
        _fetch(places)
    other = TRAINVAL.replace(b"train2017", b"nairt2017")
    server.files[_ZIP] = Served(other, etag='"two"', keeps_if_range=False)
    _fetch(places)
    assert _cached(places).read_bytes() == other
    assert [a.range for a in server.asked[-2:]] == ["bytes=100-", ""]


def test_a_file_of_unknown_size_is_whole_when_the_server_says_so(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    with FaultServer({_ZIP: Answer(TRAINVAL, fault="chunked")}) as server:
        places = PublishedPlaces(cache_dir=tmp_path, roots={"coco": server.url})
        with caplog.at_level(logging.INFO, "photobeam"):
            assert _fetch(places) == _fetch(places)
        assert len(server.asked) == 1
    assert caplog.messages[1:] == [
        f"  {server.url}{_ZIP}: size unknown",
        "  1 files, 0 MB to fetch, and 1 of unknown size",
    ]


def test_a_server_without_ranges_or_validators_serves_too(places: PublishedPlaces, server: PublishedServer) -> None:
    server.files[_ZIP] = Served(TRAINVAL, ranges=False, etag="", last_modified="", cuts=[100])
    _fetch(places)
    assert _cached(places).read_bytes() == TRAINVAL
    assert [a.range for a in server.asked] == ["", ""]


def test_a_part_that_cannot_be_continued_is_dropped(places: PublishedPlaces, server: PublishedServer) -> None:
    server.files[_ZIP].cuts = [100, 0, 0, 0]
    with pytest.raises(DownloadError):
        _fetch(places)
    server.files[_ZIP].statuses = [416]
    _fetch(places)
    assert [a.range for a in server.asked[-2:]] == ["bytes=100-", ""]


def test_server_errors_heal(places: PublishedPlaces, server: PublishedServer) -> None:
    server.files[_ZIP].statuses = [503, 500]
    assert _fetch(places)
    server.files[_ZIP].statuses = [503] * 3
    _cached(places).unlink()
    with pytest.raises(DownloadError, match="HTTP status 503"):
        _fetch(places)


def test_a_longer_announcement_than_the_body_is_no_whole_file(places: PublishedPlaces, server: PublishedServer) -> None:
    server.files[_ZIP].announced_bytes = len(TRAINVAL) + 1
    with pytest.raises(DownloadError, match="ended after|another part than"):
        _fetch(places)
    assert not _cached(places).exists()


def test_another_size_than_the_published_one_is_refused(
    places: PublishedPlaces, server: PublishedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(published_sets.PUBLISHED_ROOTS, Source.COCO, server.url)
    published = PublishedPlaces(cache_dir=places.cache_dir, fetch=places.fetch)
    with pytest.raises(DownloadError, match=rf"it has {len(TRAINVAL):,} bytes, 252,907,541 are published"):
        _fetch(published)
    assert len(server.asked) == 1


def test_a_missing_file_names_url_and_remedy(places: PublishedPlaces, server: PublishedServer) -> None:
    message = rf"{server.url}/annotations/image_info_test2017\.zip: there is no such file \(HTTP status 404\); check"
    with pytest.raises(DownloadError, match=message):
        _fetch(places, "2017:test")


def test_no_network_is_said(tmp_path: pathlib.Path) -> None:
    places = PublishedPlaces(
        cache_dir=tmp_path, roots={"coco": f"http://127.0.0.1:{closed_port()}"}, fetch=FetchOptions(retries=1)
    )
    with pytest.raises(DownloadError, match=r"the connection failed \(.*refused\); check the network"):
        _fetch(places)


def test_no_space_is_said_before(places: PublishedPlaces, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(pathlib.Path())
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10))
    with pytest.raises(DownloadError, match="make room or choose another place"):
        _fetch(places)


def test_a_cache_that_cannot_be_written_is_said(places: PublishedPlaces) -> None:
    places.cache_dir.write_text("a file")
    with pytest.raises(DownloadError, match="--cache_dir.* cannot be written"):
        _fetch(places)


def test_only_whole_files_of_the_same_url_count(places: PublishedPlaces, server: PublishedServer) -> None:
    path = _cached(places)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"of someone else")
    _fetch(places)
    assert path.read_bytes() == TRAINVAL
    record = path.with_name(path.name + ".json")
    record.write_text("{damaged")
    _fetch(places)
    assert len(server.asked) == 2
    assert json.loads(record.read_bytes()) == {
        "url": server.url + _ZIP, "bytes": len(TRAINVAL), "etag": '"one"',
        "last_modified": "Tue, 10 Jul 2018 12:00:00 GMT",
    }  # fmt: skip


def test_two_runs_at_once_are_one_download(places: PublishedPlaces, server: PublishedServer) -> None:
    server.files[_ZIP].gate = gate = threading.Event()
    results: list[tuple[str, ...]] = []
    runs = [threading.Thread(target=lambda: results.append(_fetch(places))) for _ in range(3)]
    for run in runs:
        run.start()
    gate.set()
    for run in runs:
        run.join()
    assert len(results) == 3
    assert len(set(results)) == 1
    assert len(server.asked) == 1


def test_a_damaged_zip_names_the_remedy(places: PublishedPlaces, server: PublishedServer) -> None:
    server.files[_ZIP] = Served(TRAINVAL[:-30] + b"PK\x05\x06" + bytes(26))
    with pytest.raises(InputError, match="and it is fetched again"):
        _fetch(places)


def test_a_zip_without_the_split_is_said(places: PublishedPlaces, server: PublishedServer) -> None:
    server.files[_ZIP] = Served(_zip("instances_train2017"))
    with pytest.raises(InputError, match=r"--coco 2017:val: .* is no zip with a \*_val2017\.json"):
        _fetch(places)


def test_a_page_in_place_of_the_zip_is_said(places: PublishedPlaces, server: PublishedServer) -> None:
    server.files[_ZIP] = Served(b"<html>please log in</html>")
    with pytest.raises(InputError, match=r"is no zip with .*; remove it, and it is fetched again"):
        _fetch(places)


def test_open_images_files_keep_their_paths_below_the_root(places: PublishedPlaces, server: PublishedServer) -> None:
    named = published_sets.parse_published(Source.OPEN_IMAGES, "v7:validation")
    assert named
    for file in named.files:
        server.files[f"/oi/{file.path}"] = Served(file.path.encode())
    sources = {Source.OPEN_IMAGES: ("v7:validation", "extra.csv"), Source.YFCC: ("pack",)}
    fetched = fetch_published(sources, places)
    host = server.url.removeprefix("http://").replace(":", "_")
    assert fetched == {
        Source.OPEN_IMAGES: (*(str(places.cache_dir / host / "oi" / f.path) for f in named.files), "extra.csv"),
        Source.YFCC: ("pack",),
    }
    assert [pathlib.Path(p).read_text() for p in fetched[Source.OPEN_IMAGES][:-1]] == [f.path for f in named.files]


def test_a_path_that_exists_wins(
    places: PublishedPlaces, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("2017", "2099"):
        (tmp_path / name).mkdir()
    with caplog.at_level(logging.INFO, "photobeam"):
        assert _fetch(places, "2017", "2099") == ("2017", "2099")
    assert caplog.messages == ["--coco 2017: taken for the path of that name, not for the published set"]


def test_a_wrong_name_is_an_input_error(places: PublishedPlaces) -> None:
    with pytest.raises(InputError, match="no published set '2099'"):
        _fetch(places, "2099")


def test_a_root_is_http() -> None:
    places = PublishedPlaces(cache_dir=pathlib.Path(), roots={"coco": "s3://b"})
    with pytest.raises(InputError, match="--mirror coco=s3://b: published files are fetched over http"):
        _fetch(places, "2017")
