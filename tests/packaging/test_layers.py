"""Which package may import which, and what no file may say."""

import ast
import pathlib
import re
import subprocess
import sys

import pytest

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_LAYERS = ("schemas", "transforms", "beam_jobs")
_PACKAGES = {
    "transforms": (
        *("files", "workers", "images", "geometry", "fetch", "stores", "places", "sources", "join", "datasets"),
        *("shards", "verify", "compare", "videos", "building", "features", "text", "reprocess", "export"),
    ),
    "beam_jobs": (
        *("command", "outputs", "runners", "building", "diagnosis", "repair", "reprocess", "text", "features"),
        *("export", "demo_data"),
    ),
}
"""Of each layer that has some, from the lowest to the highest."""

_MODULES_OF = {layer: sorted((_ROOT / layer).glob("**/*.py")) for layer in _LAYERS}
_MODULES = [path for paths in _MODULES_OF.values() for path in paths]
_PAGES = [_ROOT / "README.md", _ROOT / "CHANGELOG.md", *sorted((_ROOT / "docs").glob("*.md"))]
_PAGES += sorted((_ROOT / "deploy").glob("**/*.md"))
_MACHINE_PATH = re.compile(r"(?<![\w.])/(?:work|home|root|tmp|Users|mnt)\b/?\S*")


def _imports(path: pathlib.Path) -> set[str]:
    """The modules that a file imports, wherever in it, in full."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def _layers_of(path: pathlib.Path) -> set[str]:
    return {name.split(".")[0] for name in _imports(path)} & {*_LAYERS, "tests"}


@pytest.mark.parametrize("layer", _LAYERS)
def test_a_layer_imports_only_itself_and_those_below(layer):
    allowed = set(_LAYERS[: _LAYERS.index(layer) + 1])
    found = {str(path): _layers_of(path) for path in _MODULES_OF[layer]}
    assert set().union(*found.values()) == allowed, "either nothing was found, or too much"
    assert {name: layers - allowed for name, layers in found.items() if layers - allowed} == {}


@pytest.mark.parametrize("layer", _PACKAGES)
def test_packages_stand_in_one_order(layer):
    """Modules beside the packages, the commands, are above all of them."""
    places = {package: place for place, package in enumerate(_PACKAGES[layer])}
    assert {path.parent.name for path in (_ROOT / layer).glob("*/__init__.py")} == places.keys()
    upwards = {
        f"{path.relative_to(_ROOT)} imports {name}"
        for path in (_ROOT / layer).glob("*/*.py")
        for name in _imports(path)
        if name.startswith(f"{layer}.") and places.get(name.split(".")[1], len(places)) > places[path.parent.name]
    }
    assert upwards == set()


def test_annotations_stay_objects():
    """Beam reads them; as text it takes them all for Any."""
    assert len(_MODULES) > 30
    assert [str(p) for p in _MODULES if "__future__.annotations" in _imports(p)] == []


@pytest.mark.parametrize(
    "module",
    [
        "transforms.building.build_shard",
        "beam_jobs.build_dataset",
        "beam_jobs.check_dataset",
        "beam_jobs.diff_datasets",
        "beam_jobs.doctor",
        "beam_jobs.export_annotations",
        "beam_jobs.extract_features",
        "beam_jobs.reprocess_dataset",
        "beam_jobs.show",
    ],
)
def test_workers_and_what_runs_no_graph_do_without_beam(module):
    code = f"import sys, {module}; assert 'apache_beam' not in sys.modules, '{module} imports Beam'"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=_ROOT)


def test_schemas_do_no_io():
    touching = {"os", "io", "pathlib", "shutil", "socket", "subprocess", "fsspec", "aiohttp", "pyarrow.parquet"}
    assert {str(p): _imports(p) & touching for p in _MODULES_OF["schemas"] if _imports(p) & touching} == {}


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_pages_name_no_path_of_a_machine(page):
    assert _MACHINE_PATH.findall(page.read_text("utf-8")) == []
