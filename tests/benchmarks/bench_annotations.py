"""Memory and CPU of reading a COCO instances file, against `json.load` and the index of pycocotools.

    python tests/benchmarks/bench_annotations.py --json
    python tests/benchmarks/bench_annotations.py --megabytes 100

A file of the size of instances_train2017.json is generated, seeded: the published layout, polygons of
about 45 numbers, 1 % crowds. Both sides run as commands of their own, in turn, since a child's peak
memory begins with that of the process that forks it; the least CPU time of several runs counts, and
the highest peak. photobeam's side makes both passes and every record batch.

Then the semi-join of `bench_semi_join.py`.
"""

import argparse
import collections
import json
import os
import pathlib
import platform
import random
import subprocess
import sys
import tempfile
import typing

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.benchmarks import bench_semi_join  # noqa: E402

BAR_RATIO = 1.5
BAR_PEAK_MB = 400
ANNOTATIONS_PER_IMAGE = 7
CATEGORY_IDS = [i for i in range(1, 91) if i not in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)]


class Used(typing.NamedTuple):
    """What one command used, and how many annotations it says it has read."""

    cpu_s: float
    peak_mb: float
    annotations: int


def main() -> int:
    """Runs the benchmark; returns 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--megabytes", type=int, default=450, help="size of the generated file (%(default)s)")
    parser.add_argument("--rows", type=int, default=1_000_000, help="YFCC lines of the semi-join (%(default)s)")
    parser.add_argument("--base", type=int, default=120_000, help="photos of its base (%(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="(%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="(%(default)s)")
    parser.add_argument("--read", nargs=2, metavar=("SIDE", "FILE"), help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.read:
        side, file = flags.read
        print({"photobeam": read_with_photobeam, "pycocotools": read_with_pycocotools}[side](file))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        result = measure(pathlib.Path(folder) / "instances_train2017.json", flags.megabytes, flags.repeats, flags.seed)
    semi_join = bench_semi_join.measure(flags.rows, flags.base, flags.repeats)
    results = {"instances": result, "semi_join": semi_join}
    print(json.dumps(results, indent=1) if flags.json else "\n".join(f"{k}: {v}" for k, v in results.items()))
    held = result["ratio"] <= BAR_RATIO and result["photobeam_peak_mb"] <= BAR_PEAK_MB
    return 0 if held and semi_join["ratio"] <= bench_semi_join.BAR_RATIO else 1


def measure(path: pathlib.Path, megabytes: int, repeats: int, seed: int) -> dict[str, typing.Any]:
    """Generates the file and measures both sides in turn."""
    annotations = write_instances(path, megabytes << 20, seed)
    used: dict[str, list[Used]] = collections.defaultdict(list)
    for _ in range(repeats):
        for side in ("photobeam", "pycocotools"):
            used[side].append(_run(side, path))
            if used[side][-1].annotations != annotations:
                raise AssertionError(f"{side} read {used[side][-1].annotations} of {annotations} annotations")
    cpu = {side: min(u.cpu_s for u in runs) for side, runs in used.items()}
    return {
        "megabytes": megabytes,
        "annotations": annotations,
        "photobeam_cpu_s": round(cpu["photobeam"], 2),
        "pycocotools_cpu_s": round(cpu["pycocotools"], 2),
        "ratio": round(cpu["photobeam"] / cpu["pycocotools"], 3),
        "bar_ratio": BAR_RATIO,
        "photobeam_peak_mb": round(max(u.peak_mb for u in used["photobeam"])),
        "pycocotools_peak_mb": round(max(u.peak_mb for u in used["pycocotools"])),
        "bar_peak_mb": BAR_PEAK_MB,
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }


def write_instances(path: pathlib.Path, size: int, seed: int) -> int:
    """Writes an instances file in the published order of members; returns the number of its annotations."""
    rng = random.Random(seed)
    mean = sum(len(_annotation(rng, 1, 1)) for _ in range(1000)) / 1000 + 2
    images = max(1, int(size / (ANNOTATIONS_PER_IMAGE * mean + len(_image(1)) + 2)))
    count = images * ANNOTATIONS_PER_IMAGE
    with path.open("w") as out:
        out.write('{"info": {"year": 2017}, "licenses": [{"id": 1, "name": "CC BY", "url": "http://x"}], "images": [')
        out.writelines(_separated(_image(i) for i in range(1, images + 1)))
        out.write('], "annotations": [')
        out.writelines(_separated(_annotation(rng, i, rng.randint(1, images)) for i in range(1, count + 1)))
        categories = [{"supercategory": "animal", "id": i, "name": f"class {i}"} for i in CATEGORY_IDS]
        out.write(f'], "categories": {json.dumps(categories)}}}')
    return count


def read_with_photobeam(file: str) -> int:
    """Makes both passes and all record batches; returns the number of boxes."""
    from transforms.sources.read_coco import read_coco, read_image_ids

    return sum(part.batches["boxes"].num_rows for part in read_coco(read_image_ids(file)) if "boxes" in part.batches)


def read_with_pycocotools(file: str) -> int:
    """Loads the file and makes the index; returns the number of annotations."""
    from pycocotools.coco import COCO

    coco = COCO()
    with open(file) as opened:
        coco.dataset = json.load(opened)
    stdout, sys.stdout = sys.stdout, sys.stderr
    coco.createIndex()
    sys.stdout = stdout
    return len(coco.anns)


def _separated(texts: typing.Iterable[str]) -> typing.Iterator[str]:
    for number, text in enumerate(texts):
        yield f", {text}" if number else text


def _image(i: int) -> str:
    image = {
        "license": 1,
        "file_name": f"{i:012}.jpg",
        "coco_url": f"http://images.cocodataset.org/train2017/{i:012}.jpg",
        "height": 480,
        "width": 640,
        "date_captured": "2013-11-14 17:02:52",
        "flickr_url": f"http://farm4.staticflickr.com/3448/{3176000000 + i}_ba19663418_z.jpg",
        "id": i,
    }
    return json.dumps(image)


def _annotation(rng: random.Random, i: int, image_id: int) -> str:
    crowd = rng.random() < 0.01
    numbers = 2 * max(3, min(200, round(rng.lognormvariate(2.9, 0.7))))
    annotation = {
        "segmentation": _runs(rng) if crowd else [[round(rng.uniform(0, 640), 2) for _ in range(numbers)]],
        "area": round(rng.uniform(1, 100_000), 5),
        "iscrowd": int(crowd),
        "image_id": image_id,
        "bbox": [round(rng.uniform(0, 480), 2) for _ in range(4)],
        "category_id": rng.choice(CATEGORY_IDS),
        "id": i,
    }
    return json.dumps(annotation)


def _runs(rng: random.Random) -> dict[str, list[int]]:
    runs = [rng.randint(1, 1000) for _ in range(300)]
    return {"counts": [*runs, 480 * 640 - sum(runs)], "size": [480, 640]}


def _run(side: str, path: pathlib.Path) -> Used:
    command = [sys.executable, __file__, "--read", side, str(path)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    with typing.cast(typing.IO[bytes], process.stdout) as stdout:
        printed = stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} exited {process.returncode}")
    return Used(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, int(printed))


if __name__ == "__main__":
    sys.exit(main())
