"""Phase 1, second half: what was spooled of one bucket becomes joined rows, in order of their hash."""

import json
import typing

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.classes import ChosenClass
from schemas.elements import Bucket, JoinedBucket, SpoolFile
from schemas.failures import Failure, FailureReason, Stage
from schemas.list_columns import list_column
from schemas.photo_ids import MAX_FLICKR_ID, hash64
from schemas.rows import ROW_COLUMNS, ROW_SCHEMA
from schemas.sources import ALL_SOURCES, PACK_KINDS, PHOTO_KINDS, SPOOL_KINDS, Source, SpoolKind
from schemas.splits import WITHOUT_SPLIT
from schemas.yfcc import Pack
from transforms.join.duplicate_lines import unique_lines
from transforms.join.filter_rows import RowSelection, in_split, select_rows
from transforms.join.join_elements import JoinedElements, count_conflicts, join_elements
from transforms.join.join_lines import JoinedLines, PackLines, join_lines
from transforms.join.spool_file import PIECE, spool_schema
from transforms.sources.input_failures import failure_file, input_failure
from transforms.stores.scratch import Range, Scratch

BATCH_ROWS = 2_000
"""Rows in one record batch of a joined bucket: what a shard's cut reads at least."""

PhotoIds = npt.NDArray[np.int64]


class _Lines(typing.NamedTuple):
    """What became of the lines of one pack."""

    unique: PackLines
    refused: pa.Table
    collapsed: int


def write_spool_index(spool_files: typing.Iterable[SpoolFile], scratch: Scratch, name: str) -> list[int]:
    """Writes the list of all pieces, by bucket and then in input order.

    Returns:
        The buckets that have any.
    """
    files = sorted((f for f in spool_files if f.pieces), key=lambda f: f.unit)
    pieces = [np.frombuffer(f.pieces, PIECE) for f in files]
    owner = np.repeat(np.arange(len(files)), [len(p) for p in pieces])
    merged = np.concatenate([*pieces, np.empty(0, PIECE)])
    order = np.argsort(merged["bucket"], kind="stable")
    table = pa.table(
        {
            **{column: merged[column][order] for column in ("bucket", "kind", "offset", "length")},
            "name": pa.DictionaryArray.from_arrays(
                pa.array(owner[order], pa.int32()), pa.array([f.name for f in files], pa.string())
            ),
        }
    )
    with scratch.writing(name) as path, pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)
    return np.unique(merged["bucket"]).tolist()


def join_bucket(
    bucket: Bucket,
    urls: typing.Sequence[str],
    base: str,
    selection: RowSelection,
    scratch: Scratch,
    classes: typing.Sequence[ChosenClass] = (),
) -> JoinedBucket:
    """Joins one bucket: a left join of all that was spooled on the photos of the base.

    A retried call writes the same bytes to the same names.

    Args:
        bucket: which one, and the index of its pieces.
        urls: input file of every unit.
        base: a source, or ``all``.
        selection: which rows are kept.
        scratch: has what was spooled, and gets the rows and the failures.
        classes: those of the selection.
    """
    spooled = _read_pieces(bucket, scratch)
    lines = {pack: _unique(spooled.pop(kind), pack) for pack, kind in PACK_KINDS.items() if kind in spooled}
    photo_ids = _photos_of(base, lines, spooled)
    by_lines = join_lines(photo_ids, {pack: found.unique for pack, found in lines.items()})
    by_elements = join_elements(photo_ids, spooled)
    rows = joined_rows(photo_ids, by_lines, by_elements)
    kept = select_rows(rows, selection, classes)
    stem = f"{bucket.bucket:05d}"
    with failure_file(scratch, f"{stem}.joined.failures.parquet") as failures:
        for pack, found in sorted(lines.items()):
            failures.append(_duplicate_rows(found.refused, urls, pack))
    counts = {pack.value: _counts(found, by_lines.unmatched[pack]) for pack, found in lines.items()}
    photo_counts = count_conflicts(by_elements.columns["copies"]) if by_elements.counts else {}
    if selection.split:
        photo_counts[WITHOUT_SPLIT] = int((~in_split(rows)).sum())
    return JoinedBucket(
        bucket=bucket.bucket,
        name=_write_joined(kept, scratch, f"{stem}.arrow"),
        rows=kept.num_rows,
        filtered=rows.num_rows - kept.num_rows,
        counts=json.dumps(counts | by_elements.counts),
        photo_counts=json.dumps(photo_counts),
        failures_name=failures.name,
    )


def joined_rows(photo_ids: PhotoIds, by_lines: JoinedLines, by_elements: JoinedElements) -> pa.Table:
    """Returns rows of ROW_SCHEMA, in the order of the photos."""
    columns = {**by_lines.columns, **by_elements.columns, "photo_id": pa.array(photo_ids)}
    columns["sources"], columns["id_source"] = _sources(photo_ids, by_lines.known, columns["copies"])
    columns["warnings"] = _warnings(by_lines.unreadable, by_elements.warnings, len(photo_ids))
    return pa.table([columns[name] for name in ROW_SCHEMA.names], schema=ROW_SCHEMA)


