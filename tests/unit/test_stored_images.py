"""Images on object stores and web servers: who may read them, what is asked for, and what is said when it fails."""

import asyncio
import contextlib
import dataclasses
import datetime
import gzip
import http.server
import io
import json
import pathlib
import resource
import struct
import sys
import threading
import typing
import zipfile

import botocore.credentials
import botocore.exceptions
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.oauth2.credentials import Credentials

from tests.contracts.test_image_stores import archive
from tests.fault_server import BODY, Answer, FaultServer
from tests.store_servers import S3Server
from transforms.fetch.byte_budget import ByteBudget
from transforms.fetch.fetch_error import FetchError
from transforms.fetch.fetch_options import FetchOptions
from transforms.fetch.http_client import HttpClient
from transforms.files.image_files import ImageFile, ImagePlaceError, Packed
from transforms.files.publish import OutputError
from transforms.places.image_listing import ImageListing, write_listing
from transforms.places.image_places import FoundImage, PlacesConfig, check_places, fetch_image, list_places, open_places
from transforms.places.photo_refs import PhotoRef
from transforms.stores import object_store
from transforms.stores.object_store import Bucket, open_bucket
from transforms.stores.request_signers import CredentialsError, GcsSigner, S3Options, S3Signer, SignedRequests
from transforms.stores.scratch import LocalScratch

pytestmark = pytest.mark.usefixtures("no_credentials")

PHOTO = PhotoRef(7, "000000000007", "4e2f7a26a1dfbf165a7e30bdabf7e72a", "", "")
MIRROR_PATH = "data/images/4e2/f7a/4e2f7a26a1dfbf165a7e30bdabf7e72a.jpg"


def key_of(s3: S3Server, **other: str) -> S3Options:
    return S3Options(**{"endpoint_url": s3.url, "access_key_id": s3.key_id, "secret_access_key": s3.secret, **other})


def look_up(config: PlacesConfig) -> FoundImage:
    async def scenario() -> FoundImage:
        async with (
            HttpClient(FetchOptions(retries=0), config.roots()) as client,
            fetch_image(open_places(config, client, ByteBudget(10**8)), PHOTO) as found,
        ):
            return found

    return asyncio.run(scenario())


def failure(config: PlacesConfig) -> FetchError:
    with pytest.raises(FetchError) as caught:
        look_up(config)
    return caught.value


def refusal(config: PlacesConfig) -> str:
    with pytest.raises(ImagePlaceError) as caught:
        check_places(config)
    return str(caught.value)


def test_a_private_bucket_needs_the_right_key(s3: S3Server, bucket: str) -> None:
    s3.put(bucket, {"in/7.jpg": BODY})
    spec = f"s3://{bucket}/in"
    config = PlacesConfig(images=(spec,), s3=S3Options(endpoint_url=s3.url))
    text = refusal(config)
    assert f"--images {spec} is not open to us (status 403, AccessDenied); no credentials were found" in text
    assert "--s3_access_key_id" in text
    text = refusal(PlacesConfig(images=(spec,), s3=key_of(s3, secret_access_key="wrong-secret")))
    assert "status 403, SignatureDoesNotMatch" in text
    assert "the credentials that were found do not permit it" in text
    text = refusal(PlacesConfig(images=(spec,), s3=key_of(s3, access_key_id="AKIAWRONG")))
    assert "InvalidAccessKeyId" in text
    check_places(PlacesConfig(images=(spec,), s3=key_of(s3)))


def test_a_public_bucket_needs_none(s3: S3Server, bucket: str, tmp_path: pathlib.Path) -> None:
    s3.public.add(bucket)
    s3.put(bucket, {"in/7.jpg": BODY})
    config = PlacesConfig(images=(f"s3://{bucket}/in",), s3=S3Options(endpoint_url=s3.url))
    check_places(config)
    assert look_up(list_places(config, LocalScratch(tmp_path))).data == BODY
    assert s3.asked
    assert not any(asked.is_signed for asked in s3.asked)


