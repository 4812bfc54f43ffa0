"""Where requests may go: public addresses, and what the operator names."""

import asyncio
import ipaddress
import socket
import typing

import pytest
import yarl

from schemas.failures import FailureReason
from tests.fault_server import BODY, Answer, FaultServer
from transforms.fetch.address_guard import AddressGuard, is_public
from transforms.fetch.byte_budget import ByteBudget
from transforms.fetch.fetch_error import FetchError
from transforms.fetch.fetch_options import FetchOptions
from transforms.fetch.http_client import HttpClient
from transforms.fetch.http_fetch import fetch_bytes

PRIVATE = [
    "127.0.0.1", "127.8.8.8", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "100.100.100.200", "0.0.0.0", "0.1.2.3", "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.0.192", "198.18.0.1",
    "168.63.129.16", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "ff0e::1",
    "fec0::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::10.0.0.1",
    "64:ff9b:1::8.8.8.8", "2002:7f00:1::", "2001:0:a00:1::",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "52.218.0.1", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]
LOOPBACKS = [
    "http://127.0.0.1:{port}/a", "http://localhost:{port}/a", "http://2130706433:{port}/a", "http://0x7f000001:{port}/a",
    "http://0x7f.1:{port}/a", "http://0177.0.0.1:{port}/a", "http://017700000001:{port}/a", "http://127.1:{port}/a",
    "http://0.0.0.0:{port}/a", "http://0:{port}/a", "http://127.0.0.2:{port}/a", "http://127.0.0.1.:{port}/a",
    "http://[::1]:{port}/a", "http://[::ffff:127.0.0.1]:{port}/a", "http://[::ffff:7f00:1]:{port}/a",
    "http://[64:ff9b::7f00:1]:{port}/a", "http://LocalHost:{port}/a", "http://①②⑦.0.0.1:{port}/a",
]  # fmt: skip


@pytest.fixture
def server() -> typing.Iterator[FaultServer]:
    with FaultServer({"/a": Answer()}) as running:
        yield running


def fetch(url: str, *operator_urls: str, **flags: typing.Any) -> bytes:
    async def scenario() -> bytes:
        options = FetchOptions(**{"timeout_s": 0.5, "deadline_s": 3.0, "retries": 0, **flags})
        async with HttpClient(options, operator_urls) as client:
            return (await fetch_bytes(client, url, ByteBudget(10**9))).data

    return asyncio.run(scenario())


def failure(url: str, *operator_urls: str, **flags: typing.Any) -> FetchError:
    with pytest.raises(FetchError) as caught:
        fetch(url, *operator_urls, **flags)
    return caught.value


@pytest.mark.parametrize(("address", "public"), [*((a, False) for a in PRIVATE), *((a, True) for a in PUBLIC)])
def test_public_addresses(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public


@pytest.mark.parametrize("url", LOOPBACKS)
def test_no_form_of_a_private_address_is_connected_to(server: FaultServer, url: str) -> None:
    port = yarl.URL(server.url).port
    assert failure(url.format(port=port)).reason in (FailureReason.BLOCKED_ADDRESS, FailureReason.INVALID_URL)
    assert (server.asked, server.robots_asked) == ([], 0)


@pytest.mark.parametrize("url", LOOPBACKS[:2])
def test_a_blocked_address_has_its_reason_and_is_not_tried_again(server: FaultServer, url: str) -> None:
    error = failure(url.format(port=yarl.URL(server.url).port), retries=3)
    assert (error.reason.value, error.attempts, error.reason.retryable) == ("blocked_address", 1, False)
    assert "--allow_private_hosts" in error.detail


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}/a", "http://localhost:{port}/a"])
def test_what_the_operator_names_is_permitted(server: FaultServer, url: str) -> None:
    url = url.format(port=yarl.URL(server.url).port)
    assert fetch(url, url.removesuffix("a") + "some/root") == BODY
    assert fetch(url, allow_private_hosts=True) == BODY


def test_redirects_from_the_operators_host_are_checked(server: FaultServer) -> None:
    with FaultServer({"/a": Answer()}) as inside:
        for i, location in enumerate((f"{inside.url}/a", "http://169.254.169.254/latest/meta-data/", "http://[::1]/")):
            server.answers[f"/{i}"] = Answer(b"", 302, {"Location": location})
            assert failure(f"{server.url}/{i}", server.url).reason is FailureReason.BLOCKED_ADDRESS
        assert (inside.asked, inside.robots_asked) == ([], 0)
        assert fetch(f"{server.url}/0", server.url, inside.url) == BODY
        assert fetch(f"{server.url}/0", server.url, allow_private_hosts=True) == BODY


def test_a_name_that_changes_its_address_does_not_slip_through(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Public at first, loopback from the second look on: what is looked up is what is connected to."""
    port = yarl.URL(server.url).port
    answers = iter(["192.0.2.1", *["127.0.0.1"] * 9])

    def getaddrinfo(host: typing.Any, *_: typing.Any, **__: typing.Any) -> list[typing.Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr("transforms.fetch.address_guard.is_public", lambda address: str(address) == "192.0.2.1")
    for _ in range(3):
        assert failure(f"http://rebound.example:{port}/a", timeout_s=0.2).reason is not None
    assert server.asked == []


def test_of_several_addresses_the_private_ones_are_left_out() -> None:
    addresses = [{"host": "10.0.0.1"}, {"host": "8.8.8.8"}]
    assert AddressGuard([]).permitted("host", 80, addresses) == addresses[1:]
    assert AddressGuard(["https://host/x"]).permitted("HOST.", 80, addresses) == addresses
    assert AddressGuard(["https://host:8443/x"]).permitted("host", 443, addresses) == addresses[1:]


def test_foreign_urls_carry_no_password(server: FaultServer) -> None:
    with FaultServer({"/a": Answer()}) as other:
        location = other.url.replace("://", "://me:secret@") + "/a"
        server.answers["/r"] = Answer(b"", 302, {"Location": location})
        assert failure(f"{server.url}/r", server.url, allow_private_hosts=True).reason is FailureReason.INVALID_URL
        assert other.asked == []


def test_a_proxys_own_address_is_permitted_but_not_what_it_is_asked_for(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("no_proxy", "localhost")
    root = "http://mirror.invalid"
    server.answers = {f"{root}/a": Answer(), f"{root}/r": Answer(b"", 302, {"Location": "http://127.0.0.9/b"})}
    assert fetch(f"{root}/a", root) == BODY
    assert failure(f"{root}/r", root).reason is FailureReason.BLOCKED_ADDRESS
    assert failure("http://elsewhere.invalid/a").reason is FailureReason.DNS_ERROR
    assert failure("http://ip6-localhost/a").reason in (FailureReason.BLOCKED_ADDRESS, FailureReason.DNS_ERROR)
    assert failure(f"{server.url}/a").reason is FailureReason.BLOCKED_ADDRESS
    assert server.asked == [f"{root}/a", f"{root}/r"]
    with FaultServer({"/a": Answer(b"direct")}) as direct:
        url = direct.url.replace("127.0.0.1", "localhost")
        assert fetch(f"{url}/a", url) == b"direct"
