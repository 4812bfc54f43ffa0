"""Places of photos: mirror URLs, names of files, archives read in place, and whose failure counts."""

import asyncio
import hashlib
import pathlib
import pickle
import struct
import tarfile
import typing
import zipfile

import pytest

from schemas.yfcc import mirror_key
from tests.fault_server import BODY, Answer, FaultServer
from transforms.fetch import flickr_requests
from transforms.fetch.byte_budget import ByteBudget
from transforms.fetch.fetch_error import FetchError
from transforms.fetch.fetch_options import FetchOptions
from transforms.fetch.http_client import HttpClient
from transforms.places.image_places import FoundImage, PlacesConfig, check_places, fetch_image, open_places
from transforms.places.photo_refs import CopyRef, PhotoRef
from transforms.places.remote_copies import MIRROR_ROOTS, default_mirror_url, mirror_copies

URL = "http://farm8.staticflickr.com/7205/6985418911_df7747990d.jpg"
HASH = "4e2f7a26a1dfbf165a7e30bdabf7e72a"
PHOTO = PhotoRef(6985418911, "006985418911", HASH, URL, "png")
JPG, PNG = f"/data/images/4e2/f7a/{HASH}.jpg", f"/data/images/4e2/f7a/{HASH}.png"
KINDS = ("directory", "zip", "tar")
OPEN_IMAGES = CopyRef("open_images", "0a1b2c3d4e5f6071", "validation")
COCO = CopyRef("coco", "42", "val2017", "000000000042.jpg", "http://images.cocodataset.org/val2017/000000000042.jpg")
JOINED = PHOTO._replace(copies=(COCO, OPEN_IMAGES))
COCO_JPG, OPEN_IMAGES_JPG = "/val2017/000000000042.jpg", "/validation/0a1b2c3d4e5f6071.jpg"


@pytest.fixture
def server() -> typing.Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


def look_up(
    *images: str | pathlib.Path,
    photo: PhotoRef = PHOTO,
    root: str = "http://127.0.0.1:9",
    max_image_bytes: int = 10**6,
    **config_values: typing.Any,
) -> FoundImage:
    mirrors = tuple((source, root) for source in MIRROR_ROOTS)
    config = PlacesConfig(images=tuple(map(str, images)), mirrors=mirrors, **config_values)
    options = FetchOptions(timeout_s=0.5, retries=0, max_image_bytes=max_image_bytes)

    async def scenario() -> FoundImage:
        budget = ByteBudget(10**7)
        try:
            async with (
                HttpClient(options, config.roots()) as client,
                fetch_image(open_places(config, client, budget), photo) as found,
            ):
                assert budget.free_bytes == 10**7 - len(found.data)
                return found
        finally:
            assert budget.free_bytes == 10**7

    return asyncio.run(scenario())


def failure(*images: str | pathlib.Path, **where: typing.Any) -> FetchError:
    with pytest.raises(FetchError) as caught:
        look_up(*images, **where)
    return caught.value


def place(folder: pathlib.Path, kind: str, files: dict[str, bytes]) -> pathlib.Path:
    tree = folder / "tree"
    for name, data in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(data)
    if kind == "directory":
        return tree
    archive = folder / f"images.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zip_:
            for name in files:
                zip_.write(tree / name, name)
    else:
        with tarfile.open(archive, "w", format=tarfile.USTAR_FORMAT) as tar:
            tar.add(tree, "tree")
    return archive


def test_mirror_keys_of_real_rows(shared_data: pathlib.Path) -> None:
    text = (shared_data / "yfcc/yfcc100m_first500_25col.tsv").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in text.split("\n") if line]
    assert len(rows) == 500
    assert [mirror_key(row[16]) for row in rows] == [row[2] for row in rows]


def test_the_mirror_is_asked_under_its_layout(server: FaultServer) -> None:
    server.answers[JPG] = Answer()
    found = look_up("auto", root=server.url + "/")
    assert (found.data, found.fetched_from, found.url, found.attempts) == (BODY, "mirror", server.url + JPG, 1)
    assert (found.copy_source, found.copy_id) == ("yfcc", "")
    assert default_mirror_url(PHOTO, "yfcc") == MIRROR_ROOTS["yfcc"] + JPG
    assert look_up("auto", root=server.url, photo=PHOTO._replace(hash="")).data == BODY


