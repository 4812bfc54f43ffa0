"""Refusals: X-Robots-Tag, TDM-Reservation and robots.txt."""

import asyncio
import time
import typing

import pytest

from tests.fault_server import BODY, Answer, FaultServer
from transforms.fetch import robots_txt
from transforms.fetch.byte_budget import ByteBudget
from transforms.fetch.fetch_error import FetchError
from transforms.fetch.fetch_options import OPT_OUT_TAGS, FetchOptions
from transforms.fetch.http_client import HttpClient
from transforms.fetch.http_fetch import fetch_bytes

CLOSED = b"User-agent: *\nDisallow: /\n"


@pytest.fixture
def server() -> typing.Iterator[FaultServer]:
    with FaultServer({"/a": Answer()}) as running:
        yield running


def fetch(urls: list[str], *operator_urls: str, **flags: typing.Any) -> list[typing.Any]:
    async def scenario() -> list[typing.Any]:
        flags_ = {"timeout_s": 0.5, "deadline_s": 3.0, "retries": 0, "allow_private_hosts": True, **flags}
        async with HttpClient(FetchOptions(**flags_), operator_urls) as client:
            got = (fetch_bytes(client, url, ByteBudget(10**9)) for url in urls)
            return await asyncio.gather(*got, return_exceptions=True)

    return [e if isinstance(e, FetchError) else e.data for e in asyncio.run(scenario())]


def refusal(headers: dict[str, str] | list[tuple[str, str]], server: FaultServer, **flags: typing.Any) -> str:
    """The detail of an opt-out, '' if the photo is taken."""
    server.answers["/a"] = Answer(headers=headers)
    [got] = fetch([f"{server.url}/a"], server.url, **flags)
    assert got == BODY or (got.reason.value, got.http_status) == ("opted_out", 200)
    return "" if got == BODY else str(got.detail)


@pytest.mark.parametrize("tag", OPT_OUT_TAGS)
@pytest.mark.parametrize("form", ["{}", "nofollow, {}", "photobeam: {}", "*: {}", "PhotoBeam: nofollow,{}"])
def test_tags_for_everybody_or_for_us_refuse(server: FaultServer, tag: str, form: str) -> None:
    assert refusal({"X-Robots-Tag": form.format(tag.upper())}, server) == f"X-Robots-Tag: {tag}"


@pytest.mark.parametrize(
    "value", ["all", "", "nofollow", "googlebot: noindex", "otherbot: noai, noindex", "unavailable_after: noai", ",;:"]
)
def test_other_tags_and_tags_for_others_do_not(server: FaultServer, value: str) -> None:
    assert refusal({"X-Robots-Tag": value}, server) == ""


@pytest.mark.parametrize(
    "value",
    [
        "unavailable_after: Friday, 25-Jun-10 15:00:00 PST, noai",
        "unavailable_after: 25 Jun 2010 15:00:00 GMT, noai",
        "unavailable_after: 2010-06-25T15:00:00+02:00, noai",
        "max-snippet:-1, max-image-preview: large, noai",
        "nofollow; noai",
        "otherbot: nofollow, unavailable_after: Fri, 25 Jun 2010 15:00:00 GMT, *: noai",
    ],
)
def test_dates_and_values_hide_no_tag(server: FaultServer, value: str) -> None:
    assert refusal({"X-Robots-Tag": value}, server) == "X-Robots-Tag: noai"


def test_every_header_counts(server: FaultServer) -> None:
    headers = [("X-Robots-Tag", "nofollow"), ("x-robots-tag", "otherbot: noindex"), ("X-Robots-Tag", "noml")]
    assert refusal(headers, server) == "X-Robots-Tag: noml"
    assert refusal({"X-Robots-Tag": "none"}, server) == "X-Robots-Tag: none"


def test_which_tags_count_is_the_operators_choice(server: FaultServer) -> None:
    assert refusal({"X-Robots-Tag": "noindex"}, server, opt_out_tags=("noai",)) == ""
    assert refusal({"X-Robots-Tag": "none, noai"}, server, opt_out_tags=()) == ""
    assert refusal({"X-Robots-Tag": "mybot: noai"}, server, user_agent="MyBot/2 (me)") == "X-Robots-Tag: noai"


def test_a_reservation_of_text_and_data_mining_refuses(server: FaultServer) -> None:
    assert refusal({"TDM-Reservation": "1"}, server) == "TDM-Reservation: 1"
    assert refusal({"TDM-Reservation": "0"}, server) == ""


