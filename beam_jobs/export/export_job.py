"""The work of `photobeam export`: what stands, one graph for the classes, one for the shards, and the end."""

import dataclasses
import functools
import logging
import typing

from beam_jobs.command.errors import JobError, UsageError
from beam_jobs.command.interrupt import held
from beam_jobs.command.progress_line import show_progress
from beam_jobs.outputs.output_state import entries
from beam_jobs.outputs.run_folder import RunFolder, run_folder
from beam_jobs.outputs.standing_product import differences
from beam_jobs.runners.run_each_shard import run_each_shard
from beam_jobs.runners.runner_flags import RunnerConfig
from schemas import layout
from schemas.classes import UnknownClassError
from schemas.export_records import (
    EXPORT_BEGUN,
    EXPORT_RECORD,
    LABELS,
    UNFINISHED,
    ExportPart,
    ExportRecord,
    exported_from,
    labels_file,
)
from schemas.records import OtherFormatError
from transforms.datasets.finished_dataset import FinishedDataset, open_finished
from transforms.datasets.shard_sources import note_sources
from transforms.export.classes import ExportClasses, choose_classes, read_labels
from transforms.export.export_format import ExportFormat
from transforms.export.export_shard import ExportConfig, ExportShard, ImageMode, ListLabels
from transforms.export.finish_export import finish_export, read_parts
from transforms.export.formats import export_format
from transforms.export.read_photos import ExportedDataset
from transforms.export.write_files import flush
from transforms.stores.dataset_files import NoDatasetError
from transforms.stores.output import Output, read_record

_log = logging.getLogger("photobeam")

_AGAIN = "give --overwrite to start again, or choose another directory"
_OTHER_DATASET = "of another dataset, or of another state of this one"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportRequest:
    """What is asked for.

    Attributes:
        dataset: what is exported.
        output: where it goes.
        format: name of the format.
        raw: values as YFCC has them.
        split: photos of this split alone; '' for all.
        classes: boxes of these classes alone; all if there are none.
        images: what happens to the images.
        overwrite: whether an export that is there is dropped.
        runner: where the work is done.
        temp_location: where workers share what is unfinished; None for the default.
        progress: as of :func:`beam_jobs.command.progress_line.show_progress`.
    """

    dataset: FinishedDataset
    output: Output
    format: str
    raw: bool
    split: str
    classes: tuple[str, ...]
    images: ImageMode
    overwrite: bool
    runner: RunnerConfig
    temp_location: Output | None
    progress: str

    @functools.cached_property
    def record(self) -> ExportRecord:
        """What the export is, before anything is counted."""
        options = {"raw": self.raw, "split": self.split, "classes": sorted(self.classes), "images": self.images.value}
        without_image = self.dataset.photos - self.dataset.samples if self.dataset.has_images else 0
        counts = {"photos_without_image": without_image} if without_image else {}
        return ExportRecord(self.format, options, exported_from(self.dataset.sha256), counts=counts)


def run(request: ExportRequest) -> ExportRecord | None:
    """Exports, or goes on with an export.

    Returns:
        What was exported; None if it is done already.

    Raises:
        UsageError: the directory holds something else, or there is no such class.
        OutputInUseError: another run holds the output.
        JobError: it failed on the way.
    """
    format_, output = export_format(request.format, request.raw), request.output
    if _is_done(request, format_):
        return None
    output.check_writable()
    with held(output):
        if _is_done(request, format_):
            return None
        with run_folder(output, request.temp_location, not request.runner.is_local) as place:
            record = _run_held(request, format_, place)
        output.sweep()
    return record


def _run_held(request: ExportRequest, format_: ExportFormat, place: RunFolder) -> ExportRecord:
    output, shards = request.output, len(request.dataset.sha256)
    note_sources(request.dataset.sha256, place.scratch)
    extension = f".{request.dataset.format['format']}" if request.dataset.has_images else ""
    dataset = ExportedDataset(files=request.dataset.files, scratch=place.scratch, extension=extension)
    classes = _begin(request, format_, dataset)
    done = read_parts(output, shards)
    if done:
        _log.info("%d of %d shards are exported already", len(done), shards)
    config = ExportConfig(
        dataset=dataset,
        output=output,
        format=request.format,
        raw=request.raw,
        split=request.split,
        images=request.images,
        classes=classes,
        of_classes=bool(request.classes),
        keep=format_.is_added_to and not request.overwrite,
    )
    todo = [shard for shard in range(shards) if shard not in done]
    with show_progress(request.progress, _photos_left(request.dataset, done)):
        run_each_shard("ExportShard", ExportShard(config), todo, request.runner, output)
    flush(output)
    _check_unchanged(request)
    return finish_export(output, place.folder, format_, request.record, classes, read_parts(output, shards))


