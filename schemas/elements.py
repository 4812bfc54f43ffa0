"""What travels between Beam stages: references and counts, never rows or image bytes.

Files are named as the run's :class:`transforms.stores.scratch.Scratch` has them. Each element is a NamedTuple with
Beam's RowCoder: deterministic, about a hundred bytes; a SpoolFile has 14 more per piece.
"""

import typing

from apache_beam import coders


class InputRange(typing.NamedTuple):
    """One range of bytes of one input file.

    Attributes:
        unit: running number over all ranges, in the order of files and places.
        url: the file.
        source: value of :class:`schemas.sources.Source`.
        kind: what the file holds, as :class:`transforms.sources.input_files.InputFile` has it.
        fields: number of fields of its lines; 0 where that does not matter.
        size: of the whole file, bytes.
        start: first byte of the range.
        stop: byte after its last.
        compressed: whether the file is bz2.
    """

    unit: int
    url: str
    source: str
    kind: str
    fields: int
    size: int
    start: int
    stop: int
    compressed: bool


class IndexedImages(typing.NamedTuple):
    """The images that one annotation file lists.

    Attributes:
        unit: of the file's range.
        source: value of :class:`schemas.sources.Source`.
        name: file of their photo ids; with another suffix, of what the source's reader needs.
    """

    unit: int
    source: str
    name: str


class ImageIndex(typing.NamedTuple):
    """The images of all annotation files.

    Attributes:
        base: whose photos make the dataset.
        base_name: file of their sorted ids, if other sources are to be cut to them, else ''.
        open_images_name: file of the photos of Open Images' images; '' if no file lists them.
    """

    base: str
    base_name: str
    open_images_name: str


class SpoolFile(typing.NamedTuple):
    """What one range holds, grouped by kind and bucket, in a file of its own.

    Attributes:
        unit: of the range.
        name: the spool file.
        pieces: packed records of :data:`transforms.join.spool_file.PIECE`, in file order.
        failures_name: file of what is malformed; '' if there is none.
        lines: lines or entries read, malformed ones included.
        malformed: those that are.
        counts: JSON object: name of a kind to how many were read (``lines``), and of these were malformed
            (``failures``) or belong to no photo of the base (``unmatched``); likewise of a source to the entries read.
    """

    unit: int
    name: str
    pieces: bytes
    failures_name: str
    lines: int
    malformed: int
    counts: str


class Bucket(typing.NamedTuple):
    """One bucket to be joined.

    Attributes:
        bucket: its number.
        index_name: file that lists the pieces of every bucket.
    """

    bucket: int
    index_name: str


class JoinedBucket(typing.NamedTuple):
    """The joined rows of one bucket.

    Attributes:
        bucket: its number.
        name: file of its rows in order of their hash; '' if none is left.
        rows: rows in it.
        filtered: rows removed by filters.
        counts: JSON object: name of a kind to its ``lines``, and of these the ``kept``, ``collapsed``,
            ``duplicates`` and ``unmatched``.
        photo_counts: JSON object: how many photos have copies that do not fit together, or are in no split.
        failures_name: file of the duplicates; '' if there is none.
    """

    bucket: int
    name: str
    rows: int
    filtered: int
    counts: str
    photo_counts: str
    failures_name: str


class ShardCut(typing.NamedTuple):
    """One shard whose rows are to be cut from the joined buckets.

    Attributes:
        shard: its number.
        shards: number of all shards.
        buckets_name: file that lists the joined buckets, and which of their rows are kept.
    """

    shard: int
    shards: int
    buckets_name: str


class KeptRows(typing.NamedTuple):
    """What stays of a shard of a dataset that another one is made from, before duplicates are dropped.

    Attributes:
        shard: its number.
        rows: rows that it has.
        kept: those of them that stay.
        unusable: photos among these whose images will not do, so that they are fetched again.
        name: file of the kept photos.
    """

    shard: int
    rows: int
    kept: int
    unusable: int
    name: str


class ShardCuts(typing.NamedTuple):
    """Shards whose rows are to be cut from those of another dataset, and begin in the same one of these.

    Attributes:
        begin: number of the first shard.
        end: number after the last one's.
        shards: number of all shards.
    """

    begin: int
    end: int
    shards: int


class RowsFile(typing.NamedTuple):
    """The finished rows of one shard.

    Attributes:
        shard: its number.
        rows: rows in it.
        digest: SHA-256 of the file, hex.
        taken_down: photos that are left out since they were taken down.
    """

    shard: int
    rows: int
    digest: str
    taken_down: int = 0


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


for _element in (
    InputRange,
    IndexedImages,
    ImageIndex,
    SpoolFile,
    Bucket,
    JoinedBucket,
    ShardCut,
    KeptRows,
    ShardCuts,
    RowsFile,
    ShardDone,
):
    coders.registry.register_coder(_element, coders.RowCoder)
