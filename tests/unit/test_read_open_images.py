"""Files of Open Images as they are published, damaged and generated."""

import base64
import bz2
import collections
import csv
import gzip
import hashlib
import json
import pathlib
import random
import tempfile
import typing
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.annotations import ELEMENTS
from schemas.failures import INPUT_FAILURE_SCHEMA
from schemas.open_images import OpenImagesKind
from schemas.surrogate_ids import surrogate_id
from transforms.sources.annotation_parts import BATCH_ROWS, PART_TYPES
from transforms.sources.find_open_images import (
    BadOpenImagesError,
    OpenImagesFile,
    find_open_images,
    refusal_of,
    require_open_images,
)
from transforms.sources.open_images_ids import (
    OpenImagesIds,
    merge_image_ids,
    no_image_ids,
    open_image_ids,
    read_image_ids,
    save_image_ids,
)
from transforms.sources.read_class_files import class_names, read_hierarchy
from transforms.sources.read_open_images import read_open_images

Json = dict[str, typing.Any]

BOX_COLUMNS = (
    "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside"
)
BOX = "00000000000000a1,xclick,/m/0a,1,0.1,0.5,0.2,0.75,1,0,-1,0,0"
IMAGE_COLUMNS = (
    "ImageID,Subset,OriginalURL,OriginalLandingURL,License,AuthorProfileURL,Author,Title,OriginalSize,OriginalMD5,"
    "Thumbnail300KURL,Rotation"
)
MD5 = hashlib.md5(b"photo", usedforsecurity=False)
FLICKR = "https://farm3.staticflickr.com/5310/{}_51085e157c_o.jpg"
IMAGE = {
    "ImageID": "00000000000000a1",
    "Subset": "train",
    "OriginalURL": FLICKR.format(77),
    "OriginalLandingURL": "https://www.flickr.com/photos/a/77",
    "License": "https://creativecommons.org/licenses/by/2.0/",
    "AuthorProfileURL": "https://www.flickr.com/people/a/",
    "Author": "A",
    "Title": "T",
    "OriginalSize": "4405052",
    "OriginalMD5": base64.b64encode(MD5.digest()).decode(),
    "Thumbnail300KURL": "",
    "Rotation": "90.0",
}
A1 = surrogate_id("open_images", "00000000000000a1")


class Read(typing.NamedTuple):
    """Everything a file gives: (photo id, element) by column, failures and the number of records."""

    columns: dict[str, list[tuple[int, typing.Any]]]
    failures: list[Json]
    records: int

    def only(self, column: str) -> typing.Any:
        ((_, element),) = self.columns[column]
        return element


def _read(
    path: pathlib.Path,
    ids: OpenImagesIds | None = None,
    names: dict[str, str] | None = None,
    ranges: typing.Iterable[tuple[int, int]] = ((0, 1 << 40),),
    split: str | None = None,
) -> Read:
    columns: dict[str, list[tuple[int, typing.Any]]] = collections.defaultdict(list)
    failures, records = [], 0
    file = require_open_images(str(path))
    for part in (p for start, stop in ranges for p in read_open_images(file, start, stop, ids, names or {}, split)):
        failures += part.failures
        records += part.records
        for column, batch in part.batches.items():
            assert batch.schema.names == ["photo_id", column]
            assert batch.schema.field(column).type == PART_TYPES[column]
            assert len(batch) <= 2 * BATCH_ROWS
            batch.validate(full=True)
            columns[column] += zip(*(values.to_pylist() for values in batch.columns), strict=True)
    for failure in failures:
        assert set(failure) == set(INPUT_FAILURE_SCHEMA.names)
        assert path.read_bytes()[failure["offset"] :].startswith(failure["raw"])
    return Read(columns, failures, records)


def _write(path: pathlib.Path, *lines: str, end: str = "\n") -> pathlib.Path:
    path.write_bytes("".join(line + end for line in lines).encode())
    return path


def _write_images(path: pathlib.Path, *images: Json, columns: str = IMAGE_COLUMNS) -> pathlib.Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns.split(","), extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows({**IMAGE, **image} for image in images)
    return path


def _boxes(tmp_path: pathlib.Path, *rows: str, columns: str = BOX_COLUMNS) -> Read:
    return _read(_write(tmp_path / "boxes.csv", columns, *rows))


