"""Every write operation of a small build on a store goes wrong once, in every way; the next run must make it good.

Run: `python tests/endurance/fail_writes.py [--kinds fail,cut] [--every 1]`; all of it takes about an hour.
Exits with 1 at the first dataset that is wrong and passes for good, or that the next run does not complete.
"""

import argparse
import collections
import io
import pathlib
import random
import sys
import tempfile

from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests import fault_fs  # noqa: E402
from tests.fault_server import Answer, FaultServer  # noqa: E402
from tests.faulty_builds import FaultyBuilds  # noqa: E402
from tests.yfcc_corpus import dataset_line, mirror_path  # noqa: E402

PHOTOS = 9


def main() -> int:
    """Lets writes fail one after the other; returns 1 if a dataset was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default=",".join(fault_fs.KINDS), help="(%(default)s)")
    parser.add_argument("--every", type=int, default=1, help="so many operations from one to the next (%(default)s)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, FaultServer() as mirror:
        folder = pathlib.Path(name)
        flags = [f"--yfcc={_corpus(folder, mirror)}", f"--mirror=yfcc={mirror.url}", "--samples_per_shard=5"]
        (folder / "good").mkdir()
        builds = FaultyBuilds.after_a_good_one([*flags, "--workers=1", "--progress=none"], folder / "good")
        print(f"{builds.operations} write operations", flush=True)
        for kind in given.kinds.split(","):
            codes: collections.Counter[int] = collections.Counter()
            for number in range(0, builds.operations, given.every):
                (folder / f"{kind}{number}").mkdir()
                try:
                    codes[builds.check(kind, number, folder / f"{kind}{number}")] += 1
                except AssertionError as error:
                    print(f"{kind} at operation {number}: {error!r}")
                    return 1
            print(f"{kind}: exit codes {dict(codes)}, all mended", flush=True)
    return 0


def _corpus(folder: pathlib.Path, mirror: FaultServer) -> pathlib.Path:
    chance = random.Random(5)
    lines = [dataset_line(i, 10_000 + 7 * i, chance) for i in range(PHOTOS)]
    for i, line in enumerate(lines[1:]):
        data = io.BytesIO()
        Image.new("RGB", (40 + i, 30), (i * 20, 99, 7)).save(data, "JPEG")
        mirror.answers[mirror_path(line)] = Answer(data.getvalue())
    (folder / "in").write_text("".join(line + "\n" for line in lines))
    return folder / "in"


if __name__ == "__main__":
    sys.exit(main())
