"""How photobeam scales on a Flink cluster of processes on this machine.

    python tests/benchmarks/bench_flink.py --json span
    python tests/benchmarks/bench_flink.py --json join --rows 10000000

`span`: photos of a server that takes 200 ms for each, 8 in flight a worker. The time from the first shard's begin to
the last one's end is to be at most 0.6 of that with one TaskManager where there are two.
`join`: rows of four bz2 packs, on two TaskManagers of 1.5 GB. The CPU of a row is to be at most 1.2 of that at a tenth
of the rows, and no process is to grow.
"""

import argparse
import bz2
import concurrent.futures
import json
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import typing

import psutil

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.fault_server import Answer, FaultServer  # noqa: E402
from tests.flink_cluster import SHORT_LIVED, FlinkCluster  # noqa: E402
from tests.jobs.conftest import picture, write_lines  # noqa: E402
from tests.yfcc_corpus import dataset_line, mirror_path, write_corpus  # noqa: E402

SPAN_BAR, ROW_BAR = 0.6, 1.2
DELAY_S, IN_FLIGHT, PHOTOS_A_SHARD = 0.2, 8, 50
SAMPLE_S = 0.5

Result = dict[str, typing.Any]


def main() -> int:
    """Runs one of the two; returns 1 if its bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    kinds = parser.add_subparsers(dest="kind", required=True)
    kinds.add_parser("span").add_argument("--photos", type=int, default=2_000, help="(%(default)s)")
    join = kinds.add_parser("join")
    join.add_argument("--rows", type=int, default=10_000_000, help="(%(default)s)")
    join.add_argument("--folder", default=tempfile.gettempdir(), help="for 1.5 KB a row (%(default)s)")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=getattr(flags, "folder", None)) as name:
        folder = pathlib.Path(name)
        result = spans(folder, flags.photos) if flags.kind == "span" else joins(folder, flags.rows)
    print(json.dumps(result, indent=1) if flags.json else "\n".join(f"{k:28} {v}" for k, v in result.items()))
    return 0 if result["ratio"] <= result["bar"] else 1


def spans(folder: pathlib.Path, photos: int) -> Result:
    """Measures phase 2 with one TaskManager and with two."""
    chance = random.Random(5)
    lines = [dataset_line(i, 10_000 + 7 * i, chance) for i in range(photos)]
    write_lines(folder / "in" / "yfcc100m_dataset", lines)
    with FaultServer({mirror_path(line): Answer(picture(i)) for i, line in enumerate(lines)}) as server:
        server.delay_s = DELAY_S
        flags = ["--mirror", f"yfcc={server.url}", "--concurrency", str(IN_FLIGHT)]
        flags += ["--samples_per_shard", str(PHOTOS_A_SHARD)]
        one, two = (_span(folder, number, flags) for number in (1, 2))
    return {"photos": photos, "one_s": one, "two_s": two, "ratio": round(two / one, 3), "bar": SPAN_BAR}


def _span(folder: pathlib.Path, taskmanagers: int, flags: list[str]) -> float:
    output = folder / f"out-{taskmanagers}"
    with FlinkCluster(folder / f"flink-{taskmanagers}", taskmanagers) as cluster:
        _run(cluster, "build_dataset", folder / "in", output, flags)
    logs = [json.loads(path.read_text()) for path in output.glob("log/[0-9]*.json")]
    return round(max(log["started"] + log["seconds"] for log in logs) - min(log["started"] for log in logs), 2)


def joins(folder: pathlib.Path, rows: int) -> Result:
    """Measures the join of so many rows, and of a tenth of them."""
    few, many = (_join(folder / str(number), number) for number in (rows // 10, rows))
    a_row = {name: round((many[name] - few[name]) / (rows - rows // 10) * 1e6, 2) for name in ("cpu_s", "jvm_cpu_s")}
    few_us = round(few["cpu_s"] / (rows // 10) * 1e6, 2)
    many_us = round(many["cpu_s"] / rows * 1e6, 2)
    return {
        "rows": rows,
        "few": few,
        "many": many,
        "us_per_row_few": few_us,
        "us_per_row_many": many_us,
        "us_per_further_row": a_row,
        "ratio": round(many_us / few_us, 3),
        "bar": ROW_BAR,
    }


def _join(folder: pathlib.Path, rows: int) -> Result:
    packs, output = folder / "packs", folder / "out"
    packs.mkdir(parents=True)
    write_corpus(packs, rows)
    with concurrent.futures.ProcessPoolExecutor() as pool:
        list(pool.map(_compress, sorted(packs.iterdir())))
    with FlinkCluster(folder / "flink", 2) as cluster, _Watch(cluster) as watch:
        begun = time.monotonic()
        _run(cluster, "join_metadata", packs, output, [])
        wall_s = round(time.monotonic() - begun, 1)
    shutil.rmtree(folder)
    return {"wall_s": wall_s, **watch.found()}


def _compress(path: pathlib.Path) -> None:
    with path.open("rb") as plain, bz2.open(path.with_name(f"{path.name}.bz2"), "wb", 9) as packed:
        shutil.copyfileobj(plain, packed, 1 << 20)
    path.unlink()


def _run(cluster: FlinkCluster, module: str, source: pathlib.Path, output: pathlib.Path, flags: list[str]) -> None:
    runner = ["--runner=FlinkRunner", f"--flink_master={cluster.master}"]
    runner += [f"--flink_job_server_jar={cluster.job_server_jar}"]
    runner += [f"--job_server_jvm_properties={option}" for option in SHORT_LIVED.split()]
    command = [sys.executable, "-m", f"beam_jobs.{module}", "--yfcc", str(source), "--output", str(output)]
    subprocess.run([*command, "--progress=none", *flags, *runner], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


class _Watch:
    """Samples CPU time and memory of a cluster's processes. A context manager."""

    def __init__(self, cluster: FlinkCluster):
        self._cluster = cluster
        self._cpu_s: dict[tuple[int, float], tuple[str, float]] = {}
        self._peaks: dict[str, int] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "_Watch":
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._ended.set()
        self._thread.join()

    def found(self) -> Result:
        """Returns CPU seconds of workers and JVMs since their start, and the largest process of each kind in MB."""
        sums = {kind: sum(s for k, s in self._cpu_s.values() if k == kind) for kind in ("python", "java")}
        peaks = {f"peak_{kind}_mb": peak >> 20 for kind, peak in sorted(self._peaks.items())}
        return {"cpu_s": round(sums["python"], 1), "jvm_cpu_s": round(sums["java"], 1), **peaks}

    def _sample(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            for process in self._cluster.processes():
                try:
                    kind = "java" if "java" in process.name() else "python"
                    times, memory = process.cpu_times(), process.memory_info().rss
                except psutil.Error:
                    continue
                self._cpu_s[process.pid, process.create_time()] = kind, times.user + times.system
                self._peaks[kind] = max(self._peaks.get(kind, 0), memory)


if __name__ == "__main__":
    sys.exit(main())