def _reasons(read: Read) -> list[tuple[str, str]]:
    return [(failure["reason"], failure["detail"]) for failure in read.failures]


def test_a_box_has_its_edges_in_the_rows_order(tmp_path: pathlib.Path) -> None:
    path = _write(tmp_path / "validation-annotations-bbox.csv", BOX_COLUMNS, BOX)
    read = _read(path, names={"/m/0a": "Apple"})
    assert read.columns["boxes"] == [
        (
            A1,
            {
                "source": "open_images", "image_id": "00000000000000a1", "annotation_id": None, "units": "normalised",
                "label_id": "/m/0a", "label": "Apple", "xmin": 0.1, "ymin": 0.2, "xmax": 0.5, "ymax": 0.75,
                "is_crowd": -1, "is_occluded": 1, "is_truncated": 0, "is_group_of": -1, "is_depiction": 0,
                "is_inside": 0, "area": None, "confidence": 1.0, "annotator": "xclick",
            },
        )
    ]  # fmt: skip
    copy = read.only("copies")
    assert (copy["image_id"], copy["split"]) == ("00000000000000a1", "validation")
    assert copy["file_name"] == "00000000000000a1.jpg"
    assert read.only("open_images_image") == {
        "open_images_id": "00000000000000a1", "open_images_split": "validation",
    }  # fmt: skip
    assert (read.failures, read.records) == ([], 1)


def test_21_columns_another_order_and_fewer_columns(tmp_path: pathlib.Path) -> None:
    thirteen = _boxes(tmp_path, BOX)
    clicks = ",".join(f"XClick{k}{axis}" for axis in "XY" for k in range(1, 5))
    assert _boxes(tmp_path, BOX + ",0.1" * 8, columns=f"{BOX_COLUMNS},{clicks}") == thirteen
    backwards = [",".join(reversed(line.split(","))) for line in (BOX_COLUMNS, BOX)]
    assert _boxes(tmp_path, backwards[1], columns=backwards[0]) == thirteen
    assert _boxes(tmp_path, BOX.replace(",", ";"), columns=BOX_COLUMNS.replace(",", ";")) == thirteen
    six = _boxes(tmp_path, "00000000000000A1,/m/0a,0.1,0.5,0.2,0.75", columns="ImageID,LabelName,XMin,XMax,YMin,YMax")
    box = {**thirteen.only("boxes"), "is_occluded": -1, "is_truncated": -1, "is_depiction": -1, "is_inside": -1}
    assert six.only("boxes") == {**box, "confidence": None, "annotator": None}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n", "\r\n\r\n"])
def test_line_ends_boms_and_a_last_line_without(tmp_path: pathlib.Path, end: str) -> None:
    path = _write(tmp_path / "a.csv", BOX_COLUMNS, BOX, BOX, end=end)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().rstrip())
    read = _read(path)
    assert [photo_id for photo_id, _ in read.columns["boxes"]] == [A1, A1]
    assert (read.failures, read.records) == ([], 2)


