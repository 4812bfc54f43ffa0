"""`photobeam text --into_shards`: token ids and classes become members of the samples."""

import json
import logging
import typing

from beam_jobs.command.errors import JobError, UsageError
from beam_jobs.text.text_job import TextJob, on_each_shard
from schemas import layout
from schemas.label_files import SINGLE, classes_file, labels_file
from schemas.product_records import FEATURES, TEXT, ProductRecord, product_manifest
from schemas.records import Manifest
from schemas.sample_members import CLASS, TOKENS, AddedMembers, extensions_of
from schemas.text_files import tokens_file
from transforms.building.finish_shards import finish_as
from transforms.datasets.finished_dataset import FinishedDataset
from transforms.datasets.shard_sources import note_sources
from transforms.features.feature_product import finish_features_again, read_standing
from transforms.files.file_digest import bytes_digest
from transforms.stores.intents import begin_rewrites, end_rewrites, roll_forward
from transforms.stores.output import Output, read_record
from transforms.text.into_shards import IntoShards

FLAG = "--into_shards"

_log = logging.getLogger("photobeam")


def check_flags(max_tokens: int | None, labels: typing.Collection[str]) -> None:
    """Checks that all samples can have the same members.

    Raises:
        UsageError: flags are missing or too many.
    """
    if max_tokens is None:
        raise UsageError(f"{FLAG} needs --max_tokens N: the rows of ids of all samples have the same length")
    if len(labels) > 1:
        raise UsageError(f"{FLAG}: a sample has one `{CLASS}`; give one set of --labels, not {','.join(labels)}")


def check_dataset(dataset: FinishedDataset, into_shards: bool) -> None:
    """Checks that a dataset has shards to put something into, and that what they have is not left to grow old.

    Raises:
        UsageError: names the flag.
    """
    if into_shards and not dataset.samples:
        raise UsageError(f"{FLAG}: {dataset.root} has no samples; build it with images first")
    there = next((extensions_of(added) for added in dataset.added if added), [])
    if there and not into_shards:
        raise UsageError(
            f"the samples of {dataset.root} have members of {FLAG} ({', '.join(there)}): give it again, so that they "
            "fit the captions that are made now"
        )


def has_members(dataset: FinishedDataset, record: ProductRecord) -> bool:
    """Tells whether all samples have the members that are made from these captions and labels."""
    made_from = _hash(record)
    of_shards = enumerate(zip(dataset.added, dataset.sha256, strict=True))
    with_samples = [added for shard, (added, sha256) in of_shards if layout.tar_file(shard) in sha256]
    return all(added and added.made_from == made_from for added in with_samples)


def check_standing(output: Output, dataset: FinishedDataset, record: ProductRecord) -> None:
    """Checks that captions and labels that are made already give the samples any members.

    Raises:
        UsageError: they do not; says what to do.
    """
    if not _members(output, dataset, record).sizes:
        raise UsageError(_nothing_to_add(output, dataset, record))


def put_into_shards(job: TextJob, record: ProductRecord) -> None:
    """Writes every shard again with the members, and then the manifest.

    Raises:
        JobError: there is nothing to put into them, though the captions and labels stand; or a shard is damaged.
    """
    labels, added = _labels(record), _members(job.output, job.dataset, record)
    if not added.sizes:
        raise JobError(_nothing_to_add(job.output, job.dataset, record))
    if labels and CLASS not in added.sizes:
        several = _without_single(job.dataset, record)
        _log.warning(
            "%s photos have no class of %s or several, so that no sample has `%s`", f"{several:,}", labels, CLASS
        )
    scratch = job.place.scratch.child("text")
    note_sources((_tables(record, labels, shard) for shard in range(job.shards)), scratch)
    work = IntoShards(job.output, scratch, job.place.staging, job.dataset.format, added, labels)
    old = read_record(job.output, layout.MANIFEST, Manifest)
    before = {name: sha256 for files in job.dataset.sha256 for name, sha256 in files.items()}
    features = read_standing(job.output, product_manifest(FEATURES), ProductRecord)
    begin_rewrites(job.output)
    on_each_shard(job, "IntoShards", work)
    roll_forward(job.output)
    if features:
        finish_features_again(job.output, features, before)
    try:
        finish_as(job.output, old)
    except ValueError as error:
        raise JobError(f"{error}; the same command goes on") from error
    end_rewrites(job.output)
    _log.info("%s samples have the members %s", f"{job.dataset.samples:,}", ", ".join(extensions_of(added)))


def _members(output: Output, dataset: FinishedDataset, record: ProductRecord) -> AddedMembers:
    """Returns the members that all samples can have; maybe none."""
    sizes, labels = dict[str, int](), _labels(record)
    if tokens_file(0) in record.files:
        sizes[TOKENS] = record.options["max_tokens"]
    if labels and not _without_single(dataset, record):
        sizes[CLASS] = json.loads(output.read(classes_file(labels)))[-1]["id"] + 1
    return AddedMembers(sizes, _hash(record))


def _labels(record: ProductRecord) -> str:
    return next(iter(record.options["labels"] or []), "")


def _without_single(dataset: FinishedDataset, record: ProductRecord) -> int:
    """Returns how many samples have no class, or several."""
    single: int = record.counts[f"{_labels(record)}_photos_of_one_class"]
    return dataset.samples - single


def _nothing_to_add(output: Output, dataset: FinishedDataset, record: ProductRecord) -> str:
    several = _without_single(dataset, record)
    return (
        f"{FLAG}: no captions, and {several:,} of {dataset.samples:,} samples have no class of {_labels(record)} or "
        f"several, so that there is nothing to put into shards; {output}/{TEXT} is made: leave {FLAG} out, or give "
        "--labels of which each photo has one"
    )


def _tables(record: ProductRecord, labels: str, shard: int) -> dict[str, str]:
    names = (tokens_file(shard), labels_file(labels, shard, SINGLE))
    return {name: record.files[name].sha256 for name in names if name in record.files}


def _hash(record: ProductRecord) -> str:
    return bytes_digest(record.to_json()).sha256
