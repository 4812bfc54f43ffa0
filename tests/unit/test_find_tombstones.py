"""Photos that were taken down are known as long as plan or manifest is whole, and never forgotten in silence."""

import contextlib
import dataclasses
import json
import pathlib
import shutil

import pytest

from beam_jobs import reprocess_dataset
from beam_jobs.command.errors import UsageError
from beam_jobs.outputs.find_tombstones import find_tombstones
from beam_jobs.outputs.output_state import Standing, begin
from schemas import layout
from schemas.records import Manifest, Plan, Tombstone
from tests.factories import make_dataset
from transforms.stores.output import LocalOutput


@pytest.fixture
def output(tmp_path: pathlib.Path) -> LocalOutput:
    root = make_dataset(tmp_path / "data")
    (tmp_path / "ids").write_text("12345\n")
    assert reprocess_dataset.main([str(root), f"--take_down={tmp_path / 'ids'}", "--workers=1"]) == 0
    return LocalOutput(root)


def ids(output: LocalOutput) -> list[int]:
    return [tombstone.photo_id for tombstone in find_tombstones(output)]


@pytest.mark.parametrize("data", [None, b"", b"{}"])
def test_where_the_plan_is_lost_the_manifest_lists_them(output: LocalOutput, data: bytes | None) -> None:
    output.remove(layout.PLAN)
    if data is not None:
        output.write(layout.PLAN, data)
    assert ids(output) == [12345]


def test_a_plan_of_another_version_lists_them_too(output: LocalOutput) -> None:
    body = {**json.loads(output.read(layout.PLAN)), "format_version": 99}
    output.write(layout.PLAN, json.dumps(body).encode())
    assert ids(output) == [12345]
    output.write(layout.PLAN, json.dumps({**body, "tombstones": {"12345": "2026-01-01"}}).encode())
    with pytest.raises(UsageError, match="nothing else tells"):
        find_tombstones(output)


@pytest.mark.parametrize("how", ["lost", "damaged", "of before the list", "of before a take-down that died"])
def test_without_either_nothing_begins_as_long_as_there_are_rows(output: LocalOutput, how: str) -> None:
    output.remove(layout.PLAN)
    manifest = Manifest.from_json(output.read(layout.MANIFEST), layout.MANIFEST)
    if how == "lost":
        output.remove(layout.MANIFEST)
    elif how == "damaged":
        output.write(layout.MANIFEST, b"{}")
    elif how == "of before the list":
        output.write(layout.MANIFEST, dataclasses.replace(manifest, tombstones=[]).to_json())
    else:
        output.write(layout.REWRITES_BEGUN, b"\n")
    with pytest.raises(UsageError, match="If none ever were, remove it, manifest.json and rows/"):
        find_tombstones(output)
    output.remove(layout.MANIFEST)
    output.remove_tree("rows")
    assert ids(output) == []


def test_whenever_an_overwriting_run_dies_they_are_known(
    tmp_path: pathlib.Path, output: LocalOutput, monkeypatch: pytest.MonkeyPatch
) -> None:
    output.remove(layout.PLAN)
    plan = Plan({}, {}, [], shards=7, tombstones=[Tombstone(12345, "2026-01-01")])
    for step in range(20):
        copy, left = LocalOutput(shutil.copytree(output.path, tmp_path / str(step))), step

        def dying() -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise KeyboardInterrupt

        monkeypatch.setattr(copy, "check_held", dying)
        with contextlib.suppress(KeyboardInterrupt):
            begin(copy, Standing(plan, None, {}, False), overwrite=True)
        assert ids(copy) == [12345], step
        if left >= 0:
            break
    assert Plan.from_json(copy.read(layout.PLAN), layout.PLAN) == plan
