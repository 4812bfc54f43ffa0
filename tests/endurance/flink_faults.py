"""Builds on Flink whose workers and TaskManagers die or hang, on its jar alone, and on Prism: always the same bytes.

Run: `python tests/endurance/flink_faults.py [--kills 3] [--seed 1] [--prism PATH]`; about 25 minutes. Without `--prism`
Beam's runner for tests is left out; `go install github.com/apache/beam/sdks/v2/go/cmd/prism@v2.77.0` makes it.
Exits with 1 if a job fails, a file differs, or a photo of a shard that was committed is fetched again.
"""

import argparse
import collections
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import time
import typing

import psutil
import pyarrow.parquet as pq

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from schemas import layout  # noqa: E402
from tests.fault_server import Answer, FaultServer  # noqa: E402
from tests.fill_heap import fill_heap  # noqa: E402
from tests.flink_cluster import FlinkCluster  # noqa: E402
from tests.jobs.conftest import picture, write_lines  # noqa: E402
from tests.killed_runs import data_hashes  # noqa: E402
from tests.yfcc_corpus import dataset_line, mirror_path  # noqa: E402

PHOTOS, SHARDS = 240, 24
DELAY_S = 0.5
LIMIT_S = 900
ENDING_S = 60
RESTARTS = 10
STUCK = "--element_processing_timeout_minutes=1"

Kill = typing.Callable[[FlinkCluster, random.Random], None]


def main() -> int:
    """Runs all of it; returns 1 if anything is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=3, help="in one build, at random moments (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments (%(default)s)")
    parser.add_argument("--prism", default="", help="path of Prism's program")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, FaultServer() as mirror:
        builds = Builds(pathlib.Path(name), mirror)
        found = {}
        if flags.prism:
            found["Prism"] = builds.run("prism", ["--runner=PrismRunner", f"--prism_location={flags.prism}"])
        with FlinkCluster(pathlib.Path(name) / "flink", restart_attempts=RESTARTS) as cluster:
            jar = f"--flink_job_server_jar={cluster.job_server_jar}"
            found["Flink from its jar"] = builds.run("jar", ["--runner=FlinkRunner", "--flink_master=[local]", jar])
            on = ["--runner=FlinkRunner", f"--flink_master={cluster.master}", jar]
            chance = random.Random(flags.seed)
            faults: dict[str, list[tuple[int, Kill]]] = {
                "a worker in phase 1": [(-1, kill_worker)],
                "a TaskManager in phase 1": [(-1, kill_taskmanager)],
                "a TaskManager in phase 2": [(1, kill_taskmanager)],
                "a TaskManager without memory": [(1, fill_taskmanager)],
                f"{flags.kills} at random": [
                    (commits, chance.choice([kill_worker, kill_taskmanager]))
                    for commits in sorted(chance.sample(range(1, SHARDS - 4), flags.kills))
                ],
            }
            for what, kills in faults.items():
                found[what] = builds.run(what.replace(" ", "_"), on, cluster, kills, chance)
            for what, hang in {"a worker that hangs": stop_worker, "a child that hangs": stop_child}.items():
                found[what] = builds.run(what.replace(" ", "_"), [*on, STUCK], cluster, [(1, hang)], chance)
    print(json.dumps(found, indent=1))
    return 0 if all(result == "the same bytes" for result in found.values()) else 1


def kill_worker(cluster: FlinkCluster, chance: random.Random) -> None:
    """Kills one of Beam's Python workers."""
    for worker in _chosen_worker(cluster, chance):
        worker.kill()


def fill_taskmanager(cluster: FlinkCluster, chance: random.Random) -> None:
    """Fills the heap of a TaskManager, sees that it ends by that, and starts another."""
    number = chance.choice(sorted(cluster.taskmanagers))
    with tempfile.TemporaryDirectory() as folder:
        fill_heap(cluster.taskmanagers[number], pathlib.Path(folder))
    until = time.monotonic() + ENDING_S
    while number in cluster.taskmanagers:
        assert time.monotonic() < until, "a TaskManager without memory lives on"
        time.sleep(0.5)
    cluster.add_taskmanager()


def stop_worker(cluster: FlinkCluster, chance: random.Random) -> None:
    """Has a worker stand still, as one does that never gives Python's lock back."""
    for worker in _chosen_worker(cluster, chance):
        worker.suspend()


