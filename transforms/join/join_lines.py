"""The YFCC columns of rows: each pack's lines put beside the photos they belong to, then parsed in that order."""

import typing

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.photo_ids import Hashes, hash64
from schemas.yfcc import DATASET_FIELDS, READ_PAYLOADS, Pack, mirror_key, read_dataset
from transforms.sources.sorted_ids import find_sorted

_NO_DATASET_LINE = b"\t" * (DATASET_FIELDS - 1)


class PackLines(typing.NamedTuple):
    """Lines of one pack, one per photo.

    Attributes:
        photo_ids: int64, in order of their hash.
        lines: dataset lines in their 25-field form, or payloads.
    """

    photo_ids: npt.NDArray[np.int64]
    lines: pa.BinaryArray


class JoinedLines(typing.NamedTuple):
    """What the packs say of photos.

    Attributes:
        columns: the YFCC columns, in the order of the photos.
        unreadable: by column, which values were there but could not be read.
        known: which photos have a line in any pack.
        unmatched: by pack, lines without a photo.
    """

    columns: dict[str, pa.Array]
    unreadable: dict[str, npt.NDArray[np.bool_]]
    known: npt.NDArray[np.bool_]
    unmatched: dict[Pack, int]


def join_lines(photo_ids: npt.NDArray[np.int64], packs: typing.Mapping[Pack, PackLines]) -> JoinedLines:
    """Joins the packs to photos.

    Args:
        photo_ids: int64, in order of their hash.
        packs: those there are.
    """
    hashes = hash64(photo_ids)
    columns: dict[str, pa.Array] = {}
    unreadable: dict[str, npt.NDArray[np.bool_]] = {}
    unmatched: dict[Pack, int] = {}
    known = np.zeros(len(photo_ids), np.bool_)
    for pack in Pack:
        aligned, found = _align(hashes, packs.get(pack), _NO_DATASET_LINE if pack is Pack.DATASET else b"")
        parsed = read_dataset(aligned) if pack is Pack.DATASET else READ_PAYLOADS[pack](aligned)
        for name, column in parsed.columns.items():
            columns[name] = column if name not in columns else columns[name].fill_null(column)
        unreadable |= {name: mask & found for name, mask in parsed.unreadable.items()}
        known |= found
        if pack in packs:
            unmatched[pack] = len(packs[pack].photo_ids) - int(found.sum())
    columns["hash"] = _with_computed_hashes(columns["hash"], columns["download_url"])
    return JoinedLines(columns, unreadable, known, unmatched)


def _align(hashes: Hashes, lines: PackLines | None, missing: bytes) -> tuple[pa.BinaryArray, npt.NDArray[np.bool_]]:
    """Puts lines beside the photos they belong to, ``missing`` where there is none; marks those that have one."""
    if lines is None or not len(lines.photo_ids):
        return pa.repeat(pa.scalar(missing, pa.binary()), len(hashes)), np.zeros(len(hashes), np.bool_)
    own = hash64(lines.photo_ids)
    if np.array_equal(own, hashes):
        return lines.lines, np.ones(len(hashes), np.bool_)
    places, found = find_sorted(own, hashes)
    aligned = lines.lines.take(pa.array(places, mask=~found))
    return aligned.fill_null(missing) if not found.all() else aligned, found


def _with_computed_hashes(hashes: pa.StringArray, download_urls: pa.StringArray) -> pa.StringArray:
    """Fills hashes that no file states from the download URL, as they are all made."""
    if not hashes.null_count:
        return hashes
    pairs = zip(hashes.to_pylist(), download_urls.to_pylist(), strict=True)
    return pa.array([h or (mirror_key(url) if url else None) for h, url in pairs], pa.string())
