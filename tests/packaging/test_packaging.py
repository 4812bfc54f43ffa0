"""What is shipped: the sdist that Beam would build for its workers, and the wheel, in an environment of its own."""

import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile

import pytest

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_PACKAGES = ("beam_jobs", "schemas", "transforms")
_SOURCES = (*_PACKAGES, "docs", "tests", ".ci")
_ELSEWHERE = ("photobeam.egg-info", "build", "dist", "__pycache__")


def _run(*command: object, cwd: pathlib.Path) -> str:
    environment = {n: v for n, v in os.environ.items() if n != "PYTHONPATH" and not n.startswith("COVERAGE")}
    done = subprocess.run([str(c) for c in command], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> pathlib.Path:
    """The folder of an sdist, built as Beam builds it, and of the wheel made from that sdist alone."""
    source = tmp_path_factory.mktemp("source")
    for path in _ROOT.iterdir():
        if path.is_file() and not path.name.startswith(".coverage"):
            shutil.copy(path, source)
    for name in _SOURCES:
        if (_ROOT / name).is_dir():
            shutil.copytree(_ROOT / name, source / name, ignore=shutil.ignore_patterns(*_ELSEWHERE))
    out = tmp_path_factory.mktemp("built")
    _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, cwd=source)
    return out


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory) -> pathlib.Path:
    """The programs of a new environment that holds the wheel, and sees this one's dependencies."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    programs = folder / "bin"
    (wheel,) = built.glob("*.whl")
    _run(sys.executable, "-m", "pip", "--python", programs / "python", "install", "--no-deps", "--no-index", wheel,
         cwd=folder)  # fmt: skip
    site = sysconfig.get_path("purelib", vars={"base": str(folder)})
    (pathlib.Path(site) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return programs


def _modules(package: str) -> set[str]:
    return {path.relative_to(_ROOT).as_posix() for path in (_ROOT / package).rglob("*.py")}


def test_the_wheel_holds_the_packages_and_nothing_else(built):
    (wheel,) = built.glob("*.whl")
    names = {n for n in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in n}
    wanted = set().union(*(_modules(p) for p in _PACKAGES)) | {f"{p}/py.typed" for p in _PACKAGES}
    assert names == wanted
    assert len(names) > 30


def test_the_sdist_holds_licence_and_docs_but_no_tests(built):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    assert {"LICENSE", "README.md", "CHANGELOG.md", "docs/format.md", "setup.py", "beam_jobs/cli.py"} <= names
    assert not [n for n in names if n.startswith(("tests", ".ci"))]


def test_the_licence_is_in_the_wheel(built):
    (wheel,) = built.glob("*.whl")
    assert [n for n in zipfile.ZipFile(wheel).namelist() if n.endswith("/LICENSE")]


def test_it_runs_where_it_is_installed(installed, tmp_path):
    usage = _run(installed / "photobeam", "--help", cwd=tmp_path)
    assert "build" in usage
    for command in ("build", "join", "verify", "demo"):
        assert "usage: photobeam " + command in _run(installed / "photobeam", command, "--help", cwd=tmp_path)


def test_the_packages_are_imported_from_there(installed, tmp_path):
    code = (
        "import importlib.metadata as m, beam_jobs, schemas, transforms\n"
        "print({p: sorted(set(m.packages_distributions()[p])) for p in ('beam_jobs', 'schemas', 'transforms')})\n"
        "print([p.__file__ for p in (beam_jobs, schemas, transforms)])"
    )
    distributions, files = _run(installed / "python", "-c", code, cwd=tmp_path).splitlines()
    assert distributions == str({p: ["photobeam"] for p in _PACKAGES})
    assert all(str(installed.parent) in file for file in files.split(","))
