"""COCO files as they are published, cut, damaged and generated."""

import collections
import io
import json
import pathlib
import random
import re
import typing
import zipfile

import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from schemas.annotations import ELEMENTS
from schemas.coco import CocoKind
from schemas.failures import INPUT_FAILURE_SCHEMA
from schemas.merge_annotations import merge_elements
from schemas.surrogate_ids import surrogate_id
from transforms.sources.annotation_parts import PART_TYPES
from transforms.sources.json_stream import BadJsonError, Items, JsonReader, item_spans
from transforms.sources.read_coco import coco_urls, read_coco, read_image_ids

Json = dict[str, typing.Any]
NAMES = [f"{kind}_{split}2017" for kind in ("captions", "instances", "person_keypoints") for split in ("train", "val")]
IMAGE = {"id": 5, "width": 640, "height": 480, "flickr_url": "http://farm1.staticflickr.com/1/77_a_z.jpg"}
BOX = {"id": 1, "image_id": 5, "category_id": 18, "bbox": [1, 2, 3, 4], "area": 12, "iscrowd": 0, "segmentation": []}
DOG = {"id": 18, "name": "dog", "supercategory": "animal"}


class Read(typing.NamedTuple):
    """Everything a file gives: (photo id, element) by column, and failures."""

    kind: CocoKind
    columns: dict[str, list[tuple[int, typing.Any]]]
    failures: list[Json]

    def elements(self, column: str) -> list[typing.Any]:
        return [element for _, element in self.columns[column]]


def _read(path: pathlib.Path | str) -> Read:
    index = read_image_ids(str(path))
    read = Read(index.kind, collections.defaultdict(list), [])
    for part in read_coco(index):
        read.failures.extend(part.failures)
        for column, batch in part.batches.items():
            assert batch.schema.names == ["photo_id", column]
            assert batch.schema.field(column).type == PART_TYPES[column]
            read.columns[column] += zip(*(values.to_pylist() for values in batch.columns), strict=True)
    return read


def _write(path: pathlib.Path, **members: typing.Any) -> pathlib.Path:
    path.write_text(json.dumps({"images": [IMAGE], "categories": [DOG], **members}))
    return path


@pytest.fixture(scope="module")
def coco_mini(shared_data: pathlib.Path) -> dict[str, pathlib.Path]:
    return {p.stem: p for p in (shared_data / "coco/Obmutescence_COCO-MINI/annotations").glob("*.json")}


@pytest.mark.parametrize("name", NAMES)
def test_every_annotation_is_that_of_pycocotools(coco_mini: dict[str, pathlib.Path], name: str) -> None:
    read, coco = _read(coco_mini[name]), COCO(str(coco_mini[name]))
    assert read.failures == []
    assert [c["image_id"] for c in read.elements("copies")] == [str(i) for i in coco.getImgIds()]
    if read.kind is CocoKind.CAPTIONS:
        texts = {c["caption_id"]: (c["image_id"], c["text"]) for c in read.elements("captions")}
        assert texts == {i: (str(a["image_id"]), a["caption"].strip()) for i, a in coco.anns.items()}
        return
    boxes = {b["annotation_id"]: b for b in read.elements("boxes")}
    assert sorted(boxes) == sorted(coco.getAnnIds()) == sorted(s["annotation_id"] for s in read.elements("segments"))
    for i, box in boxes.items():
        annotation = coco.anns[i]
        x, y, width, height = annotation["bbox"]
        assert (box["xmin"], box["ymin"], box["xmax"], box["ymax"]) == (x, y, x + width, y + height)
        assert box["label"] == coco.cats[annotation["category_id"]]["name"]
        assert (box["image_id"], box["area"], box["is_crowd"]) == (
            str(annotation["image_id"]),
            annotation["area"],
            annotation["iscrowd"],
        )


