"""`photobeam reprocess OUT --output OUT2`: a second dataset from a finished one, against builds from the sources."""

import pathlib
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_jobs import build_dataset, check_dataset, join_metadata, reprocess_dataset
from schemas import layout
from schemas.records import Manifest
from tests.fault_server import Answer, FaultServer
from tests.jobs.conftest import picture, write_lines
from tests.jobs.test_build_on_stores import arguments
from tests.jobs.test_build_on_stores import flags as store_flags
from tests.jobs.test_build_sources import build as build_sources
from tests.jobs.test_build_sources import mirrors, serve_four_sources
from tests.jobs.test_build_yfcc import build, data_hashes, manifest_of, plan_of
from tests.source_files import write_four_sources
from tests.store_servers import S3Server
from tests.yfcc_corpus import mirror_path

SIZE_PX = 32


def reprocess(old: pathlib.Path, output: pathlib.Path, *flags: object) -> int:
    arguments = [old, "--output", output, "--progress", "none", "--workers", 1, *flags]
    return reprocess_dataset.main([str(argument) for argument in arguments])


def verified(output: pathlib.Path) -> bool:
    return check_dataset.main([str(output)]) == 0


def samples_of(output: pathlib.Path) -> pa.Table:
    paths = sorted((output / "shards").glob("*.parquet"))
    return pa.concat_tables(pq.read_table(path) for path in paths).sort_by("key")


def failed_ids(output: pathlib.Path) -> set[int]:
    tables = [pq.read_table(path) for path in (output / "failures").glob("[0-9]*.parquet")]
    return set(pa.concat_tables(tables)["photo_id"].to_pylist())


def ids(lines: list[str]) -> set[int]:
    return {int(line.split("\t")[1]) for line in lines}


@pytest.fixture
def source(tmp_path: pathlib.Path, lines: list[str]) -> pathlib.Path:
    return write_lines(tmp_path / "in", lines)


@pytest.fixture
def old(tmp_path: pathlib.Path, source: pathlib.Path, mirror: FaultServer) -> pathlib.Path:
    assert build(source, mirror, tmp_path / "old", "--image_size", SIZE_PX) == 0
    mirror.asked.clear()
    return tmp_path / "old"


@pytest.mark.parametrize("samples_per_shard", [60, 31, 7])
def test_other_shards_are_those_of_a_build(
    tmp_path: pathlib.Path, source: pathlib.Path, old: pathlib.Path, mirror: FaultServer, samples_per_shard: int
) -> None:
    flags = ["--samples_per_shard", samples_per_shard]
    before = data_hashes(old)
    shutil.rmtree(old / "log")
    assert reprocess(old, tmp_path / "new", *flags) == 0
    assert mirror.asked == []
    assert verified(tmp_path / "new")
    assert build(source, mirror, tmp_path / "same", "--image_size", SIZE_PX, *flags) == 0
    assert data_hashes(tmp_path / "new") == data_hashes(tmp_path / "same")
    assert manifest_of(tmp_path / "new").root_hash == manifest_of(tmp_path / "same").root_hash
    assert data_hashes(old) == before
    assert sorted(p.name for p in old.iterdir()) == [
        "_tmp", "commits", "failures", "manifest.json", "plan.json", "rows", "shards",
    ]  # fmt: skip


def test_annotations_are_taken_over(tmp_path: pathlib.Path, mirror: FaultServer) -> None:
    serve_four_sources(mirror)
    sources = write_four_sources(tmp_path / "in")
    flags = ["--image_size", SIZE_PX, "--base", "all", *mirrors(mirror), "--samples_per_shard"]
    for name, samples_per_shard in (("old", 50), ("same", 12)):
        assert build_sources(tmp_path / name, sources, *flags, samples_per_shard) == 0
    mirror.asked.clear()
    assert reprocess(tmp_path / "old", tmp_path / "new", "--samples_per_shard", 12) == 0
    assert mirror.asked == []
    assert data_hashes(tmp_path / "new") == data_hashes(tmp_path / "same")
    flags = ["--where", "len(boxes) > 0 AND width > 20", "--image_size", 24, "--resize", "crop"]
    assert reprocess(tmp_path / "new", tmp_path / "shards", *flags) == 0
    assert mirror.asked == []
    assert reprocess(tmp_path / "old", tmp_path / "originals", *flags, "--from", "originals") == 0
    taken, fetched = (samples_of(tmp_path / name) for name in ("shards", "originals"))
    assert taken.num_rows > 10
    names = [name for name in taken.column_names if not name.startswith("image_")]
    assert taken.select(names).equals(fetched.select(names))
    assert verified(tmp_path / "shards")


