"""Proxies by the environment: which are taken, which are refused, and what goes past them."""

import asyncio
import typing

import pytest

from tests.fault_server import BODY, Answer, FaultServer
from transforms.fetch.byte_budget import ByteBudget
from transforms.fetch.fetch_options import FetchOptions
from transforms.fetch.http_client import HttpClient
from transforms.fetch.http_fetch import fetch_bytes

URL = "http://mirror.invalid/a"


@pytest.fixture
def proxy() -> typing.Iterator[FaultServer]:
    with FaultServer({URL: Answer()}) as running:
        yield running


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def fetch(url: str) -> bytes:
    async def scenario() -> bytes:
        async with HttpClient(FetchOptions(timeout_s=1.0, deadline_s=2.0, retries=0), [url]) as client:
            return (await fetch_bytes(client, url, ByteBudget(10**9))).data

    return asyncio.run(scenario())


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY"])
@pytest.mark.parametrize("form", ["http://{}", "{}", "http://{}/", "http://me:secret@{}"])
def test_a_proxy_is_asked(proxy: FaultServer, monkeypatch: pytest.MonkeyPatch, name: str, form: str) -> None:
    monkeypatch.setenv(name, form.format(proxy.url.removeprefix("http://")))
    assert fetch(URL) == BODY
    assert proxy.asked == [URL]
    assert ("Proxy-Authorization" in proxy.headers[0]) == ("secret" in form)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("https://127.0.0.1:1", "begins with https://, but only HTTP proxies are spoken to"),
        ("socks5://127.0.0.1:1", "begins with socks5://, but only HTTP proxies are spoken to"),
        ("http://", "names no host"),
        ("http://[::1", "is no URL"),
    ],
)
def test_a_proxy_of_another_kind_is_refused_at_once(monkeypatch: pytest.MonkeyPatch, value: str, message: str) -> None:
    monkeypatch.setenv("https_proxy", value)
    with pytest.raises(ValueError, match=rf"HTTPS_PROXY {message}: give http://HOST:PORT"):
        fetch(URL)


@pytest.mark.parametrize("no_proxy", ["127.0.0.1", "*", "x, 127.0.0.1 ", "127.0.0.1:{port}", ".0.0.1"])
def test_what_no_proxy_names_is_asked_directly(monkeypatch: pytest.MonkeyPatch, no_proxy: str) -> None:
    with FaultServer({"/a": Answer()}) as server:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        monkeypatch.setenv("no_proxy", no_proxy.format(port=server.url.rpartition(":")[2]))
        assert fetch(f"{server.url}/a") == BODY
