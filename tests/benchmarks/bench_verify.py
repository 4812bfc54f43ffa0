"""What `verify` and `diff` take: fast by the shard, full and compared by the photo.

Run: `python tests/benchmarks/bench_verify.py [--json] [--shards 10000] [--photos 4000]`. Exits with 1 if the fast check
takes more than 2 s + 1 ms a shard. The many shards of the fast check are files of holes with the sizes of real ones.
Photos are smooth noise of 341 x 256 px, in two shards.
"""

import argparse
import dataclasses
import io
import itertools
import json
import os
import pathlib
import platform
import sys
import tempfile
import time
import typing

from schemas import layout
from tests import factories
from tests.generated_photo import photo
from transforms.compare.compare_datasets import compare_datasets
from transforms.datasets.finished_dataset import open_finished
from transforms.verify.verify_dataset import verify

BAR_S, BAR_S_PER_SHARD = 2.0, 0.001
_PICTURES = 40
_SIZE = (341, 256)


def make_shards(root: pathlib.Path, shards: int) -> None:
    """A dataset of many shards that all say the same; the data of those after the third are holes."""
    factories.make_dataset(root)
    first = factories.read_commit(root, 0)
    commits = []
    for shard in range(shards):
        files = {n.replace(layout.shard_name(0), layout.shard_name(shard)): d for n, d in first.files.items()}
        commits.append(dataclasses.replace(first, shard=shard, files=files))
        for name, digest in files.items():
            (root / name).touch()
            os.truncate(root / name, digest.bytes)
    factories.write_records(root, commits)


def make_photos(root: pathlib.Path, photos: int, quality: int, shards: int) -> pathlib.Path:
    """A dataset of pictures, of which each repeats after some dozens."""
    files = []
    for i in range(_PICTURES):
        sink = io.BytesIO()
        photo(_SIZE[0] + i, _SIZE[1]).crop((0, 0, *_SIZE)).save(sink, "JPEG", quality=quality)
        files.append(sink.getvalue())
    columns = {"width": _SIZE[0], "height": _SIZE[1], "original_width": _SIZE[0], "original_height": _SIZE[1]}
    image_columns = factories.image_columns
    factories.make_jpeg = lambda photo_id, *_: files[photo_id % _PICTURES]
    factories.image_columns = lambda *a: image_columns(*a) | columns
    return factories.make_dataset(root, photo_ids=range(10_000, 10_000 + photos), shards=shards, failed=())


def seconds(run: typing.Callable[[], typing.Any], expected: typing.Any) -> float:
    begun = time.perf_counter()
    found = run()
    assert found == expected, found
    return time.perf_counter() - begun


def differences(a: pathlib.Path, b: pathlib.Path) -> int:
    return sum(1 for _ in compare_datasets(open_finished(str(a)), open_finished(str(b))))


def measure(folder: pathlib.Path, shards: int, photos: int) -> dict[str, float]:
    make_shards(folder / "many", shards)
    fast = [seconds(lambda: verify(str(folder / "many"), fast=True).faults, []) for _ in range(3)]
    builds = {"a": (90, 2), "resharded": (90, 3), "coarse": (70, 2)}
    a, resharded, coarse = (make_photos(folder / name, photos, *how) for name, how in builds.items())
    times = {
        "full": seconds(lambda: len(verify(str(a)).faults), 0),
        "diff_resharded": seconds(lambda: differences(a, resharded), 0),
        "diff_all_images": seconds(lambda: differences(a, coarse), photos),
    }
    per_photo = {f"{name}_ms_per_photo": round(s / photos * 1e3, 3) for name, s in times.items()}
    return {"fast_s": round(min(fast), 2), "fast_ms_per_shard": round(min(fast) / shards * 1e3, 3), **per_photo}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--shards", type=int, default=10_000, help="of the fast check (%(default)s)")
    parser.add_argument("--photos", type=int, default=4000, help="of the others (%(default)s)")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(pathlib.Path(folder), flags.shards, flags.photos)
    figures |= {"shards": flags.shards, "photos": flags.photos}
    machine = {"machine": platform.machine(), "cpus": os.cpu_count(), "python": platform.python_version()}
    if flags.json:
        print(json.dumps({**machine, **figures}))
    else:
        for name, value in itertools.chain(machine.items(), figures.items()):
            print(f"{name:26} {value}")
    return 0 if figures["fast_s"] <= BAR_S + BAR_S_PER_SHARD * flags.shards else 1


if __name__ == "__main__":
    sys.exit(main())
