"""What a dataset takes of the one that it is made from."""

import dataclasses
import pathlib
import typing

import pyarrow as pa

from schemas.records import PlanRows
from schemas.rows import ROW_SCHEMA
from schemas.samples import sidecar_schema
from transforms.datasets.old_dataset import OldDataset
from transforms.images.image_plan import ImageOptions
from transforms.stores.output import Output
from transforms.stores.scratch import Scratch

FROM_ORIGINALS = "from_originals"
"""Among the plan's counts: photos of which no image will do, so that they are fetched again."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowsWanted:
    """Which rows are taken, and what for.

    Attributes:
        where: SQL condition on the joined row and the sidecar's columns, '' for all.
        drop_duplicates: of photos with the same file only that of the smallest KEY; those without image stay.
        image: how images are to be written where those of the dataset are taken; None where all are fetched.
    """

    where: str = ""
    drop_duplicates: bool = False
    image: ImageOptions | None = None


def where_schema(further_sizes: typing.Iterable[int] = ()) -> pa.Schema:
    """Returns the schema that a condition sees: the joined row's columns as they are in `rows/`, then the sidecar's.

    Args:
        further_sizes: every ``--image_size`` of the dataset but the first.
    """
    further = [pa.field(f.name, f.type) for f in sidecar_schema(further_sizes) if f.name not in ROW_SCHEMA.names]
    return pa.schema([*ROW_SCHEMA, *further])


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeriveConfig:
    """What phase 1 works on.

    Attributes:
        output: the new dataset, with its plan.
        scratch: for what the steps leave each other; to itself.
        folder: local, for files on their way into the output; need not exist. None for temporary files of each
            worker's machine.
        old: the dataset that is read.
        rows: the rows file of each of its shards, in order.
        wanted: which of them are taken.
        samples_per_shard: rows per new shard; decides their number.
        shards: number of shards of the new dataset, None to count.
        taken_down: ids of photos that are not to come back, whatever else is asked for.
    """

    output: Output
    scratch: Scratch
    folder: pathlib.Path | None
    old: OldDataset
    rows: tuple[PlanRows, ...]
    wanted: RowsWanted
    samples_per_shard: int
    shards: int | None = None
    taken_down: frozenset[int] = frozenset()
