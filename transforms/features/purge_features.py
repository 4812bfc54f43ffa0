"""Photos that are taken down leave the features, and the other rows stay."""

import io
import logging
import shutil

import numpy as np
import pyarrow as pa

from schemas import layout
from schemas.feature_records import FeaturesRecord, features_array, features_table
from schemas.product_records import FEATURES, ProductRecord, product_manifest
from schemas.records import CommitRecord
from transforms.datasets.has_photos import has_photos
from transforms.features.feature_product import (
    feature_shards,
    finish_features_again,
    read_standing,
    remove_features,
    sha256_before,
    standing_features,
)
from transforms.features.shard_features import publish_features, write_array, write_table
from transforms.files.file_digest import bytes_digest
from transforms.files.publish import staging_in
from transforms.files.read_parquet import read_parquet
from transforms.stores.output import Output

_FOLDER = "purge_features"
"""Of what is unfinished, as the name of a run."""

_GONE = "%s/%s: shard %s goes, since a photo of it is taken down or may be: `photobeam features` makes it anew"

_log = logging.getLogger("photobeam")


def purge_features(output: Output, ids: frozenset[int]) -> None:
    """Removes the vectors of photos, when the photos have left their shards and the manifest is that of before.

    Where a shard's features are not known to be of the shard as it was, they go as a whole, and the product's record
    with them: `photobeam features` makes them again. So do those without a record, of a run that has not ended.

    Args:
        output: the dataset.
        ids: photos.
    """
    shards = feature_shards(output)
    records = standing_features(output, shards)
    concerned = [s for s in shards if s not in records or has_photos(output, features_table(s), ids)]
    if not concerned:
        return
    before = sha256_before(output)
    product = read_standing(output, product_manifest(FEATURES), ProductRecord)
    output.remove(product_manifest(FEATURES))
    for shard in concerned:
        record = records.get(shard)
        commit = read_standing(output, layout.commit_file(shard), CommitRecord)
        was_current = record and record.made_from == before.get(layout.tar_file(shard))
        if not (record and commit and was_current and _rewrite(output, record, commit, ids)):
            remove_features(output, shard)
            if not commit or commit.samples:
                _log.warning(_GONE, output, FEATURES, layout.shard_name(shard))
    if product:
        finish_features_again(output, product, before)


def _rewrite(output: Output, record: FeaturesRecord, commit: CommitRecord, ids: frozenset[int]) -> bool:
    """Writes the features of a shard without some photos; returns False if they are damaged, or nothing is left."""
    names = (features_array(record.shard), features_table(record.shard))
    found = output.read_present(names)
    if {name: bytes_digest(data) for name, data in found.items()} != record.files or not commit.samples:
        return False
    array, table = (found[name] for name in names)
    photos = read_parquet(table, ["photo_id", "key"])
    is_left = np.isin(photos["photo_id"].to_numpy(), sorted(ids), invert=True)
    keys, vectors = photos["key"].filter(pa.array(is_left)).to_pylist(), np.load(io.BytesIO(array))[is_left]
    if len(keys) != commit.samples:
        return False
    folder = output.run_folder(_FOLDER)
    try:
        with staging_in(folder, "") as staging:
            write_array(vectors, staging / "array")
            write_table(keys, vectors, staging / "table")
            publish_features(commit, staging / "array", staging / "table", record.options, output)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return True
