"""Keys, hashes and shards: laws, and values that must never change."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from schemas.photo_ids import buckets_of, hash64, key, key_order, shard_bounds, shards_of

IDS = st.lists(st.integers(0, 2**63 - 1), unique=True, max_size=50)


def test_the_hash_is_part_of_the_format() -> None:
    assert hash64(np.array([6985418911, 2**62])).tolist() == [7464934557650636360, 47939714376772075]
    assert hash64(np.array([6985418911]), 1).tolist() == [2544475652336977940]


@given(IDS, st.integers(1, 10_000))
def test_shards_are_exact_ranges_of_the_hash(ids: list[int], shards: int) -> None:
    hashes = hash64(np.array(ids, np.int64))
    for value, shard in zip(hashes.tolist(), shards_of(hashes, shards).tolist(), strict=True):
        assert shard == value * shards // 2**64
        low, high = shard_bounds(shard, shards)
        assert low <= value < high


@given(IDS, st.integers(0, 14))
def test_buckets_are_the_top_bits(ids: list[int], bits: int) -> None:
    hashes = hash64(np.array(ids, np.int64))
    assert buckets_of(hashes, bits).tolist() == [h >> (64 - bits) for h in hashes.tolist()]


@given(IDS)
def test_key_order_is_string_order(ids: list[int]) -> None:
    ordered = np.array(ids, np.int64)[key_order(np.array(ids, np.int64))].tolist()
    assert [key(i) for i in ordered] == sorted(key(i) for i in ids)