def test_a_404_leads_to_the_original_extension_and_nothing_else_does(server: FaultServer) -> None:
    server.answers[PNG] = Answer()
    found = look_up("auto", root=server.url)
    assert (found.url, found.attempts, server.asked) == (server.url + PNG, 2, [JPG, PNG])
    server.answers[JPG] = Answer(b"", 403)
    error = failure("auto", root=server.url)
    assert (error.reason.value, error.attempts, server.asked[2:]) == ("forbidden", 1, [JPG])
    error = failure("auto", root=server.url + "/other")
    assert (error.reason.value, error.http_status, error.attempts) == ("not_found", 404, 2)


@pytest.mark.parametrize(("extension", "count"), [("jpg", 1), ("", 1), ("gif", 2), ("../x", 1), ("a?b", 1)])
def test_odd_extensions_make_no_odd_urls(extension: str, count: int) -> None:
    assert len(mirror_copies("yfcc", "http://host", PHOTO._replace(extension=extension))) == count


def test_a_photo_without_url_or_hash_has_no_mirror_url() -> None:
    bare = PHOTO._replace(hash="", download_url="")
    assert default_mirror_url(bare, "yfcc") == ""
    assert failure("auto", photo=bare).reason.value == "no_image_source"
    assert default_mirror_url(PHOTO._replace(hash="../../etc", download_url=""), "yfcc") == ""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name",
    [f"a/b/{HASH}.jpg", "6985418911.JPG", "006985418911.png", "x/6985418911_df7747990d.jpg", "6985418911_0_o.Jpeg"],
)
def test_files_are_found_by_their_names(tmp_path: pathlib.Path, kind: str, name: str) -> None:
    spec = place(tmp_path, kind, {name: BODY, "69854189110.jpg": b"other", "6985418911.txt": b"text", "x/notes": b""})
    check_places(PlacesConfig(images=(str(spec),)))
    found = look_up(spec)
    assert (found.data, found.fetched_from, found.http_status, found.attempts) == (BODY, "images", -1, 1)
    assert found.url.endswith(name)


@pytest.mark.parametrize("kind", KINDS)
def test_two_files_of_one_photo_stop_the_run(tmp_path: pathlib.Path, kind: str) -> None:
    spec = place(tmp_path, kind, {"a/6985418911_x.jpg": b"1", f"{HASH}.png": b"2", "1.jpg": b"3", "b/1.jpg": b"4"})
    with pytest.raises(ValueError, match=rf"photo 6985418911: .*({HASH}.png|_x.jpg) and .*({HASH}.png|_x.jpg)"):
        look_up(spec)
    with pytest.raises(ValueError, match="photo 1: .*1.jpg and .*1.jpg"):
        look_up(spec, photo=PhotoRef(1, "000000000001", "", "", ""))


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_over_the_cap_is_too_large(tmp_path: pathlib.Path, kind: str) -> None:
    spec = place(tmp_path, kind, {"6985418911.jpg": bytes(1001)})
    assert failure(spec, max_image_bytes=1000).reason.value == "too_large"
    assert len(look_up(spec, max_image_bytes=1001).data) == 1001


def test_a_remote_directory_works_like_a_local_one() -> None:
    import fsspec

    fsspec.filesystem("memory").pipe_file("/photos/a/6985418911.jpg", BODY)
    assert look_up("memory://photos").data == BODY


def test_a_linked_file_counts(tmp_path: pathlib.Path) -> None:
    (tmp_path / "elsewhere").write_bytes(BODY)
    (tmp_path / "images").mkdir()
    (tmp_path / "images/6985418911.jpg").symlink_to(tmp_path / "elsewhere")
    assert look_up(tmp_path / "images").data == BODY


def test_places_are_tried_in_order(tmp_path: pathlib.Path, server: FaultServer) -> None:
    server.answers[JPG] = Answer(b"mirror")
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    first, second = (
        place(tmp_path / "first", "zip", {"1.jpg": b"1"}),
        place(tmp_path / "second", "tar", {f"{HASH}.jpg": b"2"}),
    )
    assert look_up(first, second, "auto", root=server.url).data == b"2"
    assert look_up("auto", second, root=server.url).data == b"mirror"
    assert look_up(first, "auto", root=server.url).fetched_from == "mirror"


