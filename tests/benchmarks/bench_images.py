"""Images a second and CPU per image of `photobeam build`, against img2dataset, from a local nginx.

    python tests/benchmarks/bench_images.py --json --photographs DIR
    python tests/benchmarks/bench_images.py --mix coco --few 500 --many 2000

JPEGs are cut from the photographs of a folder, seeded, in the sizes of a mix; nginx serves them below the mirror's
paths. Both tools run as commands of their own, in turn, with all cores: short side 256, area, JPEG of quality 90;
img2dataset with its defaults for the rest. Rates are marginal: what the further photos cost beyond the first, so that
start-up stays out; it is given apart. CPU is that of the whole process tree.

Needs nginx, and img2dataset in an environment of its own (`--img2dataset PYTHON`), whose pins are its own.
"""

import argparse
import contextlib
import io
import json
import os
import pathlib
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import time
import typing

from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.free_port import free_port  # noqa: E402
from tests.yfcc_corpus import dataset_line, mirror_key  # noqa: E402

MIXES: dict[str, list[tuple[int, float, str]]] = {
    "flickr": [(500, 0.5, "4:2:0"), (640, 0.25, "4:2:0"), (1024, 0.25, "4:2:0")],
    "coco": [(640, 1.0, "4:4:4")],
    "originals": [(4000, 1.0, "4:2:0")],
}
"""Longer side in px, share, and chroma subsampling."""

BARS = {"flickr": 2.0, "coco": 1.6, "originals": 2.5}
"""Images a second, as a multiple of img2dataset's."""

_NGINX = """daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 1024; }}
http {{ access_log off; sendfile on; keepalive_requests 100000; default_type image/jpeg;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder};
  scgi_temp_path {folder};
  server {{ listen 127.0.0.1:{port}; root {folder}/www; }} }}
"""
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
    """Runs the benchmark; returns 1 if the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--mix", choices=MIXES, default="flickr", help="(%(default)s)")
    parser.add_argument("--photographs", type=pathlib.Path, required=True, help="folder of large images to cut from")
    parser.add_argument("--img2dataset", required=True, metavar="PYTHON", help="a Python that has img2dataset")
    parser.add_argument("--few", type=int, default=2_000, help="photos (%(default)s)")
    parser.add_argument("--many", type=int, default=10_000, help="photos (%(default)s)")
    parser.add_argument("--repeats", type=int, default=2, help="(%(default)s)")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(pathlib.Path(folder), flags)
    print(json.dumps(result, indent=1) if flags.json else "\n".join(f"{k}: {v}" for k, v in result.items()))
    return 0 if result["ratio"] >= result["bar"] else 1


def measure(folder: pathlib.Path, flags: argparse.Namespace) -> dict[str, typing.Any]:
    """Generates the photos and measures both tools in turn."""
    urls = write_photos(folder, flags.many, MIXES[flags.mix], flags.photographs)
    used: dict[tuple[str, int], list[Used]] = {}
    with serve(folder) as root:
        for _ in range(flags.repeats):
            for count in (flags.few, flags.many):
                commands = {
                    "photobeam": photobeam_command(folder, urls[:count], root),
                    "img2dataset": img2dataset_command(folder, urls[:count], root, flags.img2dataset),
                }
                for tool, command in commands.items():
                    used.setdefault((tool, count), []).append(_run(command))
                    shutil.rmtree(folder / tool)
    return {**_result(used, flags), "bar": BARS[flags.mix]}


def _result(used: dict[tuple[str, int], list[Used]], flags: argparse.Namespace) -> dict[str, typing.Any]:
    result: dict[str, typing.Any] = {"mix": flags.mix, "photos": [flags.few, flags.many]}
    further = flags.many - flags.few
    for tool in ("photobeam", "img2dataset"):
        few, many = (used[tool, count] for count in (flags.few, flags.many))
        wall_s, cpu_s = (
            min(getattr(u, what) for u in many) - min(getattr(u, what) for u in few) for what in ("wall_s", "cpu_s")
        )
        result |= {
            f"{tool}_images_per_s": round(further / wall_s, 1),
            f"{tool}_cpu_ms_per_image": round(1000 * cpu_s / further, 2),
            f"{tool}_start_s": round(min(u.wall_s for u in few) - flags.few * wall_s / further, 1),
            f"{tool}_peak_mb": round(max(u.peak_mb for u in many)),
        }
    result["ratio"] = round(result["photobeam_images_per_s"] / result["img2dataset_images_per_s"], 2)
    result["cpu_ratio"] = round(result["photobeam_cpu_ms_per_image"] / result["img2dataset_cpu_ms_per_image"], 2)
    return result | {"python": platform.python_version(), "machine": f"{platform.machine()}, {os.cpu_count()} cores"}


def write_photos(
    folder: pathlib.Path, count: int, mix: list[tuple[int, float, str]], photographs: pathlib.Path
) -> list[str]:
    """Writes dataset lines and their photos below ``www``; returns the lines. A hundred different photos per size."""
    rnd = random.Random(0)
    sources = [Image.open(path).convert("RGB") for path in sorted(_large_images(photographs))]
    made = {side: [_jpeg(rnd, sources, side, chroma) for _ in range(100)] for side, _, chroma in mix}
    lines = []
    for number in range(count):
        lines.append(dataset_line(number, 1_000_000 + number, rnd))
        side = rnd.choices([side for side, _, _ in mix], [share for _, share, _ in mix])[0]
        path = folder / "www" / mirror_path(lines[-1])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(rnd.choice(made[side]))
    return lines


def mirror_path(line: str) -> str:
    """Where the mirror has the photo of a 25-field line."""
    key = mirror_key(line.split("\t")[16])
    return f"data/images/{key[:3]}/{key[3:6]}/{key}.jpg"


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


def photobeam_command(folder: pathlib.Path, lines: list[str], root: str) -> list[str]:
    """The command of photobeam, output in ``photobeam``."""
    (folder / "lines").write_text("".join(line + "\n" for line in lines))
    flags = ["--yfcc", folder / "lines", "--mirror", f"yfcc={root}", "--output", folder / "photobeam"]
    flags += ["--samples_per_shard", 1000, "--progress", "none", "--workers", os.cpu_count()]
    return [sys.executable, "-m", "beam_jobs.build_dataset", *map(str, flags)]


def img2dataset_command(folder: pathlib.Path, lines: list[str], root: str, python: str) -> list[str]:
    """The command of img2dataset, output in ``img2dataset``."""
    urls = folder / "urls.txt"
    urls.write_text("".join(f"{root}/{mirror_path(line)}\n" for line in lines))
    (folder / "download.py").write_text(_DOWNLOAD)
    options = {
        "url_list": str(urls), "output_folder": str(folder / "img2dataset"), "output_format": "webdataset",
        "image_size": 256, "resize_mode": "keep_ratio", "resize_only_if_bigger": True, "encode_quality": 90,
        "processes_count": os.cpu_count(), "thread_count": 32, "number_sample_per_shard": 1000,
        "disallowed_header_directives": [],
    }  # fmt: skip
    return [python, str(folder / "download.py"), json.dumps(options)]


def _run(command: list[str]) -> Used:
    begin = time.perf_counter()
    environment = {**os.environ, "NO_ALBUMENTATIONS_UPDATE": "1"}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    with typing.cast(typing.IO[str], process.stderr) as stderr:
        said = stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command[:4]} exited {process.returncode}: {said[-2000:]}")
    return Used(time.perf_counter() - begin, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


if __name__ == "__main__":
    sys.exit(main())
