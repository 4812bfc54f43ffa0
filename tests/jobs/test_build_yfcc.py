"""`photobeam build` as a whole: accounts, bytes, resume, and other people's readers."""

import bz2
import dataclasses
import hashlib
import json
import pathlib
import random
import types
import typing

import apache_beam as beam
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import webdataset

from beam_jobs import build_dataset, check_dataset, join_metadata
from schemas import layout
from schemas.photo_ids import hash64, key, shards_of
from schemas.records import Manifest, Plan
from schemas.rows import ROW_SCHEMA
from schemas.samples import SIDECAR_SCHEMA
from tests.fault_server import Answer, FaultServer
from tests.jobs.conftest import picture, write_lines
from tests.yfcc_corpus import mirror_path
from transforms.join import join_rows, spool_lines
from transforms.sources import input_ranges

Flags = typing.Sequence[typing.Any]


def build(source: pathlib.Path, mirror: FaultServer, output: pathlib.Path, *flags: typing.Any) -> int:
    arguments = ["--yfcc", source, "--mirror", f"yfcc={mirror.url}", "--output", output, "--progress", "none"]
    return build_dataset.main([str(a) for a in (*arguments, "--samples_per_shard", 20, *flags)])


def data_hashes(output: pathlib.Path) -> dict[str, str]:
    files = [
        p for name in ("rows", "shards", "failures") for p in (output / name).iterdir() if p.name != "input.parquet"
    ]
    return {str(p.relative_to(output)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def plan_of(output: pathlib.Path) -> Plan:
    return Plan.from_json((output / layout.PLAN).read_bytes(), "plan.json")


def manifest_of(output: pathlib.Path) -> Manifest:
    return Manifest.from_json((output / layout.MANIFEST).read_bytes(), "manifest.json")


def reasons(output: pathlib.Path, pattern: str) -> list[str]:
    files = sorted(str(p) for p in (output / "failures").glob(pattern))
    return sorted(ds.dataset(files).to_table(columns=["reason"])["reason"].to_pylist())


def test_every_line_becomes_a_sample_or_a_failure(
    tmp_path: pathlib.Path, lines: list[str], mirror: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    video = lines[3].split("\t")
    video[1], video[24] = "999", "1"
    other = lines[5].split("\t")
    other[8] = "another+title"
    again = "77" + lines[7][lines[7].index("\t") :]
    bad = ["not\ta\tline", lines[8].replace("\t" + lines[8].split("\t")[1], "\tx17", 1)]
    source = write_lines(tmp_path / "in/yfcc100m_dataset", [*lines, "\t".join(video), "\t".join(other), again, *bad])
    assert build(source, mirror, tmp_path / "out") == 0
    assert plan_of(tmp_path / "out").counts == {
        "input_lines": 65, "rows": 61, "removed_by_filters": 0, "collapsed_lines": 1, "input_failures": 3,
    }  # fmt: skip
    assert reasons(tmp_path / "out", "[0-9]*.parquet") == ["is_video"] + ["not_found"] * 6
    failures = pq.read_table(tmp_path / "out" / layout.INPUT_FAILURES).to_pylist()
    assert sorted(f["reason"] for f in failures) == ["duplicate_photo_id", "malformed_row", "malformed_row"]
    text = source.read_bytes()
    for failure in failures:
        assert text[failure["offset"] :].startswith(failure["raw"])
        assert failure["file"] == str(source)
    assert check_dataset.main([str(tmp_path / "out")]) == 0
    assert "54 samples and 7 failures in 4 shards" in capsys.readouterr().out


def test_rows_are_in_key_order_in_the_shard_of_their_hash(
    tmp_path: pathlib.Path, lines: list[str], mirror: FaultServer
) -> None:
    build(write_lines(tmp_path / "in", lines), mirror, tmp_path / "out")
    seen: list[int] = []
    for shard in range(3):
        table = pq.read_table(tmp_path / "out" / layout.rows_file(shard))
        assert table.schema.equals(ROW_SCHEMA)
        ids = table["photo_id"].to_numpy()
        assert [key(i) for i in ids] == sorted(key(i) for i in ids)
        assert set(shards_of(hash64(ids), 3).tolist()) == {shard}
        assert pq.read_metadata(tmp_path / "out" / layout.rows_file(shard)).row_group(0).column(0).compression == "ZSTD"
        seen += ids.tolist()
    assert sorted(seen) == sorted(int(line.split("\t")[1]) for line in lines)


def test_other_readers_read_it(
    tmp_path: pathlib.Path, lines: list[str], mirror: FaultServer, wids: types.ModuleType
) -> None:
    build(write_lines(tmp_path / "in", lines), mirror, tmp_path / "out")
    tars = sorted(str(p) for p in (tmp_path / "out/shards").glob("*.tar"))
    samples = list(webdataset.WebDataset(tars, shardshuffle=False).decode("pil"))
    sidecar = pa.concat_tables(pq.read_table(t.replace(".tar", ".parquet")) for t in tars)
    assert sidecar.schema.equals(SIDECAR_SCHEMA)
    assert [s["__key__"] for s in samples] == sidecar["key"].to_pylist()
    assert [s["jpg"].size for s in samples] == list(
        zip(sidecar["width"].to_pylist(), sidecar["height"].to_pylist(), strict=True)
    )
    assert [s["txt"] for s in samples] == [s["json"]["title"] for s in samples]
    indexed = wids.ShardListDataset(
        str(tmp_path / "out/shards/index.json"), cache_dir=str(tmp_path / "cache"), keep=True
    )
    assert len(indexed) == 54
    assert indexed[53][".json"] == samples[53]["json"]


@pytest.mark.parametrize(
    ("workers", "range_bytes", "block_bytes", "bucket_bytes", "compress", "parts"),
    [(4, 64 << 20, 16 << 20, 32 << 20, False, 1), (1, 3_000, 1_000, 2_000, False, 3), (2, 900, 1 << 20, 500, True, 2)],
)
def test_bytes_do_not_depend_on_order_splitting_or_workers(
    tmp_path: pathlib.Path,
    lines: list[str],
    mirror: FaultServer,
    monkeypatch: pytest.MonkeyPatch,
    workers: int,
    range_bytes: int,
    block_bytes: int,
    bucket_bytes: int,
    compress: bool,
    parts: int,
) -> None:
    build(write_lines(tmp_path / "reference_in", lines), mirror, tmp_path / "reference", "--workers", 1)
    shuffled = random.Random(workers).sample(lines, len(lines))
    for part in range(parts):
        path = write_lines(tmp_path / f"in/part-{part}", shuffled[part::parts])
        if compress:
            path.write_bytes(
                b"".join(bz2.compress(path.read_bytes()[i : i + 2_000]) for i in range(0, path.stat().st_size, 2_000))
            )
    monkeypatch.setattr(input_ranges, "PLAIN_RANGE_BYTES", range_bytes)
    monkeypatch.setattr(input_ranges, "BZ2_RANGE_BYTES", range_bytes)
    monkeypatch.setattr(spool_lines, "BLOCK_BYTES", block_bytes)
    monkeypatch.setattr("transforms.sources.find_inputs.BUCKET_BYTES", bucket_bytes)
    build(tmp_path / "in", mirror, tmp_path / "out", "--workers", workers)
    assert data_hashes(tmp_path / "out") == data_hashes(tmp_path / "reference")
    assert manifest_of(tmp_path / "out").root_hash == manifest_of(tmp_path / "reference").root_hash


def test_a_second_run_fetches_and_joins_nothing(
    tmp_path: pathlib.Path, lines: list[str], mirror: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_lines(tmp_path / "in", lines)
    build(source, mirror, tmp_path / "out")
    asked, manifest = len(mirror.asked), (tmp_path / "out" / layout.MANIFEST).read_bytes()
    monkeypatch.setattr("beam_jobs.build_dataset._run_graph", None)
    assert build(source, mirror, tmp_path / "out") == 0
    assert (len(mirror.asked), (tmp_path / "out" / layout.MANIFEST).read_bytes()) == (asked, manifest)


def test_a_build_goes_on_from_a_join(
    tmp_path: pathlib.Path, lines: list[str], mirror: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_lines(tmp_path / "in", lines)
    flags = ["--yfcc", source, "--output", tmp_path / "out", "--samples_per_shard", 20, "--progress", "none"]
    assert join_metadata.main([str(f) for f in flags]) == 0
    assert not (tmp_path / "out/shards").exists()
    monkeypatch.setattr(join_rows, "spool_lines", None)
    assert build(source, mirror, tmp_path / "out") == 0
    assert manifest_of(tmp_path / "out").totals.samples == 54


def test_a_missing_commit_is_built_again_alone(tmp_path: pathlib.Path, lines: list[str], mirror: FaultServer) -> None:
    source = write_lines(tmp_path / "in", lines)
    build(source, mirror, tmp_path / "out")
    before = data_hashes(tmp_path / "out")
    for name in (layout.commit_file(1), layout.MANIFEST):
        (tmp_path / "out" / name).unlink()
    mirror.asked.clear()
    build(source, mirror, tmp_path / "out")
    rows = pq.read_table(tmp_path / "out" / layout.rows_file(1)).num_rows
    assert 0 < len(mirror.asked) <= rows < len(lines)
    assert data_hashes(tmp_path / "out") == before


def test_files_that_were_moved_away_count_as_done(
    tmp_path: pathlib.Path, lines: list[str], mirror: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = write_lines(tmp_path / "in", lines), tmp_path / "out"
    build(source, mirror, out)
    moved = ["rows/000001.parquet", "shards/000001.tar", "shards/000001.parquet", "failures/000001.parquet"]
    for name in moved:
        (out / name).unlink()
    mirror.asked.clear()
    assert build(source, mirror, out) == 0
    assert mirror.asked == []
    for name in (layout.MANIFEST, layout.commit_file(0)):
        (out / name).unlink()
    assert build(source, mirror, out) == 0
    rows = pq.read_table(out / layout.rows_file(0)).num_rows
    assert 0 < len(mirror.asked) <= rows
    capsys.readouterr()
    assert check_dataset.main([str(out)]) == 1
    found = capsys.readouterr().out
    assert [name for name in moved if f"{name}: it is missing" in found] == moved


def test_a_damaged_manifest_is_written_again(tmp_path: pathlib.Path, lines: list[str], mirror: FaultServer) -> None:
    source = write_lines(tmp_path / "in", lines)
    build(source, mirror, tmp_path / "out")
    (tmp_path / "out" / layout.MANIFEST).write_text("")
    assert build(source, mirror, tmp_path / "out") == 0
    assert check_dataset.main([str(tmp_path / "out")]) == 0


def test_credentials_of_urls_are_not_published(tmp_path: pathlib.Path, lines: list[str], mirror: FaultServer) -> None:
    root = mirror.url.replace("://", "://user:pa55word@")
    build(write_lines(tmp_path / "in", lines[:2]), mirror, tmp_path / "out", "--mirror", f"yfcc={root}")
    assert not any(b"pa55word" in path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())


def test_sources_may_be_named_one_by_one(tmp_path: pathlib.Path, lines: list[str]) -> None:
    tags = write_lines(tmp_path / "tags", [f"{lines[0].split(chr(9))[1]}\toutdoor:0.9"])
    flags = ["--yfcc", tags, "--yfcc", write_lines(tmp_path / "in[1]", lines), "--output", tmp_path / "out"]
    assert join_metadata.main([*map(str, flags), "--progress", "none"]) == 0
    assert plan_of(tmp_path / "out").counts["autotags_lines"] == 1


def test_rows_of_a_run_that_died_with_more_shards_do_not_stay(
    tmp_path: pathlib.Path, lines: list[str], mirror: FaultServer
) -> None:
    source = write_lines(tmp_path / "in", lines)
    build(source, mirror, tmp_path / "out")
    plan = dataclasses.replace(plan_of(tmp_path / "out"), shards=None, rows=None, counts={})
    (tmp_path / "out" / layout.PLAN).write_bytes(plan.to_json())
    build(source, mirror, tmp_path / "out", "--limit", 5)
    assert [p.name for p in (tmp_path / "out/rows").iterdir()] == ["000000.parquet"]
    assert check_dataset.main([str(tmp_path / "out")]) == 0


@pytest.mark.parametrize("command", [join_metadata.main, build_dataset.main])
def test_rows_made_without_images_keep_how_images_were_made(
    tmp_path: pathlib.Path, lines: list[str], mirror: FaultServer, command: typing.Callable[[list[str]], int]
) -> None:
    """Without a manifest the plan tells where photos come from."""
    source, out = write_lines(tmp_path / "in", lines), tmp_path / "out"
    assert build(source, mirror, out, "--timeout_s", 7, "--videos") == 0
    built = plan_of(out).configuration
    assert built == manifest_of(out).configuration
    flags = ["--yfcc", source, "--output", out, "--progress=none", "--where", "photo_id > 10100"]
    without_images = ["--images=none"] if command is build_dataset.main else []
    assert command([*map(str, flags), *without_images, "--samples_per_shard=20"]) == 0
    assert not (out / layout.MANIFEST).exists()
    assert plan_of(out).configuration == built


def test_a_finished_build_keeps_the_flags_that_made_it(
    tmp_path: pathlib.Path, lines: list[str], mirror: FaultServer
) -> None:
    source, out = write_lines(tmp_path / "in", lines), tmp_path / "out"
    assert build(source, mirror, out) == 0
    before = {path: path.read_bytes() for path in (out / layout.PLAN, out / layout.MANIFEST)}
    assert build(source, mirror, out, "--timeout_s", 7) == 0
    assert {path: path.read_bytes() for path in before} == before


def test_a_join_with_another_selection_warns_and_a_build_mends_it(
    tmp_path: pathlib.Path, lines: list[str], mirror: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    source = write_lines(tmp_path / "in", lines)
    build(source, mirror, tmp_path / "out")
    flags = ["--yfcc", source, "--output", tmp_path / "out", "--samples_per_shard", 20, "--where", "photo_id > 10050"]
    assert join_metadata.main([*map(str, flags), "--progress", "none"]) == 0
    assert "shards no longer fit their rows" in caplog.text
    assert build(source, mirror, tmp_path / "out", "--where", "photo_id > 10050") == 0
    assert check_dataset.main([str(tmp_path / "out")]) == 0


def test_new_lines_keep_the_number_of_shards_and_redo_only_what_changed(
    tmp_path: pathlib.Path, lines: list[str], mirror: FaultServer
) -> None:
    build(write_lines(tmp_path / "in", lines[:59]), mirror, tmp_path / "out")
    mirror.asked.clear()
    assert build(write_lines(tmp_path / "in", lines), mirror, tmp_path / "out") == 0
    changed = int(shards_of(hash64(pa.array([int(lines[59].split("\t")[1])]).to_numpy()), 3)[0])
    rows = pq.read_table(tmp_path / "out" / layout.rows_file(changed)).num_rows
    assert 0 < len(mirror.asked) <= rows
    assert check_dataset.main([str(tmp_path / "out")]) == 0


def test_where_and_limit_choose_rows_before_any_fetch(
    tmp_path: pathlib.Path, lines: list[str], mirror: FaultServer
) -> None:
    source = write_lines(tmp_path / "in", lines)
    build(source, mirror, tmp_path / "where", "--where", "longitude IS NOT NULL AND len(user_tags) > 0")
    rows = ds.dataset(tmp_path / "where/rows").to_table().to_pylist()
    expected = {int(f[1]) for f in (line.split("\t") for line in lines) if f[12] and f[10]}
    assert {r["photo_id"] for r in rows} == expected
    assert len({p for p in mirror.asked}) == len(expected)
    build(source, mirror, tmp_path / "limit", "--limit", 7, "--samples_per_shard", 2)
    kept = ds.dataset(tmp_path / "limit/rows").to_table()["photo_id"].to_numpy()
    ids = pa.array([int(line.split("\t")[1]) for line in lines]).to_numpy()
    assert set(kept.tolist()) == set(ids[hash64(ids, 1).argsort()[:7]].tolist())
    assert plan_of(tmp_path / "limit").shards == 4
    assert plan_of(tmp_path / "limit").counts["removed_by_filters"] == 53


def test_packs_in_any_order_are_joined_and_accounted(
    tmp_path: pathlib.Path, lines: list[str], mirror: FaultServer
) -> None:
    ids = [line.split("\t")[1] for line in lines]
    write_lines(tmp_path / "in/yfcc100m_dataset", lines)
    write_lines(tmp_path / "in/tags", [f"{i}\toutdoor:0.9{i[-1]}" for i in reversed(ids)] + ["5\tindoor:0.5"])
    write_lines(tmp_path / "in/yfcc100m_places", [f"{i}\t" for i in ids])
    write_lines(tmp_path / "in/notes.txt", ["nothing to see"])
    build(tmp_path / "in", mirror, tmp_path / "out")
    rows = ds.dataset(tmp_path / "out/rows").to_table().to_pylist()
    assert all(r["autotags"] == [{"name": "outdoor", "score": float(f"0.9{r['photo_id'] % 10}")}] for r in rows)
    counts = plan_of(tmp_path / "out").counts
    assert {n: counts[n] for n in ("autotags_lines", "autotags_unmatched", "places_lines", "places_unmatched")} == {
        "autotags_lines": 61, "autotags_unmatched": 1, "places_lines": 60, "places_unmatched": 0,
    }  # fmt: skip


def test_too_many_failures_end_with_1_but_leave_a_whole_dataset(
    tmp_path: pathlib.Path, lines: list[str], mirror: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    mirror.answers.clear()
    assert build(write_lines(tmp_path / "in", lines), mirror, tmp_path / "out") == 1
    told = capsys.readouterr().err
    assert "more than --max_failure_ratio 0.5" in told
    assert "60 not_found (see that --mirror and --images name the right root" in told
    assert f"""`photobeam reprocess {tmp_path / "out"} --retry "reason IN ('not_found')"` fetches them again""" in told
    assert check_dataset.main([str(tmp_path / "out")]) == 0
    assert not list((tmp_path / "out/shards").glob("*.tar"))
    assert json.loads((tmp_path / "out" / layout.SHARD_INDEX).read_text())["shardlist"] == []


def test_a_failure_that_heals_is_retried(tmp_path: pathlib.Path, lines: list[str], mirror: FaultServer) -> None:
    path = mirror_path(lines[0])
    mirror.answers[path] = Answer(picture(0), failures_first=2, failing=Answer(b"", 503))
    build(write_lines(tmp_path / "in", lines[:1]), mirror, tmp_path / "out")
    assert manifest_of(tmp_path / "out").totals.samples == 1
    assert mirror.asked == [path, path, path]


def test_real_lines_of_both_forms(tmp_path: pathlib.Path, shared_data: pathlib.Path, mirror: FaultServer) -> None:
    pictures = sorted((shared_data / "images/ianare_exif-samples").rglob("*.jpg"))
    with_hash = (shared_data / "yfcc/yfcc100m_first500_25col.tsv").read_text().splitlines()
    without = (shared_data / "yfcc/transcribed/yfcc_23col_4lines.tsv").read_text().splitlines()
    urls = [line.split("\t")[16] for line in with_hash] + [line.split("\t")[14] for line in without]
    for i, url in enumerate(urls):
        mirror.answers[mirror_path("\t" * 16 + url)] = Answer(pictures[i % len(pictures)].read_bytes())
    write_lines(tmp_path / "in/a.tsv", with_hash)
    (tmp_path / "in/b.bz2").write_bytes(bz2.compress("".join(line + "\n" for line in without).encode()))
    assert build(tmp_path / "in", mirror, tmp_path / "out", "--samples_per_shard", 200) == 0
    assert plan_of(tmp_path / "out").counts["rows"] == 504
    rows = {r["photo_id"]: r for r in ds.dataset(tmp_path / "out/rows").to_table().to_pylist()}
    for line in without:
        fields = line.split("\t")
        row = rows[int(fields[0])]
        assert (row["line_number"], row["user_id"], row["extension"]) == (-1, fields[1], fields[21])
        assert mirror_path("\t" * 16 + fields[14]).endswith(f"/{row['hash']}.jpg")
    assert check_dataset.main([str(tmp_path / "out")]) == 0


def test_beam_counts_and_measures(
    tmp_path: pathlib.Path, lines: list[str], mirror: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What threads count is dropped by Beam without a word, so that numbers are the proof."""
    results: list[typing.Any] = []
    source = write_lines(tmp_path / "in/yfcc100m_dataset", lines)
    run = beam.Pipeline.run
    monkeypatch.setattr(beam.Pipeline, "run", lambda self: results.append(run(self)) or results[-1])
    assert build(source, mirror, tmp_path / "out") == 0
    found = results[0].metrics().query()
    counters = {metric.key.metric.name: metric.result for metric in found["counters"]}
    measured = {metric.key.metric.name: metric.result for metric in found["distributions"]}
    totals = manifest_of(tmp_path / "out").totals
    assert (counters["samples"], counters["failed"]) == (totals.samples, totals.failed)
    shards = len(plan_of(tmp_path / "out").rows or ())
    assert measured["shard_bytes"].count == measured["shard_ms"].count == shards
    assert measured["shard_ms"].min > 0
