"""The end of phase 2: what was built is held against its records."""

import pytest

from schemas.records import CommitRecord, FileDigest
from transforms.building.finish_shards import _check_sizes
from transforms.files.publish import OutputError
from transforms.stores.output import LocalOutput


def _commit(shard, name, size_bytes):
    files = {name: FileDigest(size_bytes, "")}
    return CommitRecord(shard=shard, rows=0, samples=0, failed=0, failures_by_reason={}, rows_digest="", files=files)


def test_a_file_of_another_size_than_its_record_is_told(tmp_path):
    output = LocalOutput(tmp_path)
    output.write("shards/000000.tar", b"1234")
    _check_sizes(output, [_commit(0, "shards/000000.tar", 4)], {0})
    with pytest.raises(OutputError, match="000000.tar has 4 bytes, its commit record says 5"):
        _check_sizes(output, [_commit(0, "shards/000000.tar", 5)], {0})


def test_shards_that_were_built_before_may_lie_elsewhere(tmp_path):
    _check_sizes(LocalOutput(tmp_path), [_commit(0, "shards/000000.tar", 4)], set())


def test_a_listing_that_lags_behind_does_not_decide(tmp_path, monkeypatch):
    output = LocalOutput(tmp_path)
    output.write("shards/000000.tar", b"1234")
    monkeypatch.setattr(LocalOutput, "sizes", lambda self, folder: {})
    _check_sizes(output, [_commit(0, "shards/000000.tar", 4)], {0})
