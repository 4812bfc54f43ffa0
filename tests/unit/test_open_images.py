"""Open Images: headers, class lists, the hierarchy, narratives and records of a CSV."""

import json
import pathlib

import numpy as np
import pyarrow as pa
import pytest

from schemas.class_hierarchy import BadHierarchyError, read_hierarchy_tree
from schemas.class_names import BadClassListError, mids_by_name, read_class_names
from schemas.open_images import (
    OpenImagesKind,
    missing_columns,
    read_hex_ids,
    recognise,
    split_of,
    surrogate_ids,
)
from schemas.open_images_narratives import BadNarrativeError, OtherDatasetError, read_narrative
from schemas.surrogate_ids import surrogate_id

BOX_COLUMNS = (
    "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside"
)
CLICK_COLUMNS = ",".join(f"XClick{k}{axis}" for axis in "XY" for k in range(1, 5))
IMAGE_COLUMNS = (
    "ImageID,Subset,OriginalURL,OriginalLandingURL,License,AuthorProfileURL,Author,Title,OriginalSize,OriginalMD5,"
    "Thumbnail300KURL,Rotation"
)
HEADERS = {
    IMAGE_COLUMNS: OpenImagesKind.IMAGES,
    IMAGE_COLUMNS.removesuffix(",Rotation"): OpenImagesKind.IMAGES,
    BOX_COLUMNS: OpenImagesKind.BOXES,
    f"{BOX_COLUMNS},{CLICK_COLUMNS}": OpenImagesKind.BOXES,
    "ImageID,Source,LabelName,Confidence": OpenImagesKind.IMAGE_LABELS,
    "MaskPath,ImageID,LabelName,BoxID,BoxXMin,BoxXMax,BoxYMin,BoxYMax,PredictedIoU,Clicks": OpenImagesKind.MASKS,
    "ImageID,LabelName1,LabelName2,XMin1,XMax1,YMin1,YMax1,XMin2,XMax2,YMin2,YMax2,RelationshipLabel": (
        OpenImagesKind.RELATIONSHIPS
    ),
    "ImageID,LabelName1,LabelName2,XMin1,XMax1,YMin1,YMax1,XMin2,XMax2,YMin2,YMax2,RelationLabel": (
        OpenImagesKind.RELATIONSHIPS
    ),
    "ImageId,X,Y,Label,EstimatedYesNo,Source,YesVotes,NoVotes,UnsureVotes,TextLabel": OpenImagesKind.POINTS,
}
NARRATIVE = {
    "dataset_id": "open_images_validation",
    "image_id": "00000000000000ff",
    "annotator_id": 7,
    "caption": " A dog. ",
    "timed_caption": [{"utterance": "A dog.", "start_time": 0, "end_time": 1.5}],
    "traces": [[{"x": 0.5, "y": -0.01, "t": 0}], []],
    "voice_recording": "open_images_validation/a.ogg",
}


@pytest.mark.parametrize(("header", "kind"), HEADERS.items())
@pytest.mark.parametrize("damage", ["{}\n", "\ufeff{}\r\n", "{}"])
def test_tables_are_known_by_their_header(header: str, kind: OpenImagesKind, damage: str) -> None:
    layout = recognise(damage.format(header).encode())
    assert layout is not None
    assert layout.kind is kind
    assert len(layout.columns) == header.count(",") + 1


@pytest.mark.parametrize(("header", "kind"), HEADERS.items())
def test_the_order_of_columns_and_further_ones_do_not_matter(header: str, kind: OpenImagesKind) -> None:
    columns = ["Extra", *reversed(header.split(",")), "ImageID"]
    layout = recognise(("\t".join(columns) + "\n").encode())
    assert layout is not None
    assert (layout.kind, layout.delimiter) == (kind, "\t")
    assert layout.columns[0] == layout.columns[-1] == ""


def test_a_missing_column_is_named() -> None:
    for header, kind in HEADERS.items():
        assert missing_columns(f"{header}\n".encode()) == (kind, [])
    without = BOX_COLUMNS.replace("YMax,", "")
    assert recognise(without.encode()) is None
    assert missing_columns(without.encode()) == (OpenImagesKind.BOXES, ["YMax"])
    assert missing_columns(IMAGE_COLUMNS.replace("OriginalURL", "Url").encode()) == (
        OpenImagesKind.IMAGES,
        ["OriginalURL"],
    )


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\n",
        b"image,caption\n",
        b'{"images": [], "annotations": [], "categories": [{"name": "cat"}]}',
        b"{",
        b"id,name\n1,cat\n",
        b"photo_id\ttags\n",
        b"\x89PNG\r\n\x1a\n\0\0",
        b"#,#\n" * 20_000,
    ],
)
def test_other_files_are_of_no_kind(head: bytes) -> None:
    assert recognise(head) is None
    assert missing_columns(head) == (None, [])


