"""A run that is interrupted ends, whatever becomes of what runs elsewhere for it."""

import pathlib
import signal
import subprocess
import sys

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_RUN = """
import pathlib, signal, threading
from beam_jobs.command import interrupt
interrupt.PATIENCE_S = 0.5
lock = threading.Lock()
with interrupt.end_on_signals(pathlib.Path("nowhere")), interrupt.also_ended(lambda: print("ended", flush=True)):
    with interrupt.also_ended(lambda: HANGS), lock:
        signal.raise_signal(signal.SIGTERM)
"""


def _ended(hangs: str) -> "subprocess.CompletedProcess[str]":
    program = [sys.executable, "-c", _RUN.replace("HANGS", hangs)]
    return subprocess.run(program, cwd=_ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_a_lock_of_the_interrupted_thread_does_not_hold_up_the_end() -> None:
    ended = _ended("lock.acquire()")
    assert ended.returncode == 128 + signal.SIGTERM
    assert "interrupted" in ended.stderr
    assert ended.stdout == ""


def test_what_cannot_be_ended_does_not_keep_the_rest() -> None:
    ended = _ended("1 / 0")
    assert (ended.returncode, ended.stdout) == (128 + signal.SIGTERM, "ended\n")


def test_threads_that_miss_what_was_ended_say_nothing() -> None:
    ended = _ended("[thread := threading.Thread(target=int, args=('x',)), thread.start(), thread.join()]")
    assert ended.stderr == "\nphotobeam: interrupted; what is committed stays, the same command goes on\n"


def test_a_folder_for_temporary_files_that_is_gone_does_not_hold_up_the_end() -> None:
    program = "import tempfile\ntempfile.tempdir = '/nowhere'\n" + _RUN.replace("HANGS", "None")
    ended = subprocess.run([sys.executable, "-c", program], cwd=_ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 128 + signal.SIGTERM
    assert ended.stderr.startswith("\nphotobeam: interrupted")
