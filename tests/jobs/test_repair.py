"""`photobeam verify --repair`: all kinds of damage to all kinds of files are healed, and nothing else touched.

One file at a time, with more places of damage: tests/endurance/repair_damages.py.
"""

import contextlib
import dataclasses
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import typing

import pytest

from beam_jobs import build_dataset, check_dataset, reprocess_dataset
from schemas import layout
from schemas.records import CommitRecord, Manifest, Plan, Record
from tests.damaged_dataset import (
    FLAGS,
    HOWS,
    PHOTOS,
    Corpus,
    Damage,
    built_corpus,
    check_healing,
    data_of,
    inflict,
    repair,
    root_hash,
    stamps,
)
from tests.store_servers import GcsServer, S3Server
from transforms.stores.dataset_files import DatasetFiles
from transforms.stores.request_signers import S3Options
from transforms.verify.verify_dataset import verify

TAR, ROWS, COMMIT = layout.tar_file(1), layout.rows_file(1), layout.commit_file(1)

TOGETHER = {
    f"{kinds}, {how}": [Damage(kind, shard, how) for shard, kind in enumerate(kinds.split(" + "))]
    for how in HOWS
    for kinds in (
        "tar + idx + failures",
        "commit + sidecar + rows",
        "index + input failures",
        "manifest",
        "plan",
    )
}
SWAPPED = {
    "tars and commits": [Damage("tar", 0, "swapped"), Damage("commit", 1, "swapped")],
    "sidecars and rows": [Damage("sidecar", 1, "swapped"), Damage("rows", 0, "swapped")],
    "indexes and failures": [Damage("idx", 0, "swapped"), Damage("failures", 1, "swapped")],
}
R = typing.TypeVar("R", bound=Record)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> typing.Iterator[Corpus]:
    with built_corpus(tmp_path_factory.mktemp("corpus")) as built:
        yield built


@pytest.fixture
def dataset(corpus: Corpus, tmp_path: pathlib.Path) -> pathlib.Path:
    """A copy that may be damaged; nothing has been asked of the mirror since it was made."""
    corpus.mirror.asked.clear()
    return pathlib.Path(shutil.copytree(corpus.output, tmp_path / "out"))


def faults(root: pathlib.Path) -> dict[str, str]:
    return {fault.file: fault.remedy for fault in verify(str(root)).faults}


def record(root: pathlib.Path, name: str, kind: type[R]) -> R:
    return kind.from_json((root / name).read_bytes(), name)


def edit(root: pathlib.Path, name: str, kind: type[R], **changes: typing.Any) -> None:
    (root / name).write_bytes(dataclasses.replace(record(root, name, kind), **changes).to_json())


@pytest.mark.parametrize("name", [*TOGETHER, *SWAPPED])
def test_damage_is_found_and_healed_and_nothing_else_touched(corpus: Corpus, tmp_path: pathlib.Path, name: str) -> None:
    check_healing(corpus, tmp_path / "copy", (TOGETHER | SWAPPED)[name])


