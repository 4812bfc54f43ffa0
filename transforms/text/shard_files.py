"""Files that workers make of a shard, and what is known of them when all shards are done."""

import collections
import io
import json
import typing

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from schemas import layout
from schemas.records import FileDigest
from transforms.files.file_digest import bytes_digest
from transforms.stores.output import Output
from transforms.stores.scratch import Scratch


def write_shard_files(
    output: Output,
    scratch: Scratch,
    kind: str,
    shard: int,
    files: typing.Mapping[str, bytes],
    counts: typing.Mapping[str, int],
) -> None:
    """Writes files of a shard, and notes in the scratch what they are and what was counted.

    Args:
        output: the dataset.
        scratch: gets the note.
        kind: of the files; a shard has one note of each.
        shard: its number.
        files: contents by name in the dataset.
        counts: by name.
    """
    for name, data in files.items():
        output.write(name, data)
    digests = {name: bytes_digest(data) for name, data in files.items()}
    with scratch.writing(_note(kind, shard)) as path:
        path.write_text(json.dumps([digests, counts], default=vars))


def noted_files(scratch: Scratch, kind: str, shards: int) -> tuple[dict[str, FileDigest], dict[str, int]]:
    """Returns the files of a kind that were written, by name, and the counts of all shards together."""
    files, counts = dict[str, FileDigest](), collections.Counter[str]()
    for note in scratch.read_files(_note(kind, shard) for shard in range(shards)):
        of_shard, counted = json.loads(note)
        files.update({name: FileDigest(**digest) for name, digest in of_shard.items()})
        counts.update(counted)
    return files, dict(counts)


def npy_bytes(array: npt.NDArray[typing.Any]) -> bytes:
    """Returns an array as a ``.npy`` file."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def parquet_bytes(table: pa.Table) -> bytes:
    """Returns a table as a Parquet file."""
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd")
    return file.getvalue()


def _note(kind: str, shard: int) -> str:
    return f"made/{kind}/{layout.shard_name(shard)}.json"
