"""`build --videos` as a whole, and every other command on a dataset with videos."""

import hashlib
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time
import types
import typing

import pyarrow.parquet as pq
import pytest
import webdataset

from beam_jobs import build_dataset, check_dataset, diff_datasets, reprocess_dataset, show
from schemas import layout
from schemas.photo_ids import key
from schemas.records import Manifest, Plan
from schemas.videos import VIDEO_SIDECAR_SCHEMA, video_json
from tests.fault_server import Answer, FaultServer
from tests.jobs.conftest import picture, write_lines
from tests.small_videos import small_mp4
from tests.yfcc_corpus import dataset_line, mirror_path, video_line, video_path
from transforms.datasets import show_photo
from transforms.stores.dataset_files import DatasetFiles

PHOTOS, VIDEOS, SHARDS = 14, 9, 3
CAP_BYTES = 1_500_000
SIZES_BYTES = (0, 700, 40_000, 1_400_000)
"""Of the contents of the videos that are whole; the others are faulty."""

FLAGS = ("--workers=1", "--progress=none")
NOT_FOUND, PAGE, CUT, BROKEN, LARGE = range(len(SIZES_BYTES), VIDEOS)


class Corpus(typing.NamedTuple):
    """A dataset with videos, which is only to be copied, and what it was built from."""

    source: pathlib.Path
    output: pathlib.Path
    mirror: FaultServer
    videos: list[str]

    def copy(self, folder: pathlib.Path) -> pathlib.Path:
        shutil.copytree(self.output, folder / "out")
        self.mirror.asked.clear()
        return folder / "out"

    def flags(self, output: pathlib.Path, source: pathlib.Path | None = None) -> list[str]:
        shards = f"--samples_per_shard={(PHOTOS + VIDEOS) // SHARDS + 1}"
        made_of = ["--yfcc", str(source or self.source), f"--mirror=yfcc={self.mirror.url}", "--output", str(output)]
        return [*made_of, *FLAGS, "--retries=0", shards, "--image_size=24"]

    def build(self, output: pathlib.Path, *flags: str, source: pathlib.Path | None = None) -> int:
        return build_dataset.main([*self.flags(output, source), *flags])


WITH_VIDEOS = ("--videos", f"--max_video_bytes={CAP_BYTES}")


def with_videos(corpus: Corpus, output: pathlib.Path, *flags: str, source: pathlib.Path | None = None) -> int:
    return corpus.build(output, *WITH_VIDEOS, *flags, source=source)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> typing.Iterator[Corpus]:
    rnd, folder = random.Random(8), tmp_path_factory.mktemp("videos")
    photos = [dataset_line(i, 5_000 + 7 * i, rnd) for i in range(PHOTOS)]
    videos = [video_line(PHOTOS + i, 9_000 + 11 * i, rnd) for i in range(VIDEOS)]
    with FaultServer() as mirror:
        mirror.answers = {mirror_path(line): Answer(picture(i)) for i, line in enumerate(photos)}
        mirror.answers |= {video_path(videos[i]): Answer(small_mp4(i, size)) for i, size in enumerate(SIZES_BYTES)}
        mirror.answers |= {
            video_path(videos[PAGE]): Answer(b"<html>moved</html>"),
            video_path(videos[CUT]): Answer(small_mp4(CUT)[:-1]),
            video_path(videos[BROKEN]): Answer(small_mp4(BROKEN)[:500], announced_bytes=1024),
            video_path(videos[LARGE]): Answer(small_mp4(LARGE, CAP_BYTES)),
        }
        made = Corpus(write_lines(folder / "in", [*photos, *videos]), folder / "out", mirror, videos)
        assert with_videos(made, made.output, "--max_failure_ratio=0") == 0
        yield made


def id_of(line: str) -> int:
    return int(line.split("\t")[1])


def manifest_of(output: pathlib.Path) -> Manifest:
    return Manifest.from_json((output / layout.MANIFEST).read_bytes(), layout.MANIFEST)


def data_of(output: pathlib.Path) -> dict[str, bytes]:
    folders = ("rows", "shards", "videos", "failures", "commits")
    return {str(p.relative_to(output)): p.read_bytes() for f in folders for p in (output / f).iterdir()}


