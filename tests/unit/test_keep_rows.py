"""What of a finished dataset stays, of which file the smallest KEY, and how that is cut into shards."""

import pathlib
import typing

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import tests.fault_fs  # noqa: F401  gives fsspec faulty://
from schemas import layout
from schemas.elements import KeptRows
from schemas.failures import INPUT_FAILURE_SCHEMA, AccountingError
from schemas.photo_ids import hash64, key, key_order, shards_of
from schemas.records import Plan
from tests.factories import PHOTO_IDS, SHARDS, make_dataset
from transforms.datasets.old_dataset import OldDataset, OldPhotos
from transforms.files.publish import OutputError
from transforms.images.image_plan import ImageOptions
from transforms.reprocess.cut_kept import complete_rows, cut_shards, plan_cuts
from transforms.reprocess.keep_rows import count_dropped, find_duplicates, keep_rows, kept_ids
from transforms.reprocess.rows_wanted import DeriveConfig, RowsWanted
from transforms.stores.dataset_files import DatasetFiles
from transforms.stores.output import LocalOutput
from transforms.stores.scratch import LocalScratch, StoreScratch

SIZE = ImageOptions(image_size=32)


@pytest.fixture
def old(tmp_path: pathlib.Path) -> OldDataset:
    """Of three shards the first has samples alone, the second also two failures, the third failures alone."""
    return OldDataset(files=DatasetFiles(str(make_dataset(tmp_path / "old"))), shards=SHARDS, image=SIZE)


def plan_of(dataset: DatasetFiles) -> Plan:
    return Plan.from_json(dataset.read(layout.PLAN), layout.PLAN)


@pytest.fixture
def config(tmp_path: pathlib.Path, old: OldDataset) -> DeriveConfig:
    output = LocalOutput(tmp_path / "new")
    output.write(layout.PLAN, Plan(selection={}, format={}, inputs=[]).to_json())
    rows = tuple(plan_of(old.files).rows or ())
    return DeriveConfig(
        output=output,
        scratch=LocalScratch(tmp_path / "it's [kept]*"),
        folder=tmp_path / "run",
        old=old,
        rows=rows,
        wanted=RowsWanted(),
        samples_per_shard=8,
    )


def keep(config: DeriveConfig, **wanted: typing.Any) -> list[KeptRows]:
    return [keep_rows(rows, RowsWanted(**wanted), config.old, config.scratch) for rows in config.rows]


def _kept_table(config: DeriveConfig, kept: KeptRows) -> pa.Table:
    with config.scratch.reading(kept.name) as path:
        return pq.read_table(path)


def ids_of(config: DeriveConfig, shard: int) -> list[int]:
    return kept_ids(shard, config.scratch).to_pylist()


def test_all_rows_stay_where_nothing_is_asked_for(config: DeriveConfig) -> None:
    kept = keep(config)
    assert [(k.shard, k.rows, k.kept, k.unusable) for k in kept] == [(r.shard, r.rows, r.rows, 0) for r in config.rows]
    assert sorted(i for shard in range(SHARDS) for i in ids_of(config, shard)) == sorted(PHOTO_IDS)


def test_a_condition_sees_row_and_sample_and_nulls_without_one(config: DeriveConfig) -> None:
    conditions = {
        "width = 32": [True, True, False],
        "sha256 IS NULL": [False, True, True],
        "image_bytes > 0 AND len(user_tags) = 3": [True, True, False],
        "key = printf('%012d', photo_id)": [True, True, True],
        "width < 32": [False, False, False],
    }
    for condition, expected in conditions.items():
        kept = keep(config, where=condition)
        assert [k.kept > 0 for k in kept] == expected, condition
    every = pa.concat_tables(_kept_table(config, k) for k in keep(config, where="photo_id % 2 = 0"))
    assert sorted(every["photo_id"].to_pylist()) == sorted(i for i in PHOTO_IDS if i % 2 == 0)


def test_images_that_will_not_do_are_counted(config: DeriveConfig) -> None:
    samples = sum(
        pq.read_metadata(path).num_rows for path in pathlib.Path(str(config.old.files)).glob("shards/*.parquet")
    )
    for size, unusable in ((32, 0), (24, 0), (40, samples)):
        kept = keep(config, image=ImageOptions(image_size=size, format="png"))
        assert sum(k.unusable for k in kept) == unusable


@pytest.mark.parametrize("name", [layout.tar_file(0), layout.sidecar_file(1), layout.rows_file(2)])
def test_damage_is_found_before_anything_is_taken(config: DeriveConfig, name: str) -> None:
    path = pathlib.Path(str(config.old.files)) / name
    data = bytearray(path.read_bytes())
    data[700] ^= 1
    path.write_bytes(data)
    with pytest.raises(OutputError, match=f"{name}: its bytes have changed.*photobeam verify"):
        keep(config, image=ImageOptions(image_size=24))
    path.unlink()
    with pytest.raises(OutputError, match=f"{name}: it is missing"):
        keep(config, image=ImageOptions(image_size=24))


