"""The work of `photobeam export`: what stands, one graph for the classes, one for the shards, and the end."""

import dataclasses
import hashlib
import json
import logging
import pathlib
import typing

from beam_jobs.errors import JobError, UsageError
from beam_jobs.interrupt import held
from beam_jobs.output_state import entries
from beam_jobs.run_folder import run_folder
from beam_jobs.run_graph import run_graph
from beam_jobs.runner_flags import RunnerConfig
from schemas import layout
from schemas.classes import UnknownClassError
from schemas.export_records import EXPORT_BEGUN, EXPORT_RECORD, LABELS, UNFINISHED, ExportRecord, labels_file
from transforms.dataset_files import NoDatasetError
from transforms.export.classes import ExportClasses, choose_classes, read_labels
from transforms.export.export_format import ExportFormat
from transforms.export.export_shard import ExportConfig, ExportShard, ImageMode, ListLabels
from transforms.export.finish_export import finish_export, read_parts
from transforms.export.formats import export_format
from transforms.export.write_files import flush
from transforms.finished_dataset import FinishedDataset, open_finished
from transforms.output import Output, read_record

_log = logging.getLogger("photobeam")

_AGAIN = "give --overwrite to start again, or choose another directory"


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

    @property
    def record(self) -> ExportRecord:
        """What the export is, before anything is counted."""
        options = {"raw": self.raw, "split": self.split, "classes": sorted(self.classes), "images": self.images.value}
        files = json.dumps(self.dataset.sha256, sort_keys=True).encode()
        without_image = self.dataset.photos - self.dataset.samples if self.dataset.has_images else 0
        counts = {"photos_without_image": without_image} if without_image else {}
        return ExportRecord(self.format, options, hashlib.sha256(files).hexdigest(), counts=counts)


def run(request: ExportRequest) -> ExportRecord:
    """Exports, goes on with an export, or finds that it is done.

    Raises:
        UsageError: the directory holds something else, or there is no such class.
        OutputInUseError: another run holds the output.
        JobError: it failed on the way.
    """
    format_, output = export_format(request.format, request.raw), request.output
    finished = _finished(request, format_)
    if finished:
        _log.info("%s is finished: nothing to do", output)
        return finished
    output.check_writable()
    with held(output), run_folder(output) as place:
        _begin(request, format_)
        record = _run_held(request, format_, place.folder)
        output.sweep()
    return record


def _begin(request: ExportRequest, format_: ExportFormat) -> None:
    """Makes the output ready: of an export that is begun, what is asked for goes on; else nothing is left of others."""
    output = request.output
    if request.overwrite and (output.exists(EXPORT_RECORD) or output.exists(EXPORT_BEGUN)):
        for name in (EXPORT_RECORD, EXPORT_BEGUN, *sorted(format_.roots)):
            output.remove_tree(name)
    if not output.exists(EXPORT_BEGUN):
        for name in UNFINISHED:
            output.remove_tree(name)
        output.write(EXPORT_BEGUN, request.record.to_json())


def _run_held(request: ExportRequest, format_: ExportFormat, folder: pathlib.Path) -> ExportRecord:
    output, shards = request.output, len(request.dataset.sha256)
    classes = _classes(request)
    done = read_parts(output, shards)
    if done:
        _log.info("%d of %d shards are exported already", len(done), shards)
    config = ExportConfig(
        dataset=request.dataset,
        output=output,
        format=request.format,
        raw=request.raw,
        split=request.split,
        images=request.images,
        classes=classes,
        of_classes=bool(request.classes),
    )
    _each_shard("ExportShard", ExportShard(config), [s for s in range(shards) if s not in done], request)
    flush(output)
    _check_unchanged(request)
    return finish_export(output, folder, format_, request.record, classes, read_parts(output, shards))


def _check_unchanged(request: ExportRequest) -> None:
    """Leaves an export without record whose shards may be of different states of the dataset.

    Raises:
        JobError: the dataset has changed.
    """
    old = request.dataset
    try:
        is_same = open_finished(old.root, old.files.s3).sha256 == old.sha256
    except NoDatasetError:
        is_same = False
    if not is_same:
        raise JobError(f"{old.root} was changed while it was exported: run the same command again with --overwrite")


def _classes(request: ExportRequest) -> ExportClasses:
    """Returns the classes of the whole dataset, whatever the split, so that exports of its splits agree."""
    output, shards = request.output, len(request.dataset.sha256)
    there = {*output.names(LABELS)}
    todo = [shard for shard in range(shards) if labels_file(shard) not in there]
    _each_shard("ListLabels", ListLabels(request.dataset, output), todo, request)
    try:
        return choose_classes(*read_labels(output, shards), request.classes)
    except UnknownClassError as error:
        output.remove(EXPORT_BEGUN)
        raise UsageError(f"--classes: {error}") from error


def _each_shard(
    name: str, work: typing.Callable[[int], int], shards: typing.Sequence[int], request: ExportRequest
) -> None:
    if not shards:
        return
    from transforms.each_shard import EachShard, ShardWork

    children = request.runner.children if min(request.runner.children, len(shards)) > 1 else 0
    job = ShardWork(name=name, work=work, shards=tuple(shards), children=children)

    def build(pipeline: typing.Any) -> None:
        _ = pipeline | name >> EachShard(job)

    run_graph(build, request.runner, request.output)


def _finished(request: ExportRequest, format_: ExportFormat) -> ExportRecord | None:
    """Returns the record of the export if it is done; None if it is to be begun, or goes on.

    Raises:
        UsageError: the directory holds something else, or another export.
    """
    output, wanted = request.output, request.record
    present = entries(output)
    finished, begun = _read(output, EXPORT_RECORD), _read(output, EXPORT_BEGUN)
    own = {layout.TMP, EXPORT_RECORD, *format_.roots} if finished or begun or format_.is_added_to else {layout.TMP}
    standing = finished or begun
    if standing and standing.format != wanted.format:
        raise UsageError(f"--output {output} holds an export to {standing.format}; choose another directory")
    foreign = [name for name in present if name not in own]
    if foreign:
        raise UsageError(f"--output {output} holds something else ({', '.join(foreign[:3])}); choose another directory")
    if request.overwrite:
        return None
    if standing and not standing.is_of_same(wanted):
        if finished and format_.is_added_to:
            return None
        raise UsageError(f"--output {output} holds an export {_difference(standing, wanted)}: {_AGAIN}")
    return finished


def _difference(standing: ExportRecord, wanted: ExportRecord) -> str:
    """Says how an export that stands differs from the one that is asked for."""
    if standing.options != wanted.options:
        names = [name for name in wanted.options if standing.options.get(name) != wanted.options[name]]
        return "with " + ", ".join(f"--{name} {standing.options.get(name) or 'not given'}" for name in names)
    return "of another dataset, or of another state of this one"


def _read(output: Output, name: str) -> ExportRecord | None:
    """Reads a record of the export; a damaged one is refused."""
    try:
        return read_record(output, name, ExportRecord)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise UsageError(f"{error}; remove it, or choose another directory") from error
