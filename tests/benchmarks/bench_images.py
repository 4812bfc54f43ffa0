"""Images a second and CPU per image of `photobeam build`, against a peer, from a local nginx.

    python tests/benchmarks/bench_images.py --json --photographs DIR --img2dataset PYTHON
    python tests/benchmarks/bench_images.py --mix passthrough --few 500 --many 2000 --photographs DIR

JPEGs are cut from the photographs of a folder, seeded, in the sizes of a mix; nginx serves them below the mirror's
paths. Both sides run as commands of their own, in turn, with all cores. Rates are marginal: what the further photos
cost beyond the first, so that start-up stays out; it is given apart. CPU is that of the whole process tree.

* ``flickr``, ``coco``, ``originals``: against img2dataset, both short side 256, area, JPEG of quality 90, the rest as
  each has it by default. The floor, decode, area and encode alone, is measured in the same run.
* ``passthrough``: the photos of ``flickr`` as they are, against fetching and decoding alone.
* ``scaling``: the photos of ``flickr`` with a worker for each core, against one worker on one core: on two it would
  decode on one and fetch on the other.

Needs nginx and taskset; for img2dataset an environment of its own (`--img2dataset PYTHON`), whose pins are its own; for
the floor OpenCV (`pip install '.[benchmark]'`).
"""

import argparse
import concurrent.futures
import contextlib
import hashlib
import io
import json
import os
import pathlib
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import typing

import psutil
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.free_port import free_port  # noqa: E402
from tests.yfcc_corpus import dataset_line, mirror_path  # noqa: E402

Sizes = list[tuple[int, float, str]]
"""Longer side in px, share, and chroma subsampling."""

_FLICKR: Sizes = [(500, 0.5, "4:2:0"), (640, 0.25, "4:2:0"), (1024, 0.25, "4:2:0")]
MIXES: dict[str, Sizes] = {
    "flickr": _FLICKR,
    "coco": [(640, 1.0, "4:4:4")],
    "originals": [(4000, 1.0, "4:2:0")],
    "passthrough": _FLICKR,
    "scaling": _FLICKR,
}

LEAST_RATIO = {"flickr": 2.0, "coco": 1.6, "originals": 2.5}
"""Images a second, as a multiple of img2dataset's."""

MOST_OF_FLOOR, FETCH_MS = 1.35, 0.3
"""The bar of ``flickr`` is also met by this much of the floor's CPU and a request's together."""

MOST_OF_PASSING = 1.2
"""CPU of ``passthrough``, as a multiple of fetching and decoding alone."""

LEAST_EFFICIENCY = 0.9
"""Images a second of all workers on all cores, by those of one on one core, by their number."""

MOST_MB = 600
"""Memory of a worker."""

_NGINX = """daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 1024; }}
http {{ access_log off; sendfile on; keepalive_requests 100000; default_type image/jpeg;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder};
  scgi_temp_path {folder};
  server {{ listen 127.0.0.1:{port}; root {folder}/www; }} }}
"""
_CORES = os.cpu_count() or 1
_SAMPLING_S = 0.2
_DOWNLOAD = """import sys, json
from img2dataset import download
if __name__ == "__main__":
    download(**json.loads(sys.argv[1]))
"""


class Used(typing.NamedTuple):
    """What one command used: seconds, CPU seconds of its process tree, and the memory of its largest process."""

    wall_s: float
    cpu_s: float
    peak_mb: float


