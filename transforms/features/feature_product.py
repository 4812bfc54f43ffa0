"""The features of a dataset as a whole: which shards stand, what is of no shard any more, and the product's record."""

import dataclasses
import logging
import typing

from schemas.feature_records import FeaturesRecord, features_array, features_record, features_table
from schemas.layout import MANIFEST, commit_file, shard_of, tar_file
from schemas.product_records import FEATURES, ProductRecord, made_from, product_manifest
from schemas.records import CommitRecord, FileDigest, Manifest, OtherFormatError, Record
from transforms.files.file_digest import bytes_digest
from transforms.stores.output import Output, read_record

_log = logging.getLogger("photobeam")

R = typing.TypeVar("R", bound=Record)


def feature_shards(output: Output) -> list[int]:
    """Lists the shards that have a file among the features, finished or not."""
    shards = {shard_of(name, (FEATURES,)) for name in output.names(FEATURES)}
    return sorted(shard for shard in shards if shard is not None)


def read_features(output: Output, shards: typing.Iterable[int]) -> dict[int, FeaturesRecord]:
    """Reads the records of shards; one that is damaged counts as none, which is said.

    Raises:
        OtherFormatError: one is of another version of the format.
        OSError: one cannot be read.
    """
    records: dict[int, FeaturesRecord] = {}
    for name, data in output.read_present([features_record(shard) for shard in shards]).items():
        try:
            record = FeaturesRecord.from_json(data, name)
        except OtherFormatError:
            raise
        except ValueError as error:
            _log.warning("%s; it counts as none", error)
            continue
        if features_record(record.shard) == name:
            records[record.shard] = record
    return records


def remove_features(output: Output, shard: int) -> None:
    """Removes the features of a shard, their record first."""
    for name in (features_record(shard), features_array(shard), features_table(shard)):
        output.remove(name)


def remove_others(output: Output, shards: typing.Iterable[int]) -> None:
    """Removes the features of all other shards: what was left when shards became fewer, or lost their samples."""
    for shard in sorted(set(feature_shards(output)) - set(shards)):
        remove_features(output, shard)


def finish_features(
    output: Output,
    records: typing.Iterable[FeaturesRecord],
    source: str,
    options: dict[str, typing.Any],
    software: dict[str, str],
) -> ProductRecord:
    """Writes the product's record.

    Args:
        output: the dataset.
        records: of all its shards with samples.
        source: what :func:`schemas.product_records.made_from` gave for the dataset.
        options: that all of them were made with.
        software: versions by name.
    """
    files, counts = dict[str, FileDigest](), {"samples": 0, "shards": 0, "not_finite": 0}
    for record in records:
        files |= {**record.files, features_record(record.shard): bytes_digest(record.to_json())}
        counts["samples"] += record.samples
        counts["shards"] += 1
        counts["not_finite"] += record.not_finite
    product = ProductRecord(
        kind=FEATURES,
        options=options,
        made_from=source,
        software=software,
        counts=counts,
        files=files,
    )
    output.write(product_manifest(FEATURES), product.to_json())
    return product


def keep_features(output: Output, old: CommitRecord, new: CommitRecord) -> None:
    """Lets the features of a shard stand that has another tar now, with the same images in the same order.

    Args:
        output: the dataset.
        old, new: records of the shard before and now.
    """
    tar = tar_file(old.shard)
    record = standing_features(output, [old.shard]).get(old.shard)
    if record and record.made_from == old.files[tar].sha256:
        kept = dataclasses.replace(record, made_from=new.files[tar].sha256)
        output.write(features_record(old.shard), kept.to_json())


def standing_features(output: Output, shards: list[int]) -> dict[int, FeaturesRecord]:
    """Reads the records of shards; of another version of the format, which cannot be read, none counts."""
    try:
        return read_features(output, shards)
    except OtherFormatError:
        return {}


def finish_features_again(output: Output, product: ProductRecord, before: dict[str, str]) -> None:
    """Writes the product's record again if it was of the dataset as it was, and all shards with samples have features.

    Args:
        output: the dataset.
        product: the record.
        before: of :func:`sha256_before`.
    """
    if product.made_from != made_from(FEATURES, before):
        return
    shards = sorted({shard for shard in map(shard_of, before) if shard is not None})
    commits = [read_standing(output, commit_file(shard), CommitRecord) for shard in shards]
    records = standing_features(output, shards)
    whole = [commit for commit in commits if commit and (not commit.samples or commit.shard in records)]
    if len(whole) == len(shards):
        sha256 = {name: digest.sha256 for commit in whole for name, digest in commit.files.items()}
        finish_features(output, records.values(), made_from(FEATURES, sha256), product.options, product.software)


def sha256_before(output: Output) -> dict[str, str]:
    """Returns the digests of the dataset's files by the manifest, which is not written anew yet; none without one."""
    manifest = read_standing(output, MANIFEST, Manifest)
    shards = manifest.shards if manifest else []
    return {name: sha256 for shard in shards for name, sha256 in shard.sha256.items()}


def read_standing(output: Output, name: str, record: type[R]) -> R | None:
    """Reads a record; None where it is missing or damaged."""
    try:
        return read_record(output, name, record)
    except (FileNotFoundError, ValueError):
        return None
