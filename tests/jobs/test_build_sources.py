"""`photobeam build` of all sources together: every annotation in its sample, on the pixels it belongs to."""

import io
import itertools
import json
import pathlib
import random
import tarfile
import typing
import zipfile

import numpy as np
import pytest
from PIL import Image

from beam_jobs import build_dataset, check_dataset
from schemas import layout
from schemas.records import Manifest
from tests.annotated_photos import MARKS, SIZE, photo_file
from tests.fault_server import Answer, FaultServer
from tests.jobs.conftest import picture
from tests.jobs.test_join_sources import rows_of
from tests.source_files import (
    BOX_HEADER,
    OPEN_IMAGES_HEADER,
    coco_box,
    coco_image,
    open_images_row,
    write_coco,
    write_csv,
    write_four_sources,
)
from tests.yfcc_corpus import dataset_line, mirror_path

Json = dict[str, typing.Any]
ANNOTATIONS = ("captions", "boxes", "segments", "keypoints", "image_labels", "ratings")


def build(output: pathlib.Path, sources: typing.Mapping[str, typing.Any], *flags: typing.Any) -> int:
    given = [part for source, path in sources.items() for part in (f"--{source}", path)]
    arguments = [*given, "--output", output, "--progress", "none", "--max_failure_ratio", "1", *flags]
    return build_dataset.main([str(a) for a in arguments])


def mirrors(server: FaultServer) -> list[str]:
    return [part for source in ("yfcc", "coco", "open_images") for part in ("--mirror", f"{source}={server.url}")]


def samples_of(output: pathlib.Path) -> dict[int, tuple[Json, bytes]]:
    """JSON and image of each sample, by photo."""
    found = {}
    for path in sorted((output / "shards").glob("*.tar")):
        with tarfile.open(path) as tar:
            members = {m.name: typing.cast(typing.IO[bytes], tar.extractfile(m)).read() for m in tar.getmembers()}
        for name, data in members.items():
            if name.endswith(".json"):
                image = next(v for n, v in members.items() if n.startswith(name[:-4]) and n[-3:] in ("jpg", "png"))
                sample = json.loads(data)
                found[sample["photo_id"]] = (sample, image)
    return found


def manifest_of(output: pathlib.Path) -> Manifest:
    path = output / layout.MANIFEST
    return Manifest.from_json(path.read_bytes(), str(path))


def serve_four_sources(server: FaultServer) -> None:
    """Every photo at the mirror of one source or more."""
    for i in range(40):
        server.answers[mirror_path(dataset_line(i, 1000 + i, random.Random(i)))] = Answer(picture(i))
    for photo in [*range(1000, 1040, 2), *range(1040, 1045)]:
        for split, prefix in (("train2017", ""), ("val2017", "")):
            server.answers[f"/{split}/{prefix}{photo - 900:012d}.jpg"] = Answer(picture(photo))
    for photo in [*range(1000, 1040, 3), *range(1045, 1050)]:
        server.answers[f"/train/{photo * 7919:016x}.jpg"] = Answer(picture(photo + 1))


def test_every_annotation_is_in_its_sample(tmp_path: pathlib.Path, mirror: FaultServer) -> None:
    sources = write_four_sources(tmp_path / "in")
    serve_four_sources(mirror)
    assert build(tmp_path / "out", sources, "--base", "all", *mirrors(mirror), "--resize", "stretch") == 0
    samples, rows = samples_of(tmp_path / "out"), rows_of(tmp_path / "out")
    assert samples.keys() == set(range(1000, 1050))
    for photo_id, (sample, _) in samples.items():
        row = rows[photo_id]
        assert sample["sources"] == row["sources"]
        mismatched = {w for w in sample["warnings"] if w.startswith("geometry_mismatch:coco")}
        for column in ANNOTATIONS:
            left_out = column in ("boxes", "segments") and mismatched
            expected = [e for e in row[column] if not (left_out and e["source"] == "coco")]
            assert [e["source"] for e in sample[column]] == [e["source"] for e in expected], (photo_id, column)
        assert {b["units"] for b in sample["boxes"]} <= {"pixels"}
    assert check_dataset.main([str(tmp_path / "out")]) == 0
    failed = manifest_of(tmp_path / "out").totals.failures_by_reason
    assert failed == {"no_image_source": 5}


