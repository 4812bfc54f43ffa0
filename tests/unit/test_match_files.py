"""Whose copy a file is, by its name; and when names do not decide."""

import typing

import pytest

from transforms.files.image_files import ImageFile, ImageIndex, ImagePlaceError
from transforms.places.match_files import match_file
from transforms.places.photo_refs import CopyRef, PhotoRef

COCO = CopyRef("coco", "9", "train2017", "000000000009.jpg")
COCO_2014 = CopyRef("coco", "9", "val2014", "COCO_val2014_000000000009.jpg")
FLICKR8K = CopyRef("flickr8k", "42_abc.jpg", "dev", "42_abc.jpg")
OPEN_IMAGES = CopyRef("open_images", "0a1b2c3d4e5f6071", "train")


class _Files:
    def __init__(self, names: typing.Iterable[str]):
        self._names = names

    def files(self) -> typing.Iterator[ImageFile]:
        return (ImageFile(name, 1) for name in self._names)

    def read(self, file: ImageFile, max_bytes: int) -> bytes:
        raise AssertionError("nothing is read to match names")


def match(
    names: list[str], *copies: CopyRef, photo_id: int = 6985418911, with_coco: bool = True
) -> tuple[str, str, str] | None:
    photo = PhotoRef(photo_id, f"{photo_id:012d}", "4e2f7a26a1dfbf165a7e30bdabf7e72a", "", "", copies)
    found = {match_file(ImageIndex(_Files(order)), photo, with_coco) for order in (names, names[::-1])}
    assert len(found) == 1, "the order of listing decides"
    one = found.pop()
    return one and (one.file.name, one.source, one.image_id)


@pytest.mark.parametrize(
    ("name", "copy", "source"),
    [
        ("a/0a1b2c3d4e5f6071.jpg", OPEN_IMAGES, "open_images"),
        ("000000000009.jpg", COCO, "coco"),
        ("COCO_train2014_000000000009.png", COCO, "coco"),
        ("000000000009.jpg", COCO_2014, "coco"),
        ("COCO_val2014_000000000009.jpg", COCO_2014, "coco"),
        ("cat.jpg", CopyRef("coco", "1", "", "pets/cat.jpg"), "coco"),
        ("Images/42_abc.jpg", FLICKR8K, "flickr8k"),
        ("4e2f7a26a1dfbf165a7e30bdabf7e72a.jpg", COCO, "yfcc"),
        ("6985418911.jpg", COCO, "flickr"),
        ("006985418911.jpg", COCO, "flickr"),
        ("6985418911_df7747990d_o.jpg", COCO, "flickr"),
    ],
)
def test_the_name_that_matches_says_whose_copy_it_is(name: str, copy: CopyRef, source: str) -> None:
    image_id = copy.image_id if copy.source == source else ""
    assert match([name, "others/7.jpg"], copy) == (name, source, image_id)


@pytest.mark.parametrize(
    "name", ["000000000010.jpg", "COCO_val2014_000000000010.jpg", "9.jpg", "COCO_9.jpg", "9_a.jpg"]
)
def test_other_names_are_not_a_coco_image(name: str) -> None:
    assert match([name], COCO, COCO_2014) is None


def test_one_file_with_two_right_names_is_the_sources() -> None:
    assert match(["42_abc.jpg"], FLICKR8K, photo_id=42) == ("42_abc.jpg", "flickr8k", "42_abc.jpg")
    twin = COCO._replace(image_id="42", file_name="000000000042.jpg")
    assert match(["000000000042.jpg"], twin, photo_id=42, with_coco=False) == ("000000000042.jpg", "coco", "42")


@pytest.mark.parametrize(
    "names",
    [
        ["000000000009.jpg", "6985418911_x.jpg"],
        ["a/000000000009.jpg", "b/000000000009.jpg"],
        ["000000000009.jpg", "0a1b2c3d4e5f6071.jpg"],
        ["COCO_val2014_000000000009.jpg", "COCO_train2014_000000000009.jpg"],
    ],
)
def test_two_files_are_ambiguous(names: list[str]) -> None:
    with pytest.raises(ImagePlaceError, match=f"photo 6985418911: ({names[0]}|{names[1]}) and .* both match; remove"):
        match(names, COCO, OPEN_IMAGES)


@pytest.mark.parametrize(
    ("names", "copy", "right"),
    [
        (["val2017/000000000009.jpg", "train2017/000000000009.jpg"], COCO, 1),
        (["masks/000000000009.png", "train2017/000000000009.jpg"], COCO, 1),
        (["stuff/train2017/000000000009.png", "train2017/000000000009.jpg"], COCO, 1),
        (["val2014/COCO_val2014_000000000009.jpg", "train2017/000000000009.jpg"], COCO, 1),
        (["val2014/COCO_val2014_000000000009.jpg", "train2017/000000000009.jpg"], COCO_2014, 0),
        (["test/0a1b2c3d4e5f6071.jpg", "train/0a1b2c3d4e5f6071.jpg"], OPEN_IMAGES, 1),
        (["a/cat.jpg", "b/cat.jpg"], CopyRef("coco", "1", "", "b/cat.jpg"), 1),
    ],
)
def test_the_published_name_or_the_folder_of_the_split_decides(names: list[str], copy: CopyRef, right: int) -> None:
    assert match(names, copy) == (names[right], copy.source, copy.image_id)


def test_of_two_copies_of_one_source_the_first_with_a_file_counts() -> None:
    second = CopyRef("coco", "10", "train2017", "000000000010.jpg")
    names = ["train2017/000000000009.jpg", "train2017/000000000010.jpg"]
    assert match(names, COCO, second) == (names[0], "coco", "9")
    assert match(names[1:], COCO, second) == (names[1], "coco", "10")
    assert match(["val2014/COCO_val2014_000000000009.jpg", names[0]], COCO, COCO_2014) == (names[0], "coco", "9")


def test_a_coco_name_is_no_key() -> None:
    assert match(["000000000042.jpg"], photo_id=42) is None
    assert match(["000000000042.jpg"], COCO, photo_id=42) is None
    assert match(["000000000042.jpg", "000000000009.jpg"], COCO, photo_id=42) == ("000000000009.jpg", "coco", "9")
    assert match(["COCO_val2014_000000000042.jpg"], photo_id=42) is None
    assert match(["42.jpg"], photo_id=42) == ("42.jpg", "flickr", "")
    assert match(["000001000000.jpg"], photo_id=10**6) == ("000001000000.jpg", "flickr", "")
    assert match(["000000000042.jpg"], photo_id=42, with_coco=False) == ("000000000042.jpg", "flickr", "")


def test_a_name_like_that_of_2014_is_another_name() -> None:
    cat = CopyRef("coco", "1", "", "cat.jpg")
    assert match(["cat.jpg", "COCO_cat.jpg"], cat) == ("cat.jpg", "coco", "1")
    assert match(["COCO_val2014_cat.jpg"], cat) is None


def test_a_copy_without_a_name_matches_nothing() -> None:
    assert match(["a.jpg"], CopyRef("coco", "1"), CopyRef("flickr8k", "")) is None
