"""Photos that are taken down leave `text/`, and all of it goes: words and vectors were made of their captions."""

import itertools
import logging

import numpy as np

from schemas.photo_ids import hash64, shards_of
from schemas.product_records import TEXT, ProductRecord, product_manifest
from schemas.text_files import tokens_file
from transforms.datasets.has_photos import has_photos
from transforms.stores.output import Output, read_record

_log = logging.getLogger("photobeam")


def purge_text(output: Output, ids: frozenset[int]) -> None:
    """Removes `text/` if a table of it has one of the photos or cannot be read, or if it is not finished."""
    if not ids or not output.names(TEXT):
        return
    shards = _shards(output)
    concerned = np.unique(shards_of(hash64(np.array(sorted(ids), np.int64)), shards)).tolist() if shards else []
    if shards and not any(has_photos(output, tokens_file(shard), ids) for shard in concerned):
        return
    output.remove_tree(TEXT)
    _log.warning("%s/%s goes, since a photo of it is taken down: `photobeam text` makes it anew", output, TEXT)


def _shards(output: Output) -> int:
    """Returns how many tables its record names; 0 if there is none, for then some of them may be gone."""
    try:
        files = read_record(output, product_manifest(TEXT), ProductRecord).files
    except (FileNotFoundError, ValueError):
        return 0
    return next(shard for shard in itertools.count() if tokens_file(shard) not in files)