def test_whose_failure_counts(tmp_path: pathlib.Path, server: FaultServer) -> None:
    empty, large = tmp_path / "empty", place(tmp_path, "directory", {"6985418911.jpg": bytes(2000)})
    empty.mkdir()
    assert failure().reason.value == "no_image_source"
    assert failure(empty).reason.value == "not_found"
    server.answers[JPG] = Answer(b"", 410)
    assert failure(empty, "auto", root=server.url).reason.value == "gone"
    assert failure(large, "auto", root=server.url, max_image_bytes=1000).reason.value == "too_large"
    server.answers[JPG] = Answer(b"", 503)
    error = failure(large, "auto", root=server.url, max_image_bytes=1000)
    assert (error.reason.value, error.attempts) == ("server_error", 2)


@pytest.mark.parametrize(
    ("base", "order"),
    [
        ("all", (OPEN_IMAGES_JPG, COCO_JPG, JPG, PNG)),
        ("flickr8k", (OPEN_IMAGES_JPG, COCO_JPG, JPG, PNG)),
        ("yfcc", (JPG, PNG, OPEN_IMAGES_JPG, COCO_JPG)),
        ("coco", (COCO_JPG, OPEN_IMAGES_JPG, JPG, PNG)),
        ("open_images", (OPEN_IMAGES_JPG, COCO_JPG, JPG, PNG)),
    ],
)
def test_mirrors_are_tried_from_the_base_on(server: FaultServer, base: str, order: tuple[str, ...]) -> None:
    assert failure("auto", photo=JOINED, root=server.url, base=base).attempts == 4
    assert tuple(server.asked) == order
    copies = {OPEN_IMAGES_JPG: ("open_images", OPEN_IMAGES.image_id), COCO_JPG: ("coco", "42"), JPG: ("yfcc", "")}
    assert default_mirror_url(JOINED, base).endswith(order[0])
    for path in order:
        if path in copies:
            server.answers = {path: Answer()}
            found = look_up("auto", photo=JOINED, root=server.url, base=base)
            assert (found.fetched_from, found.copy_source, found.copy_id) == ("mirror", *copies[path])


def test_each_mirror_has_its_own_root(server: FaultServer) -> None:
    roots = {source: f"{server.url}/{source}" for source in MIRROR_ROOTS}
    config = PlacesConfig(mirrors=tuple(roots.items()))
    assert {source: config.mirror(source)[0] for source in MIRROR_ROOTS} == roots
    assert {source: PlacesConfig().mirror(source)[0] for source in MIRROR_ROOTS} == MIRROR_ROOTS


def test_of_several_copies_the_first_that_is_there_counts(server: FaultServer) -> None:
    second = COCO._replace(image_id="7", url=COCO.url.replace("42", "07"))
    server.answers["/val2017/000000000007.jpg"] = Answer()
    found = look_up("auto", photo=JOINED._replace(copies=(COCO, second)), root=server.url, base="coco")
    assert (found.copy_id, found.attempts) == ("7", 2)


def test_a_retryable_failure_of_a_later_mirror_counts(server: FaultServer) -> None:
    server.answers = {COCO_JPG: Answer(b"", 410), OPEN_IMAGES_JPG: Answer(b"", 503)}
    error = failure("auto", photo=JOINED, root=server.url, base="coco")
    assert (error.reason.value, error.attempts) == ("server_error", 4)
    server.answers[OPEN_IMAGES_JPG] = Answer(b"", 403)
    assert failure("auto", photo=JOINED, root=server.url, base="coco").reason.value == "gone"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "copy"),
    [
        ("validation/0a1b2c3d4e5f6071.jpg", OPEN_IMAGES),
        ("train2017/000000000042.jpg", COCO),
        ("val2014/COCO_val2014_000000000042.jpg", COCO),
        ("train2017/000000000042.jpg", CopyRef("coco", "42", "val2014", "COCO_val2014_000000000042.jpg")),
        ("Flicker8k_Dataset/6985418911_df7747990d.jpg", CopyRef("flickr8k", "6985418911_df7747990d.jpg", "",
                                                                "6985418911_df7747990d.jpg")),
    ],
)  # fmt: skip
def test_files_of_every_source_are_read_in_place(tmp_path: pathlib.Path, kind: str, name: str, copy: CopyRef) -> None:
    rubbish = {
        f"__MACOSX/{name.replace('/', '/._')}": b"x",
        f"__MACOSX/{name}": b"x",
        "train2017/100000000042.jpg": b"y",
    }
    spec = place(tmp_path, kind, {name: BODY, **rubbish})
    found = look_up(spec, photo=PHOTO._replace(copies=(copy,)))
    assert (found.data, found.fetched_from) == (BODY, "images")
    assert (found.copy_source, found.copy_id) == (copy.source, copy.image_id)


