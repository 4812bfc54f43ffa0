"""Answers that no HTTP library would write: each a photo or its right reason, within the deadline and little memory."""

import asyncio
import gzip
import time

import pytest

from tests.process_memory import memory_bytes, reset_peak_memory
from tests.raw_server import raw_server
from transforms.fetch.byte_budget import ByteBudget
from transforms.fetch.fetch_error import FetchError
from transforms.fetch.fetch_options import FetchOptions
from transforms.fetch.http_client import HttpClient
from transforms.fetch.http_fetch import fetch_bytes

DEADLINE_S = 1.0
MOST_BYTES = 30_000_000
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"


def head(*headers: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode("latin-1")


CHUNKED, CLOSE = head("Transfer-Encoding: chunked"), head("Connection: close")
GZIP = head("Content-Encoding: gzip", "Connection: close")


def outcome(url: str) -> str:
    """The body, or the reason why there is none."""
    return outcomes(url, 1)[0]


def outcomes(url: str, count: int) -> list[str]:
    """The same of several requests by one client, one after the other."""

    async def one(client: HttpClient) -> str:
        try:
            return (await fetch_bytes(client, url, ByteBudget(10**9))).data.decode()
        except FetchError as error:
            return error.reason.value

    async def scenario() -> list[str]:
        options = FetchOptions(timeout_s=0.8, deadline_s=DEADLINE_S, retries=0, max_image_bytes=1_000_000)
        async with HttpClient(options, [url]) as client:
            return [await one(client) for _ in range(count)]

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    ("name", "begin", "more", "pause_s", "expected"),
    [
        ("endless headers", head()[:-2], b"X: y\r\n" * 100, 0, "connection_error"),
        ("endless header", head()[:-2] + b"X: ", b"y" * 9999, 0, "connection_error"),
        ("dripping header", head()[:-2] + b"X: ", b"y", 0.05, "timeout"),
        ("endless status line", b"HTTP/1.1 200 ", b"y" * 9999, 0, "connection_error"),
        ("100 storm", b"", head(status="100 Continue") * 99, 0, "timeout"),
        ("103 storm", b"", head("Link: x", status="103 Early Hints"), 0.05, "timeout"),
        ("endless chunks", CHUNKED, b"400\r\n" + b"x" * 1024 + b"\r\n", 0, "too_large"),
        ("endless chunk extension", CHUNKED + b"1;", b"x" * 999, 0.001, "timeout"),
        ("endless trailers", CHUNKED + b"1\r\na\r\n0\r\n", b"X: y\r\n" * 999, 0, "connection_error"),
        ("endless body", CLOSE, b"x" * 65_536, 0, "too_large"),
    ],
)
def test_what_never_ends_is_ended(name: str, begin: bytes, more: bytes, pause_s: float, expected: str) -> None:
    reset_peak_memory()
    before_bytes, begun_s = memory_bytes("VmRSS"), time.monotonic()
    with raw_server(begin, more, pause_s) as url:
        assert outcome(url) == expected
    assert time.monotonic() - begun_s < DEADLINE_S + 1.0
    assert memory_bytes("VmHWM") - before_bytes < MOST_BYTES


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (head(status="100 Continue") + OK, "abc"),
        (head("Link: </a>", status="103 Early Hints") + OK, "abc"),
        (head("Upgrade: h2c", "Connection: Upgrade", status="101 Switching"), "http_error"),
        (head("Content-Length: 0", status="205 Reset"), "http_error"),
        (head(status="304 Not Modified"), "http_error"),
        (head("Content-Length: 3", status="999 Denied") + b"abc", "http_error"),
        (head("Content-Length: 3", status="99 Low") + b"abc", "connection_error"),
        (b"HTTP/1.0 200 OK\r\n\r\nabc", "abc"),
        (b"abc of HTTP 0.9", "connection_error"),
        (b"HTTP/2 200\r\n\r\nabc", "connection_error"),
        (b"ICY 200 OK\r\n\r\nabc", "connection_error"),
        (b"", "connection_error"),
        (bytes(range(256)), "connection_error"),
        (CHUNKED + b"zz\r\nabc", "connection_error"),
        (CHUNKED + b"ffffffffffffffffff\r\nabc", "connection_error"),
        (CHUNKED + b"3\r\nabc\r\n", "connection_error"),
        (head("Content-Length: 9") + b"abc", "connection_error"),
        (head("Content-Length: 2", "Connection: close") + b"abc", "connection_error"),
        (head("Content-Length: -1") + b"abc", "connection_error"),
        (head("Content-Length: 3", "Content-Length: 5") + b"abcde", "connection_error"),
        (head("Content-Length: 3", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n0\r\n\r\n", "connection_error"),
        (head("Content-Length: 99999999"), "too_large"),
        (head("Content-Type: ;;=,", "Content-Length: 3") + b"abc", "abc"),
        (GZIP + gzip.compress(b"abc") + gzip.compress(b"def"), "abcdef"),
        (GZIP + gzip.compress(bytes(100_000_000)), "too_large"),
        (head("Content-Encoding: br", "Content-Length: 3") + b"abc", "connection_error"),
        (head("Location: /\xe9\xff", "Content-Length: 0", status="302 Found"), "too_many_redirects"),
        (head("Location: data:image/png;base64,xx", "Content-Length: 0", status="302 Found"), "invalid_url"),
        (head("Location: http://u:p@127.0.0.9/", "Content-Length: 0", status="302 Found"), "invalid_url"),
        (head("Location: http://169.254.169.254/", "Content-Length: 0", status="302 Found"), "blocked_address"),
    ],
)
def test_odd_answers_have_their_outcome(answer: bytes, expected: str) -> None:
    with raw_server(answer) as url:
        assert outcome(url) == expected


def test_an_answer_that_nobody_asked_for_is_nobodys() -> None:
    """Bytes behind a body are not taken for the answer to the next request."""
    poison = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
    with raw_server(OK + poison) as url:
        assert outcomes(url, 3) == ["abc"] * 3
