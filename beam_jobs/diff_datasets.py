"""Compares two finished datasets photo by photo: added, removed and changed photos, columns and images.

    photobeam diff OLD NEW
    photobeam diff OLD NEW --json > differences.json

The number of shards may differ. A photo has changed if a column of its row, sample or failure differs, if it is a
sample in one and a failure in the other, or if its image has other bytes; these are decoded, so that other pixels are
told from other bytes of the same pixels. Videos are compared by their SHA-256. Datasets without images
(`photobeam join`) are compared by their rows.

--json writes one JSON object: what the datasets are, in `differences` every photo that differs, one a line, then the
counts. An image has the change added, removed, size, format, pixels or bytes (other bytes of the same pixels).

Exit code 0: the photos are the same; 1: there are differences; 2: one is no finished dataset, or damaged.
"""

import itertools
import json
import os
import sys
import typing

from beam_jobs.cli import run_command
from beam_jobs.command.counted import counted
from beam_jobs.command.end_process import end_process
from beam_jobs.command.errors import FAILED, OK, UsageError
from beam_jobs.command.flags import FlagParser, as_given, parse
from beam_jobs.command.store_flags import add_store_flags, reach_dataset
from schemas.photo_ids import key
from transforms.compare.compare_datasets import Counts, compare_datasets, differing_settings
from transforms.compare.compare_images import ImageChange, ImageDifference
from transforms.compare.compare_photos import Change, PhotoDifference
from transforms.datasets.finished_dataset import FinishedDataset, check_taken_down, open_finished
from transforms.stores.dataset_files import DamagedDatasetError, NoDatasetError

EXAMPLES = 10
"""Photos that the text names; JSON has all."""

_IMAGE_CHANGES = {
    ImageChange.ADDED: "added",
    ImageChange.REMOVED: "removed",
    ImageChange.SIZE: "of another size",
    ImageChange.FORMAT: "of another format",
    ImageChange.PIXELS: "with other pixels",
    ImageChange.BYTES: "with other bytes, but the same pixels",
}