FAULTS = {
    BOX.replace("0.75", "nan"): "YMax is not a number",
    BOX.replace("0.75", ""): "YMax is not a number",
    BOX.replace("0.75", "inf"): "YMax is not a number",
    BOX.replace("0.75", "x"): "YMax is not a number",
    BOX.replace("0.75", "0.1"): "YMax is less than YMin",
    BOX.replace("0.5", "-0.5"): "XMax is less than XMin",
    BOX.replace("-1", "2"): "IsGroupOf is not 1, 0 or -1",
    BOX.replace("-1", "no"): "IsGroupOf is not a number",
    BOX.replace("/m/0a", ""): "LabelName is empty",
    BOX.replace("00000000000000a1", "1.6E+01"): "the image id is not 16 hexadecimal digits",
    BOX.replace("00000000000000a1", ""): "the image id is not 16 hexadecimal digits",
    BOX[:-2]: "12 fields where 13 were expected",
    BOX + ",": "14 fields where 13 were expected",
    "x" * 300_000: "it is too long",
    BOX.replace("xclick", "a\rb"): "it has a line end outside quotes, or too long a value",
    BOX.replace("xclick", "a\0b"): "it has a NUL",
    BOX.replace("xclick", '"xclick'): "a quote is not closed",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_row_is_a_failure_and_the_others_are_read(tmp_path: pathlib.Path, fault: str) -> None:
    read = _boxes(tmp_path, BOX, fault, BOX, BOX)
    assert [element["ymax"] for _, element in read.columns["boxes"]] == [0.75] * 3
    assert read.records == 4
    assert _reasons(read) == [("malformed_row", FAULTS[fault])]
    assert read.failures[0]["offset"] == len(BOX_COLUMNS) + 1 + len(BOX) + 1
    assert read.failures[0]["raw"] == fault.encode()[:2048]


def test_a_row_that_is_not_utf8_is_a_failure(tmp_path: pathlib.Path) -> None:
    path = _write(tmp_path / "a.csv", BOX_COLUMNS, BOX)
    path.write_bytes(path.read_bytes() + BOX.replace("xclick", "\xe9").encode("latin-1") + b"\n")
    read = _read(path)
    assert len(read.columns["boxes"]) == 1
    assert _reasons(read) == [("malformed_row", "it is not valid UTF-8")]


def test_boxes_a_little_beyond_the_image_are_kept(tmp_path: pathlib.Path) -> None:
    read = _boxes(tmp_path, BOX.replace("0.1", "-0.0125").replace("0.75", "1.000001"))
    assert (read.only("boxes")["xmin"], read.only("boxes")["ymax"]) == (-0.0125, 1.000001)


def test_a_truncated_last_line_is_a_failure(tmp_path: pathlib.Path) -> None:
    path = _write(tmp_path / "a.csv", BOX_COLUMNS, BOX, BOX)
    path.write_bytes(path.read_bytes()[:-20])
    read = _read(path)
    assert len(read.columns["boxes"]) == len(read.failures) == 1


def test_an_image_of_no_list_is_unknown(tmp_path: pathlib.Path) -> None:
    images = _write_images(tmp_path / "images.csv", {})
    ids = read_image_ids(require_open_images(str(images)))
    boxes = _write(tmp_path / "boxes.csv", BOX_COLUMNS, BOX, BOX.replace("a1", "a2"), BOX.replace("0.75", "x"))
    read = _read(boxes, ids)
    assert [photo_id for photo_id, _ in read.columns["boxes"]] == [77]
    assert [reason for reason, _ in _reasons(read)] == ["unknown_image", "malformed_row"]
    assert set(read.columns) == {"boxes"}
    assert _read(boxes, no_image_ids()).columns["boxes"] == []


def test_image_labels_keep_confidence_and_annotator(tmp_path: pathlib.Path) -> None:
    path = _write(
        tmp_path / "a.csv",
        "ImageID,Source,LabelName,Confidence",
        "00000000000000a1,verification,/m/0a,0",
        "00000000000000a1,machine,/m/0b,0.7",
        "00000000000000a1,machine,/m/0b,",
    )
    read = _read(path, names={"/m/0a": "Apple"}, split="test")
    assert [tuple(label.values())[1:] for _, label in read.columns["image_labels"]] == [
        ("00000000000000a1", "/m/0a", "Apple", 0.0, "verification"),
        ("00000000000000a1", "/m/0b", None, 0.7, "machine"),
    ]
    assert read.only("copies")["split"] == "test"
    assert _reasons(read) == [("malformed_row", "Confidence is not a number")]


def test_masks_have_box_iou_and_clicks(tmp_path: pathlib.Path) -> None:
    path = _write(
        tmp_path / "train-annotations-object-segmentation.csv",
        "MaskPath,ImageID,LabelName,BoxID,BoxXMin,BoxXMax,BoxYMin,BoxYMax,PredictedIoU,Clicks",
        "00000000000000a1_m0a_1e0a.png,00000000000000a1,/m/0a,1e0a,0.1,0.5,0.2,0.7,0.85,0.25 0.5 0;-0.01 1e-2 1;",
        "a.png,00000000000000a1,/m/0a,box,0.1,0.5,0.2,0.7,,",
        "b.png,00000000000000a1,/m/0a,1,0.1,0.5,0.2,0.7,0.5,0.25 0.5 2",
        "c.png,00000000000000a1,/m/0a,2,0.1,0.5,0.2,0.7,0.5,0.5 0.5 1",
    )
    read = _read(path, names={"/m/0a": "Apple"})
    first, second, last = (segment for _, segment in read.columns["segments"])
    assert first == {
        **dict.fromkeys(field.name for field in ELEMENTS["segments"]),
        "source": "open_images", "image_id": "00000000000000a1", "annotation_id": 0x1E0A, "kind": "mask",
        "units": "normalised", "label_id": "/m/0a", "label": "Apple", "is_crowd": -1,
        "mask_file": "00000000000000a1_m0a_1e0a.png", "xmin": 0.1, "ymin": 0.2, "xmax": 0.5, "ymax": 0.7,
        "predicted_iou": 0.85,
        "clicks": [{"x": 0.25, "y": 0.5, "is_inside": 0}, {"x": -0.01, "y": 0.01, "is_inside": 1}],
    }  # fmt: skip
    assert (second["annotation_id"], second["predicted_iou"], second["clicks"]) == (None, None, [])
    assert last["clicks"] == [{"x": 0.5, "y": 0.5, "is_inside": 1}]
    assert _reasons(read) == [("malformed_row", "Clicks are not x y 0 or 1")]


@pytest.mark.parametrize("name", ["RelationshipLabel", "RelationLabel"])
def test_relationships_have_two_boxes(tmp_path: pathlib.Path, name: str) -> None:
    columns = f"ImageID,LabelName1,LabelName2,XMin1,XMax1,YMin1,YMax1,XMin2,XMax2,YMin2,YMax2,{name}"
    row = "00000000000000a1,/m/0a,/m/0b,0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,at"
    path = _write(tmp_path / "a.csv", columns, row, row.replace("0.8", "0.6"))
    read = _read(path, names={"/m/0b": "Table"})
    assert read.only("relationships") == {
        "source": "open_images", "image_id": "00000000000000a1", "units": "normalised", "relationship": "at",
        "label_id1": "/m/0a", "label1": None, "label_id2": "/m/0b", "label2": "Table",
        "xmin1": 0.1, "ymin1": 0.3, "xmax1": 0.2, "ymax1": 0.4, "xmin2": 0.5, "ymin2": 0.7, "xmax2": 0.6, "ymax2": 0.8,
    }  # fmt: skip
    assert _reasons(read) == [("malformed_row", "YMax2 is less than YMin2")]


def test_points_have_answers_and_votes(tmp_path: pathlib.Path) -> None:
    columns = "ImageId,X,Y,Label,EstimatedYesNo,Source,YesVotes,NoVotes,UnsureVotes,TextLabel"
    row = "00000000000000a1,0.25,0.5,/m/0a,Yes,cc,3,0,1,apple"
    path = _write(tmp_path / "a.csv", columns, row, row.replace("/m/0a", "/m/0b"), row.replace(",3,", ",3.5,"))
    read = _read(path, names={"/m/0a": "Apple"})
    assert [point["label"] for _, point in read.columns["points"]] == ["Apple", "apple"]
    assert read.columns["points"][0][1] == {
        "source": "open_images", "image_id": "00000000000000a1", "units": "normalised", "label_id": "/m/0a",
        "label": "Apple", "x": 0.25, "y": 0.5, "answer": "yes", "yes_votes": 3, "no_votes": 0, "unsure_votes": 1,
        "annotator": "cc",
    }  # fmt: skip
    assert _reasons(read) == [("malformed_row", "YesVotes is not a count")]


def test_narratives_of_open_images_are_read(tmp_path: pathlib.Path) -> None:
    entry = {
        "dataset_id": "open_images_train", "image_id": "00000000000000a1", "annotator_id": 7, "caption": "A dog.",
        "timed_caption": [{"utterance": "A dog.", "start_time": 0.5, "end_time": 1}],
        "traces": [[{"x": 0.5, "y": 1.25, "t": 0}]], "voice_recording": "a.ogg",
    }  # fmt: skip
    others = [{"dataset_id": "mscoco_val2017", "image_id": "42"}, {"image_id": "a1"}, {"caption": 1}]
    lines = [json.dumps({**entry, **other}) for other in [{}, *others]]
    path = _write(tmp_path / "open_images_train_v6_localized_narratives.jsonl", *lines, "", "{")
    read = _read(path)
    narrative = read.only("narratives")
    assert (narrative["image_id"], narrative["text"], narrative["units"]) == (
        "00000000000000a1",
        "A dog.",
        "normalised",
    )
    assert narrative["traces"] == [{"x": [0.5], "y": [1.25], "time_s": [0.0]}]
    assert read.only("copies")["split"] == "train"
    assert [reason for reason, _ in _reasons(read)] == ["unknown_image"] + ["malformed_row"] * 3
    assert read.records == 5
    ids = OpenImagesIds(np.array([0xA1], np.uint64), np.array([5], np.int64))
    assert [photo_id for photo_id, _ in _read(path, ids).columns["narratives"]] == [5]


@pytest.mark.parametrize("columns", [IMAGE_COLUMNS, IMAGE_COLUMNS.removesuffix(",Rotation")])
def test_a_list_of_images_describes_copies(tmp_path: pathlib.Path, columns: str) -> None:
    path = _write_images(tmp_path / "images.csv", {"Author": 'A "B", C', "Title": "two\nlines"}, columns=columns)
    read = _read(path)
    assert read.columns["copies"] == [
        (
            77,
            {
                "source": "open_images", "image_id": "00000000000000a1", "split": "train",
                "file_name": "00000000000000a1.jpg", "url": FLICKR.format(77), "width": None, "height": None,
                "rotation": 90 if columns == IMAGE_COLUMNS else None, "date_captured": None, "license_name": None,
                "license_url": IMAGE["License"], "author": 'A "B", C', "size_bytes": 4405052, "md5": MD5.hexdigest(),
            },
        )
    ]  # fmt: skip
    assert read.columns["open_images_image"] == [
        (77, {"open_images_id": "00000000000000a1", "open_images_split": "train"})
    ]
    assert (read.failures, read.records, "warnings" in read.columns) == ([], 1, False)


@pytest.mark.parametrize(
    ("field", "value", "expected", "warned"),
    [
        ("Rotation", "0.0", 0, None),
        ("Rotation", "270", 270, None),
        ("Rotation", "", None, None),
        ("Rotation", "nan", None, None),
        ("Rotation", "45.0", None, "rotation"),
        ("Rotation", "inf", None, "rotation"),
        ("Rotation", "left", None, "rotation"),
        ("OriginalSize", "", None, None),
        ("OriginalSize", "1.5", None, "size_bytes"),
        ("OriginalSize", "large", None, "size_bytes"),
        ("OriginalMD5", "", None, None),
        ("OriginalMD5", MD5.hexdigest(), None, "md5"),
        ("Subset", "val", "validation", None),
        ("Subset", "", None, None),
        ("Subset", "other", None, "split"),
        ("OriginalURL", "", None, None),
        ("Author", "", None, None),
    ],
)
def test_values_that_cannot_be_read_are_warnings(
    tmp_path: pathlib.Path, field: str, value: str, expected: typing.Any, warned: str | None
) -> None:
    names = {
        "Rotation": "rotation", "OriginalSize": "size_bytes", "OriginalMD5": "md5", "Subset": "split",
        "OriginalURL": "url", "Author": "author",
    }  # fmt: skip
    read = _read(_write_images(tmp_path / "images.csv", {field: value}, {"ImageID": "b" * 16}))
    photo_id, copy = read.columns["copies"][0]
    assert copy[names[field]] == expected
    assert photo_id == (A1 if field == "OriginalURL" else 77)
    assert read.columns["warnings"] == ([(photo_id, f"copies.{warned}")] if warned else [])
    assert read.failures == []


def test_line_ends_in_titles_do_not_hide_other_rows(tmp_path: pathlib.Path) -> None:
    images = [{"ImageID": f"{i:016x}", "OriginalURL": FLICKR.format(i + 1)} for i in range(6)]
    images[1]["Title"] = 'a "quoted"\n,\n\ntitle,\r\n'
    images[4]["Title"] = "\n"
    path = _write_images(tmp_path / "images.csv", *images)
    lines = path.read_bytes().split(b"\n")
    stray = ",".join({**IMAGE, "Title": '"open'}.values()).encode()
    path.write_bytes(b"\n".join([*lines[:-2], stray, lines[-2], b""]))
    read = _read(path)
    assert [photo_id for photo_id, _ in read.columns["copies"]] == [1, 2, 3, 4, 5, 6]
    assert [failure["raw"] for failure in read.failures] == [stray]
    assert read.records == 7
    assert read_image_ids(require_open_images(str(path))).photo_ids.tolist() == [1, 2, 3, 4, 5, 6]


def test_records_go_on_in_the_next_block(tmp_path: pathlib.Path) -> None:
    titles = ["x" * 900 + "\n" + "y" * (k % 7) for k in range(3000)]
    images = [
        {"ImageID": f"{k:016x}", "OriginalURL": FLICKR.format(k + 1), "Title": title} for k, title in enumerate(titles)
    ]
    path = _write_images(tmp_path / "images.csv", *images)
    assert path.stat().st_size > 3 << 20
    read = _read(path)
    assert [photo_id for photo_id, _ in read.columns["copies"]] == list(range(1, 3001))
    assert (read.failures, read.records) == ([], 3000)


def test_an_image_id_of_two_photos_is_that_of_the_lower(tmp_path: pathlib.Path) -> None:
    path = _write_images(
        tmp_path / "images.csv",
        {"OriginalURL": FLICKR.format(78)},
        {},
        {},
        {"OriginalURL": FLICKR.format(77).replace("https", "http")},
        {"ImageID": "a1"},
    )
    ids = read_image_ids(require_open_images(str(path)))
    assert (ids.image_ids.tolist(), ids.photo_ids.tolist()) == ([0xA1], [77])
    read = _read(path, ids)
    assert [photo_id for photo_id, _ in read.columns["copies"]] == [77] * 3
    assert _reasons(read) == [
        ("malformed_row", "the image id is of photo 77 as well"),
        ("malformed_row", "the image id is not 16 hexadecimal digits"),
    ]
    assert [reason for reason, _ in _reasons(_read(path, no_image_ids()))] == ["unknown_image"] * 4 + ["malformed_row"]


def test_ids_are_merged_saved_and_mapped(tmp_path: pathlib.Path) -> None:
    parts = [
        OpenImagesIds(np.array([1, 2**64 - 1], np.uint64), np.array([5, 2**63 - 1], np.int64)),
        OpenImagesIds(np.array([1, 3], np.uint64), np.array([4, 6], np.int64)),
    ]
    for order in (parts, parts[::-1]):
        merged = merge_image_ids(order)
        assert merged.image_ids.tolist() == [1, 3, 2**64 - 1]
        assert merged.photo_ids.tolist() == [4, 6, 2**63 - 1]
    for ids in (merged, no_image_ids(), merge_image_ids([])):
        save_image_ids(ids, tmp_path / "ids.npy")
        mapped = open_image_ids(tmp_path / "ids.npy")
        assert mapped.image_ids.tolist() == ids.image_ids.tolist()
        assert mapped.photo_ids.tolist() == ids.photo_ids.tolist()
        wanted = np.array([3, 0, 2], np.uint64)
        assert mapped.photos_of(wanted).tolist() == [6 if len(ids.image_ids) else -1, -1, -1]
    with pytest.raises(ValueError, match="not of images"):
        read_image_ids(require_open_images(str(_write(tmp_path / "boxes.csv", BOX_COLUMNS, BOX))))


def _generated(rng: random.Random, rows: int) -> list[str]:
    return [
        BOX.replace("a1", f"{rng.randrange(256):02x}").replace("0.75", repr(0.2 + rng.random()))
        + rng.choice(["", "", "", "\r"])
        for _ in range(rows)
    ]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 1000), st.lists(st.integers(1, 2000), max_size=6), st.booleans())
