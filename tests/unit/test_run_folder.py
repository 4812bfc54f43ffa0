"""Where a run keeps what is unfinished."""

import pytest

from beam_jobs.run_folder import run_folder
from transforms.output import LocalOutput
from transforms.publish import OutputError


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
