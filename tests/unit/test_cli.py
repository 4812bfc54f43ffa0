"""The command `photobeam` itself: what it says before any command of its runs."""

import importlib
import re

import pytest

from beam_jobs import cli
from beam_jobs.command.versions import SOFTWARE


def test_help_lists_every_command(capsys):
    assert cli.main(["--help"]) == 0
    told = capsys.readouterr().out
    assert all(re.search(rf"^  {name} ", told, re.MULTILINE) for name in cli.COMMANDS)
    assert cli.main([]) == 2
    assert capsys.readouterr().out == told


def test_every_command_has_its_module():
    assert all(callable(importlib.import_module(f"beam_jobs.{module}").main) for module, _ in cli.COMMANDS.values())


def test_version_names_what_decides_on_the_bytes(capsys):
    assert cli.main(["--version"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names == [*SOFTWARE, "python"]


@pytest.mark.parametrize(
    "flags",
    [
        ["build", "--output=out", "--yfcc", "http://me:S3KR3T@127.0.0.1:1/y.bz2"],
        ["build", "--output=out", "--yfcc=gone", "--mirror=yfcc=ftp://me:S3KR3Tp@ss@127.0.0.1:1"],
        ["verify", "http://127.0.0.1:1/?api_key=S3KR3T"],
    ],
)
def test_no_message_shows_a_password(flags, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(flags) == 2
    told = capsys.readouterr().err
    assert "127.0.0.1" in told
    assert "S3KR3T" not in told


@pytest.mark.parametrize(("typed", "hint"), [("biuld", "; did you mean build?"), ("xyzzy", "")])
def test_an_unknown_command_is_refused(typed, hint, capsys):
    assert cli.main([typed]) == 2
    assert capsys.readouterr().err == f"photobeam: unknown command {typed}{hint}\n"
