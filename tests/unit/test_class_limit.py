"""Limits over all buckets, against a plain choice among all rows, whatever the buckets and their order."""

import json
import pathlib
import random
import typing

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas import layout
from schemas.classes import ChosenClass, Label
from schemas.elements import JoinedBucket, ShardCut
from schemas.photo_ids import CLASS_SALT, LIMIT_SALT, buckets_of, hash64
from schemas.rows import ROW_SCHEMA
from tests.factories import make_row
from transforms.join import join_bucket
from transforms.join.cut_rows import cut_shard, keep_rows, write_bucket_list
from transforms.join.filter_rows import RowSelection, select_rows
from transforms.stores.output import LocalOutput
from transforms.stores.scratch import LocalScratch

NAMES = ("cat", "dog", "cow", "yak")
CLASSES = [ChosenClass(name, (Label("coco", name, name),)) for name in NAMES]
SHARDS = 3
ROWS = 200


def _boxes(names: typing.Iterable[str]) -> list[dict[str, str]]:
    return [{"source": "coco", "label_id": name, "label": name} for name in names]


@pytest.fixture(scope="module")
def table() -> pa.Table:
    """Rows in order of their hash; hardly any has a cow, none a yak."""
    rnd = random.Random(8)
    ids = np.array(rnd.sample(range(10**11), ROWS))
    rows = []
    for photo_id in ids[np.argsort(hash64(ids))].tolist():
        names = rnd.choices(["cat", "dog", "tree"], k=rnd.randrange(3)) + ["cow"] * (rnd.random() < 0.03)
        rows.append({**make_row(photo_id), "boxes": _boxes(names)})
    return pa.Table.from_pylist(rows, ROW_SCHEMA)


def _smallest(ids: typing.Iterable[int], salt: int, number: int | None) -> set[int]:
    values = np.array(sorted(ids), np.int64)
    return set(values[np.argsort(hash64(values, salt))][:number].tolist())


def _expected(rows: list[dict[str, typing.Any]], selection: RowSelection) -> set[int]:
    kept: set[int] = set()
    for name in selection.classes:
        own = [r["photo_id"] for r in rows if any(b["label"] == name for b in r["boxes"])]
        kept |= _smallest(own, CLASS_SALT, selection.per_class_limit)
    return _smallest(kept, LIMIT_SALT, selection.limit)


def _rows_of(table: pa.Table, selection: RowSelection, bits: int, folder: pathlib.Path) -> pa.Table:
    """Selects in buckets, decides over all of them, and cuts the shards."""
    scratch = LocalScratch(folder)
    bucket_of = buckets_of(hash64(table["photo_id"].to_numpy()), bits)
    joined = []
    for bucket in random.Random(bits).sample(range(1 << bits), 1 << bits):
        rows = select_rows(table.filter(pa.array(bucket_of == bucket)), selection, CLASSES)
        name = join_bucket._write_joined(rows, scratch, f"{bucket}.arrow")
        joined.append(JoinedBucket(bucket, name, rows.num_rows, 0, "{}", "{}", ""))
    kept = keep_rows(joined, selection, scratch)
    write_bucket_list(joined, kept, scratch, "buckets.json", bits)
    cuts = [ShardCut(shard, SHARDS, "buckets.json") for shard in range(SHARDS)]
    written = [cut_shard(cut, LocalOutput(folder), scratch, folder) for cut in cuts]
    assert sum(w.rows for w in written) == kept.rows
    return pa.concat_tables(pq.read_table(folder / layout.rows_file(shard)) for shard in range(SHARDS))


@pytest.mark.parametrize("bits", [0, 2, 5])
@pytest.mark.parametrize("limit", [None, 13])
@pytest.mark.parametrize("per_class_limit", [None, 1, 20, 1000])
def test_limits_choose_the_same_whatever_the_buckets(
    table: pa.Table, per_class_limit: int | None, limit: int | None, bits: int, tmp_path: pathlib.Path
) -> None:
    selection = RowSelection(classes=NAMES, per_class_limit=per_class_limit, limit=limit)
    found = _rows_of(table, selection, bits, tmp_path)
    assert found.schema.equals(ROW_SCHEMA)
    expected = _expected(table.to_pylist(), selection)
    assert found.num_rows == len(expected) == len({*found["photo_id"].to_pylist()} & expected)


def test_annotations_are_cut_with_limits_too(table: pa.Table, tmp_path: pathlib.Path) -> None:
    selection = RowSelection(classes=NAMES, per_class_limit=20, only_these_classes=True)
    found = _rows_of(table, selection, 2, tmp_path).to_pylist()
    assert {b["label"] for row in found for b in row["boxes"]} == {"cat", "dog", "cow"}
    rows = {row["photo_id"]: row for row in table.to_pylist()}
    for row in found:
        boxes = [b for b in rows[row["photo_id"]]["boxes"] if b["label"] in NAMES]
        assert row == {**rows[row["photo_id"]], "boxes": boxes}


def test_a_selection_is_recorded_as_json_has_it() -> None:
    recorded = RowSelection(classes=("a", "b")).as_json()
    assert json.loads(json.dumps(recorded)) == recorded
