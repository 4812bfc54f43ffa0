"""Many photos through one worker: its memory stays flat, and it keeps no descriptor.

Run: `python tests/endurance/many_photos.py --photographs DIR [--photos 50000]`; 50,000 take 5 minutes. Needs nginx.
Exits with 1 if the worker's memory or its open files grow from the second fifth of the run to the last.
"""

import argparse
import contextlib
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import typing

import psutil

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.benchmarks.bench_images import MIXES, photobeam_command, serve, write_photos  # noqa: E402
from tests.worker_processes import worker_processes  # noqa: E402

MOST_GROWTH = 1.1
"""Memory of the last fifth, by that of the second: the first one fills pools and caches."""

MOST_MORE_FILES = 8
"""Open files of the last fifth beyond those of the second."""

MOST_MB = 600
_SAMPLING_S = 1.0


class Sample(typing.NamedTuple):
    """What the worker holds at one moment."""

    resident_mb: float
    open_files: int


def main() -> int:
    """Runs a build and watches its worker; returns 1 if something grows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=pathlib.Path, required=True, help="folder of large images to cut from")
    parser.add_argument("--photos", type=int, default=50_000, help="(%(default)s)")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        lines = write_photos(folder, flags.photos, MIXES["flickr"], flags.photographs)
        (folder / "lines").write_text("".join(f"{line}\n" for line in lines))
        with serve(folder) as root:
            samples = _watched(photobeam_command(folder, root, 1000, "--workers", 1))
        manifest = json.loads((folder / "out" / "manifest.json").read_text())
    result = _judged(samples)
    print(json.dumps({"photos": flags.photos, "samples": manifest["totals"]["samples"], **result}, indent=1))
    return 0 if result["met"] else 1


def _watched(command: list[str]) -> list[Sample]:
    samples = []
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                workers = worker_processes(process.pid)
                samples += [Sample(worker.memory_info().rss / 1e6, worker.num_fds()) for worker in workers]
            time.sleep(_SAMPLING_S)
    if process.returncode:
        raise RuntimeError(f"the build exited {process.returncode}")
    return samples


def _judged(samples: list[Sample]) -> dict[str, typing.Any]:
    fifth = len(samples) // 5
    early, late = samples[fifth : 2 * fifth], samples[-fifth:]
    memory = [statistics.median(s.resident_mb for s in part) for part in (early, late)]
    files = [statistics.median(s.open_files for s in part) for part in (early, late)]
    peak_mb = max(s.resident_mb for s in samples)
    met = memory[1] <= MOST_GROWTH * memory[0] and files[1] <= files[0] + MOST_MORE_FILES and peak_mb <= MOST_MB
    return {
        "resident_mb": [round(mb) for mb in memory],
        "open_files": files,
        "peak_mb": round(peak_mb),
        "bars": {"growth": MOST_GROWTH, "more_files": MOST_MORE_FILES, "peak_mb": MOST_MB},
        "met": met,
    }


if __name__ == "__main__":
    sys.exit(main())
