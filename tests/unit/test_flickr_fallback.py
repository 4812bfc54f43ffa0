"""Flickr itself as the last place: its hosts only, verified, at one pace, and never the placeholder."""

import asyncio
import hashlib
import time
import typing

import pytest
import yarl

from tests.fault_server import BODY, Answer, FaultServer
from transforms.fetch import flickr_requests
from transforms.fetch.byte_budget import ByteBudget
from transforms.fetch.fetch_error import FetchError
from transforms.fetch.fetch_options import FetchOptions
from transforms.fetch.flickr_requests import FlickrGate
from transforms.fetch.http_client import HttpClient
from transforms.places.image_places import FoundImage, PlacesConfig, fetch_image, open_places
from transforms.places.photo_refs import CopyRef, PhotoRef
from transforms.places.remote_copies import MIRROR_ROOTS

MD5 = hashlib.md5(BODY).hexdigest()
ORIGINAL, MEDIUM = "/1/42_b_o.jpg", "/1/42_b.jpg"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> typing.Iterator[FaultServer]:
    """Flickr, as far as the code under test knows."""
    with FaultServer() as running:
        monkeypatch.setattr(flickr_requests, "is_flickr", lambda url: str(url).startswith(f"{running.url}/"))
        yield running


def photo_of(server: FaultServer, size_bytes: int = len(BODY), md5: str = MD5, download: bool = False) -> PhotoRef:
    copy = CopyRef("open_images", "0a1b", "", "", server.url + ORIGINAL, size_bytes, md5)
    return PhotoRef(42, "000000000042", "", server.url + MEDIUM if download else "", "", (copy,))


def look_up(
    photo: PhotoRef, mirror: str = "http://127.0.0.1:9", requests_per_s: float = 1000.0, **flags: typing.Any
) -> FoundImage:
    config = PlacesConfig(mirrors=tuple((s, mirror) for s in MIRROR_ROOTS), flickr_requests_per_s=requests_per_s)
    options = FetchOptions(**{"timeout_s": 0.5, "retries": 0, "allow_private_hosts": True, **flags})

    async def scenario() -> FoundImage:
        budget = ByteBudget(10**7)
        try:
            async with (
                HttpClient(options, config.roots()) as client,
                fetch_image(open_places(config, client, budget), photo) as found,
            ):
                return found
        finally:
            assert budget.free_bytes == 10**7

    return asyncio.run(scenario())


def failure(photo: PhotoRef, **flags: typing.Any) -> FetchError:
    with pytest.raises(FetchError) as caught:
        look_up(photo, **flags)
    return caught.value


@pytest.mark.parametrize(("size_bytes", "md5"), [(len(BODY), MD5), (-1, MD5.upper()), (len(BODY), ""), (-1, "")])
def test_the_original_of_open_images_is_taken(server: FaultServer, size_bytes: int, md5: str) -> None:
    server.answers[ORIGINAL] = Answer()
    found = look_up(photo_of(server, size_bytes, md5))
    assert (found.data, found.fetched_from, found.copy_source, found.copy_id) == (BODY, "flickr", "open_images", "0a1b")


@pytest.mark.parametrize(("size_bytes", "md5"), [(len(BODY) + 1, MD5), (len(BODY), "0" * 32), (0, ""), (-1, "rubbish")])
def test_another_file_than_open_images_describes_is_refused(server: FaultServer, size_bytes: int, md5: str) -> None:
    server.answers[ORIGINAL] = Answer()
    error = failure(photo_of(server, size_bytes, md5))
    assert (error.reason.value, error.http_status, error.attempts) == ("checksum_mismatch", 200, 1)
    server.answers[MEDIUM] = Answer(b"medium")
    found = look_up(photo_of(server, size_bytes, md5, download=True)._replace(hash="-"), mirror=server.url + "/none")
    assert (found.data, found.copy_source, found.copy_id) == (b"medium", "yfcc", "")


def test_flickr_comes_after_every_other_place(server: FaultServer) -> None:
    server.answers = {ORIGINAL: Answer(), MEDIUM: Answer(b"medium")}
    photo = photo_of(server, download=True)._replace(hash="4e2f7a26a1dfbf165a7e30bdabf7e72a")
    assert look_up(photo, mirror=server.url).attempts == 2
    assert server.asked == ["/data/images/4e2/f7a/4e2f7a26a1dfbf165a7e30bdabf7e72a.jpg", ORIGINAL]
    server.answers[server.asked[0]] = Answer(b"mirror")
    assert look_up(photo, mirror=server.url).fetched_from == "mirror"


def test_without_the_flag_flickr_is_not_asked(server: FaultServer) -> None:
    async def kinds(config: PlacesConfig) -> list[str]:
        options = FetchOptions()
        async with HttpClient(options, config.roots()) as client:
            return [place.kind for place in open_places(config, client, ByteBudget(1))]

    assert asyncio.run(kinds(PlacesConfig())) == ["mirror"] * 3
    assert asyncio.run(kinds(PlacesConfig(flickr_requests_per_s=1)))[-1] == "flickr"


