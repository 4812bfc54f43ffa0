"""What a photo id decides: its key, its hash, its bucket and its shard.

The hash is one output of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom
number generators", OOPSLA 2014) seeded with the photo id. It is part of the format:
changing it would move every photo to another shard.
"""

import numpy as np
import numpy.typing as npt

KEY_DIGITS = 12
MAX_FLICKR_ID = 2**62 - 1
"""Larger ids are surrogates of photos whose Flickr id is not known."""

LIMIT_SALT = 1
"""Salt of the hash by which ``--limit`` chooses."""

CLASS_SALT = 2
"""Salt of the hash by which ``--per_class_limit`` chooses."""

_GOLDEN = 0x9E3779B97F4A7C15

Hashes = npt.NDArray[np.uint64]


def key(photo_id: int) -> str:
    """Returns the sample key: the photo id, zero-padded to 12 digits (surrogates have 19).

    Example:
        >>> key(6985418911)
        '006985418911'
    """
    return f"{photo_id:0{KEY_DIGITS}d}"


def key_order(photo_ids: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    """Returns the positions that put unique photo ids into string order of their keys."""
    if not len(photo_ids) or photo_ids.max() < 10**KEY_DIGITS:
        return np.argsort(photo_ids, kind="stable")
    return np.argsort(np.array([key(i) for i in photo_ids.tolist()]), kind="stable")


def hash64(photo_ids: npt.NDArray[np.int64], salt: int = 0) -> Hashes:
    """Hashes photo ids to 64 bits: output number ``salt + 1`` of SplitMix64 seeded with each id.

    A bijection for a fixed salt: distinct ids never collide.

    Args:
        photo_ids: int64, non-negative, any length.
        salt: small non-negative integer; each salt gives an independent order.

    Returns:
        uint64, same length.

    Example:
        >>> hash64(np.array([0, 1])).tolist()
        [16294208416658607535, 10451216379200822465]
    """
    z = photo_ids.astype(np.uint64) + np.uint64((salt + 1) * _GOLDEN % 2**64)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def buckets_of(hashes: Hashes, bucket_bits: int) -> npt.NDArray[np.uint16]:
    """Returns each hash's bucket: its top ``bucket_bits`` (0 to 16) bits."""
    if bucket_bits == 0:
        return np.zeros(len(hashes), np.uint16)
    return (hashes >> np.uint64(64 - bucket_bits)).astype(np.uint16)


def shards_of(hashes: Hashes, shards: int) -> npt.NDArray[np.uint64]:
    """Returns each hash's shard: ``floor(hash * shards / 2^64)``.

    Args:
        hashes: uint64 from :func:`hash64`.
        shards: number of shards, 1 to 2^31.

    Example:
        >>> shards_of(np.array([0, 2**63, 2**64 - 1], np.uint64), 10).tolist()
        [0, 5, 9]
    """
    high, low = hashes >> np.uint64(32), hashes & np.uint64(0xFFFFFFFF)
    count = np.uint64(shards)
    return (high * count + (low * count >> np.uint64(32))) >> np.uint64(32)


def shard_bounds(shard: int, shards: int) -> tuple[int, int]:
    """Returns the half-open range of hashes of a shard, as Python ints in [0, 2^64].

    Example:
        >>> shard_bounds(1, 2) == (2**63, 2**64)
        True
    """
    return -(-shard * 2**64 // shards), -(-(shard + 1) * 2**64 // shards)


def within_hashes(photo_ids: npt.NDArray[np.int64], low: int, high: int) -> npt.NDArray[np.bool_]:
    """Tells of which photos the hash is in a half-open range, such as that of a shard.

    Example:
        >>> within_hashes(np.array([7, 8]), *shard_bounds(0, 1)).tolist()
        [True, True]
    """
    hashes = hash64(photo_ids)
    return (hashes >= np.uint64(low)) & (hashes <= np.uint64(high - 1))