def test_a_subset_is_that_of_a_build(
    tmp_path: pathlib.Path, source: pathlib.Path, old: pathlib.Path, mirror: FaultServer
) -> None:
    flags = ["--where", "photo_id % 3 > 0 AND title IS NOT NULL"]
    assert reprocess(old, tmp_path / "new", *flags) == 0
    assert mirror.asked == []
    assert verified(tmp_path / "new")
    assert build(source, mirror, tmp_path / "same", "--image_size", SIZE_PX, *flags) == 0
    assert data_hashes(tmp_path / "new") == data_hashes(tmp_path / "same")
    rows = plan_of(tmp_path / "new").counts["rows"]
    assert 0 < rows < 60
    assert plan_of(tmp_path / "new").counts == {
        "input_lines": 60, "rows": rows, "removed_by_filters": 60 - rows, "removed_by_where": 60 - rows,
        "removed_duplicates": 0, "collapsed_lines": 0, "input_failures": 0, "from_originals": 0,
    }  # fmt: skip


def test_a_condition_sees_what_is_known_of_images(
    tmp_path: pathlib.Path, old: pathlib.Path, mirror: FaultServer
) -> None:
    before = samples_of(old)
    wanted = [row["photo_id"] for row in before.to_pylist() if row["original_width"] > 50 and row["height"] == SIZE_PX]
    assert 0 < len(wanted) < before.num_rows
    flags = ["--where", f"original_width > 50 AND height = {SIZE_PX} OR sha256 IS NULL AND key > '000000010200'"]
    assert reprocess(old, tmp_path / "new", *flags) == 0
    assert verified(tmp_path / "new")
    after = samples_of(tmp_path / "new")
    assert after["photo_id"].to_pylist() == wanted
    names = [name for name in before.column_names if name != "image_offset"]
    assert after.select(names).equals(
        before.filter(pa.compute.is_in(before["photo_id"], pa.array(wanted))).select(names)
    )
    assert failed_ids(tmp_path / "new") == {i for i in failed_ids(old) if i > 10_200}


def test_of_photos_with_the_same_file_the_smallest_key_stays(
    tmp_path: pathlib.Path, lines: list[str], mirror: FaultServer
) -> None:
    for line in (lines[1], lines[8], lines[33], lines[51]):
        mirror.answers[mirror_path(line)] = Answer(picture(1))
    for line in (lines[2], lines[44]):
        mirror.answers[mirror_path(line)] = Answer(picture(2))
    assert build(write_lines(tmp_path / "in", lines), mirror, tmp_path / "old", "--image_size", SIZE_PX) == 0
    dropped = ids([lines[8], lines[33], lines[44], lines[51]])
    assert reprocess(tmp_path / "old", tmp_path / "new", "--drop_duplicates", "--samples_per_shard", 15) == 0
    assert verified(tmp_path / "new")
    assert set(samples_of(tmp_path / "new")["photo_id"].to_pylist()) == ids(lines) - dropped - failed_ids(
        tmp_path / "old"
    )
    assert failed_ids(tmp_path / "new") == failed_ids(tmp_path / "old")
    counts = plan_of(tmp_path / "new").counts
    assert (counts["rows"], counts["removed_duplicates"], counts["removed_by_where"]) == (56, 4, 0)
    assert len(plan_of(tmp_path / "new").rows or ()) == 4
    flags = ["--drop_duplicates", "--where", f"photo_id <> {min(ids([lines[1]]))}"]
    assert reprocess(tmp_path / "old", tmp_path / "other", *flags) == 0
    kept = set(samples_of(tmp_path / "other")["photo_id"].to_pylist())
    assert kept & ids([lines[i] for i in (1, 8, 33, 51)]) == ids([lines[8]])


