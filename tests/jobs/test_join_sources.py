"""`photobeam join` of several sources: whose photos there are, what each row gathers, and the accounts."""

import hashlib
import json
import pathlib
import typing

import pyarrow.parquet as pq
import pytest

from beam_jobs import check_dataset, join_metadata
from schemas import layout
from schemas.photo_ids import MAX_FLICKR_ID
from schemas.records import Plan
from schemas.surrogate_ids import surrogate_id
from tests.source_files import (
    BOX_HEADER,
    OPEN_IMAGES_HEADER,
    coco_box,
    coco_image,
    open_images_box,
    open_images_row,
    write_coco,
    write_csv,
    write_four_sources,
)
from transforms.join import spool_file
from transforms.sources import find_inputs, input_ranges, read_coco

Rows = dict[int, dict[str, typing.Any]]


def join(output: pathlib.Path, sources: typing.Mapping[str, typing.Any], *flags: typing.Any) -> int:
    given = [part for source, path in sources.items() for part in (f"--{source}", path)]
    return join_metadata.main([str(a) for a in (*given, "--output", output, "--progress", "none", *flags)])


def rows_of(output: pathlib.Path) -> Rows:
    files = sorted((output / "rows").glob("*.parquet"))
    return {row["photo_id"]: row for file in files for row in pq.read_table(file).to_pylist()}


def counts_of(output: pathlib.Path) -> dict[str, int]:
    path = output / layout.PLAN
    return Plan.from_json(path.read_bytes(), str(path)).counts


def digests(output: pathlib.Path) -> list[str]:
    path = output / layout.PLAN
    return [rows.digest for rows in Plan.from_json(path.read_bytes(), str(path)).rows or []]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pathlib.Path]:
    return write_four_sources(tmp_path_factory.mktemp("four"))


BASES = {
    "yfcc": set(range(1000, 1040)),
    "coco": {*range(1000, 1040, 2), *range(1040, 1045)},
    "open_images": {*range(1000, 1040, 3), *range(1045, 1050)},
    "flickr8k": {*range(1000, 1040, 5), *range(1050, 1055)},
    "all": set(range(1000, 1055)),
}


@pytest.mark.parametrize("base", BASES)
def test_the_base_says_whose_photos_there_are(
    tmp_path: pathlib.Path, sources: dict[str, pathlib.Path], base: str
) -> None:
    assert join(tmp_path / "out", sources, "--base", base) == 0
    rows = rows_of(tmp_path / "out")
    assert rows.keys() == BASES[base]
    for photo_id, row in rows.items():
        expected = [name for name in ("coco", "flickr8k", "open_images", "yfcc") if photo_id in BASES[name]]
        assert row["sources"] == expected
        assert row["id_source"] == "flickr"
    assert check_dataset.main([str(tmp_path / "out")]) == 0


def test_a_row_has_what_every_source_says_of_its_photo(
    tmp_path: pathlib.Path, sources: dict[str, pathlib.Path]
) -> None:
    assert join(tmp_path / "out", sources, "--base", "all") == 0
    rows = rows_of(tmp_path / "out")
    assert len({row["line_number"] for row in rows.values()}) == 41
    for photo_id, row in rows.items():
        in_coco, in_open_images, in_flickr8k = (photo_id in BASES[s] for s in ("coco", "open_images", "flickr8k"))
        copies = 2 * in_coco + in_open_images + in_flickr8k
        assert len(row["copies"]) == copies
        captions = [f"A dog number {i} of {photo_id}" for i in range(5)] * in_coco
        captions += [f"A dog runs , {i} times ." for i in range(5)] * in_flickr8k
        assert [c["text"] for c in row["captions"]] == captions
        by_source = [(b["source"], b["units"], b["label"]) for b in row["boxes"]]
        assert by_source == [("coco", "pixels", "dog")] * (photo_id % 3 * in_coco) + [
            ("open_images", "normalised", "Dog")
        ] * (photo_id % 4 * in_open_images)
        assert row["coco_image_id"] == (photo_id - 900 if in_coco else None)
        assert row["coco_split"] == (("val2014" if photo_id % 4 else "train2014") if in_coco else None)
        assert row["open_images_id"] == (f"{photo_id * 7919:016x}" if in_open_images else None)
        assert (row["flickr8k_split"] is not None) == in_flickr8k
        assert (row["title"] is not None) == (photo_id in BASES["yfcc"])
        assert bool(row["autotags"]) == (photo_id in BASES["yfcc"] and photo_id % 4 == 0)