def test_narratives_and_hierarchies_are_known_by_their_content() -> None:
    line = json.dumps(NARRATIVE).encode()
    for head in (line, line + b"\n", line + b"\n" + line[:30], line[:200], b"\xef\xbb\xbf" + line):
        layout = recognise(head)
        assert layout is not None
        assert layout.kind is OpenImagesKind.NARRATIVES
    for tree in (
        {"LabelName": "/m/0", "Subcategory": [{"LabelName": "/m/1"}]},
        {"name": "Entity", "children": [{"name": "Fruit"}]},
        {"LabelName": "/m/0", "Part": [{"LabelName": "/m/1"}]},
    ):
        layout = recognise(json.dumps(tree, indent=1).encode())
        assert layout is not None
        assert layout.kind is OpenImagesKind.HIERARCHY


def test_splits_of_published_names() -> None:
    assert split_of("a/test/validation-annotations-bbox.csv") == "validation"
    assert split_of("v6/oidv6-train-annotations-bbox.csv") == "train"
    assert split_of("oidv7-val-annotations-point-labels.csv") == "validation"
    assert split_of("open_images_train_v6_localized_narratives-00000-of-00010.jsonl") == "train"
    assert split_of("test/boxes.csv") is None
    assert split_of("training.csv") is None


def test_image_ids_are_16_digits_of_hex() -> None:
    texts = ["00000000000000ff", "FFFFFFFFFFFFFFFF", "0x00000000000001", "000000000000000g", "0", "", None]
    ids, readable = read_hex_ids(pa.array(texts, pa.string()))
    assert ids[readable].tolist() == [255, 2**64 - 1]
    assert np.flatnonzero(readable).tolist() == [0, 1]
    assert read_hex_ids(pa.array(["x", *texts]).slice(1))[0].tolist() == ids.tolist()
    assert surrogate_ids(ids[:1]).tolist() == [surrogate_id("open_images", "00000000000000ff")]


@pytest.mark.parametrize(
    "text",
    [
        '/m/014j1m,Apple\n/m/0a,Big cat\n/g/1x_y,"Fish, fried"\n',
        'LabelName,DisplayName\n/m/014j1m,Apple\n/m/0a,Big cat\n/g/1x_y,"Fish, fried"',
        'id,name\r\n/m/014j1m,Apple\r\n/m/0a,Big cat\r\n/g/1x_y,"Fish, fried"\r\n',
        "mid;name\r/m/014j1m;Apple\r/m/0a;Big cat\r/g/1x_y;Fish, fried\r",
        "\ufeff/m/014j1m;Apple;;\r\n/m/0a;Big cat;\r\n\r\n/g/1x_y;Fish, fried\r\n;;\r\n",
        '"/m/014j1m","Apple"\n"/m/0a", "Big cat"\n"/g/1x_y","Fish, fried"\n',
        '"/m/014j1m,Apple"\n"/m/0a,Big cat"\n"/g/1x_y,""Fish, fried"""\n',
        "/m/014j1m\tApple\n/m/0a\tBig cat\n/g/1x_y\tFish, fried\n",
    ],
)
def test_class_lists_of_every_form(text: str) -> None:
    expected = {"/m/014j1m": "Apple", "/m/0a": "Big cat", "/g/1x_y": "Fish, fried"}
    assert read_class_names(text) == expected
    layout = recognise(text.encode())
    assert layout is not None
    assert layout.kind is OpenImagesKind.CLASS_NAMES


def test_a_bad_line_of_a_class_list_is_named() -> None:
    for line in ("Apple", "/m/0", "/m/0,", "/m/0,a,b", "0,Apple", "id,name"):
        with pytest.raises(BadClassListError, match="line 2 "):
            read_class_names(f"/m/1,Dog\n{line}\n")


def test_names_of_a_class_listed_twice_do_not_depend_on_order() -> None:
    assert read_class_names("/m/0,b\n/m/0,a\n") == read_class_names("/m/0,a\n/m/0,b\n") == {"/m/0": "a"}
    assert mids_by_name({"/m/0": "Bat", "/m/1": "bat"}) == {"bat": {"/m/0", "/m/1"}}


TREE = {
    "LabelName": "/m/root",
    "Subcategory": [
        {"LabelName": "/m/car", "Part": [{"LabelName": "/m/wheel", "Subcategory": [{"LabelName": "/m/steel_wheel"}]}]},
        {"LabelName": "/m/thing", "Subcategory": [{"LabelName": "/m/car"}, {"LabelName": "/m/cup"}]},
    ],
}


