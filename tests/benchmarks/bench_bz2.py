"""CPU of reading a bzip2 file by ranges against the standard library and indexed_bzip2.

Run: `python tests/benchmarks/bench_bz2.py [--json] [--megabytes 200] [--rounds 3]`. Exits with 1 if the bar is missed.
"""

import argparse
import bz2
import concurrent.futures
import itertools
import json
import pathlib
import random
import sys
import tempfile
import time
import typing

import numpy as np

from transforms.sources.bz2_blocks import read_blocks
from transforms.sources.line_ranges import open_reader, read_line_blocks, split_ranges

BAR = 1.15
"""Most CPU a split reader may use, in that of `bz2.open`. Where indexed_bzip2 is installed, which ends the process on a
crafted block and so is not used, the same bar against it is reported too."""

_RANGE_BYTES = 16 << 20
_READ_BYTES = 1 << 20
_SCALING_RANGES = 8
_READERS = (1, 2)
_OTHERS = ("stdlib", "indexed_bzip2")
_SEED = 20_040_101


def generate_lines(rng: random.Random, decoded_bytes: int) -> typing.Iterator[bytes]:
    """Lines of 25 columns in the manner of the YFCC100M dataset file."""
    words = ["".join(rng.choices("etaoinshrdlucmfwypvbgkqjxz", k=rng.randint(2, 10))) for _ in range(30_000)]
    weights = list(itertools.accumulate(1 / (rank + 8) for rank in range(len(words))))
    users = [f"{rng.randrange(10**8)}@N0{rng.randrange(9)}\t{word}" for word in words[:20_000]]
    cameras = [f"{maker}+{word}" for maker in ("Canon", "NIKON+CORPORATION", "SONY", "Apple") for word in words[:200]]
    total = 0
    for number in itertools.count():
        photo, host, server = rng.randrange(10**9, 10**10), rng.randint(1, 9), rng.randint(1, 9_999)
        secret, user = f"{rng.getrandbits(40):010x}", rng.choice(users)
        text = rng.choices(words, cum_weights=weights, k=rng.choice((3, 8, 8, 40)))
        place = (
            f"{rng.uniform(-180, 180):.6f}\t{rng.uniform(-90, 90):.6f}\t{rng.randint(1, 16)}" if number % 2 else "\t\t"
        )
        taken = (
            f"{rng.randint(2003, 2014)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d} 1{rng.randint(0, 9)}:07:31.0"
        )
        line = (
            f"{number}\t{photo}\t{rng.getrandbits(128):032x}\t{user}\t{taken}\t{rng.randrange(10**9, 14 * 10**8)}\t"
            f"{rng.choice(cameras)}\t{'+'.join(text[:3])}\t{'+'.join(text[3:])}\t{','.join(text[1:6])}\t\t"
            f"{place}\t"
            f"http://www.flickr.com/photos/{user.split(chr(9))[0]}/{photo}/\t"
            f"http://farm{host}.staticflickr.com/{server}/{photo}_{secret}.jpg\tAttribution-NonCommercial License\t"
            f"http://creativecommons.org/licenses/by-nc/2.0/\t{server}\t{host}\t{secret}\t"
            f"{rng.getrandbits(40):010x}\tjpg\t0\n"
        ).encode()
        total += len(line)
        yield line
        if total >= decoded_bytes:
            return


def write_file(path: pathlib.Path, decoded_bytes: int) -> int:
    """Writes the lines as one stream of level 9; returns their length in bytes."""
    total = 0
    with bz2.open(path, "wb") as file:
        for line in generate_lines(random.Random(_SEED), decoded_bytes):
            total += file.write(line)
    return total


def read_stdlib(path: str) -> int:
    with bz2.open(path) as file:
        return sum(map(len, iter(lambda: file.read(_READ_BYTES), b"")))


def read_indexed(path: str) -> int:
    import indexed_bzip2

    with indexed_bzip2.open(path, parallelization=1) as file:
        return sum(map(len, iter(lambda: file.read(_READ_BYTES), b"")))