@pytest.mark.parametrize("form", [["--image_size", "16,24"], ["--format", "webp", "--resize", "crop"]])
def test_smaller_images_come_from_shards_or_originals(
    tmp_path: pathlib.Path, source: pathlib.Path, old: pathlib.Path, mirror: FaultServer, form: list[str]
) -> None:
    assert reprocess(old, tmp_path / "shards", *form) == 0
    assert mirror.asked == []
    assert reprocess(old, tmp_path / "originals", "--from", "originals", *form) == 0
    assert len(mirror.asked) >= 60
    assert verified(tmp_path / "shards")
    assert verified(tmp_path / "originals")
    flags = form if "--image_size" in form else [*form, "--image_size", str(SIZE_PX)]
    assert build(source, mirror, tmp_path / "same", *flags) == 0
    assert data_hashes(tmp_path / "originals") == data_hashes(tmp_path / "same")
    taken, fetched = (samples_of(tmp_path / name) for name in ("shards", "originals"))
    names = [name for name in taken.column_names if not name.startswith("image_")]
    assert taken.select(names).equals(fetched.select(names))
    assert data_hashes(tmp_path / "shards").keys() == data_hashes(tmp_path / "same").keys()


def test_only_photos_that_are_too_small_are_fetched(
    tmp_path: pathlib.Path, source: pathlib.Path, old: pathlib.Path, mirror: FaultServer, lines: list[str]
) -> None:
    samples = samples_of(old).to_pylist()
    small = {row["photo_id"] for row in samples if min(row["original_width"], row["original_height"]) <= SIZE_PX}
    assert 0 < len(small) < len(samples)
    assert reprocess(old, tmp_path / "new", "--image_size", 40) == 0
    paths = {mirror_path(line): line for line in lines}
    assert ids([paths[path] for path in mirror.asked]) == {row["photo_id"] for row in samples} - small
    assert plan_of(tmp_path / "new").counts["from_originals"] == len(mirror.asked)
    assert verified(tmp_path / "new")
    assert build(source, mirror, tmp_path / "same", "--image_size", 40) == 0
    assert data_hashes(tmp_path / "new") == data_hashes(tmp_path / "same")


def test_the_same_command_goes_on_and_others_are_refused(
    tmp_path: pathlib.Path, source: pathlib.Path, old: pathlib.Path, mirror: FaultServer,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    new, flags = tmp_path / "new", ["--samples_per_shard", 10, "--image_size", 16]
    assert reprocess(old, new, *flags) == 0
    before = data_hashes(new)
    kept = (new / layout.tar_file(1)).stat().st_mtime_ns
    for name in (layout.MANIFEST, layout.commit_file(0), layout.commit_file(4)):
        (new / name).unlink()
    assert reprocess(old, new, *flags) == 0
    assert reprocess(old, new, *flags) == 0
    assert data_hashes(new) == before
    assert (new / layout.tar_file(1)).stat().st_mtime_ns == kept
    for name in (layout.rows_file(2), layout.commit_file(2)):
        (new / name).unlink()
    assert reprocess(old, new, *flags) == 0
    assert data_hashes(new) == before
    assert verified(new)
    capsys.readouterr()
    assert build(source, mirror, new, *flags) == 2
    assert f"--output {new} was made from {old} by `photobeam reprocess`" in capsys.readouterr().err
    refused = {
        "--image_size is 20, the output was begun with 16": ["--samples_per_shard", 10, "--image_size", 20],
        "--from is originals, the output was begun with shards": [*flags, "--from", "originals"],
    }
    for message, other in refused.items():
        assert reprocess(old, new, *other) == 2
        assert message in capsys.readouterr().err
    assert build(source, mirror, tmp_path / "built") == 0
    assert reprocess(tmp_path / "built", new, *flags) == 2
    assert f"--output {new} was made from {old} as it was before it changed" in capsys.readouterr().err
    assert reprocess(old, tmp_path / "built", *flags) == 2
    assert "was built from sources" in capsys.readouterr().err
    assert data_hashes(new) == before


def test_a_third_dataset_of_a_second_one(
    tmp_path: pathlib.Path, source: pathlib.Path, old: pathlib.Path, mirror: FaultServer
) -> None:
    assert reprocess(old, tmp_path / "second", "--samples_per_shard", 13) == 0
    flags = ["--where", "photo_id % 2 = 0", "--image_size", 24, "--from", "originals"]
    assert reprocess(tmp_path / "second", tmp_path / "third", *flags) == 0
    assert verified(tmp_path / "third")
    same = ["--samples_per_shard", 13, "--image_size", 24, "--where", "photo_id % 2 = 0"]
    assert build(source, mirror, tmp_path / "same", *same) == 0
    assert data_hashes(tmp_path / "third") == data_hashes(tmp_path / "same")


@pytest.mark.usefixtures("no_credentials")
def test_from_bucket_to_bucket(
    tmp_path: pathlib.Path, lines: list[str], mirror: FaultServer, s3: S3Server, bucket: str
) -> None:
    source = write_lines(tmp_path / "in", lines[:20])
    s3.put(bucket, {})
    old, new, keys = f"s3://{bucket}/old", f"s3://{bucket}/new", store_flags(s3)
    assert build_dataset.main(arguments(source, mirror, old, "--image_size=32", *keys)) == 0
    before = listed(s3, bucket, "old/")
    mirror.asked.clear()
    flags = ["--samples_per_shard=15", "--where=width > 33", "--progress=none", "--workers=2", *keys]
    assert reprocess_dataset.main([old, "--output", new, *flags]) == 0
    assert mirror.asked == []
    assert check_dataset.main([new, *keys]) == 0
    assert listed(s3, bucket, "old/") == before
    assert reprocess_dataset.main([old, "--output", f"{old}/new", *flags]) == 2
    assert build(source, mirror, tmp_path / "local", "--image_size", 32, "--samples_per_shard", 7) == 0
    assert reprocess(tmp_path / "local", tmp_path / "new", *flags[:2]) == 0
    manifest = s3.client.get_object(Bucket=bucket, Key=f"new/{layout.MANIFEST}")["Body"].read()
    assert Manifest.from_json(manifest, new).root_hash == manifest_of(tmp_path / "new").root_hash


def listed(s3: S3Server, bucket: str, prefix: str) -> dict[str, str]:
    found = s3.client.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]
    return {entry["Key"]: f"{entry['ETag']} {entry['LastModified']}" for entry in found}


