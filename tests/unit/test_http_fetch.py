"""Fetching against a server that misbehaves: one reason for each fault, within the deadline, within the budget."""

import asyncio
import datetime
import email.utils
import gzip
import pickle
import time
import typing

import pytest
import yarl

from schemas.failures import FailureReason
from tests.fault_server import BODY, Answer, FaultServer, closed_port
from transforms.fetch import http_fetch
from transforms.fetch.byte_budget import ByteBudget
from transforms.fetch.fetch_error import FetchError
from transforms.fetch.fetch_options import FetchOptions
from transforms.fetch.http_client import HttpClient
from transforms.fetch.http_fetch import Ask, fetch_bytes

FAST = {"timeout_s": 0.5, "deadline_s": 5.0, "retries": 0, "allow_private_hosts": True}


@pytest.fixture
def server() -> typing.Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture(autouse=True)
def _short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_fetch, "BACKOFF_S", 0.01)


async def fetch(url: str, budget: ByteBudget | None = None, **flags: typing.Any) -> http_fetch.Fetched:
    options = FetchOptions(**{**FAST, **flags})
    async with HttpClient(options, [url] if "me:secret@" in url else []) as client:
        return await fetch_bytes(client, url, budget or ByteBudget(10**9))


def failure(url: str, **flags: typing.Any) -> FetchError:
    budget = ByteBudget(10**9)
    with pytest.raises(FetchError) as caught:
        asyncio.run(fetch(url, budget, **flags))
    assert budget.free_bytes == 10**9
    return caught.value


def test_a_file_comes_whole_and_holds_its_bytes_until_released(server: FaultServer) -> None:
    server.answers["/a"] = Answer()
    budget = ByteBudget(50_000)
    with asyncio.run(fetch(f"{server.url}/a", budget)) as fetched:
        assert (fetched.data, fetched.http_status, fetched.attempts) == (BODY, 200, 1)
        assert fetched.url == f"{server.url}/a"
        assert budget.free_bytes == 50_000 - len(BODY)
    assert budget.free_bytes == 50_000
    assert server.headers[0]["User-Agent"].startswith("photobeam/")
    assert server.headers[0]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (404, "not_found"),
        (410, "gone"),
        (401, "forbidden"),
        (403, "forbidden"),
        (429, "rate_limited"),
        (500, "server_error"),
        (503, "server_error"),
        (418, "http_error"),
        (204, "http_error"),
        (206, "http_error"),
    ],
)
def test_each_status_has_its_reason(server: FaultServer, status: int, reason: str) -> None:
    server.answers["/a"] = Answer(b"", status)
    error = failure(f"{server.url}/a", retries=1)
    assert (error.reason.value, error.http_status, error.detail) == (reason, status, f"HTTP status {status}")
    assert error.attempts == len(server.asked) == (2 if error.reason.retryable else 1)


@pytest.mark.parametrize(
    ("answer", "reason", "status"),
    [
        (Answer(announced_bytes=len(BODY) + 1), "connection_error", 200),
        (Answer(fault="reset"), "connection_error", -1),
        (Answer(fault="garbage"), "connection_error", -1),
        (Answer(fault="stall"), "timeout", -1),
        (Answer(headers={"Content-Encoding": "gzip"}), "connection_error", 200),
        (Answer(b"", 302, {"Location": "/a"}), "too_many_redirects", 302),
        (Answer(b"", 302, {"Location": "ftp://host/a"}), "invalid_url", -1),
        (Answer(b"", 302), "http_error", 302),
        (Answer(b"x" * 100_001), "too_large", 200),
        (Answer(b"x" * 100_001, fault="chunked"), "too_large", 200),
        (Answer(gzip.compress(bytes(10_000_000)), headers={"Content-Encoding": "gzip"}), "too_large", 200),
    ],
)
def test_each_fault_has_its_reason(server: FaultServer, answer: Answer, reason: str, status: int) -> None:
    server.answers["/a"] = answer
    error = failure(f"{server.url}/a", max_image_bytes=100_000)
    assert (error.reason.value, error.http_status) == (reason, status)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "invalid_url"),
        ("photo.jpg", "invalid_url"),
        ("ftp://127.0.0.1/a", "invalid_url"),
        ("http://[::1/a", "invalid_url"),
        ("http://127.0.0.1:99999/a", "invalid_url"),
        ("http://" + "a" * 70 + ".example/a", "invalid_url"),
        ("http://no-such-host.invalid/a", "dns_error"),
        pytest.param(f"http://127.0.0.1:{closed_port()}/a", "connection_error", id="closed port"),
    ],
)
def test_an_unusable_url_has_its_reason(url: str, reason: str) -> None:
    error = failure(url)
    assert (error.reason.value, error.http_status) == (reason, -1)


def test_no_tls_where_it_is_asked_for_is_a_tls_error(server: FaultServer) -> None:
    assert failure(server.url.replace("http:", "https:") + "/a").reason is FailureReason.TLS_ERROR


