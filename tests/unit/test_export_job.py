"""What `photobeam export` makes of a directory before anything is exported."""

import collections
import contextlib
import dataclasses
import pathlib
import pickle
import typing

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_jobs import export_annotations
from beam_jobs.command.errors import UsageError
from beam_jobs.export import export_job
from beam_jobs.export.export_job import ExportRequest
from beam_jobs.runners.runner_flags import RunnerConfig
from schemas import layout
from schemas.export_records import EXPORT_BEGUN, EXPORT_RECORD, ExportPart, ExportRecord, exported_from, part_record
from schemas.records import Plan, Tombstone
from tests.boxed_dataset import boxed_row, make_boxed_dataset
from transforms.datasets.finished_dataset import open_finished
from transforms.datasets.shard_sources import note_sources
from transforms.export.classes import choose_classes
from transforms.export.export_shard import ExportConfig, ImageMode, ListLabels, _kept_images
from transforms.export.formats import FILES, FORMATS
from transforms.export.images import split_of
from transforms.export.read_photos import ExportedDataset, read_photos
from transforms.export.write_files import write_files
from transforms.stores.output import LeaseLostError, LocalOutput
from transforms.stores.scratch import LocalScratch

IMAGE = "img/7/7.jpg"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return make_boxed_dataset(tmp_path_factory.mktemp("dataset"))


def request_of(dataset: pathlib.Path, output: pathlib.Path, to: str = FILES, **values: typing.Any) -> ExportRequest:
    defaults = {
        "dataset": open_finished(str(dataset)),
        "output": LocalOutput(output),
        "format": to,
        "raw": False,
        "split": "",
        "classes": (),
        "images": ImageMode.NONE,
        "overwrite": False,
        "runner": RunnerConfig(),
        "temp_location": None,
        "progress": "none",
    }
    return ExportRequest(**{**defaults, **values})


def workers_dataset(request: ExportRequest, extension: str = ".jpg") -> ExportedDataset:
    return ExportedDataset(files=request.dataset.files, scratch=LocalScratch(pathlib.Path("none")), extension=extension)


def begin(request: ExportRequest) -> None:
    export_job._begin(request, FORMATS[request.format], workers_dataset(request))


def records(output: pathlib.Path) -> set[str]:
    return {name for name in (EXPORT_RECORD, EXPORT_BEGUN, part_record(0)) if (output / name).exists()}


def write(request: ExportRequest, *names: str) -> None:
    """Writes a record, or a file of an export."""
    for name in names:
        data = request.record.to_json() if name in (EXPORT_RECORD, EXPORT_BEGUN) else ExportPart({}, {}).to_json()
        request.output.write(name, data)


def test_what_another_export_left_unfinished_is_not_gone_on_with(dataset, tmp_path):
    first, second, third = (request_of(dataset, tmp_path, split=split) for split in ("train", "validation", "test"))
    write(first, EXPORT_RECORD)
    write(second, EXPORT_BEGUN, part_record(0))
    begin(second)
    assert records(tmp_path) == {EXPORT_RECORD, EXPORT_BEGUN, part_record(0)}
    begin(third)
    assert records(tmp_path) == {EXPORT_RECORD, EXPORT_BEGUN}
    assert (tmp_path / EXPORT_BEGUN).read_bytes() == third.record.to_json()


def test_a_tree_that_grows_is_never_dropped(dataset, tmp_path):
    write(request_of(dataset, tmp_path), EXPORT_RECORD, IMAGE)
    begin(request_of(dataset, tmp_path, overwrite=True))
    assert records(tmp_path) == {EXPORT_BEGUN}
    assert (tmp_path / IMAGE).exists()


def test_a_tree_that_grows_has_values_of_one_kind(dataset, tmp_path):
    write(request_of(dataset, tmp_path), EXPORT_RECORD)
    for values in ({}, {"split": "train"}):
        with pytest.raises(UsageError, match="--raw is given, export.json has not given; give --overwrite"):
            export_job._is_done(request_of(dataset, tmp_path, raw=True, **values), FORMATS[FILES])
    assert not export_job._is_done(request_of(dataset, tmp_path, raw=True, overwrite=True), FORMATS[FILES])
    assert not export_job._is_done(request_of(dataset, tmp_path, images=ImageMode.COPY), FORMATS[FILES])


def test_a_tree_half_replaced_is_not_taken_for_replaced(dataset, tmp_path):
    """Without the flag its older files would stay, and the record would say otherwise."""
    write(request_of(dataset, tmp_path), EXPORT_RECORD, IMAGE)
    replacing = request_of(dataset, tmp_path, raw=True, overwrite=True)
    begin(replacing)
    with pytest.raises(UsageError, match="--overwrite is not given, _tmp/export.json has given; give --overwrite"):
        export_job._is_done(dataclasses.replace(replacing, overwrite=False), FORMATS[FILES])
    assert not export_job._is_done(replacing, FORMATS[FILES])