@pytest.mark.parametrize("is_local", [True, False])
def test_the_smallest_key_stays_by_its_text(is_local: bool, tmp_path: pathlib.Path) -> None:
    scratch = LocalScratch(tmp_path / "it's [kept]*") if is_local else StoreScratch(f"faulty://{tmp_path}/kept")
    surrogate = 2**62 + 5
    shards = {
        0: {999_999_999_999: "a", 8: "b", 10: None},
        1: {surrogate: "a", 7: "b", 11: None, 12: "c"},
        3: {9: "b", 13: "d"},
    }
    for shard, photos in shards.items():
        columns = {"shard": [shard] * len(photos), "photo_id": list(photos), "sha256": list(photos.values())}
        with scratch.writing(f"kept/{layout.shard_name(shard)}.parquet") as path:
            pq.write_table(pa.table(columns), path)
    assert key(surrogate) < key(999_999_999_999)
    names = [f"kept/{layout.shard_name(shard)}.parquet" for shard in shards]
    assert find_duplicates(names, scratch, tmp_path / "run") == count_dropped(scratch) == 3
    assert {shard: kept_ids(shard, scratch).to_pylist() for shard in shards} == {
        0: [10], 1: [surrogate, 7, 11, 12], 3: [13]
    }  # fmt: skip


@pytest.mark.parametrize("shards", [1, 2, 3, 4, 7, 24])
def test_shards_are_cut_from_their_neighbours(config: DeriveConfig, shards: int) -> None:
    cuts = plan_cuts(keep(config, where="photo_id % 5 > 0"), _with_shards(config, shards))
    assert [shard for c in cuts for shard in range(c.begin, c.end)] == list(range(shards))
    written = [w for c in cuts for w in cut_shards(c, config)]
    assert [w.shard for w in written] == list(range(shards))
    seen: list[int] = []
    for w in written:
        rows = pq.read_table(pathlib.Path(str(config.output)) / layout.rows_file(w.shard))
        ids = rows["photo_id"].to_numpy()
        assert set(shards_of(hash64(ids), shards).tolist()) <= {w.shard}
        assert (key_order(ids) == np.arange(len(ids))).all()
        assert len(ids) == w.rows
        seen += ids.tolist()
    assert sorted(seen) == sorted(i for i in PHOTO_IDS if i % 5)


def _with_shards(config: DeriveConfig, shards: int) -> DeriveConfig:
    return DeriveConfig(**{**vars(config), "shards": shards})


def test_the_number_of_shards_follows_from_the_rows_that_stay(config: DeriveConfig) -> None:
    kept = keep(config, where="photo_id % 2 = 0")
    assert sum(k.kept for k in kept) == 10
    assert {c.shards for c in plan_cuts(kept, config)} == {2}
    assert plan_cuts(keep(config, where="photo_id < 0"), config) == []


def test_the_accounts_are_those_of_the_old_rows(config: DeriveConfig) -> None:
    kept = keep(config, where="photo_id % 2 = 0")
    written = [w for c in plan_cuts(kept, config) for w in cut_shards(c, config)]
    with pytest.raises(AccountingError, match="9 rows were written, of 10 kept"):
        complete_rows([written[0]._replace(rows=9 - written[1].rows), written[1]], kept, config)
    complete_rows(written, kept, config)
    plan = plan_of(config.output)
    rows = len(PHOTO_IDS)
    assert plan.counts == {
        "input_lines": rows, "rows": 10, "removed_by_filters": rows - 10, "removed_by_where": rows - 10,
        "removed_duplicates": 0, "collapsed_lines": 0, "input_failures": 0, "from_originals": 0,
    }  # fmt: skip
    assert (plan.shards, [r.rows for r in plan.rows or ()]) == (2, [w.rows for w in written])
    empty = pq.read_table(pathlib.Path(str(config.output)) / layout.INPUT_FAILURES)
    assert empty.num_rows == 0
    assert empty.schema.equals(INPUT_FAILURE_SCHEMA)


def test_photos_that_were_taken_down_leave_last_of_all(config: DeriveConfig) -> None:
    config = DeriveConfig(**{**vars(config), "taken_down": frozenset([PHOTO_IDS[0], 5])})
    kept = keep(config)
    written = [w for c in plan_cuts(kept, config) for w in cut_shards(c, config)]
    complete_rows(written, kept, config)
    plan = plan_of(config.output)
    assert (plan.counts["rows"], plan.counts["removed_by_filters"]) == (len(PHOTO_IDS) - 1, 1)
    assert (plan.counts["taken_down"], plan.counts["taken_down_unknown"]) == (1, 1)
    tables = [pq.read_table(path) for path in (pathlib.Path(str(config.output)) / "rows").iterdir()]
    assert sorted(pa.concat_tables(tables)["photo_id"].to_pylist()) == sorted(PHOTO_IDS[1:])


def test_samples_failures_and_images_are_found_whatever_the_shard(old: OldDataset) -> None:
    root = pathlib.Path(str(old.files))
    ids = np.array(PHOTO_IDS[::2], np.int64)
    photos = OldPhotos(old, ids)
    failed = pa.concat_tables(pq.read_table(path) for path in root.glob("failures/[0-9]*.parquet"))
    sidecar = pa.concat_tables(pq.read_table(path) for path in root.glob("shards/*.parquet"))
    for photo_id in ids.tolist():
        failure = photos.failure(photo_id)
        if failure:
            (row,) = failed.filter(pc.equal(failed["photo_id"], photo_id)).to_pylist()
            assert (failure.reason.value, failure.http_status, failure.url) == (row["reason"], 404, row["url"])
            continue
        sample = photos.sample(photo_id)
        (row,) = sidecar.filter(pc.equal(sidecar["photo_id"], photo_id)).to_pylist()
        assert {name: row[name] for name in sample} == sample
        shard = int(shards_of(hash64(np.array([photo_id])), SHARDS)[0])
        tar = (root / layout.tar_file(shard)).read_bytes()
        begin, size = row["image_offset"], row["image_bytes"]
        assert photos.image(sample, 0) == tar[begin : begin + size]
    with pytest.raises(KeyError):
        photos.sample(PHOTO_IDS[1])