def test_five_redirects_are_followed_and_six_are_not(server: FaultServer) -> None:
    for i in range(6):
        server.answers[f"/{i}"] = Answer(b"", 302, {"Location": f"/{i + 1}"})
    server.answers["/6"] = Answer()
    assert asyncio.run(fetch(f"{server.url}/1")).data == BODY
    assert failure(f"{server.url}/0").reason is FailureReason.TOO_MANY_REDIRECTS


@pytest.mark.parametrize(
    "answer", [Answer(fault="chunked"), Answer(gzip.compress(BODY), headers={"Content-Encoding": "gzip"})]
)
def test_a_body_of_unknown_length_reserves_the_cap_then_its_size(server: FaultServer, answer: Answer) -> None:
    server.answers["/a"] = answer
    budget = ByteBudget(50_000)
    fetched = asyncio.run(fetch(f"{server.url}/a", budget, max_image_bytes=40_000))
    assert fetched.data == BODY
    assert budget.free_bytes == 50_000 - len(BODY)


@pytest.mark.parametrize("failing", [Answer(b"", 503), Answer(fault="reset"), Answer(announced_bytes=99_999)])
def test_what_heals_is_tried_again(server: FaultServer, failing: Answer) -> None:
    server.answers["/a"] = Answer(failures_first=2, failing=failing)
    fetched = asyncio.run(fetch(f"{server.url}/a", retries=3))
    assert fetched.data == BODY
    assert len(server.asked) == 3
    assert fetched.attempts in (2, 3)  # aiohttp itself asks once more where a kept connection was closed.


def test_a_dripping_server_costs_one_deadline(server: FaultServer) -> None:
    server.answers["/a"] = Answer(fault="drip")
    begun_s = time.monotonic()
    error = failure(f"{server.url}/a", deadline_s=0.6, retries=3)
    assert error.reason is FailureReason.TIMEOUT
    assert 0.5 < time.monotonic() - begun_s < 1.2


def test_retry_after_is_honoured(server: FaultServer) -> None:
    server.answers["/a"] = Answer(failures_first=1, failing=Answer(b"", 429, {"Retry-After": "1"}))
    begun_s = time.monotonic()
    assert asyncio.run(fetch(f"{server.url}/a", retries=1)).attempts == 2
    assert time.monotonic() - begun_s >= 1


def test_an_attempt_that_the_deadline_ends_leaves_the_reason_of_the_one_before(server: FaultServer) -> None:
    server.answers["/a"] = Answer(fault="stall", failing=Answer(b"", 429), failures_first=1)
    error = failure(f"{server.url}/a", deadline_s=0.9, retries=3, timeout_s=5)
    assert (error.reason, error.http_status, error.attempts) == (FailureReason.RATE_LIMITED, 429, 1)


def test_retry_after_past_the_deadline_ends_at_once_with_the_status(server: FaultServer) -> None:
    later = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    server.answers["/a"] = Answer(b"", 503, {"Retry-After": email.utils.format_datetime(later, usegmt=True)})
    begun_s = time.monotonic()
    error = failure(f"{server.url}/a", retries=3)
    assert (error.reason.value, error.attempts) == ("server_error", 1)
    assert error.retry_after_s == pytest.approx(3600, abs=5)
    assert time.monotonic() - begun_s < 1


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        ("0", 0.0),
        ("9" * 5000, float("inf")),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0.0),
        ("-5", None),
        ("1.5", None),
        ("\u00b2", None),
        ("Fri, 31 Dec 999999999999 23:59:59 GMT", None),
        ("Fri, 31 Dec 1999 99:59:59 GMT", None),
        ("Fri, 31 Dec 1999 23:59:59 +99999999", None),
    ],
)
def test_a_retry_after_of_any_form_is_no_more_than_a_wait(
    server: FaultServer, header: str, wait_s: float | None
) -> None:
    server.answers["/a"] = Answer(b"", 503, {"Retry-After": header})
    error = failure(f"{server.url}/a", deadline_s=1.0, retries=1)
    assert (error.reason.value, error.retry_after_s) == ("server_error", wait_s)


def test_waiting_for_the_budget_does_not_count_and_never_deadlocks(server: FaultServer) -> None:
    for i in range(20):
        server.answers[f"/{i}"] = Answer()

    async def fetch_all() -> tuple[int, int]:
        options = FetchOptions(timeout_s=5, deadline_s=0.5, retries=0, max_image_bytes=len(BODY))
        budget, lowest = ByteBudget(2 * len(BODY)), []

        async def one(client: HttpClient, path: str) -> bytes:
            with await fetch_bytes(client, server.url + path, budget) as fetched:
                lowest.append(budget.free_bytes)
                await asyncio.sleep(0.1)
                return fetched.data

        async with HttpClient(options, [server.url]) as client:
            bodies = await asyncio.gather(*(one(client, path) for path in server.answers))
        assert set(bodies) == {BODY}
        return min(lowest), budget.free_bytes

    assert asyncio.run(fetch_all()) == (0, 2 * len(BODY))


