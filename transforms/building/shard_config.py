"""How shards are built."""

import dataclasses
import pathlib
import typing

from transforms.building.shard_remains import Remains
from transforms.datasets.old_dataset import OldDataset
from transforms.fetch.fetch_options import FetchOptions
from transforms.images.image_plan import ImageOptions
from transforms.places.image_places import PlacesConfig
from transforms.stores.output import Output
from transforms.stores.scratch import Scratch
from transforms.workers.decode_limit import DECODE_LIMIT_S


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardConfig:
    """How shards are built.

    Attributes:
        output: the dataset.
        folder: local, for everything unfinished; need not exist. None for temporary files of each worker's machine.
        image: how images are written.
        fetch: how they are downloaded.
        places: where they are looked for, in order.
        format: the plan's format flags, part of the commit's digest.
        max_failure_ratio: the run ends when more than this share of its photos has failed.
        retry: SQL condition on the failures of shards that are built already: those photos are tried again, and the
            rest of the shard is kept; '' to build whole shards.
        remains: what is left of damaged shards, by shard; these are restored. None to build shards anew.
        decode_limit_s: the most processor time that one photo may take between its bytes and its image.
        old: dataset whose images and failures are taken where they will do; None if every photo is fetched.
        done: gets the commit record of each shard that this run has built, so that a repeated attempt does not build it
            again; None where nothing is repeated.
        isolated: make every image in a process of its own, since some photo of the shard ends the process it is in.
    """

    output: Output
    folder: pathlib.Path | None
    image: ImageOptions
    fetch: FetchOptions
    places: PlacesConfig
    format: dict[str, typing.Any]
    max_failure_ratio: float = 1.0
    retry: str = ""
    remains: typing.Mapping[int, Remains] | None = None
    decode_limit_s: float = DECODE_LIMIT_S
    old: OldDataset | None = None
    done: Scratch | None = None
    isolated: bool = False
