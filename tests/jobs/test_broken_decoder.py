"""A decoder that crashes, hangs or is killed: a photo, some seconds or the run is lost, and never anything else."""

import functools
import pathlib
import re
import tarfile

import pyarrow.parquet as pq
import pytest

from beam_jobs import check_dataset
from beam_jobs.building import graph
from tests.broken_decoder import HANG, KILL, SEGFAULT
from tests.fault_server import Answer, FaultServer
from tests.jobs.conftest import picture, write_lines
from tests.jobs.test_build_yfcc import build, data_hashes, manifest_of
from tests.worker_processes import worker_processes
from tests.yfcc_corpus import mirror_path
from transforms.building.shard_config import ShardConfig

ROOT = pathlib.Path(__file__).resolve().parents[2]
CUSTOMIZE = "import sys\nif 'from multiprocessing' in ' '.join(sys.orig_argv):\n    import tests.broken_decoder\n"


@pytest.fixture
def break_decoders(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """From now on the decoders of new worker processes break, and have a second of CPU for a photo."""
    folder = tmp_path_factory.mktemp("customize")
    (folder / "sitecustomize.py").write_text(CUSTOMIZE)
    monkeypatch.setenv("PYTHONPATH", f"{folder}:{ROOT}")
    monkeypatch.setattr(graph, "ShardConfig", functools.partial(ShardConfig, decode_limit_s=1.0))
    request.getfixturevalue("fresh_workers")


def samples(output: pathlib.Path) -> dict[str, bytes]:
    found = {}
    for path in sorted(output.glob("shards/*.tar")):
        with tarfile.open(path) as tar:
            found |= {member.name: tar.extractfile(member).read() for member in tar if member.name.endswith(".jpg")}
    return found


def failed(output: pathlib.Path) -> dict[int, tuple[str, str, str]]:
    rows = [row for path in output.glob("failures/0*.parquet") for row in pq.read_table(path).to_pylist()]
    return {row["photo_id"]: (row["reason"], row["stage"], row["detail"]) for row in rows}


def test_a_photo_that_ends_its_decoder_is_corrupt_and_the_others_are_as_ever(
    tmp_path: pathlib.Path,
    lines: list[str],
    mirror: FaultServer,
    request: pytest.FixtureRequest,
) -> None:
    broken = {5: SEGFAULT, 17: HANG}
    for number, mark in broken.items():
        mirror.answers[mirror_path(lines[number])] = Answer(picture(number) + mark)
    source = write_lines(tmp_path / "in", lines[:40])
    assert build(source, mirror, tmp_path / "whole", "--workers", 2) == 0
    request.getfixturevalue("break_decoders")
    assert build(source, mirror, tmp_path / "a", "--workers", 2) == 0
    assert build(source, mirror, tmp_path / "b", "--workers", 1) == 0
    assert not worker_processes()

    ids = {int(lines[number].split("\t")[1]): number for number in broken}
    details = {SEGFAULT: "the decoder crashed", HANG: "decoding took more than 1 s of CPU"}
    lost = {photo_id: ("corrupt_image", "decode", details[broken[number]]) for photo_id, number in ids.items()}
    assert failed(tmp_path / "a") == failed(tmp_path / "whole") | lost
    expected = {n: data for n, data in samples(tmp_path / "whole").items() if int(n.split(".")[0]) not in ids}
    assert samples(tmp_path / "a") == expected
    assert len(expected) == 34
    assert data_hashes(tmp_path / "a") == data_hashes(tmp_path / "b")
    assert manifest_of(tmp_path / "a").totals.failed == 6
    assert check_dataset.main([str(tmp_path / "a")]) == 0


@pytest.mark.usefixtures("break_decoders")
def test_a_decoder_that_is_killed_ends_the_run(
    tmp_path: pathlib.Path, lines: list[str], mirror: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    mirror.answers[mirror_path(lines[5])] = Answer(picture(5) + KILL)
    assert build(write_lines(tmp_path / "in", lines), mirror, tmp_path / "out", "--workers", 1) == 1
    shown = capsys.readouterr().err
    assert re.search(r"worker process \d+ was ended by SIGKILL at work on shard 00000\d \(if memory", shown)
    assert "the command goes on from there" in shown
    assert "Traceback" not in shown
    assert not worker_processes()
