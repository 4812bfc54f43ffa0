"""`photobeam build --image_size A,B`: several images of every photo, for others' readers and for a second run."""

import json
import pathlib
import random
import types
import typing

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset

from beam_jobs import check_dataset
from schemas import layout
from schemas.samples import sidecar_schema
from tests.fault_server import FaultServer
from tests.jobs.conftest import write_lines
from tests.jobs.test_build_yfcc import build, data_hashes, manifest_of, plan_of


def _tars(output: pathlib.Path) -> list[str]:
    return sorted(map(str, (output / "shards").glob("*.tar")))


def _samples(output: pathlib.Path) -> list[dict[str, typing.Any]]:
    return list(webdataset.WebDataset(_tars(output), shardshuffle=False))


@pytest.mark.parametrize(("format_", "sizes"), [("jpg", [32, 48]), ("jpg", [36, 20, 44]), ("webp", [32, 20])])
def test_every_reader_sees_every_size_as_in_a_run_of_its_own(
    tmp_path: pathlib.Path,
    lines: list[str],
    mirror: FaultServer,
    wids: types.ModuleType,
    format_: str,
    sizes: list[int],
) -> None:
    source = write_lines(tmp_path / "in", lines[:20])
    flags = ["--format", format_, "--samples_per_shard", 10]
    assert build(source, mirror, tmp_path / "out", *flags, "--image_size", ",".join(map(str, sizes))) == 0
    assert check_dataset.main([str(tmp_path / "out")]) == 0
    names = [format_, *(f"{size}.{format_}" for size in sizes[1:])]
    samples = _samples(tmp_path / "out")
    assert [[n for n in s if not n.startswith("_")] for s in samples] == [[*names, "json", "txt"]] * 18
    for size, name in zip(sizes, names, strict=True):
        build(source, mirror, tmp_path / f"alone-{size}", *flags, "--image_size", size)
        assert [s[name] for s in samples] == [s[format_] for s in _samples(tmp_path / f"alone-{size}")]
    _check_sidecars(tmp_path / "out", samples, names, sizes)
    _check_readers(tmp_path, samples, names, wids)


def _check_sidecars(
    output: pathlib.Path, samples: list[dict[str, typing.Any]], names: list[str], sizes: list[int]
) -> None:
    rows = []
    for tar in _tars(output):
        sidecar = pq.read_table(tar.replace(".tar", ".parquet"))
        assert sidecar.schema.equals(sidecar_schema(sizes[1:]))
        rows += [(row, pathlib.Path(tar).read_bytes()) for row in sidecar.to_pylist()]
    for (row, tar), sample in zip(rows, samples, strict=True):
        for of, name in zip(("", *(f"_{size}" for size in sizes[1:])), names, strict=True):
            offset, size = row[f"image{of}_offset"], row[f"image{of}_bytes"]
            assert tar[offset : offset + size] == sample[name]
        assert [t["size"] for t in json.loads(sample["json"])["transforms"]] == sizes


def _check_readers(
    folder: pathlib.Path, samples: list[dict[str, typing.Any]], names: list[str], wids: types.ModuleType
) -> None:
    """Pictures have the size to which the affine of each size takes the stored one."""
    decoded = list(webdataset.WebDataset(_tars(folder / "out"), shardshuffle=False).decode("pil"))
    for sample in decoded:
        about = sample["json"]
        for name, transform in zip(names, about["transforms"], strict=True):
            a, _, _, _, e, _ = transform["matrix"]
            extent = a * about["original_width"], e * about["original_height"]
            assert sample[name].size == pytest.approx(extent)
        assert sample[names[0]].size == (about["width"], about["height"])
    indexed = wids.ShardListDataset(
        str(folder / "out/shards/index.json"), cache_dir=str(folder / "cache"), keep=True, transformations=[]
    )
    assert len(indexed) == len(samples)
    for place in (0, 9, 17):
        assert {name: indexed[place][f".{name}"].read() for name in names} == {n: samples[place][n] for n in names}


def test_bytes_do_not_depend_on_workers_or_order(tmp_path: pathlib.Path, lines: list[str], mirror: FaultServer) -> None:
    sizes = ["--image_size", "32,48"]
    build(write_lines(tmp_path / "a", lines), mirror, tmp_path / "one", "--workers", 1, *sizes)
    shuffled = random.Random(1).sample(lines, len(lines))
    build(write_lines(tmp_path / "b", shuffled), mirror, tmp_path / "two", "--workers", 2, *sizes)
    assert data_hashes(tmp_path / "one") == data_hashes(tmp_path / "two")
    assert manifest_of(tmp_path / "one").root_hash == manifest_of(tmp_path / "two").root_hash


def test_other_sizes_are_refused_by_name_and_the_same_go_on(
    tmp_path: pathlib.Path, lines: list[str], mirror: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_lines(tmp_path / "in", lines)
    build(source, mirror, tmp_path / "out", "--image_size", "32,48")
    before = data_hashes(tmp_path / "out")
    assert plan_of(tmp_path / "out").format["image_size"] == [32, 48]
    for other in ("32", "48,32", "32,48,64"):
        assert build(source, mirror, tmp_path / "out", "--image_size", other) == 2
        assert f"--image_size is {other}, the output was begun with 32,48" in capsys.readouterr().err
    assert data_hashes(tmp_path / "out") == before
    (tmp_path / "out" / layout.commit_file(1)).unlink()
    mirror.asked.clear()
    assert build(source, mirror, tmp_path / "out", "--image_size", "32,48") == 0
    assert 0 < len(mirror.asked) < len(lines)
    assert data_hashes(tmp_path / "out") == before


def test_each_photo_is_fetched_once(tmp_path: pathlib.Path, lines: list[str], mirror: FaultServer) -> None:
    config = tmp_path / "flags.yaml"
    config.write_text("image_size: [32, 48, 20]\n")
    assert build(write_lines(tmp_path / "in", lines), mirror, tmp_path / "out", "--config", config) == 0
    assert len(mirror.asked) == len(set(mirror.asked)) == len(lines)
    sidecars = [pq.read_schema(tar.replace(".tar", ".parquet")) for tar in _tars(tmp_path / "out")]
    assert pa.unify_schemas(sidecars).equals(sidecar_schema((48, 20)))
