"""Checks the columns of samples that differ from their rows': geometry, mapped to the written image, and warnings."""

import typing

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.annotations import EDGES, GEOMETRY_COLUMNS, PIXELS

_BOXES = {
    "boxes": (EDGES,),
    "segments": (EDGES,),
    "relationships": tuple(tuple(f"{edge}{part}" for edge in EDGES) for part in (1, 2)),
    "points": (("x", "y", "x", "y"),),
}
"""Fields of the boxes of an element; a point is a box without extent."""

_Flags = npt.NDArray[np.bool_]


def geometry_problems(rows: pa.Table, samples: pa.Table) -> list[str]:
    """Says what is wrong with the samples' geometry and warnings.

    A sample has at most the elements of its row, in pixels, within its image; masks have the image's size. Its
    warnings begin with the row's.

    Args:
        rows: of :data:`schemas.rows.ROW_SCHEMA`, those of the samples, in the same order.
        samples: of :data:`schemas.samples.SIDECAR_SCHEMA`.
    """
    problems = []
    for column in GEOMETRY_COLUMNS:
        own = samples[column].combine_chunks()
        if pc.any(pc.greater(pc.list_value_length(own), pc.list_value_length(rows[column].combine_chunks()))).as_py():
            problems.append(f"it has more {column} than the rows")
        if not len(own.flatten()):
            continue
        fields = dict(zip((f.name for f in own.type.value_type), own.flatten().flatten(), strict=True))
        if not pc.all(pc.equal(fields["units"], PIXELS), skip_nulls=False).as_py():
            problems.append(f"its {column} are not all in {PIXELS}")
        size = [samples[side].combine_chunks().take(pc.list_parent_indices(own)) for side in ("width", "height")]
        if not all(_are_within(fields, names, size) for names in _BOXES.get(column, ())):
            problems.append(f"its {column} do not all lie within their images")
        if column == "segments" and not _are_of_size(fields, size):
            problems.append("its masks are not all of the size of their images")
    pairs = zip(rows["warnings"].to_pylist(), samples["warnings"].to_pylist(), strict=True)
    if any(of_sample[: len(of_row)] != of_row for of_row, of_sample in pairs):
        problems.append("its warnings do not repeat the rows'")
    return problems


def _are_within(fields: dict[str, pa.Array], names: typing.Sequence[str], size: typing.Sequence[pa.Array]) -> bool:
    """Checks boxes against the sizes of their images; one that is null is not there."""
    xmin, ymin, xmax, ymax = (fields[name].to_numpy(zero_copy_only=False) for name in names)
    width, height = (side.to_numpy(zero_copy_only=False) for side in size)
    missing: _Flags = np.logical_and.reduce([fields[name].is_null().to_numpy(zero_copy_only=False) for name in names])
    across: _Flags = (xmin >= 0) & (xmin <= xmax) & (xmax <= width)
    down: _Flags = (ymin >= 0) & (ymin <= ymax) & (ymax <= height)
    return bool((missing | (across & down)).all())


def _are_of_size(fields: dict[str, pa.Array], size: typing.Sequence[pa.Array]) -> bool:
    masks = fields["rle_counts"].is_valid()
    pairs = zip(("rle_width", "rle_height"), size, strict=True)
    return all(fields[name].filter(masks).equals(side.filter(masks)) for name, side in pairs)