def test_bytes_do_not_depend_on_order(tmp_path: pathlib.Path, mirror: FaultServer) -> None:
    serve_four_sources(mirror)
    flags = ["--base", "coco", *mirrors(mirror), "--samples_per_shard", 9]
    assert build(tmp_path / "reference", write_four_sources(tmp_path / "in"), *flags) == 0
    shuffled = dict(reversed(write_four_sources(tmp_path / "shuffled", seed=7).items()))
    assert build(tmp_path / "out", shuffled, *flags, "--workers", 1) == 0
    assert manifest_of(tmp_path / "out").root_hash == manifest_of(tmp_path / "reference").root_hash


ROTATIONS = {0: "0.0", 90: "90.0", 180: "180.0", 270: "270.0"}
PIXELS = ("yfcc", "coco", "open_images")


def _write_turned(folder: pathlib.Path, server: FaultServer, pixels: str) -> dict[int, int]:
    """Four photos of three sources, of which one has pixels; Open Images' copies lie turned. Photo to rotation."""
    lines, images, boxes, listed, drawn, turns = [], [], [], [], [], {}
    for i, (degrees, text) in enumerate(ROTATIONS.items()):
        photo, image_id, own_id = 2000 + i, 10 + i, f"{i + 1:016x}"
        turns[photo] = degrees
        line = dataset_line(i, photo, random.Random(i))
        lines.append(line)
        images.append({**coco_image(image_id, photo), "width": SIZE[0], "height": SIZE[1]})
        left, top, right, bottom = MARKS[0]
        box = coco_box(100 + i, image_id)
        outline = [left, top, right, top, right, bottom, left, bottom]
        boxes.append({**box, "bbox": [left, top, right - left, bottom - top], "segmentation": [outline]})
        listed.append(open_images_row(own_id, photo, text))
        drawn.append(_turned_box(own_id, degrees))
        at = {
            "yfcc": mirror_path(line),
            "coco": f"/train2017/{image_id:012d}.jpg",
            "open_images": f"/train/{own_id}.jpg",
        }
        exif = (1, 6, 3, 8)[i]
        file = photo_file(exif, degrees) if pixels == "open_images" else photo_file(exif)
        server.answers[at[pixels]] = Answer(file)
    folder.mkdir()
    (folder / "yfcc").write_text("".join(line + "\n" for line in lines))
    write_coco(folder / "coco.json", images, boxes)
    write_csv(folder / "open_images/images.csv", OPEN_IMAGES_HEADER, *listed)
    write_csv(folder / "open_images/boxes.csv", BOX_HEADER, *drawn)
    return turns


def _turned_box(own_id: str, degrees: int) -> list[str]:
    """The second mark as Open Images has it: on the copy that is yet to be turned by so many degrees."""
    left, top, right, bottom = MARKS[1]
    x0, y0, x1, y1 = left / SIZE[0], top / SIZE[1], right / SIZE[0], bottom / SIZE[1]
    turned = {
        0: (x0, y0, x1, y1),
        90: (1 - y1, x0, 1 - y0, x1),
        180: (1 - x1, 1 - y1, 1 - x0, 1 - y0),
        270: (y0, 1 - x1, y1, 1 - x0),
    }[degrees]
    xmin, ymin, xmax, ymax = turned
    edges = [repr(v) for v in (xmin, xmax, ymin, ymax)]
    return [own_id, "xclick", "/m/0bt9lr", "1", *edges, "0", "0", "0", "0", "0"]