def test_files_need_no_pass_for_classes(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(export_job, "run_each_shard", lambda *_: pytest.fail("a pass over the shards"))
    begin(request_of(dataset, tmp_path))


def test_what_was_being_dropped_is_not_finished(dataset, tmp_path):
    old = request_of(dataset, tmp_path, "voc")
    write(old, EXPORT_RECORD)
    assert export_job._is_done(old, FORMATS["voc"])
    new = request_of(dataset, tmp_path, "voc", split="train")
    write(new, EXPORT_BEGUN)
    assert not export_job._is_done(old, FORMATS["voc"])
    with pytest.raises(UsageError, match="--overwrite"):
        export_job._is_done(new, FORMATS["voc"])


def test_who_waited_for_the_lease_looks_again(dataset, tmp_path, monkeypatch):
    request = request_of(dataset, tmp_path)

    @contextlib.contextmanager
    def held(output: LocalOutput) -> typing.Iterator[None]:
        write(request, EXPORT_RECORD)
        yield

    monkeypatch.setattr(export_job, "held", held)
    assert export_job.run(request) is None


def test_who_lost_the_lease_writes_nothing(tmp_path):
    output = LocalOutput(tmp_path)
    output.holder = "gone"
    with pytest.raises(LeaseLostError):
        write_files(output, [("a.txt", b"a")])
    assert not (tmp_path / "a.txt").exists()


def test_records_that_cannot_be_read_are_refused(dataset, tmp_path, capsys):
    request = request_of(dataset, tmp_path, "voc")
    record, arguments = tmp_path / EXPORT_RECORD, [str(dataset), "--to", "voc", "--output", str(tmp_path)]
    record.write_bytes(dataclasses.replace(request.record, format_version=99).to_json())
    assert export_annotations.main(arguments) == 2
    assert "was written by a newer photobeam (format 99" in capsys.readouterr().err
    record.write_bytes(request.record.to_json().replace(b"voc", b"vov"))
    assert export_annotations.main(arguments) == 2
    assert "export.json is damaged: its checksum does not fit what it says: give --overwrite" in capsys.readouterr().err
    assert not export_job._is_done(request_of(dataset, tmp_path, "voc", overwrite=True), FORMATS["voc"])


def test_photos_on_their_way_out_are_not_exported(tmp_path, capsys):
    root = make_boxed_dataset(tmp_path / "dataset")
    plan = Plan.from_json((root / layout.PLAN).read_bytes(), layout.PLAN)
    taken = dataclasses.replace(plan, tombstones=[Tombstone(7, "2026-01-01")])
    (root / layout.PLAN).write_bytes(taken.to_json())
    arguments = [str(root), "--to", "voc", "--output", str(tmp_path / "out")]
    assert export_annotations.main(arguments) == 2
    assert "taken down may still be there; `photobeam verify OUT --repair`" in capsys.readouterr().err
    (root / layout.PLAN).write_bytes(b"{}")
    assert export_annotations.main(arguments) == 1, "as of show and diff"
    assert not (tmp_path / "out").exists()


def test_workers_do_not_carry_the_hashes_of_all_shards(dataset, tmp_path):
    request, scratch = request_of(dataset, tmp_path), LocalScratch(tmp_path / "scratch")
    note_sources(request.dataset.sha256, scratch)
    theirs = dataclasses.replace(workers_dataset(request), scratch=scratch)
    carried = pickle.dumps(ListLabels(theirs, request.output))
    assert not [digest for of in request.dataset.sha256 for digest in of.values() if digest.encode() in carried]
    for shard in range(len(request.dataset.sha256)):
        rows = pq.read_table(dataset / layout.rows_file(shard), columns=["photo_id"])
        assert read_photos(theirs, shard, ["photo_id"], of_rows=True) == rows


def test_failures_do_not_make_another_state(dataset):
    shards = open_finished(str(dataset)).sha256
    retried = [{name: "0" * 64 if name.startswith("failures/") else of for name, of in s.items()} for s in shards]
    changed = [{name: "0" * 64 if name.startswith("shards/") else of for name, of in s.items()} for s in shards]
    assert exported_from(shards) == exported_from(retried) != exported_from(changed)


@pytest.mark.parametrize(("to", "images", "videos"), [("coco", 1, 1), (FILES, 2, 0)])
def test_videos_of_a_join_are_no_images(dataset, tmp_path, to, images, videos):
    request, counts = request_of(dataset, tmp_path, to), collections.Counter()
    table = pa.Table.from_pylist([boxed_row(7), {**boxed_row(8), "is_video": True, "copies": []}])
    config = ExportConfig(
        dataset=workers_dataset(request, extension=""),
        output=request.output,
        format=to,
        raw=False,
        split="",
        images=ImageMode.NONE,
        classes=choose_classes([], {}, []),
        of_classes=False,
        keep=False,
    )
    assert len([*_kept_images(config, FORMATS[to], table, counts)]) == images
    assert (counts["photos"], counts["images"], counts["videos"]) == (2, images, videos)


def test_one_of_a_thing_is_not_many():
    record = ExportRecord("voc", {}, "", ["dog"], {"images": 1, "boxes": 2, "photos": 1, "videos": 1})
    told = "voc: 1 image, 2 boxes of 1 class, of 1 photo\n  left out: videos: 1\n"
    assert export_annotations.describe(record) == told


def test_splits_are_told_by_whole_names():
    assert [split_of([name]) for name in ("test2017", "testament", "valid", "dev", None)] == [
        *("test", "train", "train", "validation", "train")
    ]
