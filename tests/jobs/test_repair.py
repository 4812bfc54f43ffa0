"""`photobeam verify --repair`: every kind of damage to every kind of file is found, healed, and heals nothing else."""

import collections.abc
import dataclasses
import json
import pathlib
import random
import shutil
import typing

import pyarrow.parquet as pq
import pytest

from beam_jobs import build_dataset, check_dataset, join_metadata
from schemas import layout
from schemas.records import Manifest, Plan
from tests.fault_server import Answer, FaultServer
from tests.jobs.conftest import picture, write_lines
from tests.yfcc_corpus import dataset_line, mirror_path
from transforms.intents import replace_shard

PHOTOS, SHARDS = 24, 3
TAR, SIDECAR, IDX = layout.tar_file(1), layout.sidecar_file(1), layout.idx_file(1)
ROWS, FAILURES, COMMIT = layout.rows_file(1), layout.failures_file(1), layout.commit_file(1)
OF_SHARD = (TAR, SIDECAR, IDX, ROWS, FAILURES, COMMIT)
OF_DATASET = (layout.SHARD_INDEX, layout.MANIFEST, layout.PLAN, layout.INPUT_FAILURES)
FLAGS = ("--workers=1", "--progress=none")

Damage = collections.abc.Callable[[pathlib.Path], None]


class Corpus(typing.NamedTuple):
    """A built dataset, which is only to be copied, and what it was built from."""

    source: pathlib.Path
    output: pathlib.Path
    lines: list[str]
    mirror: FaultServer


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> typing.Iterator[Corpus]:
    folder, rnd = tmp_path_factory.mktemp("corpus"), random.Random(6)
    lines = [dataset_line(i, 10_000 + 7 * i, rnd) for i in range(PHOTOS)]
    source = write_lines(folder / "in" / "yfcc100m_dataset", [*lines, "malformed\tline"])
    with FaultServer() as mirror:
        for i, line in enumerate(lines):
            if i % 5:
                mirror.answers[mirror_path(line)] = Answer(picture(i))
        arguments = ["--yfcc", str(source), f"--mirror=yfcc={mirror.url}", "--output", str(folder / "out"), *FLAGS]
        assert build_dataset.main([*arguments, "--samples_per_shard=8", "--image_size=32,16", "--retries=0"]) == 0
        yield Corpus(source, folder / "out", lines, mirror)


@pytest.fixture
def dataset(corpus: Corpus, tmp_path: pathlib.Path) -> pathlib.Path:
    """A copy that may be damaged; nothing has been asked of the mirror since it was made."""
    corpus.mirror.asked.clear()
    return pathlib.Path(shutil.copytree(corpus.output, tmp_path / "out"))


def repair(output: pathlib.Path, *flags: str) -> int:
    return check_dataset.main([str(output), "--repair", *FLAGS, *flags])


def data_of(output: pathlib.Path) -> dict[str, bytes]:
    """All files but the manifest, which says when it was written, and logs."""
    folders = ("rows", "shards", "failures", "commits")
    paths = [output / layout.PLAN, *(p for f in folders for p in (output / f).iterdir())]
    return {str(p.relative_to(output)): p.read_bytes() for p in paths}


def stamps(output: pathlib.Path) -> dict[str, tuple[int, int]]:
    found = {str(p.relative_to(output)): p.stat() for p in output.rglob("*") if p.is_file()}
    return {n: (s.st_ino, s.st_mtime_ns) for n, s in found.items() if not n.startswith(("_tmp", "log"))}


def root_hash(output: pathlib.Path) -> str:
    return Manifest.from_json((output / layout.MANIFEST).read_bytes(), "manifest.json").root_hash


def photos_of(corpus: Corpus, shard: int, name: typing.Callable[[int], str] = layout.rows_file) -> set[str]:
    """The paths that are asked for to get the photos of one of a shard's tables."""
    ids = set(pq.read_table(corpus.output / name(shard))["photo_id"].to_pylist())
    return {mirror_path(line) for line in corpus.lines if int(line.split("\t")[1]) in ids}


