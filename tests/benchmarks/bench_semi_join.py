"""CPU of enriching a small base from many YFCC lines, against reading and parsing those lines alone.

    python tests/benchmarks/bench_semi_join.py --json
    python tests/benchmarks/bench_semi_join.py --rows 1000000 --base 120000

One side reads the base, a COCO file, spools the lines of its photos, and joins both to rows, in order; the other
reads every line and parses every column. Both in one process on one thread, in turn; the least CPU time counts.
"""

import argparse
import json
import os
import pathlib
import platform
import sys
import tempfile
import time
import typing

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from schemas.elements import Bucket, InputRange  # noqa: E402
from schemas.sources import Source  # noqa: E402
from schemas.yfcc import MAX_LINE_BYTES, read_dataset  # noqa: E402
from tests.source_files import coco_image, write_coco  # noqa: E402
from tests.yfcc_corpus import write_corpus  # noqa: E402
from transforms.join.base_photos import base_photos  # noqa: E402
from transforms.join.filter_rows import RowSelection  # noqa: E402
from transforms.join.index_images import index_images, lists_images, merge_indexes  # noqa: E402
from transforms.join.join_bucket import join_bucket, write_spool_index  # noqa: E402
from transforms.join.spool_annotations import spool_annotations  # noqa: E402
from transforms.join.spool_lines import BLOCK_BYTES, spool_lines  # noqa: E402
from transforms.sources.annotation_files import AnnotationFiles  # noqa: E402
from transforms.sources.find_inputs import bucket_bits, find_inputs  # noqa: E402
from transforms.sources.input_ranges import ranges_of  # noqa: E402
from transforms.sources.line_ranges import open_reader, read_line_blocks  # noqa: E402
from transforms.sources.split_lines import split_lines  # noqa: E402
from transforms.stores.scratch import LocalScratch  # noqa: E402

BAR_RATIO = 1.3


def main() -> int:
    """Runs the benchmark; returns 1 if the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--rows", type=int, default=1_000_000, help="YFCC lines (%(default)s)")
    parser.add_argument("--base", type=int, default=120_000, help="photos of the base (%(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="(%(default)s)")
    flags = parser.parse_args()
    result = measure(flags.rows, flags.base, flags.repeats)
    print(json.dumps(result, indent=1) if flags.json else "\n".join(f"{k}: {v}" for k, v in result.items()))
    return 0 if result["ratio"] <= BAR_RATIO else 1


def measure(rows: int, base: int, repeats: int) -> dict[str, typing.Any]:
    """Generates the lines and a base of which every photo is among them; measures both sides in turn."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        lines = write_corpus(folder, rows)[0]
        photos = _sample(lines, base)
        images = [coco_image(i, photo) for i, photo in enumerate(photos)]
        coco = write_coco(folder / "image_info.json", images)
        found = find_inputs({Source.YFCC: [str(lines)], Source.COCO: [str(coco)]})
        files = AnnotationFiles(tuple(found.files))
        only_base = AnnotationFiles(tuple(f for f in found.files if f.source is Source.COCO))
        used: dict[str, list[float]] = {"join": [], "parse": [], "base": []}
        for _ in range(repeats):
            used["parse"].append(_cpu_of(_parse, files, rows))
            used["join"].append(_cpu_of(_join, files, folder, base))
            used["base"].append(_cpu_of(_join, only_base, folder, base))
    least = {side: min(seconds) for side, seconds in used.items()}
    return {
        "rows": rows,
        "base": base,
        "join_us_per_row": round(1e6 * least["join"] / rows, 2),
        "parse_us_per_row": round(1e6 * least["parse"] / rows, 2),
        "ratio": round(least["join"] / least["parse"], 3),
        "ratio_without_the_base": round((least["join"] - least["base"]) / least["parse"], 3),
        "bar_ratio": BAR_RATIO,
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }


def _sample(lines: pathlib.Path, count: int) -> list[int]:
    with lines.open("rb") as file:
        ids = np.array([int(line.split(b"\t", 2)[1]) for line in file])
    return sorted(np.random.default_rng(0).choice(ids, count, replace=False).tolist())


def _cpu_of(run: typing.Callable[..., None], *arguments: typing.Any) -> float:
    begin = time.process_time()
    run(*arguments)
    return time.process_time() - begin


def _parse(files: AnnotationFiles, rows: int) -> None:
    """Reads every line of the dataset and parses every column."""
    read = 0
    for part in ranges_of(f for f in files.files if f.source is Source.YFCC):
        for block in _blocks(part):
            lines = split_lines(block, part.fields).lines
            read += len(read_dataset(lines).columns["photo_id"])
    if read != rows:
        raise AssertionError(f"{read} of {rows} lines read")


def _blocks(part: InputRange) -> typing.Iterator[typing.Any]:
    limits = {"max_block_bytes": BLOCK_BYTES, "max_line_bytes": MAX_LINE_BYTES}
    with open_reader(part.url) as (read_at, size):
        yield from read_line_blocks(read_at, size, part.start, part.stop, compressed=False, name=part.url, **limits)


def _join(files: AnnotationFiles, parent: pathlib.Path, base: int) -> None:
    """Joins all sources to the photos of COCO."""
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        _join_in(files, pathlib.Path(folder), base)


def _join_in(files: AnnotationFiles, folder: pathlib.Path, base: int) -> None:
    ranges, bits, scratch = ranges_of(files.files), bucket_bits(files.files), LocalScratch(folder)
    index = merge_indexes([index_images(r, files, scratch) for r in ranges if lists_images(r)], "coco", scratch)
    spooled = [
        spool_lines(r, scratch, bits, base_photos(index, r.source, scratch))
        if r.source == Source.YFCC.value
        else spool_annotations(r, files, index, scratch, bits)
        for r in ranges
    ]
    buckets = write_spool_index(spooled, scratch, "index.arrow")
    urls = [r.url for r in ranges]
    joined = [join_bucket(Bucket(b, "index.arrow"), urls, "coco", RowSelection(), scratch) for b in buckets]
    if sum(bucket.rows for bucket in joined) != base:
        raise AssertionError("the join has not the photos of the base")


if __name__ == "__main__":
    sys.exit(main())
