"""The scripts that run all tests, and the plugin that lets none be skipped."""

import os
import pathlib
import subprocess
import sys

import pytest

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_TESTS = """
import pytest

def test_passes(): pass

def test_without_inputs(): pytest.skip("real inputs are not here: data")

@pytest.mark.xfail
def test_fails_as_expected(): assert False

@pytest.mark.skip(reason="slow")
def test_skipped(): pass
"""


def _summary(folder: pathlib.Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments, "test_it.py"]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True).stdout.splitlines()[-1]


@pytest.mark.parametrize("script", ["tests/run", ".ci/run"])
def test_scripts_are_programs_that_bash_understands(script):
    assert os.access(_ROOT / script, os.X_OK)
    subprocess.run(["bash", "-n", script], check=True, cwd=_ROOT)
    assert "set -euo pipefail\n" in (_ROOT / script).read_text()


def test_ci_runs_the_command_of_the_readme():
    assert "tests/run" in (_ROOT / ".ci" / "run").read_text()
    assert "\ntests/run\n" in (_ROOT / "README.md").read_text("utf-8")


def test_only_absent_inputs_excuse_a_test_in_ci(tmp_path):
    (tmp_path / "test_it.py").write_text(_TESTS)
    assert _summary(tmp_path).startswith("1 passed, 2 skipped, 1 xfailed")
    assert _summary(tmp_path, "-p", "tests.no_skips").startswith("1 passed, 1 skipped, 1 xfailed, 1 error")


def test_a_skipped_module_is_an_error_in_ci(tmp_path):
    (tmp_path / "test_it.py").write_text("import pytest\npytest.importorskip('no_such_module')\n")
    assert _summary(tmp_path, "-p", "tests.no_skips").startswith("1 error")