def damage(root: pathlib.Path, name: str, how: str) -> set[str]:
    """Damages a file; returns the names of all that are damaged."""
    path = root / name
    data = bytearray(path.read_bytes())
    if how == "deleted":
        path.unlink()
    elif how == "truncated":
        path.write_bytes(data[: len(data) * 2 // 3])
    elif how == "emptied":
        path.write_bytes(b"")
    elif how == "swapped":
        other = root / name.replace("000001", "000000")
        path.write_bytes(other.read_bytes())
        other.write_bytes(data)
        return {name, str(other.relative_to(root))}
    else:
        for position in (0, len(data) // 3, len(data) // 2, len(data) - 1):
            flipped = bytearray(data)
            flipped[position] ^= 4
            path.write_bytes(flipped)
            if position != len(data) // 2:
                assert how != "flipped" or name in faults(root), position
        data[len(data) // 2] ^= 4
        path.write_bytes(data)
    return {name}


def faults(root: pathlib.Path) -> dict[str, str]:
    from transforms.verify_dataset import verify

    return {fault.file: fault.remedy for fault in verify(str(root)).faults}


def shards_of(names: typing.Iterable[str]) -> set[int | None]:
    return {layout.shard_of(name) for name in names} - {None}


CASES = [
    *((name, how) for name in OF_SHARD for how in ("deleted", "truncated", "emptied", "flipped", "swapped")),
    *((name, how) for name in OF_DATASET for how in ("deleted", "truncated", "emptied", "flipped")),
]


@pytest.mark.parametrize(("name", "how"), CASES)
def test_every_damage_is_found_and_healed(corpus: Corpus, dataset: pathlib.Path, name: str, how: str) -> None:
    before = stamps(dataset)
    damaged = damage(dataset, name, how)
    assert damaged <= faults(dataset).keys()
    assert repair(dataset) == 0
    assert data_of(dataset) == data_of(corpus.output)
    assert root_hash(dataset) == root_hash(corpus.output)
    after, own = stamps(dataset), shards_of(damaged)
    changed = {file for file, stamp in after.items() if before.get(file) != stamp}
    assert changed >= damaged
    assert {file for file in changed - damaged if layout.shard_of(file) not in own} == set()
    asked = set(corpus.mirror.asked)
    if name in (TAR, SIDECAR):
        expected = {path for shard in own if shard is not None for path in photos_of(corpus, shard, layout.sidecar_file)}
        assert asked == expected
    elif name == FAILURES:
        expected = {path for shard in own if shard is not None for path in photos_of(corpus, shard, name_of_failures)}
        assert asked == expected
    else:
        assert asked == set()


def name_of_failures(shard: int) -> str:
    return layout.failures_file(shard)


def test_a_whole_dataset_is_left_alone(
    corpus: Corpus, dataset: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = stamps(dataset)
    assert repair(dataset) == 0
    assert stamps(dataset) == before
    assert corpus.mirror.asked == []
    assert capsys.readouterr().out.startswith("no fault in 3 shards: 24 rows = ")
    assert [p.name for p in (dataset / "_tmp").iterdir()] == ["lease.json"]


def test_many_damages_are_healed_at_once(corpus: Corpus, dataset: pathlib.Path) -> None:
    damage(dataset, layout.tar_file(0), "deleted")
    damage(dataset, layout.commit_file(0), "deleted")
    damage(dataset, ROWS, "emptied")
    damage(dataset, IDX, "truncated")
    damage(dataset, layout.failures_file(2), "flipped")
    for name in (layout.PLAN, layout.SHARD_INDEX, layout.INPUT_FAILURES, layout.commit_file(2)):
        damage(dataset, name, "emptied")
    assert repair(dataset) == 0
    assert data_of(dataset) == data_of(corpus.output)
    assert root_hash(dataset) == root_hash(corpus.output)
    assert set(corpus.mirror.asked) == photos_of(corpus, 0, layout.sidecar_file) | photos_of(corpus, 2, name_of_failures)
