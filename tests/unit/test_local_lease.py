"""A run whose output another one has taken over writes nothing more, wherever its workers are."""

import pathlib
import pickle

import pytest

from transforms.stores.lease import hold_output
from transforms.stores.output import LeaseLostError, LocalOutput


def test_workers_of_a_dead_run_write_nothing_once_another_run_has_begun(tmp_path: pathlib.Path) -> None:
    output = LocalOutput(tmp_path / "out")
    with hold_output(output):
        worker = pickle.loads(pickle.dumps(output))
        worker.write("plan.json", b"ours")
    with hold_output(LocalOutput(tmp_path / "out")):
        with pytest.raises(LeaseLostError, match="another run has taken it over"):
            worker.write("plan.json", b"late")
        for late in (worker.remove, worker.remove_tree):
            with pytest.raises(LeaseLostError):
                late("plan.json")
    assert output.read("plan.json") == b"ours"
    assert list((tmp_path / "out" / "_tmp").iterdir()) == [tmp_path / "out" / "_tmp" / "lease.json"]


def test_who_gave_it_back_may_hold_it_again(tmp_path: pathlib.Path) -> None:
    output = LocalOutput(tmp_path / "out")
    for content in (b"1", b"2"):
        with hold_output(output):
            output.write("plan.json", content)
    output.write("plan.json", b"3")