def test_the_accounts_come_out(tmp_path: pathlib.Path, sources: dict[str, pathlib.Path]) -> None:
    assert join(tmp_path / "out", sources, "--base", "coco", "--limit", 20) == 0
    counts = counts_of(tmp_path / "out")
    main = {"input_lines": 100, "rows": 20, "removed_by_filters": 5, "collapsed_lines": 75, "input_failures": 0}
    assert {name: counts[name] for name in main} == main
    assert (counts["dataset_lines"], counts["dataset_unmatched"]) == (40, 20)
    assert (counts["coco_captions_lines"], counts["coco_captions_collapsed"]) == (250, 125)
    assert (counts["flickr8k_captions_lines"], counts["flickr8k_captions_unmatched"]) == (65, 45)
    assert (counts["coco_lines"], counts["coco_failures"]) == (100 + 250 + counts["coco_boxes_lines"], 0)


@pytest.mark.parametrize("base", ["coco", "all"])
def test_rows_do_not_depend_on_order_cutting_or_buckets(
    tmp_path: pathlib.Path, sources: dict[str, pathlib.Path], monkeypatch: pytest.MonkeyPatch, base: str
) -> None:
    assert join(tmp_path / "reference", sources, "--base", base, "--samples_per_shard", 9) == 0
    shuffled = write_four_sources(tmp_path / "shuffled", seed=3)
    monkeypatch.setattr(find_inputs, "BUCKET_BYTES", 5_000)
    monkeypatch.setattr(input_ranges, "PLAIN_RANGE_BYTES", 900)
    monkeypatch.setattr(spool_file, "ROUND_BYTES", 700)
    monkeypatch.setattr(read_coco, "BATCH_ROWS", 7)
    backwards = dict(reversed(shuffled.items()))
    assert join(tmp_path / "out", backwards, "--base", base, "--samples_per_shard", 9, "--workers", 3) == 0
    assert digests(tmp_path / "out") == digests(tmp_path / "reference")
    assert len(digests(tmp_path / "out")) > 1


def test_images_without_a_flickr_url_have_surrogates(tmp_path: pathlib.Path) -> None:
    file = write_coco(tmp_path / "image_info_test2017.json", [coco_image(i, None, "test2017") for i in (1, 2, 3)])
    assert join(tmp_path / "out", {"coco": file}) == 0
    rows = rows_of(tmp_path / "out")
    assert rows.keys() == {surrogate_id("coco", str(i)) for i in (1, 2, 3)}
    assert all(photo_id > MAX_FLICKR_ID and row["id_source"] == "coco" for photo_id, row in rows.items())
    assert {row["coco_split"] for row in rows.values()} == {"test2017"}


