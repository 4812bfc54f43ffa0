"""Shows one photo of a dataset as JSON: its sample, its row where it is not built, or its failure with its row.

    photobeam show OUT 6985418911
    photobeam show OUT COCO_val2014_000000000042.jpg --save photo.jpg

ID is a photo id or KEY, else a COCO image id, else a COCO annotation or caption id, else an Open Images id, else the
file name of an image; --as says which one is meant where several fit. A photo id is found at once, the
others by looking through the rows.

Exit code 0: found; 1: there is no such photo, or no picture of it to save; 2: there is no dataset.
"""

import itertools
import json
import logging
import os
import pathlib
import sys
import typing

from beam_jobs.cli import run_command
from beam_jobs.command.end_process import end_process
from beam_jobs.command.errors import OK, JobError, UsageError
from beam_jobs.command.flags import FlagParser, parse
from beam_jobs.command.store_flags import add_store_flags, reach_dataset
from transforms.datasets.show_photo import (
    IdKind,
    NoPictureError,
    PhotoNotFoundError,
    ShownPhoto,
    find_photo,
    read_picture,
)
from transforms.stores.dataset_files import DamagedDatasetError, DatasetFiles, NoDatasetError

_log = logging.getLogger("photobeam")


def main(argv: typing.Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return run_command(lambda: run(sys.argv[1:] if argv is None else argv))


def run(argv: typing.Sequence[str]) -> int:
    """Shows the photo that the command line names.

    Raises:
        UsageError: the command line is wrong, or there is no dataset.
        JobError: there is no such photo, or no picture of it.
    """
    parser = FlagParser("show", __doc__ or "")
    parser.add_argument("output", metavar="OUT", help="the dataset: local path or any fsspec URL")
    parser.add_argument("id", metavar="ID", help="of the photo, or the file name of its image")
    parser.add_argument("--as", dest="kind", choices=[k.value for k in IdKind], help="what ID is (all, in this order)")
    parser.add_argument(
        "--save", default="", metavar="FILE", help="write the picture or video there, as it is in the tar"
    )
    add_store_flags(parser)
    flags = parse(parser, argv)
    kinds = {IdKind(flags.kind)} if flags.kind else frozenset(IdKind)
    try:
        dataset = DatasetFiles(os.path.expanduser(flags.output), reach_dataset(flags.output, vars(flags)))
        photo = find_photo(dataset, flags.id, kinds)
        sys.stdout.write(describe(photo))
        if flags.save:
            _save(read_picture(dataset, photo), flags.save)
    except NoDatasetError as error:
        raise UsageError(str(error)) from error
    except (PhotoNotFoundError, DamagedDatasetError, NoPictureError) as error:
        raise JobError(f"{flags.output}: {error}") from error
    return OK


def describe(photo: ShownPhoto) -> str:
    """Returns a photo as indented JSON: its sample or row; where it failed, the failure, with its row in ``row``."""
    shown = {**photo.failure, "row": photo.row} if photo.failure else photo.row
    return json.dumps(shown, indent=2, ensure_ascii=False) + "\n"


def _save(pieces: typing.Iterator[bytes], file: str) -> None:
    """Writes a file once its first piece is read; one that cannot be read to its end goes."""
    path, size_bytes = pathlib.Path(file).expanduser(), 0
    first = next(pieces, b"")
    try:
        with path.open("wb") as out:
            for piece in itertools.chain([first], pieces):
                size_bytes += out.write(piece)
    except OSError as error:
        raise JobError(f"--save {file}: cannot be written ({error.strerror})") from error
    except DamagedDatasetError:
        if path.is_file():
            path.unlink()
        raise
    _log.info("wrote %s, %s bytes", path, f"{size_bytes:,}")


if __name__ == "__main__":
    end_process(main)
