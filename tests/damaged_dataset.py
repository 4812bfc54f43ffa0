"""A small dataset as `build` makes it, ways to damage each of its files, and what a repair of these may change."""

import contextlib
import pathlib
import random
import shutil
import typing

import pyarrow.parquet as pq

from beam_jobs import build_dataset, check_dataset
from schemas import layout
from schemas.records import Manifest
from tests.fault_server import Answer, FaultServer
from tests.jobs.conftest import picture, write_lines
from tests.yfcc_corpus import dataset_line, mirror_path
from transforms.verify.verify_dataset import verify

PHOTOS, SHARDS = 24, 3
OF_SHARD = {
    "tar": layout.tar_file,
    "sidecar": layout.sidecar_file,
    "idx": layout.idx_file,
    "failures": layout.failures_file,
    "rows": layout.rows_file,
    "commit": layout.commit_file,
}
OF_DATASET = {
    "index": layout.SHARD_INDEX,
    "manifest": layout.MANIFEST,
    "plan": layout.PLAN,
    "input failures": layout.INPUT_FAILURES,
}
HOWS = ("deleted", "truncated", "emptied", "flipped")
FLAGS = ("--workers=1", "--progress=none")


class Damage(typing.NamedTuple):
    """What happens to one file.

    Attributes:
        kind: of the file, a key of :data:`OF_SHARD` or :data:`OF_DATASET`.
        shard: whose file it is; of no account if it is of none.
        how: one of :data:`HOWS`, or ``swapped``: with that of the next shard.
        at: where a bit is flipped or the file is cut, as a share of its bytes.
    """

    kind: str
    shard: int
    how: str
    at: float = 0.5

    @property
    def files(self) -> list[str]:
        """The damaged files."""
        if self.kind in OF_DATASET:
            return [OF_DATASET[self.kind]]
        return [OF_SHARD[self.kind](shard) for shard in self.shards]

    @property
    def shards(self) -> list[int]:
        """The shards they are of."""
        if self.kind in OF_DATASET:
            return []
        return [self.shard, self.shard + 1] if self.how == "swapped" else [self.shard]

    @property
    def changed(self) -> set[str]:
        """The files that a repair writes."""
        has_new_commit = self.kind in ("tar", "sidecar", "idx", "failures")
        return {*self.files, *(layout.commit_file(shard) for shard in self.shards if has_new_commit)}


class Corpus(typing.NamedTuple):
    """A built dataset, which is only to be copied, and what it was built from."""

    source: pathlib.Path
    output: pathlib.Path
    lines: list[str]
    mirror: FaultServer

    def photos_of(self, table: str) -> set[str]:
        """What is asked of the mirror to get the photos of one of the dataset's tables."""
        ids = set(pq.read_table(self.output / table)["photo_id"].to_pylist())
        return {mirror_path(line) for line in self.lines if int(line.split("\t")[1]) in ids}

    def photos_lost_by(self, damage: Damage) -> set[str]:
        """What a repair asks for: photos whose image, or whose failure, is lost."""
        lost_table = {"tar": layout.sidecar_file, "sidecar": layout.sidecar_file, "failures": layout.failures_file}
        table = lost_table.get(damage.kind)
        return {path for shard in damage.shards for path in self.photos_of(table(shard))} if table else set()


@contextlib.contextmanager
def built_corpus(folder: pathlib.Path) -> typing.Iterator[Corpus]:
    """Builds a dataset of three shards, each with samples and failures, from lines of which one is malformed."""
    rnd = random.Random(6)
    lines = [dataset_line(i, 10_000 + 7 * i, rnd) for i in range(PHOTOS)]
    source = write_lines(folder / "in" / "yfcc100m_dataset", [*lines, "malformed\tline"])
    with FaultServer() as mirror:
        for i, line in enumerate(lines):
            if i % 5:
                mirror.answers[mirror_path(line)] = Answer(picture(i))
        arguments = ["--yfcc", str(source), f"--mirror=yfcc={mirror.url}", "--output", str(folder / "out"), *FLAGS]
        assert build_dataset.main([*arguments, "--samples_per_shard=8", "--image_size=32,16", "--retries=0"]) == 0
        assert len(list((folder / "out" / "commits").iterdir())) == SHARDS
        yield Corpus(source, folder / "out", lines, mirror)


def repair(output: pathlib.Path, *flags: str) -> int:
    """Runs the command; returns its exit code."""
    return check_dataset.main([str(output), "--repair", *FLAGS, *flags])


def inflict(root: pathlib.Path, damage: Damage) -> None:
    """Damages a dataset."""
    path = root / damage.files[0]
    data = bytearray(path.read_bytes())
    position = min(len(data) - 1, int(len(data) * damage.at))
    if damage.how == "deleted":
        path.unlink()
    elif damage.how == "truncated":
        path.write_bytes(data[:position])
    elif damage.how == "emptied":
        path.write_bytes(b"")
    elif damage.how == "swapped":
        other = root / damage.files[1]
        path.write_bytes(other.read_bytes())
        other.write_bytes(data)
    else:
        data[position] ^= 4
        path.write_bytes(data)


def check_healing(corpus: Corpus, copy: pathlib.Path, damages: typing.Sequence[Damage]) -> None:
    """Copies the dataset, damages the copy, and checks that the damage is found, and healed as far as it goes.

    Args:
        corpus: the dataset.
        copy: where the copy goes; must not exist.
        damages: of different files.
    """
    shutil.copytree(corpus.output, copy)
    before = stamps(copy)
    for damage in damages:
        inflict(copy, damage)
    corpus.mirror.asked.clear()
    found = {fault.file for fault in verify(str(copy)).faults}
    unfound = {name for damage in damages for name in damage.files} - found
    assert unfound == set(), unfound
    assert repair(copy) == 0
    assert data_of(copy) == data_of(corpus.output)
    assert root_hash(copy) == root_hash(corpus.output)
    assert {name for name, stamp in stamps(copy).items() if before[name] != stamp} == {
        name for damage in damages for name in damage.changed
    }
    assert set(corpus.mirror.asked) == {path for damage in damages for path in corpus.photos_lost_by(damage)}


def data_of(output: pathlib.Path) -> dict[str, bytes]:
    """All files but the manifest, which says when it was written, and logs."""
    folders = ("rows", "shards", "failures", "commits")
    paths = [output / layout.PLAN, *(p for f in folders for p in (output / f).iterdir())]
    return {str(p.relative_to(output)): p.read_bytes() for p in paths}


def root_hash(output: pathlib.Path) -> str:
    """The hash of all data files, by the manifest."""
    return Manifest.from_json((output / layout.MANIFEST).read_bytes(), layout.MANIFEST).root_hash


def stamps(output: pathlib.Path) -> dict[str, tuple[int, int]]:
    """What shows that a file of the dataset was written, even with the same bytes."""
    found = {str(p.relative_to(output)): p.stat() for p in output.rglob("*") if p.is_file()}
    return {n: (s.st_ino, s.st_mtime_ns) for n, s in found.items() if not n.startswith(("_tmp", "log"))}
