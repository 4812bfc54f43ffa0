"""Files beside the shards that name photos; a photo that is taken down leaves them, too.

A file that names photos and is no part of a shard is to have its function in :data:`PURGES`.
"""

import typing

from schemas import layout
from schemas.tombstones import IdListError, read_photo_ids
from transforms.features.purge_features import purge_features
from transforms.stores.output import Output
from transforms.text.purge_text import purge_text

Purge = typing.Callable[[Output, frozenset[int]], None]

BEYOND_REACH = (
    "copies of this dataset, older versions of its files in a bucket that keeps them, and backups",
    "datasets, models and lists that were made from it",
    "the files that it was made from, and published sets kept in --cache_dir",
)
"""Where a photo that is taken down may still be."""


def purge_lists(output: Output, ids: frozenset[int]) -> None:
    """Removes photos from every file that names some."""
    for purge in PURGES:
        purge(output, ids)


def id_list(ids: typing.Iterable[int]) -> bytes:
    """Returns a list of ids as ``--take_down`` reads it."""
    return "".join(f"{photo_id}\n" for photo_id in sorted(ids)).encode()


def _purge_not_public(output: Output, ids: frozenset[int]) -> None:
    """Lists that ``--check_alive`` wrote into the dataset; one that is no such list any more goes."""
    if not output.exists(layout.NOT_PUBLIC):
        return
    try:
        listed = read_photo_ids(output.read(layout.NOT_PUBLIC).decode("ascii", "replace").splitlines())
    except IdListError:
        listed = []
    left = [photo_id for photo_id in listed if photo_id not in ids]
    if left:
        output.write(layout.NOT_PUBLIC, id_list(left))
    else:
        output.remove(layout.NOT_PUBLIC)


PURGES: tuple[Purge, ...] = (_purge_not_public, purge_text, purge_features)
