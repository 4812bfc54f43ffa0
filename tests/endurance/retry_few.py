"""Of 200 shards, 1 % of the photos fail and are tried again: only their shards are written, only they are fetched.

Then the finished dataset is built once more: nothing is fetched, and it takes less than 2 s and 1 ms a shard.

Run: `python tests/endurance/retry_few.py [--photos 2000] [--shards 200]`; about 2 minutes.
Exits with 1 if another shard was written, another photo was asked for, or the time is exceeded.
"""

import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import time
import typing

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from schemas import layout  # noqa: E402
from schemas.photo_ids import hash64, shards_of  # noqa: E402
from tests.damaged_dataset import stamps  # noqa: E402
from tests.fault_server import Answer, FaultServer  # noqa: E402
from tests.jobs.conftest import picture, write_lines  # noqa: E402
from tests.yfcc_corpus import dataset_line, mirror_path  # noqa: E402
from transforms.verify.verify_dataset import verify  # noqa: E402


def main() -> int:
    """Builds, retries and builds again; returns 1 if more was done than there was to do."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=2000, help="(%(default)s)")
    parser.add_argument("--shards", type=int, default=200, help="(%(default)s)")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, FaultServer() as mirror:
        result = _retry(pathlib.Path(name), mirror, flags.photos, flags.shards)
    print(json.dumps(result, indent=1))
    return 0 if result["met"] else 1


def _retry(folder: pathlib.Path, mirror: FaultServer, photos: int, shards: int) -> dict[str, typing.Any]:
    chance = random.Random(5)
    lines = [dataset_line(i, 10_000 + 7 * i, chance) for i in range(photos)]
    failing = chance.sample(range(photos), photos // 100)
    for i, line in enumerate(lines):
        mirror.answers[mirror_path(line)] = Answer(b"", 503) if i in failing else Answer(picture(i))
    output = folder / "out"
    build = ["build_dataset", f"--yfcc={write_lines(folder / 'in', lines)}", f"--mirror=yfcc={mirror.url}"]
    build += [f"--output={output}", f"--samples_per_shard={photos // shards}", "--retries=0", "--progress=none"]
    _run(build)
    before = stamps(output)
    for i in failing:
        mirror.answers[mirror_path(lines[i])] = Answer(picture(i))
    mirror.asked.clear()
    _run(["reprocess_dataset", str(output), "--retry", "--progress=none"])
    asked, mirror_paths = set(mirror.asked), {mirror_path(lines[i]) for i in failing}
    shards_written = {layout.shard_of(name) for name, seen in stamps(output).items() if before.get(name) != seen}
    written = {f"{shard:06d}" for shard in shards_written if shard is not None}
    ids = np.array([10_000 + 7 * i for i in failing])
    theirs = {f"{shard:06d}" for shard in shards_of(hash64(ids), len(list((output / "rows").iterdir()))).tolist()}
    mirror.asked.clear()
    begun_s = time.monotonic()
    _run(build)
    again_s = time.monotonic() - begun_s
    faults = [f"{fault.file}: {fault.problem}" for fault in verify(str(output)).faults]
    met = written == theirs and asked == mirror_paths and not mirror.asked and not faults
    return {
        "shards": len(list((output / "rows").iterdir())),
        "photos_retried": len(failing),
        "shards_with_them": len(theirs),
        "shards_written": len(written),
        "photos_asked": len(asked),
        "asked_by_the_finished_dataset": len(mirror.asked),
        "finished_again_s": round(again_s, 2),
        "bar_s": 2 + shards / 1000,
        "faults": faults,
        "met": met and again_s < 2 + shards / 1000,
    }


def _run(command: list[str]) -> None:
    module, *flags = command
    subprocess.run([sys.executable, "-m", f"beam_jobs.{module}", *flags], cwd=ROOT, check=True)


if __name__ == "__main__":
    sys.exit(main())
