"""Digests that answers state: which count, and what becomes of bodies that have others."""

import asyncio
import base64
import gzip
import hashlib
import pathlib
import typing

import pytest

from schemas.yfcc import mirror_key
from tests.fault_server import BODY, Answer, FaultServer
from transforms.fetch import http_fetch
from transforms.fetch.byte_budget import ByteBudget
from transforms.fetch.fetch_error import FetchError
from transforms.fetch.fetch_options import FetchOptions
from transforms.fetch.http_client import HttpClient
from transforms.fetch.http_fetch import PLAIN, Ask, Fetched, Part, fetch_bytes
from transforms.fetch.saved_bodies import Saved
from transforms.fetch.stated_digests import stated_digests
from transforms.places.image_places import PlacesConfig, fetch_image, open_places
from transforms.places.photo_refs import PhotoRef
from transforms.places.remote_place import Http
from transforms.videos.video_mirror import VideoMirror

OPTIONS = FetchOptions(timeout_s=0.5, deadline_s=5.0, retries=2, allow_private_hosts=True, verify_hash=True)
S3 = {"x-amz-request-id": "7"}
STORED_GZIP = {"x-goog-stored-content-encoding": "gzip"}


def base64_of(algorithm: str, body: bytes) -> str:
    return base64.b64encode(hashlib.new(algorithm, body).digest()).decode()


def md5_etag(body: bytes) -> dict[str, str]:
    return {"ETag": f'"{hashlib.md5(body).hexdigest()}"'}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> typing.Iterator[FaultServer]:
    monkeypatch.setattr(http_fetch, "BACKOFF_S", 0.01)
    with FaultServer() as running:
        yield running


async def fetch(url: str, ask: Ask = PLAIN, options: FetchOptions = OPTIONS) -> Fetched:
    async with HttpClient(options) as client:
        return await fetch_bytes(client, url, ByteBudget(10**8), ask)


@pytest.mark.parametrize(
    "headers_of",
    [
        lambda body: {"Content-MD5": base64_of("md5", body)},
        lambda body: {"Repr-Digest": f"sha-256=:{base64_of('sha256', body)}:;q=1, crc32c=:AAAA:"},
        lambda body: {"Content-Digest": f"unknown=:AA==:, sha-512=:{base64_of('sha512', body)}:"},
        lambda body: {"Digest": f"UNIXsum=30637, SHA-256={base64_of('sha256', body)}"},
        lambda body: {"X-Goog-Hash": f"crc32c=AAAAAA==,md5={base64_of('md5', body)}"},
        lambda body: [("x-goog-hash", "crc32c=AAAAAA=="), ("x-goog-hash", f"md5={base64_of('md5', body)}")],
        lambda body: md5_etag(body) | S3,
        lambda body: md5_etag(body) | S3 | {"x-amz-server-side-encryption": "AES256"},
    ],
)
def test_a_body_must_have_the_digests_that_its_answer_states(
    server: FaultServer, headers_of: typing.Callable[[bytes], typing.Any]
) -> None:
    server.answers["/good"] = Answer(headers=headers_of(BODY))
    server.answers["/bad"] = Answer(headers=headers_of(BODY + b"more"))
    assert asyncio.run(fetch(f"{server.url}/good")).attempts == 1
    with pytest.raises(FetchError, match="checksum_mismatch: the body has another digest than") as caught:
        asyncio.run(fetch(f"{server.url}/bad"))
    assert (caught.value.attempts, caught.value.http_status, server.asked.count("/bad")) == (3, 200, 3)
    unverified = FetchOptions(allow_private_hosts=True)
    assert asyncio.run(fetch(f"{server.url}/bad", options=unverified)).data == BODY


@pytest.mark.parametrize(
    "headers",
    [
        md5_etag(b""),
        S3 | {"ETag": f"W/{md5_etag(b'')['ETag']}"},
        S3 | {"ETag": f'"{hashlib.md5(b"").hexdigest()}-2"'},
        S3 | md5_etag(b"") | {"x-amz-server-side-encryption": "aws:kms"},
        S3 | md5_etag(b"") | {"x-amz-server-side-encryption-customer-algorithm": "AES256"},
        S3 | md5_etag(b"") | {"x-amz-storage-class": "EXPRESS_ONEZONE"},
        STORED_GZIP | {"x-goog-hash": f"md5={base64_of('md5', b'')}"},
        {"Content-MD5": base64_of("md5", b""), "Content-Encoding": "br"},
        {"Content-MD5": hashlib.md5(b"").hexdigest()},
        {"Content-MD5": "", "Digest": "md5", "Repr-Digest": "sha-256=:not base64:, sha-512=:é:"},
    ],
)
def test_what_is_not_surely_the_digest_of_these_bytes_does_not_count(headers: dict[str, str]) -> None:
    assert stated_digests(headers.items()) == set()


def test_parts_and_decoded_bodies_are_not_compared(server: FaultServer) -> None:
    stated = {"Repr-Digest": f"md5=:{base64_of('md5', b'the whole')}:"}
    server.answers["/part"] = Answer(BODY[:10], 206, stated)
    server.answers["/gzip"] = Answer(gzip.compress(BODY), headers=stated | {"Content-Encoding": "gzip"})
    assert asyncio.run(fetch(f"{server.url}/part", Ask(part=Part(0, 10)))).data == BODY[:10]
    assert asyncio.run(fetch(f"{server.url}/gzip")).data == BODY


def test_a_file_that_heals_is_taken_in_memory_and_on_disk(server: FaultServer, tmp_path: pathlib.Path) -> None:
    stated = {"Content-MD5": base64_of("md5", BODY)}
    flipped = Answer(b"\xff" + BODY[1:], headers=stated)
    server.answers["/a"] = server.answers["/b"] = Answer(headers=stated, failures_first=1, failing=flipped)
    assert asyncio.run(fetch(f"{server.url}/a")).attempts == 2
    saved = Saved(tmp_path / "b", 10**6, "max_video_bytes", lambda _: None)
    assert asyncio.run(fetch(f"{server.url}/b", Ask(saved=saved))).attempts == 2
    assert saved.path.read_bytes() == BODY


def test_a_photo_with_the_hash_of_another_url_is_not_asked_for(server: FaultServer) -> None:
    url, other = "http://farm8.staticflickr.com/1/42_b.jpg", mirror_key("http://farm8.staticflickr.com/1/43_b.jpg")
    wrong = PhotoRef(42, "000000000042", other, url, "jpg")
    config = PlacesConfig(mirrors=(("yfcc", server.url),))

    async def ask(photo: PhotoRef) -> None:
        async with (
            HttpClient(OPTIONS, config.roots()) as client,
            fetch_image(open_places(config, client, ByteBudget(10**8)), photo),
        ):
            pass

    async def ask_video() -> None:
        async with HttpClient(OPTIONS, config.roots()) as client:
            saved = Saved(pathlib.Path("none"), 9, "max_video_bytes", lambda _: None)
            await VideoMirror(server.url, Http(client, ByteBudget(9))).fetch(wrong, saved)

    for asked in (ask(wrong), ask_video()):
        with pytest.raises(FetchError, match="checksum_mismatch: the hash is not the md5 of the download URL"):
            asyncio.run(asked)
    assert server.asked == []
    for right in (mirror_key(url), "", "none"):
        with pytest.raises(FetchError, match="not_found"):
            asyncio.run(ask(wrong._replace(hash=right)))
    assert len(server.asked) == 3
    with pytest.raises(FetchError, match="not_found"):
        asyncio.run(ask(wrong._replace(download_url="")))
