"""A command's exit code reaches whoever called it, whatever its process is still about."""

import pathlib
import subprocess
import sys

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_BUSY_THREADS = """
import atexit, sys, threading, time
import duckdb, pyarrow as pa
from beam_jobs.command.end_process import end_process

rows = pa.table({"n": list(range(200_000))})

def work():
    while True:
        duckdb.connect(config={"threads": 1}).sql("SELECT n FROM rows WHERE n % 7 = 3").to_arrow_table()

def main():
    for _ in range(4):
        threading.Thread(target=work, daemon=True).start()
    time.sleep(0.3)
    sys.stdout.write("told")
    return 3

atexit.register(lambda: sys.stderr.write("cleaned up"))
end_process(main)
"""
_SAYS_A_WORD = """
import sys
from beam_jobs.command.end_process import end_process
end_process(lambda: 0 * sys.stdout.write("word"))
"""


def _run(program: str, **streams: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=_ROOT, text=True, timeout=60, check=False, **streams)  # type: ignore[call-overload]


def test_threads_in_native_code_do_not_abort_the_process() -> None:
    ended = _run(_BUSY_THREADS, capture_output=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "told", "cleaned up")


def test_an_error_is_told_with_its_traceback() -> None:
    ended = _run(
        "from beam_jobs.command.end_process import end_process\nend_process(lambda: 1 // 0)", capture_output=True
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "ZeroDivisionError" in ended.stderr


def test_what_cannot_be_printed_is_a_failure() -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        assert _run(_SAYS_A_WORD, stdout=full).returncode == 1
