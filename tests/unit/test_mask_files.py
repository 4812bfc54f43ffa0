"""Masks in PNG files become the run lengths of the segments that name them."""

import io
import pathlib
import typing
import zipfile

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from schemas.elements import Bucket
from schemas.sources import Source
from tests.source_files import coco_image, write_coco, write_csv
from transforms.geometry.map_masks import panoptic_pixels
from transforms.join.filter_rows import RowSelection
from transforms.join.index_images import index_images, merge_indexes
from transforms.join.join_bucket import join_bucket, write_spool_index
from transforms.join.spool_annotations import spool_annotations
from transforms.sources.annotation_files import AnnotationFiles
from transforms.sources.find_inputs import find_inputs
from transforms.sources.input_ranges import ranges_of
from transforms.stores.scratch import LocalScratch

IDS = np.zeros((480, 640), np.uint32)
IDS[100:200, 50:90] = 70_000
IDS[300:, :] = 5


def png(pixels: np.ndarray[typing.Any, typing.Any]) -> bytes:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


def rows_of(folder: pathlib.Path, specs: dict[Source, list[str]], base: str) -> list[dict[str, typing.Any]]:
    """Joins all inputs in one bucket."""
    scratch = LocalScratch(folder)
    files = AnnotationFiles(tuple(find_inputs(specs).files))
    ranges = ranges_of(files.files)
    indexed = [index_images(r, files, scratch) for r in ranges if r.source == Source.COCO.value]
    index = merge_indexes(indexed, base, scratch)
    spooled = [spool_annotations(r, files, index, scratch, 0) for r in ranges]
    write_spool_index(spooled, scratch, "index.arrow")
    assert [f for f in spooled if f.malformed] == []
    joined = join_bucket(Bucket(0, "index.arrow"), [r.url for r in ranges], base, RowSelection(), scratch)
    rows: list[dict[str, typing.Any]] = pa.ipc.open_file(folder / joined.name).read_all().to_pylist()
    return rows


def panoptic(folder: pathlib.Path, *names: str) -> pathlib.Path:
    annotations = [
        {"image_id": i + 1, "file_name": name, "segments_info": [
            {"id": value, "category_id": 18, "area": 1, "bbox": [0, 0, 1, 1], "iscrowd": 0} for value in (70_000, 5)
        ]}
        for i, name in enumerate(names)
    ]  # fmt: skip
    images = [coco_image(i + 1, 70 + i) for i in range(len(names))]
    return write_coco(folder / "panoptic_val2017.json", images, annotations)


@pytest.mark.parametrize("place", ["zip", "folder"])
def test_panoptic_segments_have_the_pixels_of_their_value(tmp_path: pathlib.Path, place: str) -> None:
    panoptic(tmp_path / "in", "1.png")
    if place == "zip":
        with zipfile.ZipFile(tmp_path / "in/panoptic_val2017.zip", "w") as archive:
            archive.writestr("panoptic_val2017/1.png", png(panoptic_pixels(IDS)))
    else:
        (tmp_path / "in/panoptic_val2017").mkdir()
        (tmp_path / "in/panoptic_val2017/1.png").write_bytes(png(panoptic_pixels(IDS)))
    (row,) = rows_of(tmp_path / "spool", {Source.COCO: [str(tmp_path / "in")]}, "coco")
    assert [s["annotation_id"] for s in row["segments"]] == [5, 70_000]
    for segment in row["segments"]:
        rle = {"size": [segment["rle_height"], segment["rle_width"]], "counts": segment["rle_counts"]}
        assert (coco_mask.decode(rle) == (segment["annotation_id"] == IDS)).all()
    assert row["warnings"] == []


def test_a_missing_or_damaged_file_is_a_warning(tmp_path: pathlib.Path) -> None:
    panoptic(tmp_path / "in", "1.png", "2.png", "3.png")
    (tmp_path / "in/masks").mkdir()
    (tmp_path / "in/masks/1.png").write_bytes(png(panoptic_pixels(IDS)))
    (tmp_path / "in/masks/2.png").write_bytes(png(panoptic_pixels(IDS))[:200])
    rows = {row["photo_id"]: row for row in rows_of(tmp_path / "spool", {Source.COCO: [str(tmp_path / "in")]}, "coco")}
    assert {i: row["warnings"] for i, row in rows.items()} == {
        70: [],
        71: ["segments.mask_file"],
        72: ["segments.mask_file"],
    }
    assert [s["rle_counts"] for s in rows[72]["segments"]] == [None, None]


def test_masks_of_open_images_are_all_that_is_not_black(tmp_path: pathlib.Path) -> None:
    header = ["MaskPath", "ImageID", "LabelName", "BoxID", "BoxXMin", "BoxXMax", "BoxYMin", "BoxYMax", "PredictedIoU",
              "Clicks"]  # fmt: skip
    name = "00000000000000aa_m01_b1.png"
    row = [name, "00000000000000aa", "/m/01g317", "0000b1aa", "0.1", "0.2", "0.1", "0.2", "0.9", "0.5 0.5 1"]
    write_csv(tmp_path / "in/masks.csv", header, row)
    with zipfile.ZipFile(tmp_path / "in/validation-masks-0.zip", "w") as archive:
        archive.writestr(name, png((IDS == 5).astype(np.uint8) * 255))
    (found,) = rows_of(tmp_path / "spool", {Source.OPEN_IMAGES: [str(tmp_path / "in")]}, "open_images")
    (segment,) = found["segments"]
    assert segment["area"] == 180 * 640
    rle = {"size": [segment["rle_height"], segment["rle_width"]], "counts": segment["rle_counts"]}
    assert (coco_mask.decode(rle) == (IDS == 5)).all()
