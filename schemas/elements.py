"""What travels between Beam stages: references and counts, never rows or image bytes.

Each is a NamedTuple with Beam's RowCoder: deterministic, about a hundred bytes; a SpoolFile has 14 more per piece.
"""

import typing

from apache_beam import coders


class InputRange(typing.NamedTuple):
    """One range of bytes of one input file.

    Attributes:
        unit: running number over all ranges, in the order of files and places.
        url: the file.
        pack: value of :class:`schemas.yfcc.Pack`.
        fields: number of fields of its lines.
        size: of the whole file, bytes.
        start: first byte of the range.
        stop: byte after its last.
        compressed: whether the file is bz2.
    """

    unit: int
    url: str
    pack: str
    fields: int
    size: int
    start: int
    stop: int
    compressed: bool


class SpoolFile(typing.NamedTuple):
    """The lines of one range, grouped by bucket, in a file of their own.

    Attributes:
        unit: of the range.
        pack: value of :class:`schemas.yfcc.Pack`.
        path: the spool file.
        pieces: packed records of :data:`transforms.spool_lines.PIECE`, in file order.
        failures_path: file of the malformed lines; '' if there is none.
        lines: lines read, malformed ones included.
        malformed: malformed lines.
    """

    unit: int
    pack: str
    path: str
    pieces: bytes
    failures_path: str
    lines: int
    malformed: int


class Bucket(typing.NamedTuple):
    """One bucket to be joined.

    Attributes:
        bucket: its number.
        index_path: file that lists the pieces of every bucket.
    """

    bucket: int
    index_path: str


class JoinedBucket(typing.NamedTuple):
    """The joined rows of one bucket.

    Attributes:
        bucket: its number.
        path: file of its rows in order of their hash; '' if none is left.
        rows: rows in it.
        filtered: rows removed by filters.
        counts: JSON object: pack to its ``collapsed``, ``duplicates`` and ``unmatched`` lines.
        failures_path: file of the duplicates; '' if there is none.
    """

    bucket: int
    path: str
    rows: int
    filtered: int
    counts: str
    failures_path: str


class ShardCut(typing.NamedTuple):
    """One shard whose rows are to be cut from the joined buckets.

    Attributes:
        shard: its number.
        shards: number of all shards.
        buckets_path: file that lists the joined buckets.
        max_limit_hash: largest salted hash that ``--limit`` keeps, decimal; '' if all are kept.
    """

    shard: int
    shards: int
    buckets_path: str
    max_limit_hash: str


class RowsFile(typing.NamedTuple):
    """The finished rows of one shard.

    Attributes:
        shard: its number.
        rows: rows in it.
        digest: SHA-256 of the file, hex.
    """

    shard: int
    rows: int
    digest: str


class ShardDone(typing.NamedTuple):
    """A committed shard.

    Attributes:
        shard: its number.
        samples: photos in the tar.
        failed: photos in the failures.
    """

    shard: int
    samples: int
    failed: int


for _element in (InputRange, SpoolFile, Bucket, JoinedBucket, ShardCut, RowsFile, ShardDone):
    coders.registry.register_coder(_element, coders.RowCoder)
