"""Which take-downs remove `text/`."""

import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.photo_ids import hash64, shards_of
from schemas.product_records import TEXT, ProductRecord, product_manifest
from schemas.text_files import tokens_file
from transforms.files.file_digest import file_digest
from transforms.stores.output import LocalOutput
from transforms.text.purge_text import purge_text

SHARDS = 10
IDS = np.arange(1, 41, dtype=np.int64)
SHARD_OF = shards_of(hash64(IDS), SHARDS)


@pytest.fixture
def output(tmp_path: pathlib.Path) -> LocalOutput:
    (tmp_path / TEXT).mkdir()
    paths = {tokens_file(shard): tmp_path / tokens_file(shard) for shard in range(SHARDS)}
    for shard, path in enumerate(paths.values()):
        pq.write_table(pa.table({"photo_id": IDS[shard == SHARD_OF]}), path)
    files = {name: file_digest(path) for name, path in paths.items()}
    record = ProductRecord(kind=TEXT, options={}, made_from="", software={}, counts={}, files=files)
    (tmp_path / product_manifest(TEXT)).write_bytes(record.to_json())
    return LocalOutput(tmp_path)


def is_kept(output: LocalOutput, *ids: int) -> bool:
    purge_text(output, frozenset(ids))
    return (output.path / TEXT).exists()


def test_other_photos_leave_it_alone(output: LocalOutput) -> None:
    assert is_kept(output)
    assert is_kept(output, 100, 101, 102)
    assert not is_kept(output, 100, 17)


def test_a_table_that_is_damaged_or_gone_may_have_had_them(output: LocalOutput) -> None:
    (output.path / tokens_file(int(shards_of(hash64(np.array([100])), SHARDS)[0]))).unlink()
    assert not is_kept(output, 100)


def test_what_is_not_finished_goes(output: LocalOutput) -> None:
    """Here a killed run left the first tables: of them alone nobody can tell which one a photo would be in."""
    (output.path / product_manifest(TEXT)).unlink()
    for shard in range(SHARDS // 2, SHARDS):
        (output.path / tokens_file(shard)).unlink()
    left = IDS[(SHARD_OF < SHARDS // 2) & (shards_of(hash64(IDS), SHARDS // 2) != SHARD_OF)]
    assert not is_kept(output, int(left[0]))
