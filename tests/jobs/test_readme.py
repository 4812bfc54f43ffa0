"""What the README says is run: the demo once, every Python snippet on its dataset, every command of photobeam."""

import functools
import os
import pathlib
import re
import shlex
import subprocess
import sys
import types
import typing
import zipfile

import pytest

from beam_jobs import build_dataset, cli, demo
from beam_jobs.command.errors import JobError, UsageError
from beam_jobs.demo_data.demo_corpus import MIRROR, PACKS, write_corpus
from beam_jobs.demo_data.demo_server import serve
from tests.jobs.conftest import picture
from tests.onnx_models import small_cnn
from tests.source_files import write_four_sources
from tests.store_servers import S3Server

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_README = (_ROOT / "README.md").read_text("utf-8")
_DEMO = "photobeam-demo"
_FRESH_CLONE = "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/photobeam demo"
_ALL_TESTS = "tests/run"


class DemoRun(typing.NamedTuple):
    """The folder in which the demo ran, and what it wrote."""

    folder: pathlib.Path
    text: str


def _blocks(language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```$", _README, re.MULTILINE | re.DOTALL)
    assert found, f"the README has no {language} block"
    return found


def _commands() -> list[str]:
    lines = "".join(_blocks("bash")).replace("\\\n", " ").splitlines()
    assert {_FRESH_CLONE, _ALL_TESTS} <= set(lines)
    return [line for line in lines if line not in (_FRESH_CLONE, _ALL_TESTS)]


@pytest.fixture(scope="session")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> DemoRun:
    folder = tmp_path_factory.mktemp("demo")
    environment = {**os.environ, "PYTHONPATH": str(_ROOT), "PYTHONUTF8": "1", "COLUMNS": "80"}
    command = [sys.executable, "-m", "beam_jobs.cli", "demo"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
    return DemoRun(folder, done.stdout)


def _without_what_varies(text: str) -> list[str]:
    text = re.sub(rf"/\S*/{_DEMO}", _DEMO, text)
    text = re.sub(r"[\d,]+ images/s|[\d.]+ s for|[\d,]+ bytes", "#", text)
    return [line.rstrip() for line in text.strip().splitlines()]


def test_the_readme_shows_what_the_demo_writes(demo_run: DemoRun) -> None:
    assert _without_what_varies(_blocks("text")[0]) == _without_what_varies(demo_run.text)


@pytest.mark.parametrize("snippet", _blocks("python"), ids=lambda s: s.splitlines()[0])
def test_python_snippets_run_on_the_demo(
    snippet: str, demo_run: DemoRun, monkeypatch: pytest.MonkeyPatch, wids: types.ModuleType
) -> None:
    monkeypatch.chdir(demo_run.folder)
    monkeypatch.setitem(sys.modules, "wids", wids)
    exec(compile(snippet, "README.md", "exec"), {})


def _write_other_sources(folder: pathlib.Path, mirror: pathlib.Path) -> None:
    """Writes annotations and images under the names that the README uses, and a mirror of everything."""
    sources = write_four_sources(folder / "sources")
    names = {"coco": "annotations", "open_images": "open_images", "flickr8k": "Flickr8k_text"}
    for source, name in names.items():
        sources[source].rename(folder / name)
    (folder / MIRROR).mkdir()
    (folder / MIRROR / "data").symlink_to(mirror / "data")
    (folder / MIRROR / "train").mkdir()
    for photo in range(1000, 1050):
        (folder / MIRROR / f"train/{photo * 7919:016x}.jpg").write_bytes(picture(photo))
    with zipfile.ZipFile(folder / "train2017.zip", "w") as archive:
        for photo in range(1000, 1045):
            archive.writestr(f"train2017/{photo - 900:012d}.jpg", picture(photo))
    with zipfile.ZipFile(folder / "Flickr8k_Dataset.zip", "w") as archive:
        for photo in range(1000, 1055):
            archive.writestr(f"Flicker8k_Dataset/{photo}_693b08cb0e.jpg", picture(photo))


def _put_into_bucket(s3: S3Server, path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.put("my-photos", {path.name: path.read_bytes()})
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.secret)


@pytest.mark.usefixtures("no_credentials")
def test_commands_run_in_the_order_of_the_readme(
    demo_run: DemoRun,
    tmp_path: pathlib.Path,
    s3: S3Server,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    corpus = demo_run.folder / _DEMO / demo.CORPUS
    (tmp_path / "packs").symlink_to(corpus / PACKS)
    _write_other_sources(tmp_path, corpus / MIRROR)
    (tmp_path / "inception_v3.onnx").write_bytes(small_cnn(with_map=False))
    (tmp_path / "withdrawn.txt").write_text("12345 # asked for by its owner\n")
    (tmp_path / "glove.6B.300d.txt").write_text("a 0.5 -1\ndog 1 2\n")
    ran = set()
    _put_into_bucket(s3, tmp_path / "train2017.zip", monkeypatch)
    with serve(tmp_path / MIRROR) as url:
        for line in _commands():
            program, command, *flags = shlex.split(line)
            mirrors = [f"--mirror={source}={url}" for source in ("yfcc", "coco", "open_images")]
            mirror = mirrors if command in ("build", "doctor") else []
            assert program == "photobeam"
            assert cli.main([command, *flags, *mirror]) == 0, line + capsys.readouterr().err
            ran.add(command)
    assert ran == {"build", "diff", "doctor", "export", "features", "join", "reprocess", "show", "text", "verify"}


def test_the_command_for_a_fresh_clone_names_what_setup_installs() -> None:
    setup = (_ROOT / "setup.py").read_text("utf-8")
    assert '"photobeam = beam_jobs.cli:run_as_process"' in setup
    assert 'python_requires=">=3.10"' in setup
    assert "demo" in cli.COMMANDS


def test_the_table_of_flags_is_complete() -> None:
    table = dict(re.findall(r"^\| `--(\w+)[^`]*` \| (.*) \|$", _README, re.MULTILINE))
    parser = build_dataset.make_parser()
    actions = {a.dest: a for a in parser._actions if a.dest != "help"}
    assert sorted(table) == sorted([*actions, "config"])
    for name, action in actions.items():
        if action.default not in (None, "", False) and action.default != [] and name != "workers":
            assert table[name].endswith(f"({action.default})"), name


def test_links_lead_to_files() -> None:
    links = re.findall(r"\]\(([^)#]+)", _README)
    assert links
    assert [link for link in links if not (_ROOT / link).is_file()] == []


@pytest.fixture
def small_corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "write_corpus", functools.partial(write_corpus, photos=60, seed=3))


@pytest.mark.usefixtures("small_corpus")
def test_a_second_demo_gives_the_same(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / _DEMO
    assert demo.main(["--output", str(folder)]) == 0
    first = {p: p.read_bytes() for p in sorted(folder.glob("*/shards/*"))}
    assert demo.main(["--output", str(folder)]) == 0
    assert first == {p: p.read_bytes() for p in sorted(folder.glob("*/shards/*"))} != {}


def test_a_demo_that_finds_something_else_fails(demo_run: DemoRun, monkeypatch: pytest.MonkeyPatch) -> None:
    results = demo.collect(demo_run.folder / _DEMO / demo.DATASET)
    wrong = results.found._replace(collapsed=2)
    for name, value in (("write_corpus", wrong), ("_build", 0), ("_verify", 0)):
        monkeypatch.setattr(demo, name, lambda *_, value=value: value)
    with pytest.raises(JobError, match="does not hold what was planted"):
        demo.run(demo_run.folder / _DEMO)


@pytest.mark.parametrize("foreign", ["thesis.txt", "corpus/thesis.txt", "dataset/thesis.txt"])
def test_a_foreign_folder_is_left_alone(foreign: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / foreign).parent.mkdir(exist_ok=True)
    (tmp_path / foreign).write_text("mine")
    with pytest.raises(UsageError, match=r"holds something else \(thesis.txt\)"):
        demo.run(tmp_path)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [tmp_path / foreign]
