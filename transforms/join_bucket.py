"""Phase 1, second half: the spooled lines of one bucket become joined rows, in order of their hash."""

import json
import pathlib
import typing

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.annotations import ANNOTATION_COLUMNS, SOURCE_IMAGE_COLUMNS
from schemas.elements import Bucket, JoinedBucket, SpoolFile
from schemas.failures import Failure, FailureReason, Stage
from schemas.photo_ids import hash64
from schemas.rows import ROW_COLUMNS, ROW_SCHEMA
from schemas.yfcc import READ_PAYLOADS, Pack, Parsed, mirror_key, read_dataset
from transforms.duplicate_lines import unique_lines
from transforms.filter_rows import RowSelection, select_rows
from transforms.input_failures import FailureFile, input_failure
from transforms.spool_lines import PIECE, SPOOL_SCHEMA

BATCH_ROWS = 2_000
"""Rows in one record batch of a joined bucket: what a shard's cut reads at least."""


class _Lines(typing.NamedTuple):
    """The unique lines of one pack: ids in order of their hash, lines, and what was refused or collapsed."""

    photo_ids: npt.NDArray[np.int64]
    lines: pa.BinaryArray
    refused: pa.Table
    collapsed: int


def write_spool_index(spool_files: typing.Iterable[SpoolFile], path: pathlib.Path) -> list[int]:
    """Writes the list of all pieces, by bucket and then in input order.

    Returns:
        The buckets that have lines.
    """
    files = sorted((f for f in spool_files if f.pieces), key=lambda f: f.unit)
    pieces = [np.frombuffer(f.pieces, PIECE) for f in files]
    owner = np.repeat(np.arange(len(files)), [len(p) for p in pieces])
    merged = np.concatenate([*pieces, np.empty(0, PIECE)])
    order = np.argsort(merged["bucket"], kind="stable")
    owners = pa.array(owner[order], pa.int32())
    table = pa.table(
        {
            "bucket": merged["bucket"][order],
            "offset": merged["offset"][order],
            "length": merged["length"][order],
            "path": pa.DictionaryArray.from_arrays(owners, pa.array([f.path for f in files], pa.string())),
            "pack": pa.DictionaryArray.from_arrays(owners, pa.array([f.pack for f in files], pa.string())),
        }
    )
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)
    return np.unique(merged["bucket"]).tolist()


def join_bucket(
    bucket: Bucket, urls: typing.Sequence[str], selection: RowSelection, folder: pathlib.Path
) -> JoinedBucket:
    """Joins one bucket: a left join of the packs on the dataset, by photo id.

    A retried call writes the same bytes to the same names.

    Args:
        bucket: which one, and the index of its pieces.
        urls: input file of every unit.
        selection: which rows are kept.
        folder: existing local folder for the rows and the failures.
    """
    spooled = _read_pieces(bucket)
    unique = {pack: _unique(table, pack) for pack, table in spooled.items()}
    dataset = unique.get(Pack.DATASET) or _unique(SPOOL_SCHEMA.empty_table(), Pack.DATASET)
    packs = {pack: (u.photo_ids, u.lines) for pack, u in unique.items()}
    rows, unmatched = join_lines(dataset.photo_ids, dataset.lines, packs)
    kept = select_rows(rows, selection)
    stem = f"{bucket.bucket:05d}"
    with FailureFile(folder / f"{stem}.failures.parquet") as failures:
        for pack, lines in sorted(unique.items()):
            failures.append(_duplicate_rows(lines.refused, urls, pack))
    return JoinedBucket(
        bucket=bucket.bucket,
        path=_write_joined(kept, folder / f"{stem}.arrow"),
        rows=kept.num_rows,
        filtered=rows.num_rows - kept.num_rows,
        counts=json.dumps({pack.value: _counts(lines, unmatched.get(pack, 0)) for pack, lines in unique.items()}),
        failures_path=failures.path,
    )


def join_lines(
    photo_ids: npt.NDArray[np.int64],
    lines: pa.BinaryArray,
    packs: typing.Mapping[Pack, tuple[npt.NDArray[np.int64], pa.BinaryArray]],
) -> tuple[pa.Table, dict[Pack, int]]:
    """Joins unique lines into rows.

    Args:
        photo_ids: of the dataset lines, in order of their hash.
        lines: dataset lines in their 25-field form.
        packs: photo ids in order of their hash, and payloads.

    Returns:
        Rows of ROW_SCHEMA in the order of ``photo_ids``, and the pack lines without a photo.
    """
    parsed = read_dataset(lines)
    columns, unreadable, unmatched = dict(parsed.columns), dict(parsed.unreadable), {}
    hashes = hash64(photo_ids)
    for pack in READ_PAYLOADS:
        pack_ids, payloads = packs.get(pack, (np.empty(0, np.int64), pa.array([], pa.binary())))
        aligned, found = _align(hashes, hash64(pack_ids), payloads)
        _add_pack(columns, unreadable, READ_PAYLOADS[pack](aligned))
        unmatched[pack] = len(pack_ids) - found
    columns["hash"] = _with_computed_hashes(columns["hash"], columns["download_url"])
    count = len(photo_ids)
    columns["id_source"] = pa.repeat(pa.scalar("flickr"), count)
    columns["sources"] = _repeated_list("yfcc", count)
    columns |= {c.name: pa.array([[]] * count, c.type) for c in ANNOTATION_COLUMNS}
    columns |= {c.name: pa.nulls(count, c.type) for c in SOURCE_IMAGE_COLUMNS}
    columns["warnings"] = _warnings(unreadable, count)
    return pa.table([columns[name] for name in ROW_SCHEMA.names], schema=ROW_SCHEMA), unmatched


