"""Bodies that are saved instead of held in memory: their own cap, their own deadline, and a disk that is full."""

import asyncio
import pathlib
import time
import typing

import pytest

from schemas.failures import FailureReason
from tests.fault_server import Answer, FaultServer
from tests.raw_server import raw_server
from transforms.fetch import http_fetch
from transforms.fetch.byte_budget import ByteBudget
from transforms.fetch.fetch_error import FetchError
from transforms.fetch.fetch_options import FetchOptions
from transforms.fetch.http_client import HttpClient
from transforms.fetch.http_fetch import Ask, Fetched, fetch_bytes
from transforms.fetch.saved_bodies import Saved
from transforms.files.publish import OutputError


@pytest.fixture
def server() -> typing.Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


def fetch(server: FaultServer, path: pathlib.Path, max_bytes: int = 1 << 20, **options: typing.Any) -> Fetched:
    return fetch_url(f"{server.url}/a", path, max_bytes, **options)


def fetch_url(url: str, path: pathlib.Path, max_bytes: int, **options: typing.Any) -> Fetched:
    received: list[int] = []

    async def run() -> Fetched:
        async with HttpClient(FetchOptions(retries=1, max_image_bytes=10, **options), [url]) as client:
            budget = ByteBudget(10)
            saved = Saved(path, max_bytes, "max_video_bytes", received.append)
            fetched = await fetch_bytes(client, url, budget, Ask(saved=saved))
            assert budget.free_bytes == 10
            assert sum(received) >= path.stat().st_size
            return fetched

    return asyncio.run(run())


def test_a_body_lies_in_its_file_whole_after_a_second_attempt(server: FaultServer, tmp_path: pathlib.Path) -> None:
    body = bytes(range(256)) * 3000
    server.answers["/a"] = Answer(body, failures_first=1, failing=Answer(body[:5000], announced_bytes=len(body)))
    assert fetch(server, tmp_path / "a").attempts == 2
    assert (tmp_path / "a").read_bytes() == body


@pytest.mark.parametrize("fault", ["", "chunked"])
def test_the_cap_is_that_of_videos(server: FaultServer, tmp_path: pathlib.Path, fault: str) -> None:
    server.answers["/a"] = Answer(bytes(2000), fault=fault)
    assert fetch(server, tmp_path / "a", 2000).data == b""
    with pytest.raises(FetchError, match="more than --max_video_bytes 1999") as raised:
        fetch(server, tmp_path / "a", 1999)
    assert raised.value.reason is FailureReason.TOO_LARGE


def test_a_large_body_has_time_beyond_the_deadline(
    server: FaultServer, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers["/a"] = Answer(bytes(12), fault="drip")
    with pytest.raises(FetchError, match="no answer in time"):
        fetch(server, tmp_path / "a", deadline_s=0.3)
    monkeypatch.setattr(http_fetch, "SLOWEST_BYTES_PER_S", 4)
    assert fetch(server, tmp_path / "a", deadline_s=0.3).attempts == 1


def test_a_body_without_a_length_has_the_deadline_alone(tmp_path: pathlib.Path) -> None:
    begun_s = time.monotonic()
    with (
        raw_server(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n", 0.05) as url,
        pytest.raises(FetchError, match="no answer in time"),
    ):
        fetch_url(url, tmp_path / "a", 10_000_000, deadline_s=0.3)
    assert time.monotonic() - begun_s < 3


def test_a_file_that_cannot_be_written_is_no_fault_of_the_video(server: FaultServer, tmp_path: pathlib.Path) -> None:
    server.answers["/a"] = Answer()
    (tmp_path / "full").symlink_to("/dev/full")
    for name in ("full", "no folder/a"):
        with pytest.raises(OutputError, match=f"{name} cannot be written .*make room"):
            fetch(server, tmp_path / name)