def _read_pieces(bucket: Bucket, scratch: Scratch) -> dict[SpoolKind, pa.Table]:
    with pa.memory_map(str(scratch.local(bucket.index_name))) as source:
        index = pa.ipc.open_file(source).read_all()
        begin, end = np.searchsorted(index["bucket"].to_numpy(), [bucket.bucket, bucket.bucket + 1])
        pieces = index.slice(begin, end - begin).to_pylist()
    found = scratch.read_ranges(Range(piece["name"], piece["offset"], piece["length"]) for piece in pieces)
    batches: dict[SpoolKind, list[pa.RecordBatch]] = {}
    for piece, data in zip(pieces, found, strict=True):
        kind = SPOOL_KINDS[piece["kind"]]
        batches.setdefault(kind, []).append(pa.ipc.read_record_batch(data, spool_schema(kind)))
    return {kind: pa.Table.from_batches(parts).combine_chunks() for kind, parts in batches.items()}


def _unique(table: pa.Table, pack: Pack) -> _Lines:
    photo_ids, lines = table["photo_id"].to_numpy(), _chunk(table["line"])
    unique = unique_lines(photo_ids, lines, pack)
    kept = PackLines(photo_ids[unique.kept], lines.take(pa.array(unique.kept)))
    return _Lines(kept, table.take(pa.array(unique.refused)), unique.collapsed)


def _photos_of(base: str, lines: typing.Mapping[Pack, _Lines], tables: typing.Mapping[SpoolKind, pa.Table]) -> PhotoIds:
    """Returns the photos of the base, unique, in order of their hash."""
    dataset = lines[Pack.DATASET].unique.photo_ids if Pack.DATASET in lines else np.empty(0, np.int64)
    if base == Source.YFCC.value:
        return dataset
    wanted = [kind for source, kind in PHOTO_KINDS.items() if base in (source.value, ALL_SOURCES) and kind in tables]
    known = [dataset] if base == ALL_SOURCES else []
    ids = np.unique(
        np.concatenate([np.empty(0, np.int64), *known, *(tables[k]["photo_id"].to_numpy() for k in wanted)])
    )
    return ids[np.argsort(hash64(ids))]


def _counts(lines: _Lines, unmatched: int) -> dict[str, int]:
    kept = len(lines.unique.photo_ids) - unmatched
    duplicates = lines.refused.num_rows
    return {
        "lines": kept + unmatched + lines.collapsed + duplicates,
        "kept": kept,
        "collapsed": lines.collapsed,
        "duplicates": duplicates,
        "unmatched": unmatched,
    }


def _sources(photo_ids: PhotoIds, in_yfcc: npt.NDArray[np.bool_], copies: pa.ListArray) -> tuple[pa.Array, pa.Array]:
    """Returns which sources know each photo, and whose id it has: a surrogate is that of the one source."""
    owners = pc.list_parent_indices(copies).to_numpy()
    source = copies.flatten().field("source")
    masks = {s.value: np.zeros(len(photo_ids), np.bool_) for s in sorted(Source)}
    for name, mask in masks.items():
        mask[owners[source.to_numpy(zero_copy_only=False) == name]] = True
    masks[Source.YFCC.value] |= in_yfcc
    names = np.array(list(masks), object)
    first = names[np.argmax(np.array(list(masks.values())), axis=0)] if len(photo_ids) else names[:0]
    id_source = np.where(photo_ids > MAX_FLICKR_ID, first, "flickr")
    return _named_lists(masks, len(photo_ids)), pa.array(id_source, pa.string())


def _warnings(
    unreadable: typing.Mapping[str, npt.NDArray[np.bool_]], more: tuple[npt.NDArray[np.int64], list[str]], count: int
) -> pa.ListArray:
    """Names per row what could not be read, in column order: columns, and fields of the elements of lists."""
    masks = {name: mask for name, mask in unreadable.items() if mask.any()}
    for photo, name in zip(more[0].tolist(), more[1], strict=True):
        masks.setdefault(name, np.zeros(count, np.bool_))[photo] = True
    order = [c.name for c in ROW_COLUMNS]
    ordered = sorted(masks, key=lambda name: (order.index(name.partition(".")[0]), name))
    return _named_lists({name: masks[name] for name in ordered}, count)


def _named_lists(masks: typing.Mapping[str, npt.NDArray[np.bool_]], count: int) -> pa.ListArray:
    """Returns per row the names whose mask is set there, in their order."""
    rows, which = np.nonzero(np.array(list(masks.values()), np.bool_).reshape(len(masks), count).T)
    names = pa.array(list(masks), pa.string())
    return list_column(rows, names.take(pa.array(which)), count)


def _chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


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


def _write_joined(rows: pa.Table, scratch: Scratch, name: str) -> str:
    if not rows.num_rows:
        return ""
    with scratch.writing(name) as path, pa.ipc.new_file(path, rows.schema) as writer:
        writer.write_table(rows.combine_chunks(), max_chunksize=BATCH_ROWS)
    return name