def main(argv: typing.Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return run_command(lambda: run(sys.argv[1:] if argv is None else argv))


def run(argv: typing.Sequence[str]) -> int:
    """Compares the datasets that the command line names, and prints how they differ.

    Raises:
        UsageError: the command line is wrong, or a dataset is none, not finished or damaged.
    """
    parser = FlagParser("diff", __doc__ or "")
    for name, what in (("A", "the first dataset"), ("B", "the second")):
        parser.add_argument(name.lower(), metavar=name, help=f"{what}: local path or any fsspec URL")
    parser.add_argument("--json", action="store_true", help="all differences as one JSON object")
    add_store_flags(parser)
    flags = parse(parser, argv)
    try:
        a, b = (
            open_finished(os.path.expanduser(root), reach_dataset(root, vars(flags))) for root in (flags.a, flags.b)
        )
        check_taken_down(a)
        check_taken_down(b)
        counts = _write_json(a, b) if flags.json else _write_text(a, b)
    except (NoDatasetError, DamagedDatasetError) as error:
        raise UsageError(str(error)) from error
    return FAILED if counts.photos else OK


def _write_text(a: FinishedDataset, b: FinishedDataset) -> Counts:
    counts, differences = Counts(), compare_datasets(a, b)
    examples = list(map(counts.count, itertools.islice(differences, EXAMPLES)))
    for photo in differences:
        counts.count(photo)
    sys.stdout.writelines(line + "\n" for line in [*_head(a, b), *describe_counts(counts)])
    sys.stdout.writelines(f"  {describe_photo(photo)}\n" for photo in examples)
    left = sum(counts.photos.values()) - len(examples)
    sys.stdout.write(f"  and {left:,} more: --json lists all\n" if left else "")
    return counts


def _head(a: FinishedDataset, b: FinishedDataset) -> typing.Iterator[str]:
    """Yields what the datasets are."""
    for name, dataset in (("A", a), ("B", b)):
        images = f", {dataset.samples:,} with an image" if dataset.has_images else ", made without images"
        shards = counted(len(dataset.sha256), "shard")
        yield f"{name}: {counted(dataset.photos, 'photo')}{images}, in {shards}: {dataset.root}"
    for name, (of_a, of_b) in differing_settings(a, b).items():
        yield f"--{name}: {as_given(of_a)} in A, {as_given(of_b)} in B"
    if a.has_images != b.has_images:
        yield "compared by their rows alone"


def describe_counts(counts: Counts) -> typing.Iterator[str]:
    """Yields the counts as text, one line each; of equal datasets that they are."""
    if not counts.photos:
        yield "no photo differs"
        return
    yield ", ".join(f"{counts.photos[change]:,} {change.value}" for change in Change)
    for (table, column), photos in sorted(counts.columns.items()):
        yield f"  {table}.{column} differs: {photos:,}"
    for (state_a, state_b), photos in sorted(counts.states.items()):
        yield f"  {state_a} became {state_b}: {photos:,}"
    for size, change in ((s, c) for s in _sizes(counts) for c in ImageChange if counts.images[s, c]):
        yield f"  {_image_name(size)} {_IMAGE_CHANGES[change]}: {counts.images[size, change]:,}"


def describe_photo(photo: PhotoDifference) -> str:
    """Returns a photo that differs as one line."""
    parts = [f"{table}.{name}" for table, names in photo.columns.items() for name in names]
    parts += [f"{photo.states[0]} became {photo.states[1]}"] if photo.states else []
    parts += map(_describe_image, photo.images)
    return f"{key(photo.photo_id)} {photo.change.value}" + (": " + ", ".join(parts) if parts else "")


def _describe_image(image: ImageDifference) -> str:
    most = f"by up to {image.max_difference} of 255" if image.max_difference else ""
    detail = " ".join(filter(None, [image.detail, most]))
    return f"{_image_name(image.size)} {_IMAGE_CHANGES[image.change]}" + (f" ({detail})" if detail else "")


def _write_json(a: FinishedDataset, b: FinishedDataset) -> Counts:
    """Writes the object as the comparison goes on, so that its size does not matter; cut off it is no JSON."""
    counts = Counts()
    head = {
        name: {"root": d.root, "photos": d.photos, "samples": d.samples, "shards": len(d.sha256)}
        for name, d in (("a", a), ("b", b))
    }
    settings = {name: list(values) for name, values in differing_settings(a, b).items()}
    compared = "samples" if a.has_images and b.has_images else "rows"
    sys.stdout.write(_json({**head, "settings": settings, "compared": compared})[:-1] + ', "differences": [')
    for photo in compare_datasets(a, b):
        sys.stdout.write((",\n" if counts.photos else "\n") + _json(_photo_fields(counts.count(photo))))
    sys.stdout.write("\n], " + _json(_count_fields(counts))[1:] + "\n")
    return counts


def _photo_fields(photo: PhotoDifference) -> dict[str, typing.Any]:
    images = [
        {"image": _image_name(i.size), "change": i.change, "detail": i.detail, "max_difference": i.max_difference}
        for i in photo.images
    ]
    return {**photo._asdict(), "key": key(photo.photo_id), "images": images}


def _count_fields(counts: Counts) -> dict[str, typing.Any]:
    return {
        "equal": not counts.photos,
        **{change.value: counts.photos[change] for change in Change},
        "columns": {f"{table}.{name}": photos for (table, name), photos in sorted(counts.columns.items())},
        "states": [{"a": a, "b": b, "photos": photos} for (a, b), photos in sorted(counts.states.items())],
        "images": {
            _image_name(size): {c.value: counts.images[size, c] for c in ImageChange} for size in _sizes(counts)
        },
    }


def _sizes(counts: Counts) -> list[int | None]:
    return sorted({size for size, _ in counts.images}, key=lambda size: size or 0)


def _image_name(size: int | None) -> str:
    """Returns what an image is called here, as the sidecar's columns: `image`, or `image_512`."""
    return "image" if size is None else f"image_{size}"


def _json(value: typing.Any) -> str:
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    end_process(main)