@pytest.mark.parametrize("name", [n for n in NAMES if "captions" not in n])
def test_masks_have_the_areas_that_pycocotools_finds(coco_mini: dict[str, pathlib.Path], name: str) -> None:
    read, coco = _read(coco_mini[name]), COCO(str(coco_mini[name]))
    crowds = 0
    for segment in read.elements("segments"):
        expected = coco.annToRLE(coco.anns[segment["annotation_id"]])
        size = expected["size"]
        if segment["rle_counts"] is None:
            found = coco_mask.merge(coco_mask.frPyObjects(segment["polygons"], *size))
        else:
            crowds += 1
            assert [segment["rle_height"], segment["rle_width"]] == size
            found = {"size": size, "counts": segment["rle_counts"].encode()}
        assert coco_mask.area(found) == coco_mask.area(expected)
        assert found["counts"] == expected["counts"]
    assert crowds == sum(a["iscrowd"] for a in coco.anns.values())


@pytest.mark.parametrize("name", ["person_keypoints_train2017", "person_keypoints_val2017"])
def test_keypoints_are_those_published(coco_mini: dict[str, pathlib.Path], name: str) -> None:
    read, coco = _read(coco_mini[name]), COCO(str(coco_mini[name]))
    for person in read.elements("keypoints"):
        annotation = coco.anns[person["annotation_id"]]
        assert list(zip(person["x"], person["y"], person["visibility"], strict=True)) == list(
            zip(*(annotation["keypoints"][i::3] for i in range(3)), strict=True)
        )
        assert person["names"] == coco.cats[annotation["category_id"]]["keypoints"]
        assert person["num_keypoints"] == annotation["num_keypoints"] == sum(v > 0 for v in person["visibility"])


@pytest.mark.parametrize("name", NAMES)
def test_all_flickr_ids_and_licences_are_found(coco_mini: dict[str, pathlib.Path], name: str) -> None:
    read, coco = _read(coco_mini[name]), COCO(str(coco_mini[name]))
    licenses = {entry["id"]: entry["name"] for entry in coco.dataset["licenses"]}
    for photo_id, found in read.columns["copies"]:
        image = coco.imgs[int(found["image_id"])]
        assert photo_id == int(re.findall(r"/(\d+)_", image["flickr_url"])[0])
        assert found["split"] == name.rpartition("_")[2]
        assert (found["url"], found["width"], found["height"]) == (image["coco_url"], image["width"], image["height"])
        assert str(found["date_captured"]) == image["date_captured"]
        assert found["license_name"] == licenses[image["license"]]
    assert [image["coco_image_id"] for image in read.elements("coco_image")] == coco.getImgIds()
    assert "warnings" not in read.columns


def test_files_of_2014_have_images_before_and_after_their_licences(shared_data: pathlib.Path) -> None:
    folder = shared_data / "coco/mlcommons_croissant/datasets/1.0/coco2014-mini/data"
    for name, column in (("captions", "captions"), ("instances", "boxes")):
        path = folder / f"{name}_train2014.json"
        read, published = _read(path), json.loads(path.read_text())
        assert {c["split"] for c in read.elements("copies")} == {"train2014"}
        assert all(c["license_url"] for c in read.elements("copies"))
        assert len(read.columns[column]) + len(read.failures) == len(published["annotations"])


def test_a_keypoints_file_adds_no_box_of_its_own(coco_mini: dict[str, pathlib.Path]) -> None:
    both = [_read(coco_mini[f"{kind}_val2017"]) for kind in ("instances", "person_keypoints")]
    boxes = [pair for read in both for pair in read.columns["boxes"]]
    by_photo = collections.defaultdict(list)
    for photo_id, box in boxes:
        by_photo[photo_id].append(box)
    merged = [box for photo in by_photo.values() for box in merge_elements("boxes", photo)]
    assert len({box["annotation_id"] for box in merged}) == len(merged)
    people = {box["annotation_id"] for box in both[1].elements("boxes")}
    assert people & {box["annotation_id"] for box in both[0].elements("boxes")}


def test_results_are_refused_with_the_reason(shared_data: pathlib.Path) -> None:
    with pytest.raises(BadJsonError, match="is a list, as results are; give the annotation file"):
        _read(shared_data / "coco/tylin_coco-caption/results/captions_val2014_fakecap_results.json")


