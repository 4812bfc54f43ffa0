"""What every place of `--images` must do, wherever the photos lie: the same photos give the same samples."""

import asyncio
import contextlib
import dataclasses
import io
import pathlib
import tarfile
import tracemalloc
import typing
import zipfile

import pytest

from tests.store_servers import GcsServer, S3Server
from transforms.fetch.byte_budget import ByteBudget
from transforms.fetch.fetch_error import FetchError
from transforms.fetch.fetch_options import FetchOptions
from transforms.fetch.http_client import HttpClient
from transforms.places.image_places import FoundImage, PlacesConfig, check_places, fetch_image, list_places, open_places
from transforms.places.photo_refs import CopyRef, PhotoRef
from transforms.stores.request_signers import S3Options
from transforms.stores.scratch import LocalScratch

PLACES = ("directory", "zip", "tar", "s3 prefix", "s3 zip", "s3 tar", "gs prefix", "s3 prefix, public")
ON_S3, ZIPS = ("s3 prefix", "s3 zip", "s3 tar", "s3 prefix, public"), ("zip", "s3 zip")
METHODS = (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
HASH = "4e2f7a26a1dfbf165a7e30bdabf7e72a"
URL = "http://farm8.staticflickr.com/7205/6985418911_df7747990d.jpg"
SMALL, LARGE = bytes(range(256)) * 40, bytes(range(255)) * 1000
FILES = {
    "train/0a1b2c3d4e5f6071.jpg": SMALL,
    "val2014/COCO_val2014_000000000042.jpg": LARGE,
    "deep/er/6985418911_df7747990d.JPG": b"by secret",
    "odd names/a (b)+~ü%41&=.png": b"odd",
    "notes.txt": b"text",
    "__MACOSX/train/0a1b2c3d4e5f6071.jpg": b"rubbish",
}
OPEN_IMAGES = CopyRef("open_images", "0a1b2c3d4e5f6071", "train")
COCO = CopyRef("coco", "42", "val2014", "COCO_val2014_000000000042.jpg")
ODD = CopyRef("flickr8k", "a (b)+~ü%41&=.png", "", "a (b)+~ü%41&=.png")
PHOTO = PhotoRef(1, "000000000001", "", "", "")
KNOWN = {
    "open_images": (PHOTO._replace(copies=(OPEN_IMAGES,)), SMALL, "open_images"),
    "coco": (PHOTO._replace(copies=(COCO,)), LARGE, "coco"),
    "odd": (PHOTO._replace(copies=(ODD,)), b"odd", "flickr8k"),
    "flickr id": (PhotoRef(6985418911, "006985418911", "", URL, ""), b"by secret", "flickr"),
}


class Place(typing.NamedTuple):
    """A place that holds :data:`FILES`."""

    kind: str
    config: PlacesConfig
    s3: S3Server


def archive(kind: str, files: typing.Mapping[str, bytes]) -> bytes:
    data = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(data, "w") as zip_:
            for i, (name, body) in enumerate(files.items()):
                zip_.writestr(name, body, METHODS[i % len(METHODS)])
    else:
        with tarfile.open(fileobj=data, mode="w") as tar:
            for name, body in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(body)
                tar.addfile(info, io.BytesIO(body))
    return data.getvalue()


def one_member(method: int, body: bytes, stated_bytes: int | None = None) -> bytearray:
    """A zip of one file, which may state less bytes than are in it."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", method) as zip_:
        zip_.writestr("1.jpg", body)
        if stated_bytes is not None:
            zip_.infolist()[0].file_size = stated_bytes
    return bytearray(data.getvalue())


def make(
    kind: str, files: typing.Mapping[str, bytes], folder: pathlib.Path, server: S3Server | GcsServer, bucket: str
) -> str:
    """Puts files into a place of a kind; returns what `--images` calls it."""
    store, _, form = kind.rpartition(" ")
    if store:
        server.put(
            bucket,
            {f"in/{k}": v for k, v in files.items()} if form == "prefix" else {f"x.{form}": archive(form, files)},
        )
        return f"{store}://{bucket}/{'in' if form == 'prefix' else f'x.{form}'}"
    if form != "directory":
        (folder / f"x.{form}").write_bytes(archive(form, files))
        return str(folder / f"x.{form}")
    for name, body in files.items():
        (folder / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "in" / name).write_bytes(body)
    return str(folder / "in")


Make = typing.Callable[[typing.Mapping[str, bytes]], Place]


@pytest.fixture(params=PLACES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def make_place(
    kind: str,
    tmp_path: pathlib.Path,
    s3: S3Server,
    gcs: GcsServer,
    bucket: str,
    no_credentials: None,
    monkeypatch: pytest.MonkeyPatch,
) -> Make:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.url)

    def make_it(files: typing.Mapping[str, bytes]) -> Place:
        form, _, access = kind.partition(", ")
        options = S3Options(endpoint_url=s3.url)
        if access:
            s3.public.add(bucket)
        else:
            options = dataclasses.replace(options, access_key_id=s3.key_id, secret_access_key=s3.secret)
        spec = make(form, files, tmp_path, gcs if form.startswith("gs") else s3, bucket)
        config = PlacesConfig(images=(spec,), s3=options)
        check_places(config)
        listed = list_places(config, LocalScratch(tmp_path))
        s3.asked.clear()
        return Place(kind, listed, s3)

    return make_it


@contextlib.asynccontextmanager
async def fetched(place: Place, photo: PhotoRef, max_image_bytes: int) -> typing.AsyncIterator[FoundImage]:
    options, budget = FetchOptions(retries=0, max_image_bytes=max_image_bytes), ByteBudget(10**6)
    try:
        async with (
            HttpClient(options, place.config.roots()) as client,
            fetch_image(open_places(place.config, client, budget), photo) as found,
        ):
            assert budget.free_bytes == 10**6 - len(found.data)
            yield found
    finally:
        assert budget.free_bytes == 10**6


def look_up(place: Place, photo: PhotoRef, max_image_bytes: int = 10**6) -> FoundImage:
    async def scenario() -> FoundImage:
        async with fetched(place, photo, max_image_bytes) as found:
            return found

    return asyncio.run(scenario())


def failure(place: Place, photo: PhotoRef, **limits: int) -> str:
    with pytest.raises(FetchError) as caught:
        look_up(place, photo, **limits)
    return caught.value.reason.value


def test_files_are_found_by_their_names_and_whole(make_place: Make) -> None:
    place = make_place(FILES)
    for photo, body, source in KNOWN.values():
        found = look_up(place, photo)
        assert (found.data, found.copy_source, found.fetched_from, found.attempts) == (body, source, "images", 1)
    assert failure(place, PHOTO) == "not_found"


@pytest.mark.parametrize("kind", ON_S3)
def test_a_file_is_one_request_for_its_bytes_alone(kind: str, make_place: Make) -> None:
    place, is_archive = make_place(FILES), "prefix" not in kind
    photo, body, _ = KNOWN["coco"]
    assert look_up(place, photo).data == body
    (asked,) = place.s3.asked
    assert (asked.method, asked.is_signed) == ("GET", "public" not in kind)
    assert (asked.status, bool(asked.range)) == ((206, True) if is_archive else (200, False))
    assert asked.body_bytes <= len(body) + 1000


@pytest.mark.parametrize("kind", ON_S3)
def test_a_file_over_the_cap_is_not_asked_for(make_place: Make) -> None:
    place = make_place(FILES)
    assert failure(place, KNOWN["coco"][0], max_image_bytes=len(LARGE) - 1) == "too_large"
    assert place.s3.asked == []


def test_a_file_may_be_as_large_as_the_cap(make_place: Make) -> None:
    place = make_place(FILES)
    photo, body, _ = KNOWN["coco"]
    assert failure(place, photo, max_image_bytes=len(body) - 1) == "too_large"
    assert len(look_up(place, photo, len(body)).data) == len(body)


def test_two_files_of_one_photo_stop_the_run(make_place: Make) -> None:
    place = make_place({"a/6985418911.jpg": b"1", "b/6985418911.jpg": b"2"})
    with pytest.raises(ValueError, match="photo 6985418911: .*a/6985418911.jpg and .*b/6985418911.jpg both match"):
        look_up(place, KNOWN["flickr id"][0])


def test_an_empty_file_is_found_empty(make_place: Make) -> None:
    assert look_up(make_place({"1.jpg": b"", "2.jpg": b"2"}), PHOTO).data == b""


@pytest.mark.parametrize("kind", ["s3 prefix", "s3 prefix, public"])
def test_dots_are_parts_of_keys(make_place: Make) -> None:
    place = make_place({"a/../1.jpg": b"dots", "a/./2.jpg": b"dot"})
    assert look_up(place, PHOTO).data == b"dots"
    assert [asked.path.partition("/in")[2] for asked in place.s3.asked] == ["/a/../1.jpg"]


def listed_zip(kind: str, data: bytes, folder: pathlib.Path, s3: S3Server, bucket: str) -> Place:
    spec = str(folder / "x.zip")
    if kind == "zip":
        pathlib.Path(spec).write_bytes(data)
    else:
        s3.put(bucket, {"x.zip": data})
        spec = f"s3://{bucket}/x.zip"
    options = S3Options(endpoint_url=s3.url, access_key_id=s3.key_id, secret_access_key=s3.secret)
    return Place(kind, list_places(PlacesConfig(images=(spec,), s3=options), LocalScratch(folder)), s3)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ZIPS)
def test_a_damaged_member_fails_alone_whatever_its_method(
    kind: str, method: int, tmp_path: pathlib.Path, s3: S3Server, bucket: str, no_credentials: None
) -> None:
    data = one_member(method, SMALL)
    data[60:80] = bytes(20)
    assert failure(listed_zip(kind, bytes(data), tmp_path, s3, bucket), PHOTO) == "checksum_mismatch"


@pytest.mark.parametrize("method", [m for m in METHODS if m != zipfile.ZIP_STORED])
@pytest.mark.parametrize("kind", ZIPS)
def test_a_bomb_takes_no_memory(
    kind: str, method: int, tmp_path: pathlib.Path, s3: S3Server, bucket: str, no_credentials: None
) -> None:
    place = listed_zip(kind, bytes(one_member(method, bytes(100_000_000), 100)), tmp_path, s3, bucket)
    tracemalloc.start()
    try:
        assert failure(place, PHOTO) == "checksum_mismatch"
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_what_is_downloaded_for_a_member_has_a_cap(
    tmp_path: pathlib.Path, s3: S3Server, bucket: str, no_credentials: None
) -> None:
    place = listed_zip("s3 zip", bytes(one_member(zipfile.ZIP_STORED, bytes(300_000), 100)), tmp_path, s3, bucket)
    s3.asked.clear()
    assert failure(place, PHOTO, max_image_bytes=100_000) == "too_large"
    assert s3.asked == []
