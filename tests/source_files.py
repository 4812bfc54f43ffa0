"""Small files of all four sources, in the published layouts, about photos of one's choice."""

import base64
import csv
import hashlib
import json
import pathlib
import random
import typing

from tests.yfcc_corpus import dataset_line

Json = dict[str, typing.Any]
OPEN_IMAGES_HEADER = (
    "ImageID", "Subset", "OriginalURL", "OriginalLandingURL", "License", "AuthorProfileURL", "Author", "Title",
    "OriginalSize", "OriginalMD5", "Thumbnail300KURL", "Rotation",
)  # fmt: skip
BOX_HEADER = (
    "ImageID", "Source", "LabelName", "Confidence", "XMin", "XMax", "YMin", "YMax", "IsOccluded", "IsTruncated",
    "IsGroupOf", "IsDepiction", "IsInside",
)  # fmt: skip
CATEGORIES = [
    {"id": 1, "name": "person", "supercategory": "person", "keypoints": ["nose", "left_eye"], "skeleton": [[1, 2]]},
    {"id": 18, "name": "dog", "supercategory": "animal"},
]


def flickr_url(photo_id: int, size: str = "z") -> str:
    """A URL of a photo on Flickr."""
    return f"http://farm3.staticflickr.com/5310/{photo_id}_51085e157c_{size}.jpg"


def coco_image(image_id: int, photo_id: int | None, split: str = "train2017", width: int = 640) -> Json:
    """An image of a COCO file; without a photo it has no ``flickr_url``, as in the test sets."""
    prefix = f"COCO_{split}_" if split.endswith("2014") else ""
    name = f"{prefix}{image_id:012d}.jpg"
    url = {} if photo_id is None else {"flickr_url": flickr_url(photo_id)}
    return {
        "id": image_id, "width": width, "height": 480, "file_name": name, "license": 1,
        "coco_url": f"http://images.cocodataset.org/{split}/{name}", "date_captured": "2013-11-14 17:02:52", **url,
    }  # fmt: skip


def coco_box(annotation_id: int, image_id: int, category_id: int = 18, x: float = 10.5) -> Json:
    """An instance: a rectangle of 20 x 30 px."""
    outline = [x, 5, x + 20, 5, x + 20, 35, x, 35]
    return {
        "id": annotation_id, "image_id": image_id, "category_id": category_id, "bbox": [x, 5, 20, 30], "area": 600.0,
        "iscrowd": 0, "segmentation": [outline],
    }  # fmt: skip


def write_coco(path: pathlib.Path, images: list[Json], annotations: list[Json] | None = None) -> pathlib.Path:
    """Writes a COCO file; its kind is that of its annotations."""
    path.parent.mkdir(parents=True, exist_ok=True)
    licenses = [{"id": 1, "name": "Attribution License", "url": "http://creativecommons.org/licenses/by/2.0/"}]
    members = {"images": images, "licenses": licenses, "categories": CATEGORIES}
    path.write_text(json.dumps(members if annotations is None else {**members, "annotations": annotations}))
    return path