def test_a_zip_is_read_in_place(coco_mini: dict[str, pathlib.Path], tmp_path: pathlib.Path) -> None:
    with zipfile.ZipFile(tmp_path / "annotations_trainval2017.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in NAMES:
            archive.write(coco_mini[name], f"annotations/{name}.json")
        archive.writestr("__MACOSX/annotations/._captions_train2017.json", b"\0")
    urls = coco_urls(str(tmp_path / "annotations_trainval2017.zip"))
    assert [url.partition("::")[0] for url in urls] == [f"zip://annotations/{name}.json" for name in NAMES]
    for url, name in zip(urls, NAMES, strict=True):
        assert _read(url) == _read(coco_mini[name])
    assert coco_urls(str(coco_mini[NAMES[0]])) == [str(coco_mini[NAMES[0]])]


def test_a_damaged_zip_is_named(coco_mini: dict[str, pathlib.Path], tmp_path: pathlib.Path) -> None:
    path = tmp_path / "annotations.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(coco_mini["instances_val2017"], "i.json")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x55
    path.write_bytes(data)
    with pytest.raises(BadJsonError, match=r"i\.json::.*(decompressed|JSON)"):
        _read(coco_urls(str(path))[0])


def test_a_zip_without_its_end_is_named(coco_mini: dict[str, pathlib.Path], tmp_path: pathlib.Path) -> None:
    path = tmp_path / "annotations.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(coco_mini["instances_val2017"], "i.json")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(BadJsonError, match=r"annotations\.zip: is a zip whose end is missing; download"):
        coco_urls(str(path))


def test_lists_that_are_given_twice_both_count(tmp_path: pathlib.Path) -> None:
    images = [json.dumps([{**IMAGE, "id": i}]) for i in (IMAGE["id"], 6)]
    boxes = [json.dumps([{**BOX, "image_id": i}]) for i in (IMAGE["id"], 6)]
    lists = ", ".join(f'"images": {i}, "annotations": {b}' for i, b in zip(images, boxes, strict=True))
    path = tmp_path / "instances.json"
    path.write_text(f'{{"categories": {json.dumps([DOG])}, {lists}}}')
    read = _read(path)
    assert len(read.columns["boxes"]) == len(read.columns["copies"]) == 2
    assert read.failures == []


@pytest.mark.parametrize("name", [b"im\xffages", b"im\nages", b"im\\xages"])
def test_a_damaged_name_of_a_member_is_refused_where_it_is(tmp_path: pathlib.Path, name: bytes) -> None:
    path = tmp_path / "instances.json"
    path.write_bytes(b'{"info": {}, "' + name + b'": []}')
    with pytest.raises(BadJsonError, match=r"instances\.json, byte 13: the name of a member cannot be read"):
        _read(path)


@pytest.mark.parametrize("first", [None, {}, 7])
def test_a_first_annotation_of_no_kind_does_not_hide_the_others(tmp_path: pathlib.Path, first: typing.Any) -> None:
    path = _write(tmp_path / "instances.json", images=[IMAGE], categories=[DOG], annotations=[first, BOX])
    with pytest.raises(BadJsonError, match="of no kind that COCO publishes"):
        _read(path)


def test_members_may_come_in_any_order(tmp_path: pathlib.Path) -> None:
    members = {"annotations": [BOX], "categories": [DOG], "images": [IMAGE], "licenses": [], "info": {"a": '"]}\\'}}
    reads = []
    for order in (list(members), list(members)[::-1]):
        path = tmp_path / "instances.json"
        path.write_text(json.dumps({key: members[key] for key in order}))
        reads.append(_read(path))
    assert reads[0] == reads[1]
    assert [photo_id for photo_id, _ in reads[0].columns["boxes"]] == [77]


def test_a_test_set_has_images_only(tmp_path: pathlib.Path) -> None:
    image = {
        "id": 1,
        "file_name": "000000000001.jpg",
        "coco_url": "http://images.cocodataset.org/test2017/000000000001.jpg",
    }
    read = _read(_write(tmp_path / "image_info_test2017.json", images=[image]))
    assert read.kind is CocoKind.IMAGE_INFO
    ((photo_id, found),) = read.columns["copies"]
    assert (photo_id, found["split"], found["width"]) == (surrogate_id("coco", "1"), "test2017", None)


def test_panoptic_segments_know_their_mask(tmp_path: pathlib.Path) -> None:
    segments = [{"id": i, "category_id": 18, "iscrowd": 0, "area": 4, "bbox": [0, 0, 2, 2]} for i in (70, 3, -1)]
    annotation = {"image_id": 5, "file_name": "5.png", "segments_info": segments}
    unknown = {**annotation, "image_id": 6}
    read = _read(_write(tmp_path / "panoptic_val2017.json", annotations=[unknown, annotation]))
    assert [(s["mask_file"], s["mask_value"]) for s in read.elements("segments")] == [("5.png", 70), ("5.png", 3)]
    assert [f["reason"] for f in read.failures].count("unknown_image") == 2
    assert [f["reason"] for f in read.failures].count("malformed_row") == 2


def test_bad_annotations_are_reported_where_they_are(tmp_path: pathlib.Path) -> None:
    bad = {
        2: ({"image_id": 6}, "unknown_image", "image_id 6 is none of the file's images"),
        3: ({"bbox": [1, 2, -3, 4]}, "malformed_row", "bbox is -3 wide"),
        4: ({"bbox": [1, 2, float("nan"), 4]}, "malformed_row", "four finite numbers"),
        5: ({"category_id": 99}, "malformed_row", "category_id 99"),
        6: ({"bbox": None}, "malformed_row", "four finite numbers"),
        7: ({"segmentation": [[1, 2, 3]]}, "malformed_row", "a polygon is not"),
    }
    annotations = [
        BOX,
        *({**BOX, "id": i, **change} for i, (change, _, _) in bad.items()),
        {**BOX, "id": 8, "ü": "é"},
        9,
    ]
    path = _write(tmp_path / "instances.json", annotations=annotations)
    read = _read(path)
    assert [b["annotation_id"] for b in read.elements("boxes")] == [1, 8]
    assert len(read.failures) == len(bad) + 1
    text = path.read_bytes()
    for failure, (i, (_, reason, why)) in zip(read.failures, bad.items(), strict=False):
        assert failure["reason"] == reason
        assert f"annotation number {i - 1} (id {i}): " in failure["detail"]
        assert why in failure["detail"]
        assert failure["file"] == str(path)
        assert set(failure) == set(INPUT_FAILURE_SCHEMA.names)
        assert text[failure["offset"] :].startswith(failure["raw"])
        assert json.loads(failure["raw"])["id"] == i
    assert read.failures[-1]["raw"] == b"9"


def test_bad_images_are_reported_and_their_fields_named(tmp_path: pathlib.Path) -> None:
    twin = {**IMAGE, "flickr_url": "http://farm1.staticflickr.com/1/78_a_z.jpg"}
    again = {**IMAGE, "file_name": "other.jpg", "height": "tall"}
    read = _read(_write(tmp_path / "captions.json", images=[twin, {"id": "x"}, None, IMAGE, again], annotations=[]))
    assert [(photo_id, c["height"]) for photo_id, c in read.columns["copies"]] == [(77, 480), (77, None)]
    assert read.columns["warnings"] == [(77, "copies.height")]
    assert [f["detail"] for f in read.failures] == [
        "image number 0 (id 5): the file has this image id for photo 77 as well",
        "image number 1 (id 'x'): the image's id is not a non-negative integer",
        "image number 2: the image is not an object",
    ]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "ends too early"),
        ("\0\1", "not a JSON object"),
        ("{}", "has no list of images"),
        ('{"images": {}}', "expected a list"),
        ('{"images": [{"id": 1}', "ends too early"),
        ('{"images": [{"id": 1}, ]}', "a comma is missing, or one too many|wrong JSON"),
        ('{"images": [{"id": 1} {"id": 2}]}', "wrong JSON"),
        ('{"images": [{"id": 1]}}', "wrong JSON"),
        ('{"images": []} x', "more after the end"),
        ('{"images": [] "x": 1}', "expected ','"),
        ('{"images" []}', "expected ':'"),
        ("{images: []}", "expected the name"),
        ('{"images": [], "annotations": [{"image_id": 1, "question": "?"}]}', "of no kind"),
        ('{"images": [], "annotations": [' + "[" * 100_000 + "]" * 100_000 + "]}", "cannot be read"),
    ],
)
def test_wrong_json_is_refused_by_name(text: str, what: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "instances_val2017.json"
    path.write_text(text)
    with pytest.raises(BadJsonError, match=what) as raised:
        _read(path)
    assert str(path) in str(raised.value)
    assert str(raised.value).endswith(("download the file again", "file"))


def test_a_file_cut_anywhere_is_refused(coco_mini: dict[str, pathlib.Path], tmp_path: pathlib.Path) -> None:
    data = coco_mini["captions_val2017"].read_bytes().rstrip()
    path = tmp_path / "cut.json"
    for length in random.Random(0).sample(range(len(data)), 40):
        path.write_bytes(data[:length])
        with pytest.raises(BadJsonError, match=r"cut\.json"):
            _read(path)


def test_a_byte_that_breaks_the_json_is_named(tmp_path: pathlib.Path) -> None:
    path = _write(tmp_path / "instances.json", annotations=[BOX, BOX, {**BOX, "id": 123456}])
    data = path.read_bytes()
    place = data.index(b"123456")
    path.write_bytes(data[:place] + b"?" + data[place + 1 :])
    with pytest.raises(BadJsonError) as raised:
        _read(path)
    assert raised.value.offset == place


def _random_value(rng: random.Random, depth: int) -> typing.Any:
    if depth and rng.random() < 0.7:
        inner = [_random_value(rng, depth - 1) for _ in range(rng.randrange(4))]
        return inner if rng.random() < 0.5 else {rng.choice('ab"\\{é'): value for value in inner}
    return rng.choice([None, True, -1.5, 10**20, "", '"', "\\", '\\"]', "[{", "é漢\n", "}]\\\\"])


@pytest.mark.parametrize("seed", range(60))
def test_blocks_of_any_size_give_the_values_of_the_parser(seed: int) -> None:
    rng = random.Random(seed)
    value = {k: [_random_value(rng, 4) for _ in range(rng.randrange(6))] for k in ("a", 'b"\\', "c")}
    value |= {"skipped": _random_value(rng, 3)}
    text = json.dumps(value, ensure_ascii=rng.random() < 0.5, indent=rng.choice([None, 1])).encode()
    text = rng.choice([b"", b"\xef\xbb\xbf", b"\n "]) + text + b"\n"
    reader, found = JsonReader(io.BytesIO(text), "x", rng.randrange(1, 40)), {}
    for key in reader.members():
        if key == "skipped":
            continue
        if rng.random() < 0.5:
            assert reader.peek_items() == value[key][:1]
        chunks = list(reader.items())
        found[key] = [v for items in chunks for v in items.values]
        assert [items.first for items in chunks] == [sum(len(c.values) for c in chunks[:i]) for i in range(len(chunks))]
        for items in chunks:
            for (byte, begin, end), item in zip(item_spans(items), items.values, strict=True):
                assert json.loads(items.text[begin:end]) == item
                assert text[byte:].startswith(items.text[begin:end].encode())
    assert found == {k: v for k, v in value.items() if k != "skipped"}


def test_places_of_items_are_bytes_not_characters() -> None:
    assert item_spans(Items(["é", 2], 0, '"é" , 2', 5)) == [(5, 0, 3), (12, 6, 7)]


def test_parts_go_to_columns_of_the_row() -> None:
    assert set(ELEMENTS) < set(PART_TYPES)