def test_boxes_of_open_images_alone_have_surrogates_and_a_split(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    boxes = write_csv(
        tmp_path / "validation-annotations-bbox.csv", BOX_HEADER, open_images_box("00000000000000aa"), ["no id"]
    )
    assert join(tmp_path / "out", {"open_images": boxes}) == 0
    (row,) = rows_of(tmp_path / "out").values()
    assert row["photo_id"] == surrogate_id("open_images", "00000000000000aa")
    assert (row["id_source"], row["open_images_id"], row["open_images_split"]) == (
        "open_images",
        "00000000000000aa",
        "validation",
    )
    assert "cannot be joined" in caplog.text
    assert counts_of(tmp_path / "out")["open_images_failures"] == 1
    told = capsys.readouterr().out
    assert "  open_images: 2 lines, 1 refused\n" in told
    assert "what was refused, and why: failures/input.parquet" in told


def test_annotations_of_images_in_no_list_are_failures(tmp_path: pathlib.Path) -> None:
    listed = open_images_row("00000000000000aa", 77, "90.0")
    images = write_csv(tmp_path / "images.csv", OPEN_IMAGES_HEADER, listed)
    boxes = [open_images_box("00000000000000aa"), open_images_box("00000000000000bb")]
    write_csv(tmp_path / "boxes.csv", BOX_HEADER, *boxes)
    assert join(tmp_path / "out", {"open_images": images.parent}) == 0
    (row,) = rows_of(tmp_path / "out").values()
    (copy,) = row["copies"]
    assert (row["photo_id"], len(row["boxes"])) == (77, 1)
    assert (copy["rotation"], copy["author"], copy["size_bytes"]) == (90, "Jane, Doe", 123456)
    assert copy["md5"] == hashlib.md5(b"00000000000000aa").hexdigest()
    (failure,) = pq.read_table(tmp_path / "out" / layout.INPUT_FAILURES).to_pylist()
    assert (failure["reason"], failure["raw"][:16]) == ("unknown_image", b"00000000000000bb")


def test_two_images_of_one_photo_stay_side_by_side_and_are_counted(tmp_path: pathlib.Path) -> None:
    images = [coco_image(1, 77), coco_image(2, 77, width=500), coco_image(3, 78)]
    file = write_coco(tmp_path / "instances.json", images, [coco_box(5, 1), coco_box(6, 2)])
    assert join(tmp_path / "out", {"coco": file}) == 0
    row = rows_of(tmp_path / "out")[77]
    assert [(c["image_id"], c["width"]) for c in row["copies"]] == [("1", 640), ("2", 500)]
    assert [b["image_id"] for b in row["boxes"]] == ["1", "2"]
    assert row["coco_image_id"] == 1
    counts = counts_of(tmp_path / "out")
    assert (counts["repeated_images"], counts["different_sizes"]) == (1, 1)


def test_bad_entries_are_failures_that_name_file_and_place(tmp_path: pathlib.Path) -> None:
    boxes = [coco_box(5, 1), coco_box(6, 99), {**coco_box(7, 1), "bbox": [1, 2, -3, 4]}]
    file = write_coco(tmp_path / "instances.json", [coco_image(1, 77), {"width": 5}], boxes)
    assert join(tmp_path / "out", {"coco": file}) == 0
    failures = pq.read_table(tmp_path / "out" / layout.INPUT_FAILURES).to_pylist()
    assert sorted(f["reason"] for f in failures) == ["malformed_row", "malformed_row", "unknown_image"]
    assert {f["file"] for f in failures} == {str(file)}
    text = file.read_bytes()
    assert all(text[f["offset"] :].startswith(f["raw"]) for f in failures)
    assert counts_of(tmp_path / "out")["coco_failures"] == 3
    assert check_dataset.main([str(tmp_path / "out")]) == 0


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b'{"images": [', 1, ["instances.json", "download the file again"]),
        (b"[1, 2]", 2, ["--coco", "no annotation file"]),
        (b'{"images": [], "annotations": [{"image_id": 1}]}', 1, ["no kind that COCO publishes"]),
        (b"", 2, ["--coco"]),
    ],
)
def test_what_is_no_coco_file_stops_the_run(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], content: bytes, code: int, words: list[str]
) -> None:
    (tmp_path / "instances.json").write_bytes(content)
    assert join(tmp_path / "out", {"coco": tmp_path / "instances.json"}) == code
    said = capsys.readouterr().err
    assert all(word in said for word in words), said


def test_a_base_that_is_not_given_is_refused(
    tmp_path: pathlib.Path, sources: dict[str, pathlib.Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert join(tmp_path / "out", {"coco": sources["coco"]}, "--base", "flickr8k") == 2
    assert "--base flickr8k" in capsys.readouterr().err
    assert join(tmp_path / "out", {}) == 2
    assert "--yfcc, --coco" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_another_base_on_the_same_output_is_refused(
    tmp_path: pathlib.Path, sources: dict[str, pathlib.Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert join(tmp_path / "out", sources) == 0
    assert json.loads((tmp_path / "out" / layout.PLAN).read_text())["format"]["base"] == "yfcc"
    assert join(tmp_path / "out", sources, "--base", "coco") == 2
    assert "--base is coco, the output was begun with yfcc" in capsys.readouterr().err
