"""The files of one shard: the same bytes whatever the order of arrival, and readable by others."""

import io
import json
import pathlib
import pickle
import tarfile
import typing

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset
from PIL import Image

from schemas import layout
from schemas.annotations import MAPPED_COLUMNS
from schemas.failures import FAILURE_SCHEMA
from schemas.photo_ids import key
from schemas.records import rows_digest
from schemas.rows import ROW_SCHEMA
from schemas.samples import SAMPLE_COLUMNS, SIDECAR_SCHEMA, caption, sample_json, sidecar_schema
from tests import factories
from tests.annotated_photos import annotated_row, copy, element
from tests.factories import format_of, make_failure, make_jpeg, make_row, make_rows, stage_shard
from transforms.files.file_digest import file_digest
from transforms.shards.image_spool import ImageSpool, SpoolPlace
from transforms.shards.row_annotations import RowAnnotations
from transforms.shards.write_shard import ShardRows, SpooledImage, write_shard

IDS = [7, 12, 6_985_418_911, 2**62 + 5, 13]
FAILED = (12, 13)
IN_KEY_ORDER = [7, 6_985_418_911, 2**62 + 5]
PLACES = [f"image{of}_{what}" for of in ("", "_64", "_16") for what in ("offset", "bytes")]


def _files(root: pathlib.Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_the_commit_record_says_what_was_written(tmp_path: pathlib.Path) -> None:
    commit = stage_shard(42, make_rows(IDS), tmp_path, FAILED)
    assert (commit.shard, commit.rows, commit.samples, commit.failed) == (42, 5, 3, 2)
    assert commit.failures_by_reason == {"not_found": 2}
    assert set(commit.files) == {layout.rows_file(42), *layout.shard_files(42)}
    assert {name: file_digest(tmp_path / name) for name in commit.files} == commit.files
    assert set(_files(tmp_path)) == set(commit.files), "nothing else is left behind"
    rows = commit.files[layout.rows_file(42)]
    assert commit.rows_digest == rows_digest(rows.sha256, factories.FORMAT)


def test_arrival_and_chunking_move_no_byte(tmp_path: pathlib.Path) -> None:
    rows = make_rows(IDS)
    commit = stage_shard(0, rows, tmp_path / "a", FAILED)
    pieces = pa.concat_tables([rows.slice(0, 2), rows.slice(2, 1), rows.slice(3)])
    assert stage_shard(0, pieces, tmp_path / "b", FAILED, backwards=True) == commit
    assert _files(tmp_path / "a") == _files(tmp_path / "b")


def test_the_tar_holds_image_json_and_caption(tmp_path: pathlib.Path) -> None:
    stage_shard(0, make_rows(IDS), tmp_path, FAILED)
    sidecar = pq.read_table(tmp_path / layout.sidecar_file(0)).to_pylist()
    samples = list(webdataset.WebDataset(str(tmp_path / layout.tar_file(0)), shardshuffle=False))
    assert [s["__key__"] for s in samples] == [key(i) for i in IN_KEY_ORDER]
    assert [s["jpg"] for s in samples] == [make_jpeg(i) for i in IN_KEY_ORDER]
    assert [s["json"] for s in samples] == [sample_json(row) for row in sidecar]
    assert [s["txt"].decode() for s in samples] == [caption(row) for row in sidecar]
    first = json.loads(samples[0]["json"])
    assert list(first) == [c.name for c in SAMPLE_COLUMNS]
    assert (first["title"], first["width"], first["key"]) == ("Grüße, 世界 & <b>7</b>", 32, "000000000007")


def test_webdataset_decodes_the_images(tmp_path: pathlib.Path) -> None:
    stage_shard(0, make_rows(IDS), tmp_path, FAILED)
    images = list(webdataset.WebDataset(str(tmp_path / layout.tar_file(0)), shardshuffle=False).decode("pil"))
    assert [s["jpg"].size for s in images] == [(32, 24)] * 3


def test_the_sidecar_points_into_the_tar(tmp_path: pathlib.Path) -> None:
    rows = make_rows(IDS)
    stage_shard(0, rows, tmp_path, FAILED)
    sidecar = pq.read_table(tmp_path / layout.sidecar_file(0))
    assert sidecar.schema.equals(SIDECAR_SCHEMA)
    assert b"pandas" not in (sidecar.schema.metadata or {})
    assert sidecar.select(rows.column_names).equals(rows.take([0, 3, 4]))
    tar = (tmp_path / layout.tar_file(0)).read_bytes()
    for row, photo_id in zip(sidecar.to_pylist(), IN_KEY_ORDER, strict=True):
        image = tar[row["image_offset"] : row["image_offset"] + row["image_bytes"]]
        assert image == make_jpeg(photo_id)
        assert Image.open(io.BytesIO(image)).size == (row["width"], row["height"])


def test_further_sizes_stand_behind_the_first_in_tar_sidecar_and_idx(tmp_path: pathlib.Path) -> None:
    commit = stage_shard(0, make_rows(IDS), tmp_path, FAILED, further_sizes=(64, 16))
    sidecar = pq.read_table(tmp_path / layout.sidecar_file(0))
    assert sidecar.schema.equals(sidecar_schema((64, 16)))
    assert sidecar.column_names[: -len(PLACES)] == [c.name for c in SAMPLE_COLUMNS]
    assert sidecar.column_names[-len(PLACES) :] == PLACES
    tar = (tmp_path / layout.tar_file(0)).read_bytes()
    for row, photo_id in zip(sidecar.to_pylist(), IN_KEY_ORDER, strict=True):
        for width, of in ((32, ""), (64, "_64"), (16, "_16")):
            offset, size = row[f"image{of}_offset"], row[f"image{of}_bytes"]
            assert tar[offset : offset + size] == make_jpeg(photo_id, width, width * 3 // 4)
    lines = (tmp_path / layout.idx_file(0)).read_text().splitlines()[1:]
    assert [line.split()[::4] for line in lines] == [["jpg", "64.jpg", "16.jpg", "json", "txt"]] * 3
    with tarfile.open(tmp_path / layout.tar_file(0)) as members:
        found = [f"{m.name.partition('.')[2]} {m.offset_data} {m.size} {m.name}" for m in members]
    assert " ".join(lines).split() == " ".join(found).split()
    samples = list(webdataset.WebDataset(str(tmp_path / layout.tar_file(0)), shardshuffle=False))
    assert [[n for n in s if not n.startswith("_")] for s in samples] == [
        ["jpg", "64.jpg", "16.jpg", "json", "txt"]
    ] * 3
    assert stage_shard(0, make_rows(IDS), tmp_path / "b", FAILED, backwards=True, further_sizes=(64, 16)) == commit


def test_a_sample_without_one_of_its_sizes_is_refused(tmp_path: pathlib.Path) -> None:
    rows = make_rows([7])
    with ImageSpool(tmp_path / "spool") as spool:
        images = [SpooledImage(0, factories.image_columns(b"x"), [spool.append(b"x")])]
        content = ShardRows(0, rows, factories.FileDigest(1, "a"))
        with pytest.raises(ValueError, match="zip"):
            write_shard(content, images, [], spool, tmp_path, format_of((64,)))


def test_row_groups_are_small(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transforms.shards.staged_tables.SIDECAR_GROUP_ROWS", 2)
    stage_shard(0, make_rows(range(1, 6)), tmp_path)
    assert pq.ParquetFile(tmp_path / layout.sidecar_file(0)).num_row_groups == 3


def test_failures_are_in_key_order(tmp_path: pathlib.Path) -> None:
    stage_shard(0, make_rows(IDS), tmp_path, FAILED)
    failures = pq.read_table(tmp_path / layout.failures_file(0))
    assert failures.schema.equals(FAILURE_SCHEMA)
    assert failures["key"].to_pylist() == ["000000000012", "000000000013"]
    assert failures["http_status"].to_pylist() == [404, 404]


def test_failures_are_written_even_if_there_are_none(tmp_path: pathlib.Path) -> None:
    stage_shard(0, make_rows(IDS), tmp_path)
    failures = pq.read_table(tmp_path / layout.failures_file(0))
    assert failures.schema.equals(FAILURE_SCHEMA)
    assert failures.num_rows == 0


def test_a_shard_without_samples_has_no_tar(tmp_path: pathlib.Path) -> None:
    commit = stage_shard(0, make_rows(IDS), tmp_path, IDS)
    assert set(_files(tmp_path)) == set(commit.files) == {layout.rows_file(0), layout.failures_file(0)}
    assert (commit.samples, commit.failed) == (0, 5)


def test_a_shard_without_rows_is_possible(tmp_path: pathlib.Path) -> None:
    commit = stage_shard(0, make_rows([]), tmp_path)
    assert (commit.rows, commit.samples, commit.failed) == (0, 0, 0)


@pytest.mark.parametrize(
    ("imaged", "failed"),
    [([0, 1], [13]), ([0, 1], []), ([0, 1, 2], [12]), ([0, 0, 1], [13]), ([0, 1], [13, 13]), ([0, 1, 2], [99])],
    ids=["fine", "lost", "both", "twice an image", "twice a failure", "unknown photo"],
)
def test_every_row_has_one_result(
    tmp_path: pathlib.Path, imaged: list[int], failed: list[int], request: pytest.FixtureRequest
) -> None:
    rows = make_rows([7, 12, 13])
    with ImageSpool(tmp_path / "spool") as spool:
        images = [SpooledImage(i, factories.image_columns(b"x"), [spool.append(b"x")]) for i in imaged]
        content = ShardRows(0, rows, factories.FileDigest(1, "a"))
        failures = [make_failure(i) for i in failed]
        if request.node.callspec.id == "fine":
            write_shard(content, images, failures, spool, tmp_path, format_of())
            return
        with pytest.raises(ValueError, match="have not exactly one row and one result"):
            write_shard(content, images, failures, spool, tmp_path, format_of())
    assert not list(tmp_path.iterdir()), "nothing is written"


@pytest.mark.parametrize("ids", [[12, 7], [7, 7]])
def test_rows_out_of_order_are_refused(tmp_path: pathlib.Path, ids: list[int]) -> None:
    rows = pa.concat_tables([make_rows([i]) for i in ids])
    with pytest.raises(ValueError, match="not unique and in KEY order"):
        stage_shard(0, rows, tmp_path)


def test_rows_of_another_schema_are_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="not of ROW_SCHEMA"):
        stage_shard(0, make_rows(IDS).drop_columns(["title"]), tmp_path)


def test_the_spool_gives_back_what_it_got(tmp_path: pathlib.Path) -> None:
    with ImageSpool(tmp_path / "spool") as spool:
        images = [bytes([i]) * (i * 1000) for i in range(20)]
        places = [spool.append(image) for image in images]
        assert [spool.read(place) for place in reversed(places)] == images[::-1]
        with pytest.raises(EOFError, match="5 bytes expected at 190000, 0 found"):
            spool.read(SpoolPlace(190_000, 5))
    assert not (tmp_path / "spool").exists()


@pytest.mark.parametrize(
    ("captions", "title", "description", "text"),
    [
        ([], "Title", "Text", "Title"),
        ([], None, "Text", "Text"),
        ([], "", None, ""),
        ([("a cat sit", True), ("A cat sits.", False), ("Cat.", False)], "Title", None, "A cat sits."),
        ([("a cat sit", True)], "Title", None, "Title"),
        ([("", False), ("Cat.", None)], "Title", None, "Cat."),
    ],
)
def test_the_text_is_the_first_caption_else_the_title_else_the_description(
    captions: list[tuple[str, bool]], title: str | None, description: str | None, text: str
) -> None:
    elements = [{"text": words, "is_lemma": is_lemma} for words, is_lemma in captions]
    assert caption({"captions": elements, "title": title, "description": description}) == text


def test_the_mapped_annotations_of_an_image_stand_in_the_sample(tmp_path: pathlib.Path) -> None:
    """And those of an image without stay as they are in its row."""
    rows = make_rows([7, 9])
    mapped: dict[str, list[typing.Any]] = {name: [] for name in MAPPED_COLUMNS}
    mapped |= {"points": [element("points", x=1.5, y=2.0)], "warnings": ["date_taken", "points:1 outside"]}
    with ImageSpool(tmp_path / "spool") as spool:
        images = [SpooledImage(i, factories.image_columns(b"x"), [spool.append(b"x")]) for i in (0, 1)]
        images[1] = images[1]._replace(annotations=spool.append(pickle.dumps(mapped)))
        write_shard(ShardRows(0, rows, factories.FileDigest(1, "a")), images, [], spool, tmp_path, format_of())
    plain, annotated = pq.read_table(tmp_path / layout.sidecar_file(0)).to_pylist()
    assert {name: annotated[name] for name in MAPPED_COLUMNS} == mapped
    row = rows.to_pylist()[0]
    assert {name: plain[name] for name in row} == row


def test_rows_without_annotations_are_not_made_python_values() -> None:
    rows = [make_row(1), {**make_row(2), "copies": [copy("coco", "1")]}, annotated_row(3, 90)]
    annotations = RowAnnotations(pa.Table.from_pylist(rows, ROW_SCHEMA))
    assert "warnings" not in annotations[0]
    assert not any(annotations[0].values())
    for i in (1, 2):
        stored = pa.Table.from_pylist(rows[i : i + 1], ROW_SCHEMA).to_pylist()[0]
        assert annotations[i] == {name: stored[name] for name in ("copies", *MAPPED_COLUMNS)}
    assert RowAnnotations(ROW_SCHEMA.empty_table())