def test_a_cancelled_wait_for_the_budget_leaves_no_trace() -> None:
    async def scenario() -> int:
        budget = ByteBudget(100)
        held = await budget.reserve(80)
        waiting = asyncio.create_task(budget.reserve(50))
        behind = asyncio.create_task(budget.reserve(10))
        await asyncio.sleep(0)
        assert not behind.done()
        waiting.cancel()
        (await behind).release()
        held.release()
        held.release()
        alone = await budget.reserve(10**6)
        assert budget.free_bytes == 0
        alone.release()
        return budget.free_bytes

    assert asyncio.run(scenario()) == 100


def test_an_error_survives_pickling() -> None:
    error = FetchError(FailureReason.TIMEOUT, http_fetch.Stage.FETCH, "no answer in time", 200)
    error.attempts = 3
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.reason, copy.attempts, copy.http_status, str(copy)) == (error.reason, 3, 200, str(error))


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("timeout_s", 0),
        ("deadline_s", float("inf")),
        ("retries", -1),
        ("concurrency", 0),
        ("max_image_bytes", 0),
        ("user_agent", "a\r\nb"),
    ],
)
def test_an_option_out_of_range_is_named(flag: str, value: typing.Any) -> None:
    with pytest.raises(ValueError, match=f"--{flag} .* is out of range: give "):
        FetchOptions(**{flag: value})


def test_a_redirect_leads_to_other_servers_without_the_password(server: FaultServer) -> None:
    root = server.url.replace("://", "://me:secret@")
    with FaultServer({"/b": Answer()}) as other:
        server.answers["/a"] = Answer(b"", 307, {"Location": f"{other.url}/b"})
        assert asyncio.run(fetch(f"{root}/a")).data == BODY
        assert "Authorization" not in other.headers[0]
    for location in ("/b", f"{server.url}/b"):
        server.answers |= {"/a": Answer(b"", 301, {"Location": location}), "/b": Answer()}
        assert asyncio.run(fetch(f"{root}/a")).data == BODY
    assert all("Authorization" in headers for headers in server.headers)


@pytest.mark.parametrize("location", ["http://[::1/b", "mailto:me", "http://h:99999/", "file:///etc/passwd"])
def test_a_redirect_to_no_valid_url_has_its_reason(server: FaultServer, location: str) -> None:
    server.answers["/a"] = Answer(b"", 302, {"Location": location})
    for root in (server.url, server.url.replace("://", "://me:secret@")):
        assert failure(f"{root}/a", retries=1).reason is FailureReason.INVALID_URL


def test_every_request_asks_for_leave_and_waiting_for_it_does_not_count(server: FaultServer) -> None:
    server.answers = {"/a": Answer(b"", 302, {"Location": "/b"}), "/b": Answer()}
    asked = []

    async def admit(url: yarl.URL) -> None:
        asked.append(url.path)
        await asyncio.sleep(0.3)

    async def scenario() -> bytes:
        options = FetchOptions(**{**FAST, "deadline_s": 0.4})
        async with HttpClient(options, [server.url]) as client:
            return (await fetch_bytes(client, f"{server.url}/a", ByteBudget(10**9), Ask(admit))).data

    assert (asyncio.run(scenario()), asked) == (BODY, ["/a", "/b"])


@pytest.mark.parametrize(
    "headers",
    [{"X-Long": "x" * 9_000}, {"X" * 9_000: "x"}, {"Location": "/" + "x" * 9_000}, {"Set-Cookie": "y" * 10**6}],
)
def test_long_headers_are_refused(server: FaultServer, headers: dict[str, str]) -> None:
    server.answers["/a"] = Answer(headers=headers)
    assert failure(f"{server.url}/a", timeout_s=5.0).reason is FailureReason.CONNECTION_ERROR


def test_very_many_headers_are_refused_or_harmless(server: FaultServer) -> None:
    server.answers["/a"] = Answer(headers={f"X-{i}": "x" * 100 for i in range(200_000)})
    assert failure(f"{server.url}/a", deadline_s=3.0).reason in (FailureReason.CONNECTION_ERROR, FailureReason.TIMEOUT)


def test_new_connections_leave_requests_under_way_alone(server: FaultServer) -> None:
    server.answers = {"/slow": Answer(b"slow" * 4, fault="drip"), "/fast": Answer(b"fast")}

    async def scenario() -> tuple[bytes, bool, bytes, bool]:
        async with HttpClient(FetchOptions(**FAST)) as client:
            old = client._session
            slow = asyncio.ensure_future(fetch_bytes(client, f"{server.url}/slow", ByteBudget(100)))
            while "/slow" not in server.asked:
                await asyncio.sleep(0.01)
            await client.renew()
            fast = await fetch_bytes(client, f"{server.url}/fast", ByteBudget(100))
            was_open = not old.closed
            return (await slow).data, was_open, fast.data, old.closed

    assert asyncio.run(scenario()) == (b"slow" * 4, True, b"fast", True)
    assert server.connections == 2
