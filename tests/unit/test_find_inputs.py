"""Which files are read, and as what."""

import bz2
import pathlib
import random

import fsspec
import pytest

from schemas.sources import Source
from schemas.yfcc import Pack
from tests.yfcc_corpus import dataset_line
from transforms.sources.find_inputs import FoundInputs, bucket_bits, find_inputs
from transforms.sources.input_files import InputError

LINE = dataset_line(0, 42, random.Random(0))
LINE_23 = "\t".join(f for i, f in enumerate(LINE.split("\t")) if i not in (0, 2))


def find_yfcc(specs: list[str]) -> FoundInputs:
    return find_inputs({Source.YFCC: specs})


def kinds(found: FoundInputs) -> dict[str, tuple[Pack, int]]:
    return {pathlib.PurePath(f.url).name: (Pack(f.kind), f.fields) for f in found.files}


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "a.tsv").write_text(LINE + "\n")
    (tmp_path / "b.bz2").write_bytes(bz2.compress((LINE_23 + "\n").encode()))
    (tmp_path / "c").write_text("1\t\n2\t\n3\toutdoor:0.9\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/d").write_text("1\t4e2f7a26a1dfbf165a7e30bdabf7e72a\n")
    (tmp_path / "yfcc100m_places").write_text("1\t\n2\n")
    (tmp_path / "yfcc100m_lines").write_text("1\t6985418911\n")
    (tmp_path / ".hidden").write_text(LINE + "\n")
    return tmp_path


def test_a_directory_is_searched_and_the_rest_left_out(folder: pathlib.Path) -> None:
    found = find_yfcc([str(folder)])
    assert kinds(found) == {
        "a.tsv": (Pack.DATASET, 25),
        "b.bz2": (Pack.DATASET, 23),
        "c": (Pack.AUTOTAGS, 2),
        "d": (Pack.HASH, 2),
        "yfcc100m_places": (Pack.PLACES, 2),
    }
    assert [pathlib.PurePath(url).name for url in found.left_out] == ["yfcc100m_lines"]


def test_files_globs_and_urls_name_the_same_files_once(folder: pathlib.Path) -> None:
    specs = [str(folder / "a.tsv"), str(folder / "*.tsv"), f"file://{folder}/a.tsv"]
    assert len(find_yfcc(specs).files) == 1


def test_any_fsspec_url_will_do() -> None:
    fsspec.filesystem("memory").pipe("/corpus/yfcc100m_dataset", (LINE + "\n").encode())
    (found,) = find_yfcc(["memory://corpus"]).files
    assert (found.url, found.kind) == ("memory:///corpus/yfcc100m_dataset", Pack.DATASET.value)


def test_a_pack_without_payloads_needs_a_name_or_a_word(folder: pathlib.Path) -> None:
    (folder / "x").write_text("1\t\n")
    with pytest.raises(InputError, match="no line looks like a YFCC pack; .*autotags="):
        find_yfcc([str(folder / "a.tsv"), str(folder / "x")])
    found = find_yfcc([str(folder / "a.tsv"), f"exif={folder}/x"])
    assert kinds(found)["x"] == (Pack.EXIF, 2)


def test_a_malformed_first_line_does_not_hide_the_kind(folder: pathlib.Path) -> None:
    (folder / "a.tsv").write_text("not\ta\tline\n" + LINE + "\n")
    assert kinds(find_yfcc([str(folder / "a.tsv")])) == {"a.tsv": (Pack.DATASET, 25)}


def test_buckets_grow_with_the_input(folder: pathlib.Path) -> None:
    (small,) = find_yfcc([str(folder / "a.tsv")]).files
    assert bucket_bits([small]) == 0
    assert bucket_bits([small._replace(size=65 << 20)]) == 1
    assert bucket_bits([small._replace(size=100 << 30)]) == 11
    assert bucket_bits([small._replace(size=100 << 30, compressed=True)]) == 12