def test_the_key_of_boto3s_own_places_is_found(
    s3: S3Server, bucket: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.put(bucket, {"7.jpg": BODY})
    credentials = tmp_path / "credentials"
    credentials.write_text(f"[mine]\naws_access_key_id = {s3.key_id}\naws_secret_access_key = {s3.secret}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.url)
    config = PlacesConfig(images=(f"s3://{bucket}",))
    assert look_up(list_places(config, LocalScratch(tmp_path))).data == BODY
    assert all(asked.is_signed for asked in s3.asked)


def test_what_is_not_there_is_named_before_any_work(s3: S3Server, bucket: str) -> None:
    s3.put(bucket, {"in/7.jpg": BODY, "x.tar.gz": gzip.compress(archive("tar", {"7.jpg": BODY})), "x.jpg": BODY})

    def said(spec: str) -> str:
        return refusal(PlacesConfig(images=(spec,), s3=key_of(s3)))

    assert "there is no such bucket" in said("s3://absent-bucket/in")
    assert f"--images s3://{bucket}/out holds no files: check bucket and prefix" in said(f"s3://{bucket}/out")
    assert "is compressed with gzip" in said(f"s3://{bucket}/x.tar.gz")
    assert "decompress it to a plain tar, or make a zip" in said(f"s3://{bucket}/x.tar.gz")
    assert "is neither a directory nor a zip nor a tar" in said(f"s3://{bucket}/x.jpg")
    assert "names no bucket: give s3://BUCKET/PREFIX" in said("s3://")
    assert "cannot be read (status 403): give the URL of a zip or tar" in said(f"{s3.url}/absent/x.zip")


def test_a_server_that_is_not_there_is_named() -> None:
    options, once = S3Options(endpoint_url="http://127.0.0.1:9"), FetchOptions(retries=0)
    text = refusal(PlacesConfig(images=("s3://photos/in",), s3=options, fetch=once))
    assert text.startswith("--images s3://photos/in cannot be read: http://127.0.0.1:9/photos/in does not answer")
    text = refusal(PlacesConfig(mirrors=(("coco", "s3://photos/in"),), s3=options, fetch=once))
    assert text.startswith("--mirror coco=s3://photos/in cannot be reached: http://127.0.0.1:9/photos/ does not answer")


def test_a_zip_is_never_read_whole(s3: S3Server, bucket: str, tmp_path: pathlib.Path) -> None:
    files = {f"{i}.jpg": bytes([i]) * 100_000 for i in range(50)}
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as zip_:
        for name, body in files.items():
            zip_.writestr(name, body)
    s3.put(bucket, {"x.zip": data.getvalue()})
    config = PlacesConfig(images=(f"s3://{bucket}/x.zip",), s3=key_of(s3))
    check_places(config)
    listed = list_places(config, LocalScratch(tmp_path))
    assert sum(asked.body_bytes for asked in s3.asked) < 50_000
    s3.asked.clear()
    assert look_up(listed).data == files["7.jpg"]
    (asked,) = s3.asked
    assert asked.range.startswith("bytes=700")
    assert asked.body_bytes < 100_100


def test_a_tar_is_walked_from_header_to_header(s3: S3Server, bucket: str, tmp_path: pathlib.Path) -> None:
    s3.put(bucket, {"x.tar": archive("tar", {f"{i}.jpg": bytes(200_000) for i in range(20)})})
    list_places(PlacesConfig(images=(f"s3://{bucket}/x.tar",), s3=key_of(s3)), LocalScratch(tmp_path))
    assert sum(asked.body_bytes for asked in s3.asked) < 25 * 8192


@pytest.mark.parametrize("form", ["zip", "tar"])
def test_an_archive_that_changed_gives_no_wrong_bytes(
    s3: S3Server, bucket: str, tmp_path: pathlib.Path, form: str
) -> None:
    s3.put(bucket, {f"x.{form}": archive(form, {"7.jpg": BODY})})
    listed = list_places(PlacesConfig(images=(f"s3://{bucket}/x.{form}",), s3=key_of(s3)), LocalScratch(tmp_path))
    s3.put(bucket, {f"x.{form}": archive(form, {"6.jpg": BODY[::-1], "7.jpg": BODY})})
    error = failure(listed)
    assert (error.reason.value, error.http_status, error.attempts) == ("checksum_mismatch", 412, 1)
    s3.client.delete_object(Bucket=bucket, Key=f"x.{form}")
    assert failure(listed).reason.value == "not_found"


def test_a_tar_that_became_shorter_gives_no_part_of_a_photo(s3: S3Server, bucket: str, tmp_path: pathlib.Path) -> None:
    data = archive("tar", {"7.jpg": BODY})
    s3.put(bucket, {"x.tar": data})
    listed = list_places(PlacesConfig(images=(f"s3://{bucket}/x.tar",), s3=key_of(s3)), LocalScratch(tmp_path))
    s3.put(bucket, {"x.tar": data[:5000]})
    without_etag = dataclasses.replace(listed, listed=(listed.listed[0]._replace(etag=""),))
    error = failure(without_etag)
    assert (error.reason.value, error.http_status) == ("checksum_mismatch", 206)


def test_a_damaged_member_of_a_zip_fails_alone(s3: S3Server, bucket: str, tmp_path: pathlib.Path) -> None:
    data = bytearray(archive("zip", {"6.jpg": BODY, "7.jpg": BODY}))
    data[data.rindex(BODY[:200]) + 100] ^= 1
    s3.put(bucket, {"x.zip": bytes(data)})
    config = PlacesConfig(images=(f"s3://{bucket}/x.zip",), s3=key_of(s3))
    error = failure(list_places(config, LocalScratch(tmp_path)))
    assert (error.reason.value, error.http_status) == ("checksum_mismatch", 206)


def test_a_zip_whose_index_names_itself_is_broken(s3: S3Server, bucket: str, tmp_path: pathlib.Path) -> None:
    data = bytearray(archive("zip", {"6.jpg": BODY, "7.jpg": BODY}))
    struct.pack_into("<I", data, data.rindex(b"PK\x01\x02") + 42, data.index(b"PK\x01\x02"))
    s3.put(bucket, {"x.zip": bytes(data)})
    config = PlacesConfig(images=(f"s3://{bucket}/x.zip",), s3=key_of(s3))
    with pytest.raises(ImagePlaceError, match=rf"--images s3://{bucket}/x.zip is a broken zip \(.*: copy it again"):
        list_places(config, LocalScratch(tmp_path))


def test_an_object_that_is_gone_is_not_found(s3: S3Server, bucket: str, tmp_path: pathlib.Path) -> None:
    s3.put(bucket, {"in/7.jpg": BODY})
    listed = list_places(PlacesConfig(images=(f"s3://{bucket}/in/",), s3=key_of(s3)), LocalScratch(tmp_path))
    s3.client.delete_object(Bucket=bucket, Key="in/7.jpg")
    error = failure(listed)
    assert (error.reason.value, error.http_status) == ("not_found", 404)


def test_a_long_list_comes_in_pages(
    s3: S3Server, bucket: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store, "_PAGE_KEYS", 3)
    s3.put(bucket, {f"in/{i}.jpg": BODY for i in range(10)} | {"in/": b"", "inside/7.jpg": b"other"})
    listed = list_places(PlacesConfig(images=(f"s3://{bucket}/in",), s3=key_of(s3)), LocalScratch(tmp_path))
    assert len([asked for asked in s3.asked if asked.path == f"/{bucket}/"]) == 4
    assert look_up(listed).data == BODY


def test_a_mirror_may_be_in_a_bucket(s3: S3Server, bucket: str) -> None:
    s3.put(bucket, {f"copy of/{MIRROR_PATH}": BODY})
    config = PlacesConfig(mirrors=(("yfcc", f"s3://{bucket}/copy of"),), base="yfcc", s3=key_of(s3))
    check_places(config)
    assert (look_up(config).data, look_up(config).fetched_from) == (BODY, "mirror")
    assert s3.asked[-1].is_signed
    config = PlacesConfig(mirrors=(("yfcc", "s3://absent-bucket"),), base="yfcc", s3=key_of(s3))
    assert "--mirror yfcc=s3://absent-bucket: there is no such bucket" in refusal(config)
    denied = PlacesConfig(mirrors=(("yfcc", f"s3://{bucket}"),), base="yfcc", s3=S3Options(endpoint_url=s3.url))
    check_places(denied)
    config = PlacesConfig(mirrors=(("yfcc", f"s3://{bucket}"),), base="yfcc", s3=key_of(s3, access_key_id="wrong"))
    assert "InvalidAccessKeyId" in refusal(config)


def test_a_signature_goes_to_its_store_only(s3: S3Server, bucket: str) -> None:
    with FaultServer({f"/{bucket}/{MIRROR_PATH}": Answer(b"", 302, {"Location": "/elsewhere"})}) as server:
        server.answers["/elsewhere"] = Answer()
        options = key_of(s3, endpoint_url=server.url)
        config = PlacesConfig(mirrors=(("yfcc", f"s3://{bucket}"),), base="yfcc", s3=options)
        assert look_up(config).data == BODY
        assert ["Authorization" in headers for headers in server.headers] == [True, False]


def test_zips_and_tars_on_plain_servers(s3: S3Server, bucket: str, tmp_path: pathlib.Path) -> None:
    s3.public.add(bucket)
    s3.put(bucket, {"x.tar": archive("tar", {"7.jpg": BODY})})
    config = PlacesConfig(images=(f"{s3.url}/{bucket}/x.tar",))
    check_places(config)
    assert look_up(list_places(config, LocalScratch(tmp_path))).data == BODY
    with FaultServer({"/x.tar": Answer(archive("tar", {"7.jpg": BODY}))}) as server:
        assert "the server gives no parts of files" in refusal(PlacesConfig(images=(f"{server.url}/x.tar",)))


@pytest.mark.parametrize(
    ("url", "options", "root"),
    [
        ("s3://photos/a", S3Options(region_name="eu-west-1"), "https://photos.s3.eu-west-1.amazonaws.com/"),
        ("s3://my.photos/a", S3Options(region_name="eu-west-1"), "https://s3.eu-west-1.amazonaws.com/my.photos/"),
        ("s3://photos/a", S3Options(endpoint_url="https://host:9000/s3/"), "https://host:9000/s3/photos/"),
        ("gs://my.photos/a", S3Options(), "https://storage.googleapis.com/my.photos/"),
    ],
)
def test_where_buckets_are_on_the_net(url: str, options: S3Options, root: str) -> None:
    bucket, key = open_bucket("--images x", url, options, FetchOptions())
    assert (bucket.url, key, str(bucket.key_url("a b/(1)+~.jpg"))) == (root, "a", f"{root}a%20b/%281%29%2B~.jpg")


def test_half_a_key_and_odd_endpoints_are_refused() -> None:
    for half in ({"access_key_id": "a"}, {"secret_access_key": "a"}, {"session_token": "a"}):
        with pytest.raises(ValueError, match="--s3_access_key_id and --s3_secret_access_key belong together"):
            S3Options(**half)
    with pytest.raises(ValueError, match="--s3_endpoint_url host:9000 is no base URL"):
        S3Options(endpoint_url="host:9000")
    assert "secret" not in repr(S3Options(access_key_id="secret", secret_access_key="secret", session_token="secret"))


@pytest.mark.parametrize(
    ("library", "variable", "spec"),
    [("boto3", "AWS_ACCESS_KEY_ID", "s3://x/in"), ("google.auth", "GOOGLE_APPLICATION_CREDENTIALS", "gs://x/in")],
)
def test_without_the_library_keys_are_an_error_and_public_buckets_open(
    library: str, variable: str, spec: str, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    spec, options = spec.replace("x", bucket), S3Options(region_name="us-east-1")
    assert open_bucket(f"--images {spec}", spec, options, FetchOptions())[0].signed is None
    object_store._bucket.cache_clear()
    monkeypatch.setenv(variable, "x")
    with pytest.raises(ImagePlaceError, match=rf"--images {spec} cannot be reached: .* pip install 'photobeam\["):
        open_bucket(f"--images {spec}", spec, options, FetchOptions())


def test_temporary_credentials_are_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Counting:
        renewed = 0

        def renew(self) -> None:
            self.renewed += 1

        def holds(self) -> bool:
            return True

        def sign(self, url: str) -> dict[str, str]:
            return {"Authorization": str(self.renewed)}

    signed = SignedRequests(Counting())
    assert asyncio.run(signed.sign_soon("http://h")) == signed.sign("http://h") == {"Authorization": "1"}
    monkeypatch.setattr("transforms.stores.request_signers._RENEW_S", 0)
    assert asyncio.run(signed.sign_soon("http://h")) == {"Authorization": "2"}
    assert signed.sign("http://h") == {"Authorization": "3"}


class Expiring:
    """Credentials that can be taken once only."""

    taken, runs_out = False, False

    def renew(self) -> None:
        if self.taken:
            raise CredentialsError("no answer")
        self.taken = True

    def holds(self) -> bool:
        return not self.runs_out

    def sign(self, url: str) -> dict[str, str]:
        return {"Authorization": "old"}


def test_credentials_that_are_not_renewed_serve_until_they_run_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("transforms.stores.request_signers._RENEW_S", 0)
    expiring = Expiring()
    bucket = Bucket("--images s3://x", "s3", "x", "http://h/x/", SignedRequests(expiring), FetchOptions())
    assert bucket.sign
    for _ in range(3):
        assert asyncio.run(bucket.sign("http://h")) == {"Authorization": "old"}
    assert [record.message for record in caplog.records] == [
        "credentials cannot be renewed (no answer); the old ones still hold"
    ]
    expiring.runs_out = True
    with pytest.raises(ImagePlaceError, match=r"--images s3://x .*run out \(no answer\): renew them, and run"):
        asyncio.run(bucket.sign("http://h"))


def in_minutes(minutes: float) -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=minutes)


@pytest.mark.parametrize(("minutes", "holds"), [(5, True), (-1, False)])
def test_when_credentials_run_out(minutes: float, holds: bool) -> None:
    def refused() -> dict[str, str]:
        raise botocore.exceptions.MetadataRetrievalError(error_msg="no answer")

    keys = botocore.credentials.RefreshableCredentials("id", "secret", "token", in_minutes(minutes), refused, "test")
    signer = S3Signer(keys, "us-east-1")
    with pytest.raises(CredentialsError, match="no answer"):
        signer.renew()
    assert signer.holds() == holds
    assert S3Signer(botocore.credentials.Credentials("id", "secret"), "us-east-1").holds()
    token = Credentials("token", expiry=in_minutes(minutes).replace(tzinfo=None))
    assert GcsSigner(token).holds() == holds


@pytest.mark.parametrize("to", ["http://127.0.0.1:9/x.tar?X-Amz-Signature=s3cret", "ftp://127.0.0.1:9/x.tar"])
def test_no_redirect_is_followed_while_listing(to: str) -> None:
    with FaultServer({"/x.tar?sig=s3cret": Answer(b"", 302, {"Location": to})}) as server:
        text = refusal(PlacesConfig(images=(f"{server.url}/x.tar?sig=s3cret",)))
    assert f"--images {server.url}/x.tar? cannot be read (status 302): it leads to {to.partition('?')[0]}" in text
    assert "s3cret" not in text


def test_messages_name_no_password() -> None:
    with pytest.raises(ValueError, match="--mirror coco=http://host/a b is no base URL"):
        PlacesConfig(mirrors=(("coco", "http://me:s3cret@host/a b"),))
    with pytest.raises(ValueError, match=r"--s3_endpoint_url ftp://host is no base URL"):
        S3Options(endpoint_url="ftp://me:s3cret@host")
    config = PlacesConfig(images=("http://me:s3cret@127.0.0.1:9/x.zip",), fetch=FetchOptions(retries=0))
    assert "s3cret" not in refusal(config)


def test_lists_are_asked_for_as_the_flags_say() -> None:
    answers = {"/x.tar": Answer(b"", 503), "/slow.tar": Answer(fault="stall")}
    with FaultServer(answers) as server:
        manners = FetchOptions(user_agent="mine/1", retries=1, timeout_s=0.2)
        assert "status 503" in refusal(PlacesConfig(images=(f"{server.url}/x.tar",), fetch=manners))
        assert [headers["User-Agent"] for headers in server.headers] == ["mine/1"] * 2
        config = PlacesConfig(images=(f"{server.url}/slow.tar",), fetch=dataclasses.replace(manners, retries=0))
        assert "does not answer (timed out); check URL and network" in refusal(config)


def test_without_auto_no_mirror_is_reached(tmp_path: pathlib.Path) -> None:
    options = S3Options(endpoint_url="http://127.0.0.1:9")
    config = PlacesConfig(images=(str(tmp_path),), mirrors=(("coco", "s3://photos/in"),), s3=options)
    check_places(config)
    assert config.roots() == ()


def test_a_list_without_room_is_an_error_of_the_output(tmp_path: pathlib.Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(OutputError, match=rf"{tmp_path}/list: .* make room, or choose another --output"):
            write_listing(tmp_path / "list", (ImageFile(f"{i}.jpg", i) for i in range(10_000)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_listing_gives_files_as_they_were(tmp_path: pathlib.Path) -> None:
    files = [ImageFile("a/7.jpg", 5), ImageFile("b/7.png", 2**40, 2**33, Packed(1, 2, 8, 2**32 - 1)), ImageFile("x", 1)]
    odd = ImageFile("\udcff.jpg", 3, 512)
    write_listing(tmp_path / "list", [*files, odd])
    with contextlib.closing(ImageListing(tmp_path / "list")) as listing:
        assert listing.named("7") == tuple(files[:2])
        assert listing.named("\udcff") == (odd,)
        assert listing.named("8") == ()


class GoogleHandler(http.server.BaseHTTPRequestHandler):
    """Hands out tokens, and a bucket to who brings one."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200, json.dumps({"access_token": "t0ken", "expires_in": 3600}).encode())

    def do_GET(self) -> None:
        if self.headers.get("Authorization") != "Bearer t0ken":
            self._answer(401, b"")
        elif self.path.startswith("/storage/v1/b/photos/o"):
            second = {"items": [{"name": "in/7.jpg", "size": str(len(BODY))}]}
            first = {"items": [{"name": "in/6.jpg", "size": "1"}], "nextPageToken": "a b"}
            self._answer(200, json.dumps(second if "pageToken=a%20b" in self.path else first).encode())
        elif self.path == "/photos/in/7.jpg":
            self._answer(200, BODY)
        else:
            self._answer(404, b"")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: typing.Any) -> None:
        """Keeps the tests' output clean."""


@pytest.fixture
def google() -> typing.Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), GoogleHandler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_google_is_asked_with_a_token(google: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", google)
    config = PlacesConfig(images=("gs://photos/in",))
    assert "is not open to us (status 401); no credentials were found" in refusal(config)
    object_store._bucket.cache_clear()
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    account = {"type": "service_account", "client_email": "a@b.c", "private_key": pem, "token_uri": f"{google}/token"}
    (tmp_path / "key.json").write_text(json.dumps(account))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    check_places(config)
    assert look_up(list_places(config, LocalScratch(tmp_path))).data == BODY
    object_store._bucket.cache_clear()