@pytest.mark.parametrize(
    "location",
    [
        "https://s.yimg.com/pw/images/en-us/photo_unavailable.png",
        "https://s.yimg.com/pw/images/en-us/photo_unavailable_l.png",
        "http://l.yimg.com/g/images/photo_unavailable.gif",
        "/images/photo_unavailable.png?x=1",
    ],
)
def test_a_redirect_to_the_placeholder_is_not_followed(server: FaultServer, location: str) -> None:
    server.answers = {ORIGINAL: Answer(b"", 302, {"Location": location}), location: Answer()}
    error = failure(photo_of(server), retries=2)
    assert (error.reason.value, error.reason.retryable, error.attempts) == ("placeholder", False, 1)
    assert server.asked == [ORIGINAL]


def test_the_placeholder_itself_is_known_by_its_size_or_md5(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    png = b"\x89PNG" + bytes(flickr_requests.PLACEHOLDER_BYTES - 4)
    server.answers[ORIGINAL] = Answer(png)
    assert failure(photo_of(server)).reason.value == "placeholder"
    server.answers[ORIGINAL] = Answer(b"\xff\xd8" + png[2:])
    assert failure(photo_of(server)).reason.value == "checksum_mismatch"
    monkeypatch.setattr(flickr_requests, "PLACEHOLDER_MD5", hashlib.md5(b"\xff\xd8" + png[2:]).hexdigest())
    assert failure(photo_of(server)).reason.value == "placeholder"


def test_a_redirect_within_flickr_is_followed_and_one_elsewhere_is_not(server: FaultServer) -> None:
    server.answers = {ORIGINAL: Answer(b"", 302, {"Location": "/live.jpg"}), "/live.jpg": Answer()}
    assert look_up(photo_of(server)).data == BODY
    with FaultServer({"/live.jpg": Answer()}) as elsewhere:
        server.answers[ORIGINAL] = Answer(b"", 302, {"Location": elsewhere.url + "/live.jpg"})
        assert failure(photo_of(server)).reason.value == "invalid_url"
        assert elsewhere.asked == []


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/x.jpg", "file:///etc/passwd", "x", "http://[::1", "http://h\udcff/"]
)
def test_urls_of_other_hosts_are_not_asked(server: FaultServer, url: str) -> None:
    photo = photo_of(server)
    error = failure(photo._replace(copies=(photo.copies[0]._replace(url=url),)))
    assert (error.reason.value, error.http_status) == ("invalid_url", -1)


@pytest.mark.parametrize(
    ("url", "is_one"),
    [
        ("http://farm8.staticflickr.com/7205/1_2.jpg", True),
        ("http://farm3.static.flickr.com/1/2_3.jpg", True),
        ("https://live.staticflickr.com/1/2_3.jpg", True),
        ("https://c1.staticflickr.com:443/1/2_3.jpg", True),
        ("https://www.flickr.com/photos/1", True),
        ("HTTP://FARM1.STATICFLICKR.COM/1.jpg", True),
        ("https://live.staticflickr.com:8443/1/2_3.jpg", False),
        ("ftp://live.staticflickr.com/1/2_3.jpg", False),
        ("https://evilflickr.com/1.jpg", False),
        ("https://staticflickr.com.evil.example/1.jpg", False),
        ("https://evil.example/staticflickr.com/1.jpg", False),
        ("https://staticflickr.com@evil.example/1.jpg", False),
        ("http://127.0.0.1/1.jpg", False),
        ("/1.jpg", False),
        ("", False),
    ],
)
def test_hosts_of_flickr(url: str, is_one: bool) -> None:
    assert flickr_requests.is_flickr(yarl.URL(url)) is is_one


@pytest.mark.parametrize(("status", "reason"), [(404, "not_found"), (410, "gone"), (429, "rate_limited")])
def test_a_status_of_flickr_has_its_reason(server: FaultServer, status: int, reason: str) -> None:
    server.answers[ORIGINAL] = Answer(b"", status)
    assert failure(photo_of(server)).reason.value == reason


def test_requests_keep_their_pace_from_the_first_on(server: FaultServer) -> None:
    url = yarl.URL(server.url + MEDIUM)

    async def ask(gate: FlickrGate, times: int) -> None:
        await asyncio.gather(*(gate.admit(url) for _ in range(times)))

    begun_s = time.monotonic()
    for times in (5, 1, 4):  # A gate for each shard of a process, one after the other.
        asyncio.run(ask(FlickrGate(50), times))
    assert 10 / 50 <= time.monotonic() - begun_s < 2


def test_waiting_for_a_turn_does_not_count_towards_the_deadline(server: FaultServer) -> None:
    server.answers[ORIGINAL] = Answer()
    begun_s = time.monotonic()
    assert look_up(photo_of(server), requests_per_s=1.0, deadline_s=0.5).data == BODY
    assert time.monotonic() - begun_s >= 1
