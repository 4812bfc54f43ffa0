"""Shows the whole way on a small corpus: make it, serve it from 127.0.0.1, build, verify, read back.

    photobeam demo --output photobeam-demo

The corpus stays in DIR/corpus, the dataset in DIR/dataset; a second run starts again.
Exit code 0 only if the dataset verifies and holds exactly what was planted in the corpus.
"""

import json
import os
import pathlib
import sys
import time
import typing

import pyarrow.parquet as pq
import rich.console
import rich.table
import webdataset

from beam_jobs import build_dataset, check_dataset
from beam_jobs.cli import run_command
from beam_jobs.command.end_process import end_process
from beam_jobs.command.errors import OK, JobError, UsageError
from beam_jobs.command.flags import FlagParser, parse
from beam_jobs.demo_data.demo_corpus import MIRROR, PACKS, Planted, write_corpus
from beam_jobs.demo_data.demo_server import serve
from beam_jobs.outputs.output_state import check_is_ours
from schemas import layout
from schemas.records import Manifest
from transforms.stores.output import LocalOutput

CORPUS, DATASET = "corpus", "dataset"
SAMPLES_PER_SHARD = 100
MAX_WORKERS = 4
"""There are no more shards to build at once."""


class Results(typing.NamedTuple):
    """What was found, in the words of :class:`Planted`, and how fast.

    Attributes:
        found: to be equal to what was planted.
        read_back: samples that `webdataset` read and decoded.
        shards: number of shards.
        images_per_s: photos a second in the image phase, failures included.
    """

    found: Planted
    read_back: int
    shards: int
    images_per_s: float


