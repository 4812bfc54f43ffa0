"""Features stay those of shards that are written again with the same images in the same order."""

import dataclasses

from schemas.feature_records import features_record
from schemas.layout import commit_file, tar_file
from schemas.product_records import FEATURES, ProductRecord, product_manifest
from schemas.records import CommitRecord
from transforms.features.feature_product import feature_shards, read_features
from transforms.features.purge_features import finish_again, read_standing, sha256_before
from transforms.output import Output


def keep_features(output: Output) -> None:
    """Lets the records of features that fit the manifest name the tars that stand now; the manifest is still the old.

    Raises:
        OtherFormatError: features are of another version of the format.
    """
    before, shards = sha256_before(output), feature_shards(output)
    product = read_standing(output, product_manifest(FEATURES), ProductRecord)
    for shard, record in read_features(output, shards).items():
        commit = read_standing(output, commit_file(shard), CommitRecord)
        if commit and commit.samples and record.made_from == before.get(tar_file(shard)):
            kept = dataclasses.replace(record, made_from=commit.files[tar_file(shard)].sha256)
            output.write(features_record(shard), kept.to_json())
    if product:
        finish_again(output, product, before)