def _range_blocks(path: str, start: int, stop: int) -> int:
    with open_reader(path) as (read_at, size):
        blocks = read_blocks(read_at, size, start, stop, name=path)
        return sum(len(block.data) for block in itertools.takewhile(lambda b: b.bit_offset // 8 < stop, blocks))


def _range_lines(path: str, start: int, stop: int) -> int:
    with open_reader(path) as (read_at, size):
        blocks = read_line_blocks(read_at, size, start, stop, compressed=True, name=path, max_block_bytes=8 << 20)
        return sum(len(block.data) for block in blocks)


def read_split_blocks(path: str) -> int:
    return sum(_range_blocks(path, *cut) for cut in split_ranges(pathlib.Path(path).stat().st_size, _RANGE_BYTES))


def read_split_lines(path: str) -> int:
    return sum(_range_lines(path, *cut) for cut in split_ranges(pathlib.Path(path).stat().st_size, _RANGE_BYTES))


def read_in_threads(path: str, readers: int) -> int:
    size = pathlib.Path(path).stat().st_size
    with concurrent.futures.ThreadPoolExecutor(readers) as pool:
        cuts = split_ranges(size, -(-size // _SCALING_RANGES))
        return sum(pool.map(lambda cut: _range_lines(path, *cut), cuts))


def _has_indexed() -> bool:
    try:
        import indexed_bzip2  # noqa: F401
    except ImportError:
        return False
    return True


class Cost(typing.NamedTuple):
    cpu_s: float
    wall_s: float


def measure(cases: dict[str, typing.Callable[[], int]], rounds: int, decoded_bytes: int) -> dict[str, Cost]:
    """Runs the cases in turns; returns the least CPU (user and system) and wall time of each."""
    costs: dict[str, list[Cost]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            cpu, wall = time.process_time(), time.perf_counter()
            found = case()
            costs[name].append(Cost(time.process_time() - cpu, time.perf_counter() - wall))
            if found != decoded_bytes:
                raise RuntimeError(f"{name} read {found} bytes of {decoded_bytes}")
    return {name: Cost(*np.min(runs, axis=0).tolist()) for name, runs in costs.items()}


def whole_file_cases(path: str) -> dict[str, typing.Callable[[], int]]:
    """One reader of the whole file, each in its way; indexed_bzip2 only where it is installed."""
    cases: dict[str, typing.Callable[[], int]] = {"stdlib": lambda: read_stdlib(path)}
    if _has_indexed():
        cases["indexed_bzip2"] = lambda: read_indexed(path)
    return cases | {"split_blocks": lambda: read_split_blocks(path), "split_lines": lambda: read_split_lines(path)}


def cpu_ratios(costs: dict[str, Cost], base: str) -> dict[str, float]:
    return {name: round(cost.cpu_s / costs[base].cpu_s, 3) for name, cost in costs.items()}


def print_report(result: dict[str, typing.Any]) -> None:
    better = result["better"]
    for name, cpu_s in result["cpu_s"].items():
        ratios = f"{result['cpu_to_stdlib'][name]:.3f} of stdlib  {result['cpu_to_better'][name]:.3f} of {better}"
        print(f"{name:14} {cpu_s:8.2f} s CPU  {ratios}")
    for count, cost in result["readers"].items():
        print(f"readers: {count:5} {cost['cpu_s']:8.2f} s CPU  {cost['wall_s']:.2f} s")
    print(f"two readers: {result['two_readers']['speed_up']:.2f} times as fast as one")
    for name, holds in (("stdlib", result["holds"]), (better, result["holds_against_better"])):
        print(f"bar: at most {BAR} of {name}'s CPU: {'holds' if holds else 'MISSED'}")


def run(megabytes: int, rounds: int) -> dict[str, typing.Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = str(pathlib.Path(folder) / "dataset.bz2")
        decoded = write_file(pathlib.Path(path), megabytes * 1_000_000)
        costs = measure(whole_file_cases(path), rounds, decoded)
        scaling = measure({str(n): lambda n=n: read_in_threads(path, n) for n in _READERS}, rounds, decoded)
        packed = pathlib.Path(path).stat().st_size
    better = min((name for name in _OTHERS if name in costs), key=lambda name: costs[name].cpu_s)
    to_stdlib, to_better = cpu_ratios(costs, "stdlib"), cpu_ratios(costs, better)
    one, two = (scaling[str(n)] for n in _READERS)
    return {
        "decoded_bytes": decoded,
        "compressed_bytes": packed,
        "rounds": rounds,
        "cpu_s": {name: round(cost.cpu_s, 3) for name, cost in costs.items()},
        "mb_per_cpu_s": {name: round(decoded / 1e6 / cost.cpu_s, 1) for name, cost in costs.items()},
        "cpu_to_stdlib": to_stdlib,
        "better": better,
        "cpu_to_better": to_better,
        "readers": {n: {"cpu_s": round(c.cpu_s, 3), "wall_s": round(c.wall_s, 3)} for n, c in scaling.items()},
        "two_readers": {"speed_up": round(one.wall_s / two.wall_s, 3), "cpu_ratio": round(two.cpu_s / one.cpu_s, 3)},
        "bar": BAR,
        "holds": max(to_stdlib["split_blocks"], to_stdlib["split_lines"]) <= BAR,
        "holds_against_better": max(to_better["split_blocks"], to_better["split_lines"]) <= BAR,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--megabytes", type=int, default=200, help="decoded size of the generated file")
    parser.add_argument("--rounds", type=int, default=3, help="turns; the best of each counts")
    args = parser.parse_args()
    result = run(args.megabytes, args.rounds)
    if args.json:
        print(json.dumps(result, indent=2))
    else:
        print_report(result)
    return 0 if result["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