def stop_child(cluster: FlinkCluster, chance: random.Random) -> None:
    """Has the process that builds a worker's shards stand still."""
    for worker in _chosen_worker(cluster, chance):
        youngest = max(worker.children(recursive=True), key=psutil.Process.create_time)
        youngest.suspend()


def _chosen_worker(cluster: FlinkCluster, chance: random.Random) -> list[psutil.Process]:
    workers = [p for p in cluster.processes() if any("photobeam-worker" in part for part in p.cmdline())]
    return [chance.choice(workers)] if workers else []


def kill_taskmanager(cluster: FlinkCluster, chance: random.Random) -> None:
    """Kills a TaskManager, and starts another."""
    cluster.kill_taskmanager(chance.choice(sorted(cluster.taskmanagers)))
    cluster.add_taskmanager()


class Builds:
    """Builds of one corpus, each compared with that on this machine."""

    def __init__(self, folder: pathlib.Path, mirror: FaultServer):
        self._folder, self._mirror = folder, mirror
        chance = random.Random(5)
        self._lines = [dataset_line(i, 10_000 + 7 * i, chance) for i in range(PHOTOS)]
        for i, line in enumerate(self._lines):
            if i % 10:
                mirror.answers[mirror_path(line)] = Answer(picture(i))
        write_lines(folder / "in" / "yfcc100m_dataset", self._lines)
        here = folder / "here"
        subprocess.run(self._command(here), cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        self._wanted = data_hashes(here)
        mirror.delay_s = DELAY_S

    def run(
        self,
        name: str,
        runner: list[str],
        cluster: FlinkCluster | None = None,
        kills: typing.Sequence[tuple[int, Kill]] = (),
        chance: random.Random | None = None,
    ) -> str:
        """Builds, and kills what is to be killed when so many shards are committed; -1 for as soon as there is a spool.

        Returns:
            ``the same bytes``, or what is wrong.
        """
        output = self._folder / name
        self._mirror.asked.clear()
        until = time.monotonic() + LIMIT_S
        committed: dict[str, int] = {}
        with subprocess.Popen([*self._command(output), *runner], cwd=ROOT, stdout=subprocess.DEVNULL) as run:
            for commits, kill in kills:
                while run.poll() is None and not self._has_come(output, commits):
                    time.sleep(0.05)
                committed = self._asked_of({path.stem for path in output.glob("commits/*.json")}, output) | committed
                if cluster and chance and run.poll() is None:
                    kill(cluster, chance)
            try:
                code = run.wait(until - time.monotonic())
            except subprocess.TimeoutExpired:
                psutil.Process(run.pid).terminate()
                return f"did not end within {LIMIT_S} s"
        return self._judged(output, code, committed)

    def _asked_of(self, shards: typing.Iterable[str], output: pathlib.Path) -> dict[str, int]:
        """Counts how often the photos of some shards were asked for."""
        asked = collections.Counter(self._mirror.asked)
        return {path: asked[path] for path in self._paths_of(output, shards)}

    def _judged(self, output: pathlib.Path, code: int, committed: dict[str, int]) -> str:
        if code:
            return f"exit code {code}"
        found = data_hashes(output)
        differing = sorted(n for n in self._wanted.keys() | found.keys() if self._wanted.get(n) != found.get(n))
        if differing:
            return f"differing: {differing}"
        asked = collections.Counter(self._mirror.asked)
        again = [path for path, before in committed.items() if asked[path] > before]
        return f"fetched again though committed: {again}" if again else "the same bytes"

    def _has_come(self, output: pathlib.Path, commits: int) -> bool:
        if commits < 0:
            return any(output.glob(f"{layout.TMP}/*/join/*.spool"))
        return len(list(output.glob("commits/*.json"))) >= commits

    def _paths_of(self, output: pathlib.Path, shards: typing.Iterable[str]) -> set[str]:
        ids = {i for shard in shards for i in pq.read_table(output / f"rows/{shard}.parquet")["photo_id"].to_pylist()}
        return {mirror_path(line) for line in self._lines if int(line.split("\t")[1]) in ids}

    def _command(self, output: pathlib.Path) -> list[str]:
        flags = ["--yfcc", self._folder / "in", "--mirror", f"yfcc={self._mirror.url}", "--output", output]
        flags += ["--samples_per_shard", PHOTOS // SHARDS, "--concurrency", 4, "--progress", "none"]
        return [sys.executable, "-m", "beam_jobs.build_dataset", *map(str, flags)]


if __name__ == "__main__":
    sys.exit(main())