def test_photos_that_were_taken_down_do_not_come_back(tmp_path: pathlib.Path, old: pathlib.Path) -> None:
    new, listed = tmp_path / "new", tmp_path / "ids"
    first, second = samples_of(old)["photo_id"].to_pylist()[:2]
    assert reprocess(old, new, "--where", "photo_id > 0") == 0
    listed.write_text(str(first))
    assert reprocess_dataset.main([str(new), "--take_down", str(listed), "--workers=1", "--progress=none"]) == 0
    assert reprocess(old, new, "--where", "photo_id > 1") == 0
    assert verified(new)
    left = {*samples_of(old)["photo_id"].to_pylist()} - {first}
    assert set(samples_of(new)["photo_id"].to_pylist()) == left
    assert {name: n for name, n in plan_of(new).counts.items() if "taken" in name} == {
        "taken_down": 1, "taken_down_unknown": 0
    }  # fmt: skip
    listed.write_text(str(second))
    assert reprocess_dataset.main([str(old), "--take_down", str(listed), "--workers=1", "--progress=none"]) == 0
    assert reprocess(old, new, "--where", "photo_id > 1") == 2
    assert reprocess(old, new, "--where", "photo_id > 1", "--overwrite") == 0
    assert verified(new)
    assert set(samples_of(new)["photo_id"].to_pylist()) == left - {second}
    assert [t.photo_id for t in plan_of(new).tombstones] == [first, second]
    listed.write_text("99")
    assert reprocess_dataset.main([str(old), "--take_down", str(listed), "--workers=1", "--progress=none"]) == 0
    assert reprocess(old, new, "--where", "photo_id > 1") == 0
    assert verified(new)
    assert [t.photo_id for t in plan_of(new).tombstones] == [99, first, second]