def failures_of(output: pathlib.Path) -> dict[int, tuple[str, str, str]]:
    rows = [row for path in sorted(output.glob("failures/0*")) for row in pq.read_table(path).to_pylist()]
    return {row["photo_id"]: (row["reason"], row["detail"], row["url"]) for row in rows}


def tars_of(output: pathlib.Path) -> list[str]:
    return sorted(map(str, output.glob("videos/*.tar")))


def reprocess(output: pathlib.Path, *flags: str) -> int:
    return reprocess_dataset.main([str(output), *FLAGS, *flags])


def test_every_video_is_taken_or_fails(corpus: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    output = corpus.output
    assert check_dataset.main([str(output)]) == 0
    assert f"{PHOTOS + VIDEOS} rows = {PHOTOS} samples + 4 videos + 5 failures" in capsys.readouterr().out
    totals = manifest_of(output).totals
    assert (totals.samples, totals.videos, totals.failed, totals.failed_videos) == (PHOTOS, 4, 5, 5)
    found = [failures_of(output)[id_of(corpus.videos[i])][:2] for i in (NOT_FOUND, PAGE, CUT, BROKEN, LARGE)]
    assert found == [
        ("not_found", "HTTP status 404"),
        ("not_an_image", "the file fetched as a video is no video"),
        ("truncated_image", "the MP4 ends within a box"),
        ("connection_error", "the body is shorter than announced or damaged"),
        ("too_large", f"more than --max_video_bytes {CAP_BYTES}"),
    ]
    root = "https://multimedia-commons.s3.us-west-2.amazonaws.com"
    urls = {url for _, _, url in failures_of(output).values()}
    assert urls == {root + video_path(line) for line in corpus.videos[NOT_FOUND:]}


def test_other_readers_read_the_videos(corpus: Corpus, wids: types.ModuleType) -> None:
    output = corpus.output
    samples = list(webdataset.WebDataset(tars_of(output), shardshuffle=False))
    assert {s["__key__"]: s["mp4"] for s in samples} == {
        key(id_of(corpus.videos[i])): small_mp4(i, size) for i, size in enumerate(SIZES_BYTES)
    }
    read: list[str] = []
    for tar in map(pathlib.Path, tars_of(output)):
        table = pq.read_table(tar.with_suffix(".parquet"))
        assert table.schema.equals(VIDEO_SIDECAR_SCHEMA)
        for row in table.to_pylist():
            sample = samples[len(read)]
            video = tar.read_bytes()[row["video_offset"] :][: row["video_bytes"]]
            assert video == sample["mp4"]
            assert row["sha256"] == hashlib.sha256(video).hexdigest()
            assert sample["json"] == video_json(row)
            assert sample["txt"].decode() == row["title"]
            assert (row["fetched_from"], row["is_video"]) == ("mirror", True)
            read.append(row["key"])
    assert read == [s["__key__"] for s in samples]
    fields = [set(json.loads(s["json"])) for s in samples]
    assert all(names == {f.name for f in VIDEO_SIDECAR_SCHEMA} - {"video_offset"} for names in fields)
    assert len(wids.ShardListDataset(str(output / layout.VIDEO_INDEX))) == len(SIZES_BYTES)
    assert len(wids.ShardListDataset(str(output / layout.SHARD_INDEX))) == PHOTOS


def test_a_second_run_fetches_nothing_and_a_lost_commit_its_shard(corpus: Corpus, tmp_path: pathlib.Path) -> None:
    output = corpus.copy(tmp_path)
    assert with_videos(corpus, output) == 0
    assert not corpus.mirror.asked
    (output / layout.commit_file(1)).unlink()
    assert with_videos(corpus, output) == 0
    rows = pq.read_metadata(output / layout.rows_file(1)).num_rows
    assert len(set(corpus.mirror.asked)) == rows
    assert data_of(output) == data_of(corpus.output)


def test_a_killed_build_goes_on_to_the_same_bytes(corpus: Corpus, tmp_path: pathlib.Path) -> None:
    output, last = tmp_path / "out", video_path(corpus.videos[len(SIZES_BYTES) - 1])
    before = corpus.mirror.answers[last]
    corpus.mirror.answers[last] = Answer(fault="stall")
    corpus.mirror.asked.clear()
    command = [sys.executable, "-m", "beam_jobs.build_dataset", *corpus.flags(output), *WITH_VIDEOS]
    try:
        with subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) as process:
            while process.poll() is None and last not in corpus.mirror.asked:
                time.sleep(0.02)
            os.killpg(process.pid, signal.SIGKILL)
    finally:
        corpus.mirror.answers[last] = before
    assert list(output.glob("_tmp/**/videos_spooled"))
    assert with_videos(corpus, output) == 0
    assert data_of(output) == data_of(corpus.output)
    assert check_dataset.main([str(output)]) == 0


