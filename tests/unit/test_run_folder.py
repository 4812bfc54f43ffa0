"""Where a run keeps what is unfinished."""

import logging
import multiprocessing
import os

import pytest

from beam_jobs.outputs.run_folder import run_folder
from schemas import layout
from transforms.files.publish import OutputError
from transforms.stores.output import LocalOutput


@pytest.mark.parametrize("inside", [".", "rows", "elsewhere"])
def test_what_a_killed_run_leaves_is_never_foreign_to_the_next(tmp_path, inside):
    with pytest.raises(OutputError, match="lies in"), run_folder(LocalOutput(tmp_path), LocalOutput(tmp_path / inside)):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["out/_tmp/shared", "out2", "temp"])
def test_other_places_are_taken_and_left_as_they_were(tmp_path, place):
    with run_folder(LocalOutput(tmp_path / "out"), LocalOutput(tmp_path / place)) as run:
        with run.scratch.writing("x") as path:
            path.write_bytes(b"x")
        assert run.scratch.exists("x")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def _be_killed(output, temp):
    with run_folder(output, temp, is_shared=True) as run:
        with run.scratch.writing("x") as path:
            path.write_bytes(b"x")
        os._exit(0)


@pytest.fixture
def abandoned(tmp_path):
    """An output, and a place that a run was killed in, beside something else."""
    output, temp = LocalOutput(tmp_path / "out"), LocalOutput(tmp_path / "temp")
    (temp.path / "20261122T000000-0123abcd").mkdir(parents=True)
    run = multiprocessing.get_context("fork").Process(target=_be_killed, args=(output, temp))
    run.start()
    run.join()
    assert len(list(temp.path.rglob("x"))) == 1
    return output, temp


def test_what_a_killed_run_shared_elsewhere_goes_with_the_next_run(abandoned):
    output, temp = abandoned
    output.sweep()
    with run_folder(output, temp):
        assert not list(temp.path.rglob("x"))
    assert [path.name for path in temp.path.iterdir()] == ["20261122T000000-0123abcd"]
    assert output.names(layout.TMP) == []


def test_what_lies_where_this_run_shares_nothing_is_named(abandoned, tmp_path, caplog):
    output, temp = abandoned
    with caplog.at_level(logging.WARNING), run_folder(output, LocalOutput(tmp_path / "temp2")):
        pass
    assert f"{temp}/2" in caplog.text
    assert "a run that has ended shared files there; remove them" in caplog.text
    assert len(list(temp.path.rglob("x"))) == 1
    assert output.names(layout.TMP) == []


def test_a_note_leads_nowhere_else(abandoned):
    output, temp = abandoned
    output.write(f"{layout.SCRATCH_NOTE}..", str(temp).encode())
    with run_folder(output, temp):
        pass
    assert temp.path.exists()
    assert output.names(layout.TMP) == []
