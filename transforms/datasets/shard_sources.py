"""What the tables of each shard are to be, for workers that get the number of a shard alone."""

import functools
import json
import typing

from transforms.stores.scratch import Scratch

_SOURCES = "sources.json"


def note_sources(sha256: typing.Iterable[typing.Mapping[str, str]], scratch: Scratch) -> None:
    """Writes down the SHA-256 of each shard's tables, for the workers.

    Args:
        sha256: of the files of each shard, hex, by name.
        scratch: gets it.
    """
    sources = [{name: digest for name, digest in of.items() if name.endswith(".parquet")} for of in sha256]
    with scratch.writing(_SOURCES) as path:
        path.write_text(json.dumps(sources))


def shard_sources(scratch: Scratch, shard: int) -> dict[str, str]:
    """Returns the SHA-256, hex, of the tables that a shard has, by name.

    Args:
        scratch: has what :func:`note_sources` wrote.
        shard: its number.
    """
    return _sources(scratch)[shard]


@functools.lru_cache(2)
def _sources(scratch: Scratch) -> list[dict[str, str]]:
    return json.loads(scratch.local(_SOURCES).read_text())