def test_a_repair_makes_no_shard_of_other_images(
    tmp_path: pathlib.Path, old: pathlib.Path, mirror: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    """What is left of a shard is written again; what is not comes from the first dataset, not from the photos."""
    new, repair = tmp_path / "new", [str(tmp_path / "new"), "--repair", "--workers=1", "--progress=none"]
    assert reprocess(old, new, "--image_size", 16) == 0
    good, root_hash = data_hashes(new), manifest_of(new).root_hash
    (new / layout.idx_file(0)).unlink()
    assert check_dataset.main(repair) == 0
    assert data_hashes(new) == good
    (new / layout.tar_file(0)).unlink()
    (new / layout.rows_file(0)).unlink()
    assert check_dataset.main(repair) == 1
    assert not (new / layout.tar_file(0)).exists()
    assert f"remove {layout.commit_file(0)}, and run the same `photobeam reprocess {old} --output {new}" in caplog.text
    assert f"the rows were not joined, but taken from {old}" in caplog.text
    (new / layout.commit_file(0)).unlink()
    assert reprocess(old, new, "--image_size", 16) == 0
    assert data_hashes(new) == good
    assert manifest_of(new).root_hash == root_hash
    (new / layout.PLAN).unlink()
    assert check_dataset.main(repair) == 2
    assert mirror.asked == []


def test_nothing_may_stay(tmp_path: pathlib.Path, old: pathlib.Path) -> None:
    assert reprocess(old, tmp_path / "new", "--where", "photo_id < 0") == 0
    assert plan_of(tmp_path / "new").shards == 0
    assert verified(tmp_path / "new")


def test_bad_commands_are_refused_with_a_remedy(
    tmp_path: pathlib.Path, source: pathlib.Path, old: pathlib.Path, mirror: FaultServer,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    before = data_hashes(old)
    joined, foreign, damaged = (tmp_path / name for name in ("joined", "foreign", "damaged"))
    assert join_metadata.main(["--yfcc", str(source), "--output", str(joined), "--progress", "none"]) == 0
    unfinished = shutil.copytree(old, tmp_path / "unfinished")
    (unfinished / layout.MANIFEST).unlink()
    shutil.copytree(old, damaged)
    (damaged / layout.MANIFEST).write_bytes(b"{}")
    foreign.mkdir()
    (foreign / "notes.txt").write_text("mine")
    some = ["--samples_per_shard", 10]
    cases = [
        (old, old, some, "lie in one another"),
        (old, old / "new", some, "lie in one another"),
        (old, tmp_path / "link" / ".." / "old", some, "lie in one another"),
        (old, foreign, some, "holds something else (notes.txt)"),
        (tmp_path / "none", tmp_path / "new", some, "holds no dataset"),
        (joined, tmp_path / "new", some, "has rows alone; run `photobeam build` on it first"),
        (unfinished, tmp_path / "new", some, "is not finished; run the same build again first"),
        (damaged, tmp_path / "new", some, f"`photobeam verify {damaged}` says what to do"),
        (old, tmp_path / "new", ["--where", "colour = 'red'"], "colour"),
        (old, tmp_path / "new", ["--where", "width"], "not a condition"),
        (old, tmp_path / "new", ["--where", "width = 'wide'"], "'wide'"),
        (old, tmp_path / "new", ["--where", "random() < 0.5"], "another answer each time"),
        (old, tmp_path / "new", ["--from", "originals", *some], "--from originals: it says where another size"),
        (old, tmp_path / "new", [], "the second dataset would be the same"),
        (old, tmp_path / "new", ["--min_side", 40], "add --from originals"),
        (old, tmp_path / "new", ["--image_size", 0], "--image_size"),
        (old, tmp_path / "new", ["--retry", *some], "--retry changes the dataset itself: leave --output out"),
    ]
    for dataset, output, flags, message in cases:
        assert reprocess(dataset, output, *flags) == 2, message
        assert message in capsys.readouterr().err
        assert not (tmp_path / "new").exists()
    assert reprocess_dataset.main([str(old), "--where", "width > 40"]) == 2
    assert "--where is for a second dataset: name its --output" in capsys.readouterr().err
    for flag in ("--retry", "--check_alive"):
        assert reprocess_dataset.main([flag, str(old)]) == 2
        assert "OUT is missing: name the dataset first" in capsys.readouterr().err
    assert data_hashes(old) == before


@pytest.mark.parametrize("folder", ["rows", "shards", "failures", "commits"])
def test_damage_of_the_old_dataset_is_named_and_not_copied(
    tmp_path: pathlib.Path, old: pathlib.Path, capsys: pytest.CaptureFixture[str], folder: str
) -> None:
    for path in sorted((old / folder).iterdir()):
        if path.suffix in (".idx",) or path.name in ("index.json", "input.parquet"):
            continue
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        whole = path.read_bytes()
        path.write_bytes(data)
        assert reprocess(old, tmp_path / "new", "--samples_per_shard", 60) == 1
        assert f"{folder}/{path.name}" in (error := capsys.readouterr().err)
        assert f"`photobeam verify {old}` says what to do" in error
        assert not (tmp_path / "new" / layout.MANIFEST).exists()
        path.write_bytes(whole)
        if folder == "shards" and path.suffix == ".tar":
            break
    assert reprocess(old, tmp_path / "new", "--samples_per_shard", 60) == 0
    assert verified(tmp_path / "new")