def test_any_partition_gives_every_row_once(seed: int, cuts: list[int], damaged: bool) -> None:
    rows = _generated(random.Random(seed), 20)
    if damaged:
        rows[seed % 20] = list(FAULTS)[seed % len(FAULTS)]
    with tempfile.TemporaryDirectory() as folder:
        path = _write(pathlib.Path(folder) / "a.csv", BOX_COLUMNS, *rows)
        bounds = sorted({0, path.stat().st_size, *(cut for cut in cuts if cut < path.stat().st_size)})
        whole = _read(path)
        cut = _read(path, ranges=list(zip(bounds, bounds[1:], strict=False)))
        assert cut.columns["boxes"] == whole.columns["boxes"]
        assert (cut.failures, cut.records) == (whole.failures, 20)


_VALUES = st.sampled_from(
    [
        "0.1",
        ".5",
        "1.",
        "-0.25",
        "1e-2",
        "+0.5",
        " 0.5",
        "nan",
        "NaN",
        "-nan",
        "inf",
        "1e400",
        "",
        "0.123456789012345678",
    ]
)
_FLAGS = st.sampled_from(["1", "0", "-1", "", "1.0", "2"])
_TEXTS = st.sampled_from(["xclick", "", '"a,b"', '"a ""b"""', 'a"b', '"a"b', "nan", " x ", "é"])


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(_TEXTS, _VALUES, _VALUES, _VALUES, _FLAGS), min_size=1))
def test_all_at_once_and_one_by_one_agree(values: list[tuple[str, ...]]) -> None:
    rows = [f"00000000000000a1,{text},/m/0a,{c},{x},5,0,{y},{flag},0,0,0,0" for text, c, x, y, flag in values]
    with tempfile.TemporaryDirectory() as folder:
        at_once = _read(_write(pathlib.Path(folder) / "a.csv", BOX_COLUMNS, *rows))
        one_by_one = _read(_write(pathlib.Path(folder) / "b.csv", BOX_COLUMNS, *rows, "bad"))
    assert one_by_one.columns["boxes"] == at_once.columns["boxes"]
    assert _reasons(one_by_one)[:-1] == _reasons(at_once)
    assert one_by_one.records == at_once.records + 1 == len(rows) + 1


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "Title": st.lists(st.sampled_from([*'a",\n é', "\r\n"]), max_size=12).map("".join),
                "Author": st.text(st.sampled_from('a",\n é'), max_size=6),
                "Rotation": st.sampled_from(["", "nan", "-nan", "0.0", "90", "45", "inf"]),
                "OriginalSize": st.sampled_from(["1", "", "0", "-5", "1e3"]),
            }
        ),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from(["", "bad\n"]),
)
def test_csv_writers_images_are_read_back(images: list[dict[str, str]], bad: str) -> None:
    listed = [{**image, "OriginalURL": FLICKR.format(i + 1)} for i, image in enumerate(images)]
    with tempfile.TemporaryDirectory() as folder:
        path = _write_images(pathlib.Path(folder) / "a.csv", *listed)
        path.write_bytes(path.read_bytes() + bad.encode())
        read = _read(path)
    assert [(photo_id, copy["author"]) for photo_id, copy in read.columns["copies"]] == [
        (i + 1, image["Author"] or None) for i, image in enumerate(images)
    ]
    rotations = {"0.0": 0, "90": 90}
    assert [copy["rotation"] for _, copy in read.columns["copies"]] == [rotations.get(i["Rotation"]) for i in images]
    assert len(read.failures) == bool(bad)


