"""The features of a dataset as a whole: which shards stand, what is of no shard any more, and the product's record."""

import logging
import typing

from schemas.feature_records import FeaturesRecord, features_array, features_record, features_table
from schemas.layout import shard_of
from schemas.product_records import FEATURES, ProductRecord, product_manifest
from schemas.records import FileDigest, OtherFormatError
from transforms.file_digest import bytes_digest
from transforms.output import Output

_log = logging.getLogger("photobeam")


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
