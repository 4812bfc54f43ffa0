"""Labels of photos as arrays."""

import logging

from beam_jobs.text.text_job import NOTHING, Made, TextJob, on_each_shard
from schemas.label_files import classes_file
from schemas.records import FileDigest
from transforms.files.file_digest import bytes_digest
from transforms.text.label_maps import LabelMap, autotag_labels
from transforms.text.shard_files import noted_files
from transforms.text.write_labels import (
    LABELS_KIND,
    ListAutotags,
    WriteLabels,
    listed_autotags,
    note_map,
)

_log = logging.getLogger("photobeam")


def make_labels(job: TextJob) -> Made:
    """Writes the labels that are asked for, if any."""
    if not job.labels.maps:
        return NOTHING
    maps = {labels: label_map or _autotags_there(job) for labels, label_map in job.labels.maps.items()}
    classes = {labels: _write_classes(job, labels, label_map) for labels, label_map in maps.items()}
    on_each_shard(job, "WriteLabels", WriteLabels(job.output, job.place.scratch, tuple(maps)))
    files, counts = noted_files(job.place.scratch, LABELS_KIND, job.shards)
    for labels, label_map in maps.items():
        _log.info(
            "labels of %s: %s classes; %s photos have some, %s of these a single one, %s have none; %s labels of other "
            "classes and %s by machines are left out",
            labels,
            f"{len(label_map.classes):,}",
            f"{counts[f'{labels}_photos_labelled']:,}",
            f"{counts[f'{labels}_photos_of_one_class']:,}",
            f"{counts[f'{labels}_photos_without_labels']:,}",
            f"{counts[f'{labels}_labels_of_unknown_classes']:,}",
            f"{counts[f'{labels}_labels_by_machines']:,}",
        )
    return Made({**dict(classes.values()), **files}, counts, {})


def _write_classes(job: TextJob, labels: str, label_map: LabelMap) -> tuple[str, FileDigest]:
    """Writes the list of classes, for people and for the workers."""
    name, data = classes_file(labels), label_map.to_json()
    note_map(job.place.scratch, labels, label_map)
    job.output.write(name, data)
    return name, bytes_digest(data)


def _autotags_there(job: TextJob) -> LabelMap:
    on_each_shard(job, "ListAutotags", ListAutotags(job.output, job.place.scratch))
    return autotag_labels(listed_autotags(job.place.scratch, job.shards))
