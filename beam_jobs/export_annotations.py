"""Exports a dataset, or the rows of `photobeam join`, in the format of another tool.

    photobeam export OUT --to yolo --output /data/yolo
    photobeam export OUT --to coco --output s3://bucket/coco --split validation --classes person,dog --images none

Formats: voc (XML), yolo (txt and data.yaml), keras_yolo3 (lines of boxes), coco (JSON), oidv4 (folders of the OIDv4
ToolKit) and files (YFCC's photos and their metadata, a file each). Boxes are those of the written images; of rows those
of the sources' copies. docs/exports.md says what each format has, its box conventions, and what it leaves out; that is
counted. The same command again changes nothing, and goes on where a run of it has ended.

Exit code 0: done; 1: failed on the way, or the dataset is damaged; 2: the command cannot be carried out.
"""

import argparse
import os
import sys
import typing

from beam_jobs.building.build_flags import add_worker_flags, output_at, temp_location
from beam_jobs.building.selection_flags import class_names
from beam_jobs.cli import run_command
from beam_jobs.command.counted import counted
from beam_jobs.command.end_process import end_process
from beam_jobs.command.errors import OK, JobError, UsageError
from beam_jobs.command.flags import FlagParser, parse
from beam_jobs.command.store_flags import add_store_flags, reach_dataset, s3_options
from beam_jobs.export import export_job
from beam_jobs.outputs.output_state import check_apart
from beam_jobs.runners.check_runner import check_is_followed, check_runner, check_workers_see
from beam_jobs.runners.runner_flags import runner_config
from schemas.export_records import ExportRecord
from schemas.splits import UnknownSplitError, read_split
from transforms.datasets.finished_dataset import FinishedDataset, check_taken_down, open_finished
from transforms.export.export_shard import ImageMode
from transforms.export.formats import FILES, FORMATS
from transforms.files.publish import OutputError
from transforms.stores.dataset_files import DamagedDatasetError, NoDatasetError
from transforms.stores.lease import OutputInUseError
from transforms.stores.output import LocalOutput, Output


def main(argv: typing.Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return run_command(lambda: run(sys.argv[1:] if argv is None else argv))


def run(argv: typing.Sequence[str]) -> int:
    """Exports the dataset that the command line names.

    Raises:
        UsageError: the command cannot be carried out.
        JobError: it failed on the way, and the same command goes on; or the dataset is damaged.
    """
    flags = parse(make_parser(), argv)
    try:
        dataset = open_finished(os.path.expanduser(flags.dataset), reach_dataset(flags.dataset, vars(flags)))
        check_taken_down(dataset)
        output = output_at("--output", flags.output, s3_options(vars(flags)))
        request = _request(flags, dataset, output)
        record = export_job.run(request)
    except (NoDatasetError, OutputError, OutputInUseError) as error:
        raise UsageError(str(error)) from error
    except DamagedDatasetError as error:
        raise JobError(str(error)) from error
    sys.stdout.write(describe(record) if record else f"nothing to do: {output} is this export of this dataset\n")
    return OK


def make_parser() -> FlagParser:
    """Returns the parser of all flags but ``--config``."""
    parser = FlagParser("export", __doc__ or "")
    parser.add_argument("dataset", metavar="OUT", help="the dataset: local path or any fsspec URL")
    parser.add_argument("--to", required=True, choices=tuple(FORMATS), help="the format")
    parser.add_argument("--output", required=True, metavar="DIR", help="where it goes: local path or any fsspec URL")
    parser.add_argument("--split", default="", metavar="S", help="photos of this split in any source (all)")
    parser.add_argument(
        "--classes",
        type=class_names,
        metavar="A,B",
        help="boxes of these classes, and photos that have one (all)",
    )
    parser.add_argument(
        "--images",
        choices=[mode.value for mode in ImageMode],
        help="copy: from the shards; link: the same, with hard links in further places; none (copy; of rows none)",
    )
    parser.add_argument("--raw", action="store_true", help=f"of {FILES}: values URL-encoded, as YFCC has them")
    add_store_flags(parser)
    group = add_worker_flags(parser)
    group.add_argument(
        "--overwrite",
        action="store_true",
        help=f"start again, dropping the export that is there (another format needs another DIR); of {FILES}: replace "
        "what is there",
    )
    return parser


def describe(record: ExportRecord) -> str:
    """Returns what was exported and what was left out as text."""
    counts = dict(record.counts)
    images, boxes = counted(counts.pop("images", 0), "image"), counted(counts.pop("boxes", 0), "box")
    photos = counted(counts.pop("photos", 0), "photo")
    classes = counted(len(record.classes), "class")
    lines = [f"{record.format}: {images}, {boxes} of {classes}, of {photos}"]
    lines += [f"  left out: {name.replace('_', ' ')}: {number:,}" for name, number in sorted(counts.items())]
    return "".join(line + "\n" for line in lines)


def _request(flags: argparse.Namespace, dataset: FinishedDataset, output: Output) -> export_job.ExportRequest:
    if flags.raw and flags.to != FILES:
        raise UsageError(f"--raw has no effect on --to {flags.to}; leave it out")
    if flags.classes == []:
        raise UsageError("--classes names none; give names or ids with commas between them")
    check_apart(dataset.files, output)
    runner = runner_config(flags)
    check_is_followed(runner, "an export")
    check_runner(runner, output)
    check_workers_see(runner.name, "OUT", flags.dataset)
    try:
        split = read_split(flags.split) if flags.split else ""
    except UnknownSplitError as error:
        raise UsageError(f"--split {error}") from error
    return export_job.ExportRequest(
        dataset=dataset,
        output=output,
        format=flags.to,
        raw=flags.raw,
        split=split,
        classes=tuple(flags.classes or ()),
        images=_images(ImageMode(flags.images) if flags.images else None, dataset, output),
        overwrite=flags.overwrite,
        runner=runner,
        temp_location=temp_location(vars(flags)),
        progress=flags.progress,
    )


def _images(asked: ImageMode | None, dataset: FinishedDataset, output: Output) -> ImageMode:
    if not dataset.has_images:
        if asked not in (None, ImageMode.NONE):
            raise UsageError(f"--images {asked.value}: {dataset.root} was made without images; leave the flag out")
        return ImageMode.NONE
    if asked is ImageMode.LINK and not isinstance(output, LocalOutput):
        raise UsageError(f"--images link: {output} is on a store, which has no links; give --images copy")
    return asked or ImageMode.COPY


if __name__ == "__main__":
    end_process(main)