def test_files_that_cannot_be_read_say_why(tmp_path: pathlib.Path) -> None:
    boxes = f"{BOX_COLUMNS}\n{BOX}\n".encode()
    path = tmp_path / "file"
    with zipfile.ZipFile(tmp_path / "zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("boxes.csv", boxes)
    for content, why in {
        gzip.compress(boxes): "is compressed with gzip and holds boxes of Open Images",
        bz2.compress(boxes): "is compressed with bzip2 and holds boxes",
        (tmp_path / "zip").read_bytes(): "is compressed with zip and holds boxes",
        boxes.replace(b"YMax,", b""): "is a CSV of boxes without the column YMax",
        boxes.replace(b"YMax,", b"").replace(b"XMax,", b""): "without the columns XMax, YMax",
        boxes.replace(b"\n", b"\r"): "lines end with CR alone",
    }.items():
        path.write_bytes(content)
        assert find_open_images(str(path)) is None
        assert why in str(refusal_of(str(path)))
        with pytest.raises(BadOpenImagesError, match=f"{path}: .*{why}"):
            require_open_images(str(path))
    for content in (b"", gzip.compress(b"text"), b"\x1f\x8bx", b"PK\x03\x04", b"BZh9", b"text"):
        path.write_bytes(content)
        assert find_open_images(str(path)) is refusal_of(str(path)) is None
    path.write_bytes(boxes)
    assert refusal_of(str(path)) is None


def test_class_files_name_what_is_wrong(tmp_path: pathlib.Path) -> None:
    first = _write(tmp_path / "a.csv", "LabelName,DisplayName", "/m/0a,Apple", "/m/0b,bat")
    second = _write(tmp_path / "b.csv", "/m/0b,Bat", "/m/0c;Cat", end="\r")
    files = [require_open_images(str(path)) for path in (first, second)]
    for order in (files, files[::-1]):
        assert class_names(order) == {"/m/0a": "Apple", "/m/0b": "Bat", "/m/0c": "Cat"}
    with first.open("ab") as file:
        file.write(b"/m/0d,\xe9\n")
    with pytest.raises(BadOpenImagesError, match=r"a\.csv: line 4 is not valid UTF-8"):
        class_names(files)
    _write(first, "/m/0a,Apple", "Bat")
    with pytest.raises(BadOpenImagesError, match=r"a\.csv: line 2 is not a class id and a name: 'Bat'"):
        class_names(files)
    tree = OpenImagesFile(str(tmp_path / "tree.json"), files[0].layout._replace(kind=OpenImagesKind.HIERARCHY))
    for text, why in {"{": "damaged JSON", "[" * 100_000: "nested too deep", "[]": "no LabelName"}.items():
        (tmp_path / "tree.json").write_text(text)
        with pytest.raises(BadOpenImagesError, match=why):
            read_hierarchy(tree)
    with pytest.raises(ValueError, match="belong to no photo"):
        list(read_open_images(files[0], 0, 100, None, {}))


def test_the_real_boxes_are_those_of_a_csv_reader(shared_data: pathlib.Path) -> None:
    path = shared_data / "open_images" / "sysaster_dataset" / "data" / "test-annotations-bbox.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    read = _read(path)
    assert len(read.columns["boxes"]) == read.records == len(rows) == 2784
    assert read.failures == []
    columns = {
        "xmin": "XMin", "ymin": "YMin", "xmax": "XMax", "ymax": "YMax", "confidence": "Confidence",
        "is_occluded": "IsOccluded", "is_truncated": "IsTruncated", "is_group_of": "IsGroupOf",
        "is_depiction": "IsDepiction", "is_inside": "IsInside",
    }  # fmt: skip
    for row, (photo_id, box) in zip(rows, read.columns["boxes"], strict=True):
        assert photo_id == surrogate_id("open_images", row["ImageID"])
        assert (box["image_id"], box["label_id"], box["annotator"]) == (row["ImageID"], row["LabelName"], row["Source"])
        assert {field: box[field] for field in columns} == {f: float(row[c]) for f, c in columns.items()}
    assert {copy["image_id"] for _, copy in read.columns["copies"]} == {row["ImageID"] for row in rows}
    assert {copy["split"] for _, copy in read.columns["copies"]} == {"test"}


def test_the_real_images_and_class_files_are_read(shared_data: pathlib.Path) -> None:
    folder = shared_data / "open_images"
    images = folder / "transcribed" / "images-with-rotation_3rows.csv"
    ids = read_image_ids(require_open_images(str(images)))
    assert ids.photo_ids.tolist() == [5898076654, 197493648, 15340259497]
    read = _read(images, ids)
    with images.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(c["image_id"], c["url"], c["author"], c["size_bytes"], c["split"]) for _, c in read.columns["copies"]] == [
        (r["ImageID"], r["OriginalURL"], r["Author"], int(r["OriginalSize"]), r["Subset"]) for r in rows
    ]
    assert [copy["rotation"] for _, copy in read.columns["copies"]] == [0, 0, None]
    assert [c["md5"] for _, c in read.columns["copies"]] == [base64.b64decode(r["OriginalMD5"]).hex() for r in rows]
    lists = [
        folder / "openimages_dataset" / "dict.csv",
        folder / "enjoy82_pytorch-ssd_c5931ee4" / "class-descriptions-boxable.csv",
    ]
    names = [class_names([require_open_images(str(path))]) for path in lists]
    assert [len(found) for found in names] == [7881, 601]
    tree = require_open_images(str(folder / "openimages_dataset" / "assets" / "bbox_hierarchy.json"))
    assert tree.kind is OpenImagesKind.HIERARCHY
    assert "Doll" in read_hierarchy(tree).descendants("toy")