def test_the_body_of_a_refused_photo_is_not_read(server: FaultServer) -> None:
    server.answers["/a"] = Answer(fault="drip", headers={"X-Robots-Tag": "noai"})
    [error] = fetch([f"{server.url}/a"], server.url, retries=3)
    assert (error.reason.value, error.attempts) == ("opted_out", 1)


def test_robots_txt_of_foreign_hosts_is_asked_once_and_obeyed(server: FaultServer) -> None:
    server.answers["/robots.txt"] = Answer(
        b"User-agent: *\nDisallow: /private\n\nUser-agent: photobeam\nDisallow: /b\n"
    )
    server.answers |= {"/b/1": Answer(), "/private/1": Answer()}
    got = fetch([f"{server.url}{path}" for path in ("/a", "/b/1", "/private/1", "/a")])
    assert [g if isinstance(g, bytes) else str(g) for g in got] == [BODY, "opted_out: robots.txt", BODY, BODY]
    assert server.robots_asked == 1
    got = fetch([f"{server.url}/private/1"], user_agent="else/1")
    assert str(got[0]) == "opted_out: robots.txt"


def test_rules_behind_a_byte_order_mark_count(server: FaultServer) -> None:
    server.answers["/robots.txt"] = Answer(b"\xef\xbb\xbf" + CLOSED)
    assert str(fetch([f"{server.url}/a"])[0]) == "opted_out: robots.txt"


@pytest.mark.parametrize("fault", ["drip", "stall"])
def test_slow_rules_close_a_host_for_now_within_the_deadline(server: FaultServer, fault: str) -> None:
    server.answers["/robots.txt"] = Answer(b"#" * 5000, fault=fault)
    begun_s = time.monotonic()
    assert [g.reason.value for g in fetch([f"{server.url}/a"] * 3, deadline_s=1.0)] == ["timeout"] * 3
    assert (server.asked, time.monotonic() - begun_s < 2) == ([], True)


def test_robots_txt_of_named_mirrors_is_not_asked(server: FaultServer) -> None:
    server.answers["/robots.txt"] = Answer(CLOSED)
    assert fetch([f"{server.url}/a"], server.url + "/root") == [BODY]
    assert server.robots_asked == 0


def test_a_redirect_to_a_foreign_host_asks_its_rules(server: FaultServer) -> None:
    with FaultServer({"/robots.txt": Answer(CLOSED), "/a": Answer()}) as other:
        server.answers["/r"] = Answer(b"", 302, {"Location": f"{other.url}/a"})
        assert str(fetch([f"{server.url}/r"], server.url)[0]) == "opted_out: robots.txt"
        assert other.asked == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 429])
def test_a_host_without_rules_is_open(server: FaultServer, status: int) -> None:
    server.answers["/robots.txt"] = Answer(CLOSED, status)
    assert fetch([f"{server.url}/a"]) == [BODY]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(b"", 500), "server_error"),
        (Answer(b"", 503), "server_error"),
        (Answer(fault="reset"), "connection_error"),
    ],
)
def test_a_host_whose_rules_cannot_be_had_is_closed_for_now(server: FaultServer, answer: Answer, reason: str) -> None:
    server.answers["/robots.txt"] = answer
    got = fetch([f"{server.url}/a"] * 3)
    assert [g.reason.value for g in got] == [reason] * 3
    assert all(g.reason.retryable for g in got)
    assert server.asked == []


def test_redirected_and_endless_rules(server: FaultServer) -> None:
    rules = b"# " + b"x" * robots_txt.MAX_BYTES + b"\n" + CLOSED
    server.answers |= {"/robots.txt": Answer(b"", 301, {"Location": "/rules"}), "/rules": Answer(CLOSED)}
    assert str(fetch([f"{server.url}/a"])[0]) == "opted_out: robots.txt"
    server.answers["/rules"] = Answer(rules)
    assert fetch([f"{server.url}/a"]) == [BODY]
    server.answers["/robots.txt"] = Answer(b"", 301, {"Location": "/robots.txt"})
    assert fetch([f"{server.url}/a"]) == [BODY]
    server.answers["/robots.txt"] = Answer(b"\xff\xfe\x00rubbish: \xed\n" * 100)
    assert fetch([f"{server.url}/a"]) == [BODY]