def main() -> int:
    """Runs the benchmark; returns 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--mix", choices=MIXES, default="flickr", help="(%(default)s)")
    parser.add_argument("--photographs", type=pathlib.Path, required=True, help="folder of large images to cut from")
    parser.add_argument("--img2dataset", metavar="PYTHON", help="a Python that has img2dataset")
    parser.add_argument("--few", type=int, default=2_000, help="photos (%(default)s)")
    parser.add_argument("--many", type=int, default=10_000, help="photos (%(default)s)")
    parser.add_argument("--repeats", type=int, default=2, help="(%(default)s)")
    flags = parser.parse_args()
    if flags.mix in LEAST_RATIO and not flags.img2dataset:
        parser.error(f"--mix {flags.mix} needs --img2dataset")
    with tempfile.TemporaryDirectory() as folder:
        result = measure(pathlib.Path(folder), flags)
    print(json.dumps(result, indent=1) if flags.json else "\n".join(f"{k}: {v}" for k, v in result.items()))
    return 0 if result["met"] else 1


def measure(folder: pathlib.Path, flags: argparse.Namespace) -> dict[str, typing.Any]:
    """Generates the photos and measures both sides in turn."""
    lines = write_photos(folder, flags.many, MIXES[flags.mix], flags.photographs)
    used: dict[tuple[str, int], list[Used]] = {}
    with serve(folder) as root:
        for _ in range(flags.repeats):
            for count in (flags.few, flags.many):
                for side, command in _commands(folder, lines[:count], root, flags).items():
                    used.setdefault((side, count), []).append(_run(command))
                    shutil.rmtree(folder / "out", ignore_errors=True)
    sides = {side: _marginal(used[side, flags.few], used[side, flags.many], flags) for side, _ in used}
    floor_ms = _floor_ms(folder) if flags.mix in LEAST_RATIO else None
    return {
        "mix": flags.mix,
        "photos": [flags.few, flags.many],
        **{f"{side}_{name}": value for side, figures in sides.items() for name, value in figures.items()},
        **_judged(flags.mix, *sides.values(), floor_ms),
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }


def _commands(folder: pathlib.Path, lines: list[str], root: str, flags: argparse.Namespace) -> dict[str, list[str]]:
    """Both sides' commands by name, ours first; what they write goes to ``out``."""
    (folder / "lines").write_text("".join(f"{line}\n" for line in lines))
    (folder / "urls.txt").write_text("".join(f"{root}{mirror_path(line)}\n" for line in lines))
    shard = min(1000, flags.few // (2 * _CORES))
    if flags.mix == "scaling":
        return {
            "all_workers": photobeam_command(folder, root, shard, "--workers", _CORES),
            "one_worker": ["taskset", "-c", "0", *photobeam_command(folder, root, shard, "--workers", 1)],
        }
    if flags.mix == "passthrough":
        fetching = [sys.executable, "-m", "tests.benchmarks.fetch_and_decode", folder / "urls.txt", root, _CORES]
        return {
            "photobeam": photobeam_command(folder, root, shard, "--workers", _CORES, "--resize", "none"),
            "fetch_and_decode": [*map(str, fetching)],
        }
    return {
        "photobeam": photobeam_command(folder, root, shard, "--workers", _CORES),
        "img2dataset": _img2dataset(folder, shard, flags.img2dataset),
    }


def _marginal(few: list[Used], many: list[Used], flags: argparse.Namespace) -> dict[str, float]:
    """What the further photos cost, the best of each, and what starting costs."""
    further = flags.many - flags.few
    wall_s = min(u.wall_s for u in many) - min(u.wall_s for u in few)
    cpu_s = min(u.cpu_s for u in many) - min(u.cpu_s for u in few)
    return {
        "images_per_s": round(further / wall_s, 1),
        "cpu_ms_per_image": round(1000 * cpu_s / further, 2),
        "start_s": round(min(u.wall_s for u in few) - flags.few * wall_s / further, 1),
        "peak_mb": round(max(u.peak_mb for u in many)),
    }


def _judged(mix: str, ours: dict[str, float], peer: dict[str, float], floor_ms: float | None) -> dict[str, typing.Any]:
    """The figures that have a bar, the bars, and whether all are met."""
    rate = round(ours["images_per_s"] / peer["images_per_s"], 2)
    cpu = round(ours["cpu_ms_per_image"] / peer["cpu_ms_per_image"], 2)
    figures: dict[str, typing.Any] = {"rate_ratio": rate, "cpu_ratio": cpu, "memory_bar_mb": MOST_MB}
    if mix == "scaling":
        figures |= {"efficiency": round(rate / _CORES, 3), "bar": LEAST_EFFICIENCY}
        met = figures["efficiency"] >= LEAST_EFFICIENCY
    elif floor_ms is None:
        figures |= {"bar": MOST_OF_PASSING}
        met = cpu <= MOST_OF_PASSING
    else:
        of_floor = round(ours["cpu_ms_per_image"] / (floor_ms + FETCH_MS), 2)
        figures |= {"floor_ms": round(floor_ms, 2), "of_floor_and_fetch": of_floor, "bar": LEAST_RATIO[mix]}
        met = rate >= LEAST_RATIO[mix] or (mix == "flickr" and of_floor <= MOST_OF_FLOOR)
    return {**figures, "met": met and ours["peak_mb"] <= MOST_MB}


def _floor_ms(folder: pathlib.Path) -> float:
    """CPU of decoding, resizing and encoding alone, on all cores at once as in the runs that it is compared with."""
    with concurrent.futures.ProcessPoolExecutor(_CORES) as cores:
        return statistics.mean(cores.map(_floor_of_core_ms, [folder] * _CORES))


def _floor_of_core_ms(folder: pathlib.Path) -> float:
    """The faster of the two ways that are the floor of the codec's benchmark."""
    from tests.benchmarks import bench_codec

    bench_codec.cv2.setNumThreads(1)
    photos = [path.read_bytes() for path in sorted((folder / "www").rglob("*.jpg"))[:100]]
    figures = bench_codec.measure(photos, rounds=5)
    return min(figures["opencv_us"], figures["bare_us"]) / 1000


def write_photos(folder: pathlib.Path, count: int, mix: Sizes, photographs: pathlib.Path) -> list[str]:
    """Writes dataset lines and their photos below ``www``; returns the lines. A hundred different photos per size."""
    rnd = random.Random(0)
    sources = [Image.open(path).convert("RGB") for path in sorted(_large_images(photographs))]
    made = {side: [_kept(folder, _jpeg(rnd, sources, side, chroma)) for _ in range(100)] for side, _, chroma in mix}
    lines = []
    for number in range(count):
        lines.append(dataset_line(number, 1_000_000 + number, rnd))
        side = rnd.choices([side for side, _, _ in mix], [share for _, share, _ in mix])[0]
        path = folder / f"www{mirror_path(lines[-1])}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.hardlink_to(rnd.choice(made[side]))
    return lines


def _kept(folder: pathlib.Path, data: bytes) -> pathlib.Path:
    path = folder / "made" / f"{hashlib.sha256(data).hexdigest()}.jpg"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


def _large_images(folder: pathlib.Path) -> typing.Iterator[pathlib.Path]:
    for path in folder.rglob("*"):
        if path.suffix.lower() in (".jpg", ".png") and path.stat().st_size > 100_000:
            with contextlib.suppress(OSError, SyntaxError, ValueError), Image.open(path) as image:
                image.load()
                if min(image.size) >= 400 and image.mode in ("RGB", "L"):
                    yield path


def _jpeg(rnd: random.Random, sources: list[Image.Image], side: int, chroma: str) -> bytes:
    """A cut of a photograph, scaled to the side, as a camera or Flickr would write it."""
    source = rnd.choice(sources)
    share = rnd.uniform(0.7, 1.0)
    width, height = int(source.width * share), int(source.height * share)
    left, top = rnd.randrange(source.width - width + 1), rnd.randrange(source.height - height + 1)
    factor = side / max(width, height)
    size = (round(width * factor), round(height * factor))
    cut = source.resize(size, Image.Resampling.LANCZOS, box=(left, top, left + width, top + height))
    out = io.BytesIO()
    cut.save(out, "JPEG", quality=90, subsampling=chroma)
    return out.getvalue()


@contextlib.contextmanager
def serve(folder: pathlib.Path) -> typing.Iterator[str]:
    """Serves ``www`` by nginx on a free port."""
    port = free_port()
    (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, port=port))
    command = ["nginx", "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")]
    server = subprocess.Popen(command)
    try:
        time.sleep(0.5)
        if server.poll() is not None:
            raise RuntimeError(f"nginx did not start: {(folder / 'error.log').read_text()}")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def photobeam_command(folder: pathlib.Path, root: str, samples_per_shard: int, *more: object) -> list[str]:
    flags = ["--yfcc", folder / "lines", "--mirror", f"yfcc={root}", "--output", folder / "out", "--progress", "none"]
    flags += ["--samples_per_shard", samples_per_shard, *more]
    return [sys.executable, "-m", "beam_jobs.build_dataset", *map(str, flags)]