def main(argv: typing.Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return run_command(lambda: run(parse_args(sys.argv[1:] if argv is None else argv)))


def parse_args(argv: typing.Sequence[str]) -> pathlib.Path:
    """Returns the folder that the command line names.

    Raises:
        UsageError: names flag, value and remedy.
    """
    parser = FlagParser("demo", __doc__ or "")
    parser.add_argument(
        "--output", default="photobeam-demo", metavar="DIR", help="where corpus and dataset go (%(default)s)"
    )
    flags = parse(parser, argv)
    return pathlib.Path(flags.output).absolute()


def run(folder: pathlib.Path) -> int:
    """Carries out the demo.

    Returns:
        Exit code of the build, if that is not 0; else of `verify`.

    Raises:
        UsageError: the folder holds something else; nothing was done.
        JobError: the dataset does not hold what was planted.
    """
    check_folder(folder)
    begun = time.monotonic()
    _say("drawing the corpus")
    planted = write_corpus(folder / CORPUS)
    _say(f"building {folder / DATASET}")
    code = _build(folder) or _verify(folder / DATASET)
    if code != OK:
        return code
    results = collect(folder / DATASET)
    _show(planted, results, folder, time.monotonic() - begun)
    if results.found != planted or results.read_back != planted.samples:
        raise JobError(f"{folder / DATASET} does not hold what was planted in {folder / CORPUS}: see the table")
    return OK


def check_folder(folder: pathlib.Path) -> None:
    """Refuses a folder that holds anything but an earlier demo.

    Raises:
        UsageError: it does.
    """
    for path, own in ((folder, {CORPUS, DATASET}), (folder / CORPUS, {PACKS, MIRROR})):
        if path.exists() and not path.is_dir():
            raise UsageError(f"--output {folder}: {path} is a file; choose another directory")
        foreign = sorted(p.name for p in path.iterdir() if p.name not in own) if path.exists() else []
        if foreign:
            raise UsageError(
                f"--output {folder}: {path} holds something else ({', '.join(foreign[:3])}); choose another directory"
            )
    check_is_ours(LocalOutput(folder / DATASET))


def shard_pattern(dataset: pathlib.Path, shards: int) -> str:
    """Returns the brace pattern of the tars.

    Example:
        >>> shard_pattern(pathlib.Path("out"), 4)
        'out/shards/{000000..000003}.tar'
    """
    return f"{dataset}/shards/{{{layout.shard_name(0)}..{layout.shard_name(shards - 1)}}}.tar"


def read_back(dataset: pathlib.Path, shards: int) -> int:
    """Reads every sample as a trainer would, and decodes it; returns how many there are.

    Raises:
        JobError: a sample is not what its JSON says, or comes twice.
    """
    keys: set[str] = set()
    count = 0
    samples = webdataset.WebDataset(shard_pattern(dataset, shards), shardshuffle=False).decode("pil")
    for image, fields, caption in samples.to_tuple("jpg", "json", "txt"):
        if image.size != (fields["width"], fields["height"]) or caption != (fields["title"] or fields["description"]):
            raise JobError(f"{dataset}: sample {fields['key']} is not what its JSON says")
        keys.add(fields["key"])
        count += 1
    if len(keys) != count:
        raise JobError(f"{dataset}: {count - len(keys)} samples come more than once")
    return count


def collect(dataset: pathlib.Path) -> Results:
    """Collects what a finished dataset says of itself, and reads it back."""
    path = dataset / layout.MANIFEST
    manifest = Manifest.from_json(path.read_bytes(), str(path))
    shards = len(manifest.shards)
    reasons = pq.read_table(dataset / layout.INPUT_FAILURES, columns=["reason"])["reason"]
    found = Planted(
        lines=manifest.counts["input_lines"],
        rows=manifest.counts["rows"],
        samples=manifest.totals.samples,
        failures=manifest.totals.failures_by_reason,
        input_failures={v["values"]: v["counts"] for v in reasons.value_counts().to_pylist()},
        collapsed=manifest.counts["collapsed_lines"],
        unmatched_autotags=manifest.counts["autotags_unmatched"],
    )
    return Results(found, read_back(dataset, shards), shards, manifest.totals.rows / _image_seconds(dataset, shards))


def _build(folder: pathlib.Path) -> int:
    with serve(folder / CORPUS / MIRROR) as url:
        arguments = [
            f"--yfcc={folder / CORPUS / PACKS}",
            f"--mirror=yfcc={url}",
            f"--output={folder / DATASET}",
            f"--samples_per_shard={SAMPLES_PER_SHARD}",
            f"--workers={min(MAX_WORKERS, os.cpu_count() or 1)}",
            "--overwrite",
        ]
        return build_dataset.run(build_dataset.parse_args(arguments))


def _verify(dataset: pathlib.Path) -> int:
    _say("verifying it")
    return check_dataset.run([str(dataset)])


def _image_seconds(dataset: pathlib.Path, shards: int) -> float:
    """From the start of the first shard to the end of the last."""
    logs = [json.loads((dataset / layout.log_file(shard)).read_bytes()) for shard in range(shards)]
    return max(log["started"] + log["seconds"] for log in logs) - min(log["started"] for log in logs)


def _show(planted: Planted, results: Results, folder: pathlib.Path, seconds: float) -> None:
    """Writes the table, and what to paste into a trainer; paths are never wrapped."""
    table = rich.table.Table("what", "planted", "found")
    for what, expected, found in _comparison(planted, results):
        table.add_row(what, str(expected), str(found), style=None if expected == found else "bold red")
    table.columns[1].justify = table.columns[2].justify = "right"
    rich.console.Console(file=sys.stdout).print(table)
    dataset = folder / DATASET
    sys.stdout.write(
        f"{results.images_per_s:,.0f} images/s while images were made; {seconds:.1f} s for all of it\n\n"
        f"for a trainer:\n"
        f"  shards   {shard_pattern(dataset, results.shards)}\n"
        f"  samples  {results.found.samples}\n"
        f"where things are:\n"
        f"  packs    {folder / CORPUS / PACKS}\n"
        f"  images   {folder / CORPUS / MIRROR}\n"
        f"  rows     {dataset / 'rows'}\n"
        f"  shards   {dataset / 'shards'}\n"
        f"  failures {dataset / 'failures'}\n"
        f"  truth    {dataset / layout.MANIFEST}\n"
    )


def _comparison(planted: Planted, results: Results) -> typing.Iterator[tuple[str, int, int]]:
    """Yields the lines of the table: what, how many were planted, how many were found."""
    found = results.found
    yield "samples", planted.samples, found.samples
    yield "samples read back with webdataset", planted.samples, results.read_back
    for title, expected, got in (
        ("failed photos", planted.failures, found.failures),
        ("refused lines", planted.input_failures, found.input_failures),
    ):
        for reason in sorted(expected.keys() | got.keys()):
            yield f"{title}: {reason}", expected.get(reason, 0), got.get(reason, 0)
    yield "repeated lines", planted.collapsed, found.collapsed
    yield "autotags without a photo", planted.unmatched_autotags, found.unmatched_autotags
    yield "dataset lines", planted.lines, found.lines
    yield "rows", planted.rows, found.rows


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    end_process(main)