def _begin(request: ExportRequest, format_: ExportFormat, dataset: ExportedDataset) -> ExportClasses:
    """Makes the output ready for what is asked for, and returns the classes.

    What an export of the same has left unfinished stays, that of another one goes. An export that is to be overwritten
    goes when all is known to be right, its record last: a run that ends meanwhile has not finished it.
    """
    output = request.output
    begun = _read(output, EXPORT_BEGUN, request.overwrite)
    if request.overwrite or not (begun and begun.is_of_same(request.record)):
        for name in (EXPORT_BEGUN, *UNFINISHED):
            output.remove_tree(name)
        output.write(EXPORT_BEGUN, _begun(request, format_).to_json())
    try:
        classes = _classes(request, format_, dataset)
    except UnknownClassError as error:
        if begun:
            output.write(EXPORT_BEGUN, begun.to_json())
        else:
            output.remove(EXPORT_BEGUN)
        raise UsageError(f"--classes: {error}") from error
    if request.overwrite:
        for name in (*(() if format_.is_added_to else sorted(format_.roots)), EXPORT_RECORD):
            output.remove_tree(name)
    return classes


def _begun(request: ExportRequest, format_: ExportFormat) -> ExportRecord:
    """Returns the record of an export under way; of a tree it says if older files go: without the flag they stay."""
    record = request.record
    if not (format_.is_added_to and request.overwrite):
        return record
    return dataclasses.replace(record, options={**record.options, "overwrite": True})


def _photos_left(dataset: FinishedDataset, done: typing.Mapping[int, ExportPart]) -> int:
    return dataset.photos_read - sum(part.counts.get("photos", 0) for part in done.values())


def _check_unchanged(request: ExportRequest) -> None:
    """Leaves an export without record whose shards may be of different states of the dataset.

    Raises:
        JobError: the dataset has changed.
    """
    old = request.dataset
    try:
        is_same = exported_from(open_finished(old.root, old.files.s3).sha256) == request.record.made_from
    except NoDatasetError:
        is_same = False
    if not is_same:
        raise JobError(f"{old.root} was changed while it was exported: run the same command again with --overwrite")


def _classes(request: ExportRequest, format_: ExportFormat, dataset: ExportedDataset) -> ExportClasses:
    """Returns the classes of the whole dataset, whatever the split, so that exports of its splits agree.

    Raises:
        UnknownClassError: it has no boxes of a class that is asked for.
    """
    if format_.per_photo and not request.classes:
        return choose_classes([], {}, [])
    output, shards = request.output, len(request.dataset.sha256)
    there = {*output.names(LABELS)}
    todo = [shard for shard in range(shards) if labels_file(shard) not in there]
    run_each_shard("ListLabels", ListLabels(dataset, output), todo, request.runner, output)
    return choose_classes(*read_labels(output, shards), request.classes)


def _is_done(request: ExportRequest, format_: ExportFormat) -> bool:
    """Tells whether the export stands; else it is to be begun, or goes on.

    Raises:
        UsageError: the directory holds something else, or another export.
    """
    output, wanted = request.output, request.record
    present = entries(output)
    is_export = EXPORT_RECORD in present or output.exists(EXPORT_BEGUN)
    own = {layout.TMP, EXPORT_RECORD, *format_.roots} if is_export or format_.is_added_to else {layout.TMP}
    finished, begun = (_read(output, name, request.overwrite) for name in (EXPORT_RECORD, EXPORT_BEGUN))
    standing = finished or begun
    if standing and standing.format != wanted.format:
        raise UsageError(f"--output {output} holds an export to {standing.format}; choose another directory")
    foreign = [name for name in present if name not in own]
    if foreign:
        raise UsageError(f"--output {output} holds something else ({', '.join(foreign[:3])}); choose another directory")
    if request.overwrite or not standing:
        return False
    if not standing.is_of_same(wanted):
        grows = finished is not None and format_.is_added_to
        name = EXPORT_RECORD if finished else EXPORT_BEGUN
        asked = {"raw": request.raw} if grows else {**wanted.options, "overwrite": None}
        different = differences(name, standing.options, asked)
        if grows and not different:
            return False
        raise UsageError(f"--output {output} holds another export: {different or _OTHER_DATASET}; {_AGAIN}")
    return finished is not None and (begun is None or format_.is_added_to)


def _read(output: Output, name: str, overwrite: bool) -> ExportRecord | None:
    """Reads a record of the export; a damaged one counts as none where it is to be overwritten.

    Raises:
        UsageError: it is damaged, or of another format version.
    """
    try:
        return read_record(output, name, ExportRecord)
    except FileNotFoundError:
        return None
    except OtherFormatError as error:
        raise UsageError(f"{error}, or choose another directory") from error
    except ValueError as error:
        if overwrite:
            return None
        raise UsageError(f"{error}: {_AGAIN}") from error