@pytest.mark.parametrize("pixels", PIXELS)
def test_quarter_turns_give_upright_pixels_and_right_boxes(
    tmp_path: pathlib.Path, mirror: FaultServer, pixels: str
) -> None:
    turns = _write_turned(tmp_path / "in", mirror, pixels)
    sources = {
        "yfcc": tmp_path / "in/yfcc",
        "coco": tmp_path / "in/coco.json",
        "open_images": tmp_path / "in/open_images",
    }
    assert build(tmp_path / "out", sources, *mirrors(mirror), "--resize", "none", "--format", "png") == 0
    samples = samples_of(tmp_path / "out")
    assert samples.keys() == turns.keys()
    for photo_id, (sample, image) in samples.items():
        assert (sample["width"], sample["height"]) == SIZE, (photo_id, turns[photo_id])
        assert sample["warnings"] == []
        (coco, open_images) = sample["boxes"]
        for box, mark, channel in ((coco, MARKS[0], 0), (open_images, MARKS[1], 1)):
            edges = [box[edge] for edge in ("xmin", "ymin", "xmax", "ymax")]
            assert edges == pytest.approx(mark, abs=1e-6), (photo_id, box["source"])
            assert _drawn(image, channel) == mark


def _drawn(image: bytes, channel: int) -> tuple[int, ...]:
    """Where the mark of a channel lies in an image."""
    mask = np.asarray(Image.open(io.BytesIO(image)))[:, :, channel] > 128
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


@pytest.mark.parametrize("place", ["folder", "zip"])
def test_images_of_coco_are_found_by_file_name(tmp_path: pathlib.Path, place: str) -> None:
    images = [coco_image(i, 3000 + i, split) for i, split in enumerate(["train2017", "val2014", "test2017"], 1)]
    names = [f"{split}/{i:012d}.jpg" for i, split in enumerate(["train2017", "val2017", "test2017"], 1)]
    file = write_coco(tmp_path / "captions.json", images, [])
    if place == "zip":
        with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
            for i, name in enumerate(names):
                archive.writestr(name, picture(i))
    else:
        for i, name in enumerate(names):
            (tmp_path / "images.zip" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "images.zip" / name).write_bytes(picture(i))
    assert build(tmp_path / "out", {"coco": file}, "--images", tmp_path / "images.zip") == 0
    samples = samples_of(tmp_path / "out")
    assert samples.keys() == {3001, 3002, 3003}
    assert {sample["transforms"][0]["source"] for sample, _ in samples.values()} == {"coco"}


def test_test_sets_without_flickr_urls_build(tmp_path: pathlib.Path, mirror: FaultServer) -> None:
    file = write_coco(tmp_path / "image_info_test2017.json", [coco_image(i, None, "test2017") for i in (1, 2)])
    for i in (1, 2):
        mirror.answers[f"/test2017/{i:012d}.jpg"] = Answer(picture(i))
    assert build(tmp_path / "out", {"coco": file}, *mirrors(mirror)) == 0
    samples = samples_of(tmp_path / "out")
    assert sorted(sample["coco_image_id"] for sample, _ in samples.values()) == [1, 2]
    assert all(len(sample["key"]) == 19 for sample, _ in samples.values())


def test_flickr8k_builds_from_its_zip(tmp_path: pathlib.Path) -> None:
    names = ["1000268201_693b08cb0e.jpg", "1001773457_577c3a7d70.jpg"]
    lines = [f"{name}#{i}\tA dog , {i} .\n" for name, i in itertools.product(names, range(5))]
    (tmp_path / "Flickr8k.token.txt").write_text("".join([*lines, "2258277193_586949ec62.jpg.1#0\tBad key .\n"]))
    with zipfile.ZipFile(tmp_path / "Flickr8k_Dataset.zip", "w") as archive:
        for i, name in enumerate(names):
            archive.writestr(f"Flicker8k_Dataset/{name}", picture(i))
            archive.writestr(f"__MACOSX/Flicker8k_Dataset/._{name}", b"rubbish")
    sources = {"flickr8k": tmp_path / "Flickr8k.token.txt"}
    assert build(tmp_path / "out", sources, "--images", tmp_path / "Flickr8k_Dataset.zip") == 0
    samples = samples_of(tmp_path / "out")
    assert samples.keys() == {1000268201, 1001773457}
    assert all(len(sample["captions"]) == 5 for sample, _ in samples.values())
    with tarfile.open(tmp_path / "out/shards/000000.tar") as tar:
        text = typing.cast(typing.IO[bytes], tar.extractfile("001000268201.txt")).read()
    assert text == b"A dog , 0 ."
    assert check_dataset.main([str(tmp_path / "out")]) == 0
