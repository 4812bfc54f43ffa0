"""URLs of copies: the published layouts, and nothing that leads out of a mirror's root."""

import pytest
import yarl

from transforms.places.photo_refs import CopyRef, PhotoRef, photo_ref
from transforms.places.remote_copies import MIRROR_ROOTS, default_mirror_url, flickr_copies, mirror_copies

ROOT = "http://mirror/base"
URL = "http://images.cocodataset.org"
NAME = "000000000042.jpg"


def photo(*copies: CopyRef, download_url: str = "") -> PhotoRef:
    return PhotoRef(42, "000000000042", "", download_url, "", copies)


def coco(url: str = "", split: str = "val2017", file_name: str = NAME) -> CopyRef:
    return CopyRef("coco", "42", split, file_name, url)


def path_of(copy: CopyRef) -> str | None:
    urls = [str(found.url) for found in mirror_copies(copy.source, ROOT, photo(copy))]
    assert len(urls) < 2
    return urls[0].removeprefix(ROOT) if urls else None


@pytest.mark.parametrize(
    ("copy", "path"),
    [
        (coco(f"{URL}/train2017/{NAME}"), f"/train2017/{NAME}"),
        (coco(f"{URL}/train2014/COCO_train2014_{NAME}"), f"/train2014/COCO_train2014_{NAME}"),
        (coco("https://elsewhere/a/b/c%20d.jpg?x=1#y"), "/a/b/c%20d.jpg"),
        (coco(""), f"/val2017/{NAME}"),
        (coco("n/a"), f"/val2017/{NAME}"),
        (coco("", "train2014", f"COCO_train2014_{NAME}"), f"/train2014/COCO_train2014_{NAME}"),
        (coco("", "test2017"), f"/test2017/{NAME}"),
        (coco("", file_name="é b+c&d.jpg"), "/val2017/%C3%A9%20b%2Bc%26d.jpg"),
        (coco("", ""), None),
        (coco("", file_name=""), None),
        (CopyRef("open_images", "0a1b2c3d4e5f6071", "train"), "/train/0a1b2c3d4e5f6071.jpg"),
        (CopyRef("open_images", "0a1b2c3d4e5f6071"), None),
        (CopyRef("open_images", "", "train"), None),
    ],
)
def test_published_layouts(copy: CopyRef, path: str | None) -> None:
    assert path_of(copy) == path
    if path:
        assert default_mirror_url(photo(copy), "all") == MIRROR_ROOTS[copy.source] + path


HOSTILE = ["..", ".", "../x.jpg", "a/../../x.jpg", "/etc/passwd", "..\\x.jpg", "%2e%2e", "a%2fb.jpg", ".hidden",
           "a\nb.jpg", "a\0.jpg", "x.jpg?y", "x.jpg#y", "http://evil/x.jpg", "\udcff.jpg", "x" * 300,
           "\u202egpj.exe"]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_have_no_url(name: str) -> None:
    assert path_of(coco("", file_name=name)) is None
    assert path_of(CopyRef("open_images", name, "train")) is None
    assert path_of(coco("", split=name)) is None


@pytest.mark.parametrize(
    "path",
    ["/../x.jpg", "/%2e%2e/x.jpg", "/a/%2E%2E/x.jpg", "/a/..%2f..%2fx.jpg", "/a/%252e%252e/x.jpg", "//x.jpg", "/", "",
     "/%ff.jpg", "/a%5c..%5cx.jpg", "/a;/../x"],
)  # fmt: skip
def test_hostile_paths_of_urls_have_no_url(path: str) -> None:
    assert path_of(coco(URL + path)) is None


def test_an_unreadable_url_has_no_url() -> None:
    assert path_of(coco("http://[::1/x.jpg")) is None


@pytest.mark.parametrize("name", [*HOSTILE, "a b.jpg", "é.jpg", "a@b;c=d.jpg", "~x", "x..jpg"])
def test_whatever_has_a_url_stays_below_the_root(name: str) -> None:
    for copy in (coco("", file_name=name), coco(f"{URL}/{name}"), CopyRef("open_images", name, "train")):
        path = path_of(copy)
        if path is not None:
            url = yarl.URL(ROOT + path)
            assert (url.host, url.query_string, url.fragment) == ("mirror", "", "")
            assert url.path.startswith("/base/")
            assert ".." not in url.path.split("/")


def test_two_copies_with_one_url_are_one() -> None:
    copies = mirror_copies("coco", ROOT, photo(coco(), coco("", "train2017"), coco()._replace(image_id="43")))
    assert [(str(c.url).removeprefix(ROOT), c.image_id) for c in copies] == [
        (f"/val2017/{NAME}", "42"), (f"/train2017/{NAME}", "42")
    ]  # fmt: skip


def test_flickr_has_what_open_images_and_yfcc_name() -> None:
    original = CopyRef("open_images", "0a", "train", "", "https://farm1.staticflickr.com/1/2_3_o.jpg", 5, "ab")
    known = photo(original, coco(f"{URL}/x.jpg"), download_url="http://farm1.staticflickr.com/1/2_3.jpg")
    found = [copy for source in MIRROR_ROOTS for copy in flickr_copies(source, known)]
    assert [(c.url, c.source, c.image_id, c.size_bytes, c.md5) for c in found] == [
        (original.url, "open_images", "0a", 5, "ab"), (known.download_url, "yfcc", "", -1, "")
    ]  # fmt: skip
    assert [flickr_copies(source, photo(coco(URL))) for source in MIRROR_ROOTS] == [[], [], []]


def test_a_row_becomes_a_reference() -> None:
    copy = {"source": "open_images", "image_id": "0a", "split": None, "file_name": None, "url": "u", "width": 5,
            "size_bytes": None, "md5": "ab"}  # fmt: skip
    row = {
        "photo_id": 2**62,
        "hash": "h",
        "download_url": None,
        "extension": "jpg",
        "is_video": False,
        "copies": [copy],
    }
    expected = CopyRef("open_images", "0a", url="u", md5="ab")
    assert photo_ref(row) == PhotoRef(2**62, str(2**62), "h", "", "jpg", (expected,))
