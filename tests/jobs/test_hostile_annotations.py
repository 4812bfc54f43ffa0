"""Annotation files that are damaged or odd on purpose: rows stay right, and the same whatever the order of files."""

import gzip
import pathlib
import typing
import zipfile

import pytest

from tests.jobs.test_join_sources import digests, join, rows_of
from tests.source_files import (
    BOX_HEADER,
    OPEN_IMAGES_HEADER,
    coco_box,
    coco_image,
    open_images_box,
    open_images_row,
    write_coco,
    write_csv,
)

Json = dict[str, typing.Any]
OWN_ID = "00000000000000aa"


def _with_zero(zero: float, column: str) -> Json:
    """An annotation of COCO's that has a zero somewhere."""
    return {
        "bbox": {**coco_box(1, 1), "bbox": [zero, 5, 20, 30]},
        "area": {**coco_box(1, 1), "area": zero},
        "segmentation": {**coco_box(1, 1), "segmentation": [[zero, 1, 2, 3, 4, 5]]},
        "keypoints": {**coco_box(1, 1, category_id=1), "keypoints": [zero, 5, 2]},
    }[column]


@pytest.mark.parametrize("column", ["bbox", "area", "segmentation", "keypoints"])
def test_negative_zeros_of_coco_do_not_show_the_order_of_files(tmp_path: pathlib.Path, column: str) -> None:
    for order, zeros in (("a", (0.0, -0.0)), ("b", (-0.0, 0.0))):
        for name, zero in zip("ab", zeros, strict=True):
            write_coco(tmp_path / order / f"{name}.json", [coco_image(1, 77)], [_with_zero(zero, column)])
        assert join(tmp_path / f"out_{order}", {"coco": tmp_path / order}) == 0
    assert digests(tmp_path / "out_a") == digests(tmp_path / "out_b")


def test_negative_zeros_of_open_images_do_not_show_the_order_of_lines(tmp_path: pathlib.Path) -> None:
    box = open_images_box(OWN_ID)
    for order, zeros in (("a", ("0.0", "-0.0")), ("b", ("-0.0", "0.0"))):
        write_csv(tmp_path / order / "images.csv", OPEN_IMAGES_HEADER, open_images_row(OWN_ID, 77))
        write_csv(tmp_path / order / "boxes.csv", BOX_HEADER, *([*box[:4], zero, *box[5:]] for zero in zeros))
        assert join(tmp_path / f"out_{order}", {"open_images": tmp_path / order}) == 0
    assert digests(tmp_path / "out_a") == digests(tmp_path / "out_b")
    assert len(rows_of(tmp_path / "out_a")[77]["boxes"]) == 1


def test_a_file_of_a_directory_that_cannot_be_read_as_it_is_is_named_with_the_reason(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "open_images"
    write_csv(folder / "images.csv", OPEN_IMAGES_HEADER, open_images_row(OWN_ID, 77))
    boxes = write_csv(folder / "boxes.csv", BOX_HEADER, open_images_box(OWN_ID))
    (folder / "cr.csv").write_bytes(boxes.read_bytes().replace(b"\n", b"\r"))
    (folder / "packed.csv.gz").write_bytes(gzip.compress(boxes.read_bytes()))
    (folder / "no_edge.csv").write_bytes(boxes.read_bytes().replace(b"YMax", b"Bottom"))
    (folder / "notes.txt").write_text("nothing of ours")
    assert join(tmp_path / "out", {"open_images": folder}) == 0
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(said) == 3
    for name, why in (("cr.csv", "CR alone"), ("packed.csv.gz", "decompress it"), ("no_edge.csv", "YMax")):
        assert any(name in text and why in text for text in said)


def test_a_member_of_a_zip_that_is_no_annotation_file_is_named(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = write_coco(tmp_path / "a.json", [coco_image(1, 77)], [coco_box(1, 1)])
    with zipfile.ZipFile(tmp_path / "annotations.zip", "w") as archive:
        archive.write(file, "annotations/a.json")
        archive.writestr("annotations/b.json", b"\0" + file.read_bytes()[1:])
    assert join(tmp_path / "out", {"coco": tmp_path / "annotations.zip"}) == 0
    assert "zip://annotations/b.json::" in caplog.text
    assert "annotations/a.json" not in caplog.text