def test_parts_are_no_subclasses() -> None:
    hierarchy = read_hierarchy_tree(TREE)
    assert hierarchy.descendants("/m/root") == {"/m/car", "/m/thing", "/m/cup"}
    assert hierarchy.descendants("/m/car") == set()
    assert hierarchy.descendants("/m/wheel") == {"/m/steel_wheel"}
    assert hierarchy.descendants("/m/other") == set()
    assert "/m/steel_wheel" in hierarchy.classes


def test_a_tree_of_display_names_is_one_of_class_ids_with_the_class_list() -> None:
    tree = {"name": "Entity", "children": [{"name": "Fruit", "children": [{"name": "Apple"}, {"name": "Kiwi"}]}]}
    hierarchy = read_hierarchy_tree(tree)
    assert hierarchy.descendants("FRUIT") == {"Apple", "Kiwi"}
    by_mid = hierarchy.by_mid({"/m/f": "fruit", "/m/a": "Apple", "/m/b": "apple"})
    assert by_mid.descendants("/m/f") == {"/m/a", "/m/b", "Kiwi"}
    assert by_mid.descendants("entity") == {"/m/f", "/m/a", "/m/b", "Kiwi"}


def test_a_class_below_itself_ends() -> None:
    tree = {"name": "a", "children": [{"name": "b", "children": [{"name": "a"}]}]}
    assert read_hierarchy_tree(tree).descendants("a") == {"b"}


@pytest.mark.parametrize(
    "tree", [None, [], {}, {"LabelName": 1}, {"LabelName": "a", "Part": {}}, {"name": "a", "children": [1]}]
)
def test_no_tree_is_refused(tree: object) -> None:
    with pytest.raises(BadHierarchyError):
        read_hierarchy_tree(tree)


def test_a_narrative_keeps_words_times_and_traces() -> None:
    element = read_narrative(json.dumps(NARRATIVE).encode())
    assert element["text"] == "A dog."
    assert element["units"] == "normalised"
    assert element["utterances"] == [{"text": "A dog.", "start_s": 0.0, "end_s": 1.5}]
    assert element["traces"] == [{"x": [0.5], "y": [-0.01], "time_s": [0.0]}, {"x": [], "y": [], "time_s": []}]


@pytest.mark.parametrize(
    "change",
    [
        {"dataset_id": None},
        {"image_id": 5},
        {"annotator_id": "x"},
        {"annotator_id": 2**64},
        {"caption": ""},
        {"caption": "\ud800"},
        {"timed_caption": {}},
        {"timed_caption": [{"utterance": "a", "start_time": float("nan"), "end_time": 1}]},
        {"traces": [{"x": 1, "y": 1, "t": 1}]},
        {"traces": [[{"x": 1, "y": 1}]]},
        {"traces": [[1]]},
        {"traces": [[{"x": 10**400, "y": 1, "t": 1}]]},
    ],
)
def test_a_damaged_narrative_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(BadNarrativeError):
        read_narrative(json.dumps({**NARRATIVE, **change}).encode())


def test_narratives_of_other_datasets_are_told_apart() -> None:
    with pytest.raises(OtherDatasetError, match="mscoco_val2017"):
        read_narrative(json.dumps({**NARRATIVE, "dataset_id": "mscoco_val2017"}).encode())
    for line in (b"{", b"[]", b"[" * 100_000, b"\xff"):
        with pytest.raises(BadNarrativeError):
            read_narrative(line)


def test_the_real_tree_and_class_lists_are_read(shared_data: pathlib.Path) -> None:
    folder = shared_data / "open_images"
    text = (folder / "openimages_dataset" / "assets" / "bbox_hierarchy.json").read_text()
    hierarchy = read_hierarchy_tree(json.loads(text))
    assert len(hierarchy.classes) == text.count('"name"') - _repeats(text)
    assert {"Doll", "Kite", "Teddy bear"} <= hierarchy.descendants("Toy") <= hierarchy.descendants("Entity")
    names = read_class_names((folder / "enjoy82_pytorch-ssd_c5931ee4" / "class-descriptions-boxable.csv").read_text())
    assert len(names) == 601
    by_mid = hierarchy.by_mid(names)
    assert "/m/014j1m" in by_mid.descendants(mids_by_name(names)["fruit"].pop())


def _repeats(text: str) -> int:
    names = [part.split('"')[1] for part in text.split('"name":')[1:]]
    return len(names) - len(set(names))
