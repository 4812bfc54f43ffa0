"""A command's exit code reaches whoever called it, whatever its process is still about."""

import os
import pathlib
import subprocess
import sys
import typing
from subprocess import PIPE

import pytest

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_BUFFERED = {**os.environ, "PYTHONUNBUFFERED": ""}
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

def main():
    sys.stdout.write("word")
    return CODE

end_process(main)
"""


def _run(program: str, **streams: typing.Any) -> "subprocess.CompletedProcess[str]":
    streams = {"stdout": PIPE, "stderr": PIPE, "env": _BUFFERED, **streams}
    return subprocess.run([sys.executable, "-c", program], cwd=_ROOT, text=True, timeout=60, check=False, **streams)


def test_threads_in_native_code_do_not_abort_the_process() -> None:
    ended = _run(_BUSY_THREADS)
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "told", "cleaned up")


def test_an_error_is_told_with_its_traceback() -> None:
    ended = _run("from beam_jobs.command.end_process import end_process\nend_process(lambda: 1 // 0)")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "ZeroDivisionError" in ended.stderr


@pytest.mark.parametrize(("code", "seen"), [(0, 1), (2, 2)])
def test_what_cannot_be_printed_is_a_failure(code: int, seen: int) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        ended = _run(_SAYS_A_WORD.replace("CODE", str(code)), stdout=full)
    assert (ended.returncode, ended.stderr) == (seen, "photobeam: the output: [Errno 28] No space left on device\n")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_enough_is_not_told(unbuffered: str) -> None:
    program = [sys.executable, "-m", "beam_jobs.cli", "--help"]
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with subprocess.Popen(program, cwd=_ROOT, stdout=PIPE, stderr=PIPE, text=True, env=environment) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert (process.stderr.read(), process.wait(60)) == ("", 141)


def test_help_that_cannot_be_printed_is_a_failure() -> None:
    program = [sys.executable, "-m", "beam_jobs.show", "--help"]
    with open("/dev/full", "w", encoding="utf-8") as full:
        assert subprocess.run(program, cwd=_ROOT, stdout=full, stderr=PIPE, env=_BUFFERED, timeout=60).returncode == 1
    assert subprocess.run(program, cwd=_ROOT, stdout=PIPE, env=_BUFFERED, timeout=60).returncode == 0


@pytest.mark.parametrize("streams", [">&-", "2>&-", ">&- 2>&-"])
@pytest.mark.parametrize("code", [0, 3])
def test_closed_streams_are_no_failure(streams: str, code: int) -> None:
    program = [sys.executable, "-c", _SAYS_A_WORD.replace("CODE", str(code))]
    shell = ["sh", "-c", f'"$@" {streams}', "sh", *program]
    assert subprocess.run(shell, cwd=_ROOT, capture_output=True, env=_BUFFERED, timeout=60).returncode == code


def test_full_streams_do_not_hide_the_exit_code() -> None:
    program = [sys.executable, "-c", _SAYS_A_WORD.replace("CODE", "3")]
    shell = ["sh", "-c", '"$@" >/dev/full 2>&1', "sh", *program]
    assert subprocess.run(shell, cwd=_ROOT, env=_BUFFERED, timeout=60).returncode == 3


def test_another_broken_pipe_is_an_error() -> None:
    breaks = "import os\nread, write = os.pipe()\nos.close(read)\n"
    ended = _run(breaks + _SAYS_A_WORD.replace("return CODE", 'os.write(write, b"x")'))
    assert ended.returncode == 1
    assert "BrokenPipeError" in ended.stderr