def _read_pieces(bucket: Bucket) -> dict[Pack, pa.Table]:
    with pa.memory_map(bucket.index_path) as source:
        index = pa.ipc.open_file(source).read_all()
        begin, end = np.searchsorted(index["bucket"].to_numpy(), [bucket.bucket, bucket.bucket + 1])
        pieces = index.slice(begin, end - begin).to_pylist()
    batches: dict[Pack, list[pa.RecordBatch]] = {}
    for piece in pieces:
        with open(piece["path"], "rb") as spool:
            spool.seek(piece["offset"])
            data = spool.read(piece["length"])
        batches.setdefault(Pack(piece["pack"]), []).append(pa.ipc.read_record_batch(data, SPOOL_SCHEMA))
    return {pack: pa.Table.from_batches(found, SPOOL_SCHEMA).combine_chunks() for pack, found in batches.items()}


def _unique(table: pa.Table, pack: Pack) -> _Lines:
    photo_ids, lines = table["photo_id"].to_numpy(), _chunk(table["line"])
    unique = unique_lines(photo_ids, lines, pack)
    kept = pa.array(unique.kept)
    return _Lines(photo_ids[unique.kept], lines.take(kept), table.take(pa.array(unique.refused)), unique.collapsed)


def _counts(lines: _Lines, unmatched: int) -> dict[str, int]:
    return {"collapsed": lines.collapsed, "duplicates": lines.refused.num_rows, "unmatched": unmatched}


def _chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _align(
    hashes: npt.NDArray[np.uint64], pack_hashes: npt.NDArray[np.uint64], payloads: pa.BinaryArray
) -> tuple[pa.BinaryArray, int]:
    """Puts payloads beside the photos they belong to, empty where there is none; counts those that found one."""
    if not len(pack_hashes):
        return pa.repeat(pa.scalar(b"", pa.binary()), len(hashes)), 0
    places = np.minimum(np.searchsorted(pack_hashes, hashes), len(pack_hashes) - 1)
    found = pack_hashes[places] == hashes
    aligned = payloads.take(pa.array(places, mask=~found))
    return aligned.fill_null(b"") if not found.all() else aligned, int(found.sum())


def _add_pack(columns: dict[str, pa.Array], unreadable: dict[str, npt.NDArray[np.bool_]], parsed: Parsed) -> None:
    for name, column in parsed.columns.items():
        columns[name] = column if name not in columns else columns[name].fill_null(column)
    unreadable.update(parsed.unreadable)


def _with_computed_hashes(hashes: pa.StringArray, download_urls: pa.StringArray) -> pa.StringArray:
    """Fills hashes that no file states from the download URL, as they are all made."""
    if not hashes.null_count:
        return hashes
    pairs = zip(hashes.to_pylist(), download_urls.to_pylist(), strict=True)
    return pa.array([h or (mirror_key(url) if url else None) for h, url in pairs], pa.string())


def _repeated_list(value: str, count: int) -> pa.ListArray:
    offsets = pa.array(np.arange(count + 1, dtype=np.int32))
    return pa.ListArray.from_arrays(offsets, pa.repeat(pa.scalar(value), count))


def _warnings(unreadable: typing.Mapping[str, npt.NDArray[np.bool_]], count: int) -> pa.ListArray:
    """Names per row the columns whose value could not be read, in column order."""
    names = [c.name for c in ROW_COLUMNS if c.name in unreadable and unreadable[c.name].any()]
    masks = np.array([unreadable[name] for name in names], np.bool_).reshape(len(names), count)
    rows, which = np.nonzero(masks.T)
    offsets = np.searchsorted(rows, np.arange(count + 1)).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array([names[i] for i in which], pa.string()))


def _duplicate_rows(refused: pa.Table, urls: typing.Sequence[str], pack: Pack) -> list[dict[str, typing.Any]]:
    return [
        input_failure(
            Failure(
                line["photo_id"],
                FailureReason.DUPLICATE_PHOTO_ID,
                Stage.JOIN,
                detail=f"another {pack.value} line of this photo with other content was kept",
            ),
            urls[line["unit"]],
            line["offset"],
            line["offset_in_block"],
            line["line"],
        )
        for line in refused.to_pylist()
    ]


def _write_joined(rows: pa.Table, path: pathlib.Path) -> str:
    if not rows.num_rows:
        return ""
    partial = path.with_suffix(".part")
    with pa.ipc.new_file(partial, rows.schema) as writer:
        writer.write_table(rows.combine_chunks(), max_chunksize=BATCH_ROWS)
    partial.replace(path)
    return str(path)