def _img2dataset(folder: pathlib.Path, samples_per_shard: int, python: str) -> list[str]:
    (folder / "download.py").write_text(_DOWNLOAD)
    options = {
        "url_list": str(folder / "urls.txt"), "output_folder": str(folder / "out"), "output_format": "webdataset",
        "image_size": 256, "resize_mode": "keep_ratio", "resize_only_if_bigger": True, "encode_quality": 90,
        "processes_count": _CORES, "thread_count": 32, "number_sample_per_shard": samples_per_shard,
        "disallowed_header_directives": [],
    }  # fmt: skip
    return [python, str(folder / "download.py"), json.dumps(options)]


def _run(command: list[str]) -> Used:
    begin = time.perf_counter()
    environment = {**os.environ, "NO_ALBUMENTATIONS_UPDATE": "1"}
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=said)
        peak_mb, cpu_s = 0.0, dict[int, float]()
        while process.poll() is None:
            peak_mb = max(peak_mb, _watch(process.pid, cpu_s))
            time.sleep(_SAMPLING_S)
        if process.returncode:
            said.seek(0)
            raise RuntimeError(f"{command[:4]} exited {process.returncode}: {said.read()[-2000:]}")
    return Used(time.perf_counter() - begin, sum(cpu_s.values()), peak_mb)


def _watch(pid: int, cpu_s: dict[int, float]) -> float:
    """Notes the processor time of each process of a tree; returns the resident memory of the largest, in MB.

    The kernel's own figures will not do: its peak counts what was before the exec, and its time of children leaves out
    those that somebody else has waited for.
    """
    sizes = [0]
    with contextlib.suppress(psutil.NoSuchProcess):
        tree = [psutil.Process(pid)]
        tree += tree[0].children(recursive=True)
        for process in tree:
            with contextlib.suppress(psutil.NoSuchProcess):
                sizes.append(process.memory_info().rss)
                times = process.cpu_times()
                cpu_s[process.pid] = times.user + times.system
    return max(sizes) / 1e6


if __name__ == "__main__":
    sys.exit(main())
