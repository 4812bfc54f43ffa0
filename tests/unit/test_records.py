"""Records survive JSON, and a damaged or newer one is refused by name."""

import dataclasses
import hashlib
import json

import pytest

from schemas.layout import FORMAT_VERSION
from schemas.records import (
    CommitRecord,
    FileDigest,
    Intent,
    Manifest,
    ManifestShard,
    OtherFormatError,
    Plan,
    PlanInput,
    PlanRows,
    Record,
    Tombstone,
    Totals,
    manifest_shard,
    root_hash,
    rows_digest,
    totals_of,
)

COMMIT = CommitRecord(
    shard=3,
    rows=3,
    samples=1,
    failed=2,
    failures_by_reason={"gone": 2},
    rows_digest="d" * 64,
    files={"rows/000003.parquet": FileDigest(10, "a" * 64), "shards/000003.tar": FileDigest(20, "b" * 64)},
)
MANIFEST = Manifest(
    configuration={"where": None, "quality": 90, "yfcc": ["ü"]},
    software={"pyarrow": "25.0.1"},
    counts={"input_lines": 3},
    shards=[ManifestShard("000003", 1, 2, 30, {"rows/000003.parquet": "a" * 64}, "d" * 64)],
    files={"shards/index.json": FileDigest(5, "e" * 64)},
    totals=Totals(3, 1, 2, 30, {"gone": 2}),
    root_hash="f" * 64,
    run={"started": 1.25},
)
PLAN = Plan({"where": "x > 1"}, {"quality": 90}, [PlanInput("a\udc80b", "dataset", 7, "etag")])
COMPLETE_PLAN = dataclasses.replace(
    PLAN, shards=1, tombstones=[Tombstone(2**62 + 1, "2026-11-21")], counts={"rows": 3}, rows=[PlanRows(0, 3, "a" * 64)]
)
INTENT = Intent({"shards/000003.tar": FileDigest(20, "b" * 64)}, ["shards/000003.idx"], COMMIT)
WITH_VIDEOS = dataclasses.replace(COMMIT, rows=9, failed=4, videos=4, failed_videos=2)
RECORDS = [COMMIT, MANIFEST, PLAN, COMPLETE_PLAN, INTENT, WITH_VIDEOS, dataclasses.replace(INTENT, commit=WITH_VIDEOS)]


@pytest.mark.parametrize("record", RECORDS)
def test_a_record_survives_json(record: Record) -> None:
    data = record.to_json()
    assert type(record).from_json(data, "x.json") == record
    assert type(record).from_json(data, "x.json").to_json() == data
    assert data.endswith(b"}\n")
    assert list(json.loads(data)) == sorted(json.loads(data))


@pytest.mark.parametrize(
    ("record", "sha256"),
    [
        (COMMIT, "ab59cbf640ed2248dda66dca61cfef7c2850f0ed499f6a3713ad64b7bf9b5141"),
        (MANIFEST, "c24cce747b87ccc2fa13820c110aa5188aa953a29d1ba901a0adcede3650fa6d"),
    ],
)
def test_records_without_videos_have_the_bytes_that_they_had_before_there_were_any(record: Record, sha256: str) -> None:
    assert hashlib.sha256(record.to_json()).hexdigest() == sha256


def test_counts_of_videos_go_from_commits_to_the_manifest() -> None:
    assert manifest_shard(COMMIT).videos == manifest_shard(COMMIT).failed_videos == 0
    assert (manifest_shard(WITH_VIDEOS).videos, manifest_shard(WITH_VIDEOS).failed_videos) == (4, 2)
    totals = totals_of([COMMIT, WITH_VIDEOS, WITH_VIDEOS])
    assert (totals.rows, totals.videos, totals.failed_videos) == (21, 8, 4)


def test_the_order_of_keys_moves_no_byte() -> None:
    turned = dataclasses.replace(COMMIT, files=dict(reversed(COMMIT.files.items())))
    assert turned.to_json() == COMMIT.to_json()


@pytest.mark.parametrize("record", RECORDS)
def test_a_change_of_any_byte_is_refused(record: Record) -> None:
    data = record.to_json()
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1
        with pytest.raises(ValueError, match=r"x\.json (is damaged|was written by a newer photobeam)"):
            type(record).from_json(bytes(damaged), "x.json")


@pytest.mark.parametrize("record", RECORDS)
def test_a_record_cut_short_is_refused(record: Record) -> None:
    data = record.to_json()
    for length in (0, 1, len(data) // 2, len(data) - 1):
        with pytest.raises(ValueError, match="x.json is damaged"):
            type(record).from_json(data[:length], "x.json")


@pytest.mark.parametrize("record", RECORDS)
def test_another_format_version_is_refused(record: Record) -> None:
    newer = dataclasses.replace(record, format_version=FORMAT_VERSION + 1)
    with pytest.raises(OtherFormatError, match="x.json was written by a newer photobeam .* upgrade"):
        type(record).from_json(newer.to_json(), "x.json")
    older = dataclasses.replace(record, format_version=FORMAT_VERSION - 1)
    with pytest.raises(OtherFormatError, match="x.json was written by an older photobeam .*--output, or with --overw"):
        type(record).from_json(older.to_json(), "x.json")


def test_another_kind_of_record_is_refused() -> None:
    with pytest.raises(ValueError, match="x.json is damaged: wrong or missing keys"):
        Plan.from_json(COMMIT.to_json(), "x.json")
    with pytest.raises(ValueError, match="x.json is damaged: it is not JSON"):
        Plan.from_json(b"[" * 100_000, "x.json")
    with pytest.raises(ValueError, match="x.json is damaged: it is not a JSON object"):
        Plan.from_json(b"[]\n", "x.json")


def test_a_field_of_another_type_is_refused_by_name() -> None:
    wrong = dataclasses.replace(COMMIT, files={"rows/000003.parquet": FileDigest("10", "a")})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="x.json: files: rows/000003.parquet: bytes is damaged: it holds '10'"):
        CommitRecord.from_json(wrong.to_json(), "x.json")


def test_the_rows_digest_depends_on_rows_and_options_alone() -> None:
    digest = rows_digest("a" * 64, {"quality": 90, "format": "jpg"})
    assert digest == rows_digest("a" * 64, {"format": "jpg", "quality": 90})
    assert digest != rows_digest("b" * 64, {"format": "jpg", "quality": 90})
    assert digest != rows_digest("a" * 64, {"format": "jpg", "quality": 91})


def test_the_root_hash_is_what_sha256sum_gives() -> None:
    # printf '%s  b\n%s  c\n' aa bb | sha256sum
    assert root_hash({"c": "bb", "b": "aa"}) == root_hash({"b": "aa", "c": "bb"})
    assert root_hash({"b": "aa", "c": "bb"}) == "077752ff5ec8d1f28c54b397fbcd4b173742f947342eabfbaa6194bf6e44efb0"


def test_sums_over_commits() -> None:
    other = dataclasses.replace(COMMIT, shard=4, rows=2, failed=1, failures_by_reason={"timeout": 1})
    assert totals_of([COMMIT, other]) == Totals(5, 2, 3, 60, {"gone": 2, "timeout": 1})
    entry = manifest_shard(COMMIT)
    assert (entry.name, entry.bytes, entry.sha256["shards/000003.tar"]) == ("000003", 30, "b" * 64)