def write_csv(path: pathlib.Path, *rows: typing.Sequence[typing.Any]) -> pathlib.Path:
    """Writes a CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    return path


def open_images_row(image_id: str, photo_id: int, rotation: str = "0.0", split: str = "train") -> list[str]:
    """A line of an image-ids file."""
    digest = base64.b64encode(hashlib.md5(image_id.encode()).digest()).decode()
    url = flickr_url(photo_id, "o")
    return [image_id, split, url, url, "https://creativecommons.org/licenses/by/2.0/", "https://www.flickr.com/people/x/",
            "Jane, Doe", 'A "title", quoted', "123456", digest, "", rotation]  # fmt: skip


def open_images_box(image_id: str, label: str = "/m/0bt9lr", xmin: float = 0.25) -> list[str]:
    """A line of a box file."""
    return [image_id, "xclick", label, "1", str(xmin), str(xmin + 0.5), "0.125", "0.75", "0", "1", "0", "-1", "0"]


def write_four_sources(folder: pathlib.Path, seed: int | None = None) -> dict[str, pathlib.Path]:
    """Writes files of all sources about overlapping photos.

    YFCC has photos 1000 to 1039; COCO every second of them and 1040 to 1044, Open Images every third and 1045 to
    1049, Flickr8k every fifth and 1050 to 1054.

    Args:
        folder: for a folder of each source.
        seed: shuffles lines, entries and the cutting into files; None leaves them in order.
    """
    rnd = random.Random(seed)

    def shuffled(items: typing.Iterable[typing.Any]) -> list[typing.Any]:
        items = list(items)
        return items if seed is None else rnd.sample(items, len(items))

    lines = [dataset_line(i, 1000 + i, random.Random(i)) for i in range(40)]
    (folder / "yfcc").mkdir(parents=True)
    (folder / "yfcc/dataset").write_text("".join(line + "\n" for line in shuffled(lines)))
    tags = [f"{1000 + i}\tdog:0.9,outdoor:0.5" for i in range(0, 40, 4)]
    (folder / "yfcc/autotags").write_text("".join(line + "\n" for line in shuffled(tags)))
    _write_coco_files(folder / "coco", [*range(1000, 1040, 2), *range(1040, 1045)], shuffled)
    _write_open_images_files(folder / "open_images", [*range(1000, 1040, 3), *range(1045, 1050)], shuffled)
    _write_flickr8k_files(folder / "flickr8k", [*range(1000, 1040, 5), *range(1050, 1055)], shuffled)
    return {source: folder / source for source in ("yfcc", "coco", "open_images", "flickr8k")}


Shuffled = typing.Callable[[typing.Iterable[typing.Any]], list[typing.Any]]


def _write_coco_files(folder: pathlib.Path, photos: list[int], shuffled: Shuffled) -> None:
    for year in (2014, 2017):
        images = [coco_image(photo - 900, photo, f"{'val' if photo % 4 else 'train'}{year}") for photo in photos]
        boxes = [coco_box(10 * photo + i, photo - 900, x=i + 0.1) for photo in photos for i in range(photo % 3)]
        captions = [
            {"id": 100 * photo + i, "image_id": photo - 900, "caption": f" A dog number {i} of {photo}\n"}
            for photo in photos
            for i in range(5)
        ]
        write_coco(folder / f"instances_{year}.json", shuffled(images), shuffled(boxes))
        write_coco(folder / f"captions_{year}.json", shuffled(images), shuffled(captions))


def _write_open_images_files(folder: pathlib.Path, photos: list[int], shuffled: Shuffled) -> None:
    ids = {photo: f"{photo * 7919:016x}" for photo in photos}
    turns = ("0.0", "90.0", "", "270.0")
    rows = [open_images_row(ids[photo], photo, turns[photo % 4]) for photo in photos]
    write_csv(folder / "images.csv", OPEN_IMAGES_HEADER, *shuffled(rows))
    boxes = [open_images_box(ids[photo], xmin=i / 8) for photo in photos for i in range(photo % 4)]
    half = len(boxes) // 2
    boxes = shuffled(boxes)
    write_csv(folder / "boxes-0.csv", BOX_HEADER, *boxes[:half])
    write_csv(folder / "boxes-1.csv", BOX_HEADER, *boxes[half:])
    (folder / "classes.csv").write_text("/m/0bt9lr,Dog\n/m/01g317,Person\n")


def _write_flickr8k_files(folder: pathlib.Path, photos: list[int], shuffled: Shuffled) -> None:
    folder.mkdir(parents=True)
    names = [f"{photo}_693b08cb0e.jpg" for photo in photos]
    captions = [f"{name}#{i}\tA dog runs , {i} times ." for name in names for i in range(5)]
    (folder / "Flickr8k.token.txt").write_text("".join(line + "\n" for line in shuffled(captions)))
    (folder / "Flickr_8k.trainImages.txt").write_text("".join(name + "\n" for name in shuffled(names[:-5])))
    (folder / "Flickr_8k.devImages.txt").write_text("".join(name + "\n" for name in shuffled(names[-5:])))