def test_a_whole_dataset_is_left_alone(
    corpus: Corpus, dataset: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = stamps(dataset)
    assert repair(dataset) == 0
    assert stamps(dataset) == before
    assert corpus.mirror.asked == []
    assert capsys.readouterr().out.startswith("no fault in 3 shards: 24 rows = ")
    assert [p.name for p in (dataset / "_tmp").iterdir()] == ["lease.json"]


def test_many_damages_are_healed_at_once(corpus: Corpus, dataset: pathlib.Path) -> None:
    for kind, shard in (("tar", 0), ("commit", 0), ("rows", 1), ("idx", 1), ("failures", 2), ("commit", 2)):
        inflict(dataset, Damage(kind, shard, "deleted"))
    for kind in ("plan", "index", "input failures"):
        inflict(dataset, Damage(kind, 0, "emptied"))
    assert repair(dataset) == 0
    assert data_of(dataset) == data_of(corpus.output)
    assert root_hash(dataset) == root_hash(corpus.output)
    lost = corpus.photos_of(layout.sidecar_file(0)) | corpus.photos_of(layout.failures_file(2))
    assert set(corpus.mirror.asked) == lost


def test_without_a_manifest_records_are_restored_and_photos_come_from_where_flags_say(
    corpus: Corpus, dataset: pathlib.Path
) -> None:
    (dataset / layout.MANIFEST).unlink()
    (dataset / TAR).unlink()
    assert repair(dataset, f"--mirror=yfcc={corpus.mirror.url}", "--retries=0") == 0
    assert data_of(dataset) == data_of(corpus.output)
    assert root_hash(dataset) == root_hash(corpus.output)
    assert set(corpus.mirror.asked) == corpus.photos_of(layout.sidecar_file(1))


def test_a_lost_manifest_has_the_flags_of_the_build_again(corpus: Corpus, dataset: pathlib.Path) -> None:
    """Not those of the repair: the next command that fetches needs them."""
    for name in (layout.MANIFEST, TAR):
        (dataset / name).unlink()
    assert repair(dataset, "--timeout_s=7") == 0
    assert data_of(dataset) == data_of(corpus.output)
    flags = record(dataset, layout.MANIFEST, Manifest).configuration
    assert {name: flags[name] for name in ("mirror", "retries", "timeout_s")} == {
        "mirror": [f"yfcc={corpus.mirror.url}"], "retries": 0, "timeout_s": 10.0,
    }  # fmt: skip


def test_a_lost_plan_has_the_flags_of_the_build_again(corpus: Corpus, dataset: pathlib.Path) -> None:
    (dataset / layout.PLAN).unlink()
    assert repair(dataset) == 0
    manifest = record(dataset, layout.MANIFEST, Manifest)
    assert record(dataset, layout.PLAN, Plan).configuration == manifest.configuration


def test_a_shard_is_not_given_up_for_photos_that_do_not_come(
    corpus: Corpus, dataset: pathlib.Path, capfd: pytest.CaptureFixture[str], fresh_workers: None
) -> None:
    inflict(dataset, Damage("tar", 1, "flipped"))
    inflict(dataset, Damage("idx", 0, "deleted"))
    before = {name: data for name, data in data_of(dataset).items() if name != layout.idx_file(0)}
    assert repair(dataset, f"--images={corpus.source.parent}") == 1
    captured = capfd.readouterr()
    assert "shard 000001 is left as it is: 7 of 7 photos failed, more than --max_failure_ratio" in captured.err
    assert "--repair has just been tried" in captured.err
    assert captured.out.startswith(f"{TAR}: its bytes have changed")
    assert {name: data for name, data in data_of(dataset).items() if name in before} == before
    assert repair(dataset) == 0
    assert data_of(dataset) == data_of(corpus.output)


def test_photos_that_are_gone_meanwhile_are_told_and_can_be_retried(
    corpus: Corpus, dataset: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inflict(dataset, Damage("tar", 1, "emptied"))
    path = min(corpus.photos_of(layout.sidecar_file(1)))
    answer = corpus.mirror.answers.pop(path)
    assert repair(dataset) == 1
    assert "1 samples of shards that were made again are failures now" in capsys.readouterr().err
    assert faults(dataset) == {}
    corpus.mirror.answers[path] = answer
    assert reprocess_dataset.main([str(dataset), "--retry", "reason = 'not_found'", *FLAGS]) == 0
    assert data_of(dataset) == data_of(corpus.output)


@contextlib.contextmanager
def other_source(corpus: Corpus, content: bytes | None) -> typing.Iterator[None]:
    """Replaces the input, or takes it away, for the length of a ``with`` block; the file comes back as it was."""
    hidden = corpus.source.rename(corpus.source.with_name("hidden"))
    try:
        if content is not None:
            corpus.source.write_bytes(content)
        yield
    finally:
        hidden.rename(corpus.source)


def test_rows_cannot_be_joined_again_without_the_inputs(
    corpus: Corpus,
    dataset: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    (dataset / ROWS).unlink()
    (dataset / layout.idx_file(0)).unlink()
    with other_source(corpus, None):
        assert repair(dataset) == 1
        captured, logged = capsys.readouterr(), [record.getMessage() for record in caplog.records]
        missing = f"--yfcc {corpus.source}: there is no such file; check the path"
        assert f"{ROWS} cannot be joined again: {missing}" in logged
        assert captured.out.startswith(f"{ROWS}: it is missing; ")
        assert faults(dataset).keys() == {ROWS}
        (dataset / layout.PLAN).unlink()
        before = files_of(dataset)
        assert repair(dataset) == 2
        assert f"{layout.PLAN} is lost, and the rows cannot be joined again: {missing}" in capsys.readouterr().err
        assert files_of(dataset) == before
    assert repair(dataset) == 0
    assert data_of(dataset) == data_of(corpus.output)


def files_of(root: pathlib.Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file() and "_tmp" not in p.parts}


def test_rows_of_other_inputs_are_refused(
    corpus: Corpus, dataset: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    (dataset / ROWS).unlink()
    with other_source(corpus, b"".join(corpus.source.read_bytes().splitlines(keepends=True)[: PHOTOS // 2])):
        assert repair(dataset) == 1
    assert f"{ROWS}: joined again they are others than planned" in caplog.text
    assert faults(dataset).keys() == {ROWS}


@pytest.mark.parametrize(("name", "kind"), [(layout.PLAN, Plan), (layout.MANIFEST, Manifest), (COMMIT, CommitRecord)])
def test_records_of_a_newer_version_are_never_repaired(
    dataset: pathlib.Path, capsys: pytest.CaptureFixture[str], name: str, kind: type[Record]
) -> None:
    edit(dataset, name, kind, format_version=99)
    (dataset / TAR).unlink()
    before = stamps(dataset)
    assert repair(dataset) == 2
    assert "was written by a newer photobeam" in capsys.readouterr().err
    assert stamps(dataset) == before


def test_strays_are_named_and_left_but_leftovers_go(dataset: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = ["_tmp/20260101T000000-dead/shard-000001/images", "log/000007.json"]
    strays = ["shards/000001.tar.part", "shards/000009.tar", "rows/notes.txt"]
    for name in own + strays:
        (dataset / name).parent.mkdir(parents=True, exist_ok=True)
        (dataset / name).write_bytes(b"x")
    assert faults(dataset).keys() == {"_tmp/20260101T000000-dead", "log/000007.json", *strays}
    assert repair(dataset) == 1
    assert capsys.readouterr().out.count("it is not part of this dataset; move it elsewhere") == len(strays)
    assert faults(dataset).keys() == set(strays)
    assert not any((dataset / name).exists() for name in own)


def test_an_unfinished_dataset_is_left_to_a_build(corpus: Corpus, dataset: pathlib.Path) -> None:
    for name in (layout.MANIFEST, layout.SHARD_INDEX, COMMIT):
        (dataset / name).unlink()
    inflict(dataset, Damage("idx", 0, "truncated"))
    assert repair(dataset) == 1
    assert corpus.mirror.asked == []
    left = faults(dataset)
    assert left.keys() == {layout.MANIFEST, COMMIT}
    assert set(left.values()) == {"run the same build again: it goes on"}
    arguments = ["--yfcc", str(corpus.source), f"--mirror=yfcc={corpus.mirror.url}", "--output", str(dataset), *FLAGS]
    assert build_dataset.main([*arguments, "--samples_per_shard=8", "--image_size=32,16", "--retries=1"]) == 0
    assert root_hash(dataset) == root_hash(corpus.output)
    assert not faults(dataset)
    plan, manifest = record(dataset, layout.PLAN, Plan), record(dataset, layout.MANIFEST, Manifest)
    assert plan.configuration == manifest.configuration
    assert plan.configuration["retries"] == 1


def test_rows_without_images_are_repaired(corpus: Corpus, tmp_path: pathlib.Path) -> None:
    output = tmp_path / "rows"
    arguments = ["--yfcc", str(corpus.source), "--output", str(output), *FLAGS, "--samples_per_shard=8"]
    assert build_dataset.main([*arguments, "--images=none"]) == 0
    good = files_of(output)
    (output / ROWS).write_bytes(b"")
    (output / layout.INPUT_FAILURES).unlink()
    assert repair(output) == 0
    assert files_of(output) == good


@pytest.mark.usefixtures("no_credentials")
def test_a_dataset_on_s3_is_repaired(corpus: Corpus, s3: S3Server, bucket: str) -> None:
    keys = (f"--s3_endpoint_url={s3.url}", f"--s3_access_key_id={s3.key_id}", f"--s3_secret_access_key={s3.secret}")
    good = {name: (corpus.output / name).read_bytes() for name in [*data_of(corpus.output), layout.MANIFEST]}
    s3.put(bucket, {f"out/{name}": data for name, data in good.items() if name not in (TAR, ROWS, layout.SHARD_INDEX)})
    corpus.mirror.asked.clear()
    url = f"s3://{bucket}/out"
    assert check_dataset.main([url, "--repair", *FLAGS, *keys]) == 0
    options = S3Options(endpoint_url=s3.url, access_key_id=s3.key_id, secret_access_key=s3.secret)
    assert DatasetFiles(url, options).read_present(list(good)) == good
    assert set(corpus.mirror.asked) == corpus.photos_of(layout.sidecar_file(1))


@pytest.mark.usefixtures("no_credentials")
def test_a_dataset_on_googles_store_is_repaired(
    corpus: Corpus, gcs: GcsServer, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.url)
    good = {name: (corpus.output / name).read_bytes() for name in [*data_of(corpus.output), layout.MANIFEST]}
    lost = (TAR, ROWS, layout.SHARD_INDEX)
    gcs.put(bucket, {f"out/{name}": data for name, data in good.items() if name not in lost})
    assert check_dataset.main([f"gs://{bucket}/out", "--repair", *FLAGS]) == 0
    assert DatasetFiles(f"gs://{bucket}/out").read_present(list(good)) == good


def test_photos_that_were_taken_down_do_not_return(corpus: Corpus, dataset: pathlib.Path) -> None:
    (dataset.parent / "ids").write_text(corpus.lines[1].split("\t")[1])
    assert reprocess_dataset.main([str(dataset), f"--take_down={dataset.parent / 'ids'}", *FLAGS]) == 0
    good, corpus.mirror.asked[:] = data_of(dataset), []
    for name in (*map(layout.rows_file, range(3)), *map(layout.tar_file, range(3)), layout.INPUT_FAILURES):
        (dataset / name).unlink()
    assert repair(dataset) == 0
    assert data_of(dataset) == good
    plan = (dataset / layout.PLAN).read_bytes()
    (dataset / layout.PLAN).unlink()
    assert repair(dataset) == 0
    assert (dataset / layout.PLAN).read_bytes() == plan
    assert data_of(dataset) == good


def test_a_repair_that_died_is_gone_on_with(
    corpus: Corpus, dataset: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dead before the records: shards are made again, index and manifest are not."""
    for name in (layout.MANIFEST, layout.SHARD_INDEX, TAR):
        (dataset / name).unlink()
    with monkeypatch.context() as patch:
        patch.setattr(
            "beam_jobs.repair.repair_dataset._repair_records", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        assert repair(dataset, f"--mirror=yfcc={corpus.mirror.url}") == 130
    assert faults(dataset).keys() == {layout.MANIFEST, layout.SHARD_INDEX}
    corpus.mirror.asked.clear()
    assert repair(dataset) == 0
    assert corpus.mirror.asked == []
    assert data_of(dataset) == data_of(corpus.output)


@pytest.mark.parametrize("moment", ["_tmp/*/join", "_tmp/*/staging/shard-*", "_tmp/rewrites"])
def test_a_repair_that_is_killed_is_gone_on_with(corpus: Corpus, dataset: pathlib.Path, moment: str) -> None:
    for kind, shard in (("plan", 0), ("rows", 1), ("tar", 0), ("idx", 1), ("failures", 2)):
        inflict(dataset, Damage(kind, shard, "deleted"))
    command = [sys.executable, "-m", "beam_jobs.check_dataset", str(dataset), "--repair", *FLAGS]
    with subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not any(dataset.glob(moment)):
            time.sleep(0.001)
        assert process.poll() is None, "it was over before the moment came"
        os.killpg(process.pid, signal.SIGKILL)
    assert faults(dataset)
    assert repair(dataset) == 0
    assert data_of(dataset) == data_of(corpus.output)
    assert root_hash(dataset) == root_hash(corpus.output)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--repair", "--fast"], "--fast and --repair exclude each other"),
        (["--fast", "--workers=1"], "--workers has no effect with --fast"),
        (["--retries=1"], "--retries has no effect without --repair"),
        (["--repair", "--image_size=5"], "unknown flag --image_size"),
    ],
)
def test_wrong_commands_are_refused(
    dataset: pathlib.Path, capsys: pytest.CaptureFixture[str], flags: list[str], said: str
) -> None:
    assert check_dataset.main([str(dataset), *flags]) == 2
    assert said in capsys.readouterr().err


def test_where_there_is_no_dataset_nothing_is_made(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert repair(tmp_path / "none") == 2
    assert "holds no dataset" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
