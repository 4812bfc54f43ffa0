"""What it takes to find the vectors of a vocabulary in a file of GloVe's size, and gensim's reading of the same lines.

Run: `python tests/benchmarks/bench_glove.py [--json] [--lines 200000] [--peer_lines 20000] [--words 10000]`. Exits
with 1 if a line takes more than a tenth of gensim's CPU, or if memory grows by more than 20 MB from a tenth of the
lines to all. Lines have 300 numbers; every so many is of a word of the vocabulary. Each reading is a process.
"""

import argparse
import itertools
import json
import os
import pathlib
import platform
import resource
import subprocess
import sys
import tempfile
import time
import typing

import numpy as np

DIM = 300
BAR_TIMES, BAR_GROWTH_MB = 10.0, 20.0
_NUMBERS = 5000


def write_file(path: pathlib.Path, lines: int) -> None:
    """Lines `w0` to `wN`, with vectors cut from a few thousand numbers."""
    numbers = [f"{x:.5f}" for x in np.random.default_rng(0).normal(0, 0.4, _NUMBERS)]
    vectors = [" ".join(numbers[i : i + DIM]) for i in range(_NUMBERS - DIM)]
    with open(path, "w", encoding="ascii") as file:
        file.writelines(f"w{i} {vectors[i * 7 % len(vectors)]}\n" for i in range(lines))


def read_ours(path: str, lines: int, words: int) -> int:
    from transforms.text.glove import find_vectors
    from transforms.text.vector_file import open_vectors

    wanted = [f"w{i}" for i in range(0, lines, max(1, lines // words))][:words]
    with open_vectors(path) as file:
        return int(find_vectors(file, wanted, path).is_found.sum())


def read_theirs(path: str, lines: int, _: int) -> int:
    from gensim.models import KeyedVectors

    return len(KeyedVectors.load_word2vec_format(path, no_header=True, limit=lines))


_READINGS = {"ours": read_ours, "theirs": read_theirs}


def measured(reading: str, path: pathlib.Path, lines: int, words: int) -> dict[str, float]:
    """Runs a reading in a process of its own; returns what it found, its CPU seconds and its peak of memory in MB."""
    command = [sys.executable, __file__, "--reading", reading, str(path), str(lines), str(words)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return json.loads(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def run_reading(reading: str, path: str, lines: str, words: str) -> None:
    read = _READINGS[reading]
    begun = time.process_time()
    found = read(path, int(lines), int(words))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"found": found, "cpu_s": time.process_time() - begun, "peak_mb": usage.ru_maxrss / 1024}))


def measure(folder: pathlib.Path, lines: int, peer_lines: int, words: int) -> dict[str, float]:
    whole, tenth, peer = (folder / name for name in ("whole.txt", "tenth.txt", "peer.txt"))
    for path, number in ((whole, lines), (tenth, lines // 10), (peer, peer_lines)):
        write_file(path, number)
    ours, small = (measured("ours", path, n, words) for path, n in ((whole, lines), (tenth, lines // 10)))
    theirs = measured("theirs", peer, peer_lines, 0)
    assert (ours["found"], small["found"], theirs["found"]) == (words, words, peer_lines)
    us, peer_us = ours["cpu_s"] / lines * 1e6, theirs["cpu_s"] / peer_lines * 1e6
    return {
        "us_per_line": round(us, 2),
        "gensim_us_per_line": round(peer_us, 1),
        "times_gensim": round(peer_us / us, 1),
        "peak_mb": round(ours["peak_mb"]),
        "growth_mb": round(ours["peak_mb"] - small["peak_mb"], 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--lines", type=int, default=200_000, help="of the file (%(default)s)")
    parser.add_argument("--peer_lines", type=int, default=20_000, help="that gensim reads (%(default)s)")
    parser.add_argument("--words", type=int, default=10_000, help="of the vocabulary (%(default)s)")
    parser.add_argument("--reading", nargs=4, help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.reading:
        run_reading(*flags.reading)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(pathlib.Path(folder), flags.lines, flags.peer_lines, flags.words)
    machine: dict[str, typing.Any] = {"machine": platform.machine(), "python": platform.python_version()}
    figures |= {"lines": flags.lines, "words": flags.words}
    if flags.json:
        print(json.dumps({**machine, **figures}))
    else:
        for name, value in itertools.chain(machine.items(), figures.items()):
            print(f"{name:20} {value}")
    return 0 if figures["times_gensim"] >= BAR_TIMES and figures["growth_mb"] <= BAR_GROWTH_MB else 1


if __name__ == "__main__":
    sys.exit(main())