def test_videos_are_of_the_format(corpus: Corpus, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = corpus.copy(tmp_path)
    assert corpus.build(output) == 2
    assert "--videos is False, the output was begun with True" in capsys.readouterr().err
    assert corpus.build(output, "--videos") == 2
    assert f"--max_video_bytes is 500000000, the output was begun with {CAP_BYTES}" in capsys.readouterr().err
    assert corpus.build(tmp_path / "new", "--max_video_bytes=5") == 2
    assert "no effect without --videos" in capsys.readouterr().err
    assert corpus.build(tmp_path / "new", "--videos", "--images=none") == 2
    assert "--videos has no effect with --images none" in capsys.readouterr().err


def test_without_the_flag_nothing_is_as_if_there_were_videos(
    corpus: Corpus, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    assert corpus.build(output) == 0
    assert f"{PHOTOS} samples and {VIDEOS} failures" in capsys.readouterr().out
    assert not (output / "videos").exists()
    plan = Plan.from_json((output / layout.PLAN).read_bytes(), layout.PLAN)
    assert not any(name in plan.format for name in ("videos", "max_video_bytes"))
    assert not any(b'videos"' in p.read_bytes() for p in output.glob("commits/*"))
    assert {reason for reason, _, _ in failures_of(output).values()} == {"is_video"}
    shards, with_them = ({p.name: p.read_bytes() for p in o.glob("shards/*")} for o in (output, corpus.output))
    assert shards == with_them
    assert corpus.build(output, "--videos") == 2
    assert "--videos is True, the output was begun with False" in capsys.readouterr().err
    assert diff_datasets.main([str(output), str(corpus.output)]) == 1
    said = capsys.readouterr().out
    assert "is_video became video: 4" in said
    assert "--videos: False in A, True in B" in said


def test_a_retried_video_is_as_if_it_had_come_at_once_in_another_order(corpus: Corpus, tmp_path: pathlib.Path) -> None:
    output, path = corpus.copy(tmp_path), video_path(corpus.videos[BROKEN])
    before = corpus.mirror.answers[path]
    corpus.mirror.answers[path] = Answer(small_mp4(BROKEN))
    source = write_lines(tmp_path / "in", reversed(corpus.source.read_text().splitlines()))
    try:
        assert reprocess(output, "--retry") == 0
        assert corpus.mirror.asked == [path]
        assert check_dataset.main([str(output)]) == 0
        assert with_videos(corpus, tmp_path / "smooth", "--workers=2", "--concurrency=2", source=source) == 0
    finally:
        corpus.mirror.answers[path] = before
    assert data_of(output) == data_of(tmp_path / "smooth")
    assert manifest_of(output).root_hash == manifest_of(tmp_path / "smooth").root_hash
    assert manifest_of(output).totals.videos == 5


def test_a_video_that_is_taken_down_is_in_no_file(corpus: Corpus, tmp_path: pathlib.Path) -> None:
    output, withdrawn = corpus.copy(tmp_path), [id_of(corpus.videos[i]) for i in (1, CUT)]
    (tmp_path / "ids").write_text("".join(f"{photo_id}\n" for photo_id in withdrawn))
    assert reprocess(output, "--take_down", str(tmp_path / "ids")) == 0
    assert not corpus.mirror.asked
    assert check_dataset.main([str(output)]) == 0
    totals = manifest_of(output).totals
    assert (totals.samples, totals.videos, totals.failed_videos) == (PHOTOS, 3, 4)
    data = data_of(output)
    assert not any(small_mp4(1, SIZES_BYTES[1])[40:200] in content for content in data.values())
    tables = [pq.read_table(output / name) for name in data if name.endswith(".parquet") and "input" not in name]
    assert not any(set(withdrawn) & set(table["photo_id"].to_pylist()) for table in tables)


@pytest.mark.parametrize("kind", ["tar", "idx"])
def test_damage_is_found_and_repaired(
    corpus: Corpus, tmp_path: pathlib.Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    output = corpus.copy(tmp_path)
    name = str(pathlib.Path(tars_of(output)[0]).relative_to(output).with_suffix(f".{kind}"))
    data = bytearray((output / name).read_bytes())
    data[len(data) // 2] ^= 1
    (output / name).write_bytes(data)
    stamps = {p: os.stat(output / p).st_mtime_ns for p in data_of(output) if p.startswith(("shards/", "rows/"))}
    assert check_dataset.main([str(output)]) == 1
    assert f"{name}: its bytes have changed" in capsys.readouterr().out
    assert check_dataset.main([str(output), "--repair", *FLAGS]) == 0
    assert data_of(output) == data_of(corpus.output)
    assert {p: os.stat(output / p).st_mtime_ns for p in stamps} == stamps
    assert all("videos" in path for path in corpus.mirror.asked)
    assert bool(corpus.mirror.asked) == (kind != "idx")


def test_a_lost_index_of_videos_is_written_again(corpus: Corpus, tmp_path: pathlib.Path) -> None:
    output = corpus.copy(tmp_path)
    (output / layout.VIDEO_INDEX).unlink()
    (output / "videos/stray.mp4").write_bytes(b"")
    assert check_dataset.main([str(output), "--fast"]) == 1
    (output / "videos/stray.mp4").unlink()
    assert check_dataset.main([str(output), "--repair", *FLAGS]) == 0
    assert data_of(output) == data_of(corpus.output)


def test_a_dataset_made_of_it_has_the_same_videos(
    corpus: Corpus, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = corpus.copy(tmp_path)
    small = tmp_path / "small"
    assert reprocess(output, "--output", str(small), "--image_size=16", "--samples_per_shard=5") == 0
    assert not corpus.mirror.asked
    assert check_dataset.main([str(small)]) == 0
    read = webdataset.WebDataset(tars_of(small), shardshuffle=False)
    assert sorted(s["mp4"] for s in read) == sorted(small_mp4(i, size) for i, size in enumerate(SIZES_BYTES))
    capsys.readouterr()
    assert diff_datasets.main([str(output), str(small)]) == 1
    assert "videos." not in capsys.readouterr().out


def test_a_video_that_is_gone_does_not_keep_its_shard_from_repair(
    corpus: Corpus, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = corpus.copy(tmp_path)
    tar = pathlib.Path(tars_of(output)[0])
    ids = pq.read_table(tar.with_suffix(".parquet"))["photo_id"].to_pylist()
    path = next(video_path(line) for line in corpus.videos if id_of(line) in ids)
    tar.write_bytes(b"damaged")
    before = corpus.mirror.answers.pop(path)
    try:
        assert check_dataset.main([str(output), "--repair", *FLAGS]) == 1
    finally:
        corpus.mirror.answers[path] = before
    assert "photobeam: 1 videos of shards that were made again are failures now" in capsys.readouterr().err
    assert check_dataset.main([str(output)]) == 0
    totals = manifest_of(output).totals
    assert (totals.samples, totals.videos, totals.failed_videos) == (PHOTOS, 3, 6)


def test_a_video_is_shown_and_saved_in_pieces(
    corpus: Corpus, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(show_photo, "READ_BYTES", 9_000)
    sizes, read_range = list[int](), DatasetFiles.read_range

    def noted(files: DatasetFiles, name: str, offset: int, size: int) -> bytes:
        sizes.append(size)
        return read_range(files, name, offset, size)

    monkeypatch.setattr(DatasetFiles, "read_range", noted)
    video, file = id_of(corpus.videos[2]), tmp_path / "video.mp4"
    assert show.main([str(corpus.output), str(video), "--save", str(file)]) == 0
    assert json.loads(capsys.readouterr().out)["video_bytes"] == len(file.read_bytes())
    assert file.read_bytes() == small_mp4(2, SIZES_BYTES[2])
    assert max(sizes) == 9_000
    assert show.main([str(corpus.output), str(id_of(corpus.videos[CUT])), "--save", str(file)]) == 1
    assert "truncated_image" in capsys.readouterr().err
