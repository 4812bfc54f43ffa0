"""A build of the demo's corpus is killed at random moments, with all its children, and goes on: same bytes in the end.

Run: `python tests/endurance/kill_builds.py [--kills 50] [--seed 1]`; 50 kills take about 10 minutes.
Exits with 1 if any file differs from the uninterrupted run's, or if `verify` finds a fault in a finished dataset,
such as a file that a killed run has left.
"""

import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from beam_jobs.demo_data.demo_corpus import MIRROR, PACKS, write_corpus  # noqa: E402
from beam_jobs.demo_data.demo_server import serve  # noqa: E402
from tests.killed_runs import data_hashes, kill_and_resume  # noqa: E402
from transforms.verify.verify_dataset import verify  # noqa: E402


def main() -> int:
    """Kills builds, and compares what they leave; returns 1 if it is not the same."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="(%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments (%(default)s)")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_corpus(folder)
        with serve(folder / MIRROR) as url:
            reference, output = folder / "reference", folder / "out"
            subprocess.run(_build(folder, url, reference), check=True, stdout=subprocess.DEVNULL)
            wanted = data_hashes(reference)
            differing: list[str] = []
            faults: list[str] = []

            def check() -> None:
                found = data_hashes(output)
                differing.extend(n for n in wanted.keys() | found.keys() if wanted.get(n) != found.get(n))
                faults.extend(f"{fault.file}: {fault.problem}" for fault in verify(str(output)).faults)

            killed = kill_and_resume(_build(folder, url, output), output, flags.kills, random.Random(flags.seed), check)
    result = {"killed when it had": dict(killed.moments), "compared": killed.finished}
    print(
        json.dumps({**result, "differing": differing, "faults": faults, "met": not differing and not faults}, indent=1)
    )
    return 1 if differing or faults else 0


def _build(folder: pathlib.Path, url: str, output: pathlib.Path) -> list[str]:
    flags = [f"--yfcc={folder / PACKS}", f"--mirror=yfcc={url}", f"--output={output}", "--samples_per_shard=50"]
    return [sys.executable, "-m", "beam_jobs.build_dataset", *flags, "--workers=2", "--progress=none"]


if __name__ == "__main__":
    sys.exit(main())
