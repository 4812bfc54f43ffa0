"""Workers that are stuck end, with their children, and say why; those that go on live on."""

import pathlib
import signal
import subprocess
import sys

import psutil

_ROOT = pathlib.Path(__file__).resolve().parents[2]

_LIMIT_S = 1.2

_WORKER = """
import queue, subprocess, sys, threading, time, types
from beam_jobs.runners.stuck_worker import StuckWorker
from transforms.workers import progress

worker = StuckWorker(float(sys.argv[1]))
print(subprocess.Popen(["sleep", "60"]).pid, flush=True)
"""

_BEAM = """
from apache_beam.portability.api import beam_fn_api_pb2
from apache_beam.runners.worker.statesampler import StateSampler
from apache_beam.utils.counters import CounterFactory
"""

_IN_A_STEP = """
class Responses(queue.SimpleQueue):
    def put(self, response):
        print(response.error, flush=True)

sampler = StateSampler("test", CounterFactory())
step = sampler.scoped_state("BuildShard", "process")
cache = types.SimpleNamespace(active_bundle_processors={"1": ("d", types.SimpleNamespace(state_sampler=sampler))})
sampler.start()
worker.watch(types.SimpleNamespace(_bundle_processor_cache=cache, _responses=Responses()))
time.sleep(1.2 * float(sys.argv[1]))
print("waited for data", flush=True)
with step:
    for _ in range(12):
        time.sleep(float(sys.argv[1]) / 10)
        progress.count("samples")
    print("counted photos", flush=True)
    time.sleep(60)
"""


def _run(program: str) -> tuple[int, list[str], psutil.Process]:
    command = [sys.executable, "-c", program, str(_LIMIT_S)]
    with subprocess.Popen(command, cwd=_ROOT, text=True, stdout=subprocess.PIPE) as worker:
        assert worker.stdout
        child = psutil.Process(int(worker.stdout.readline()))
        said = worker.stdout.read().splitlines()
    return worker.returncode, said, child


def _has_ended(process: psutil.Process) -> bool:
    return not psutil.wait_procs([process], 10)[1]


def test_a_worker_that_does_not_move_is_killed_with_its_children():
    code, _, child = _run(_WORKER + "time.sleep(60)")
    assert code == -signal.SIGKILL
    assert _has_ended(child)


def test_what_a_worker_leaves_behind_is_killed():
    code, _, child = _run(_WORKER)
    assert code == 0
    assert _has_ended(child)


def test_a_worker_that_gets_nothing_done_says_so_and_ends():
    code, said, child = _run(_BEAM + _WORKER + _IN_A_STEP)
    assert code == -signal.SIGKILL
    assert said[:2] == ["waited for data", "counted photos"]
    assert "got nothing done in BuildShard in 0.02 min, and was ended" in said[2]
    assert _has_ended(child)