def test_the_placeholder_in_a_place_is_no_photo(
    tmp_path: pathlib.Path, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b"\x89PNG" + bytes(flickr_requests.PLACEHOLDER_BYTES - 4)
    server.answers[JPG] = Answer(body)
    assert look_up("auto", root=server.url).data == body
    monkeypatch.setattr(flickr_requests, "PLACEHOLDER_MD5", hashlib.md5(body).hexdigest())
    error = failure("auto", root=server.url)
    assert (error.reason.value, error.http_status, error.attempts) == ("placeholder", 200, 1)
    error = failure(place(tmp_path, "zip", {"6985418911.jpg": body}))
    assert (error.reason.value, error.http_status) == ("placeholder", -1)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("absent", None, "cannot be read"),
        ("a.zip", b"PK\x03\x04" + bytes(600), "is a broken zip"),
        ("a.tar.gz", b"\x1f\x8b" + bytes(600), "is compressed with gzip.*decompress it to a plain tar"),
        ("a.jpg", b"\xff\xd8\xff" + bytes(600), "is neither a directory nor a zip nor a tar"),
        ("empty", b"", "is neither a directory nor a zip nor a tar"),
    ],
)
def test_a_wrong_place_is_named_before_any_work(
    tmp_path: pathlib.Path, name: str, data: bytes | None, message: str
) -> None:
    spec = tmp_path / name
    if data is not None:
        spec.write_bytes(data)
    with pytest.raises(ValueError, match=f"--images {spec} {message}"):
        check_places(PlacesConfig(images=("auto", str(spec))))


@pytest.mark.parametrize("damage", ["cut", "overwritten"])
def test_a_damaged_tar_is_named_before_any_work(tmp_path: pathlib.Path, damage: str) -> None:
    spec = place(tmp_path, "tar", {f"{i}.jpg": bytes(3000) for i in range(5)})
    data = spec.read_bytes()
    at = data.index(b"tree/3.jpg")
    spec.write_bytes(data[: at + 1000] if damage == "cut" else data[:at] + b"x" * 512 + data[at + 512 :])
    with pytest.raises(ValueError, match="is a broken tar"):
        check_places(PlacesConfig(images=(str(spec),)))


def test_a_damaged_member_of_a_zip_fails_alone(tmp_path: pathlib.Path) -> None:
    spec = place(tmp_path, "zip", {"6985418911.jpg": BODY, "7.jpg": b"whole"})
    data = bytearray(spec.read_bytes())
    start = 30 + len("6985418911.jpg")
    data[start + 20 : start + 40] = bytes(20)
    spec.write_bytes(data)
    assert failure(spec).reason.value == "checksum_mismatch"
    assert look_up(spec, photo=PhotoRef(7, "000000000007", "", "", "")).data == b"whole"


def test_an_encrypted_zip_is_refused(tmp_path: pathlib.Path) -> None:
    spec = place(tmp_path, "zip", {"1.jpg": b"1"})
    data = bytearray(spec.read_bytes())
    struct.pack_into("<H", data, data.index(b"PK\x01\x02") + 8, 1)
    spec.write_bytes(data)
    with pytest.raises(ValueError, match="encrypted files: make a zip without a password"):
        check_places(PlacesConfig(images=(str(spec),)))


@pytest.mark.parametrize("source", MIRROR_ROOTS)
@pytest.mark.parametrize("root", ["", "s3://", "ftp://host", "127.0.0.1:80", "http://"])
def test_a_mirror_root_must_be_a_url(source: str, root: str) -> None:
    with pytest.raises(ValueError, match=f"--mirror {source}=.* give one like http://host/path"):
        PlacesConfig(mirrors=((source, root),))


@pytest.mark.parametrize("source", ["flickr8k", "flickr", ""])
def test_a_mirror_is_of_a_source_that_has_one(source: str) -> None:
    with pytest.raises(ValueError, match=f"--mirror {source}=.*no source with a mirror.*coco, open_images, yfcc"):
        PlacesConfig(mirrors=((source, "http://host"),))


def test_the_configuration_travels_to_worker_processes() -> None:
    config = PlacesConfig(images=("auto", "/x"), mirrors=(("coco", "http://host"),), base="coco")
    assert hash(config) == hash(PlacesConfig(**vars(config)))
    assert pickle.loads(pickle.dumps(config)) == config
