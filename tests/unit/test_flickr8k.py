"""Flickr8k: the real files read in full, and lines that no published file has."""

import collections
import csv
import pathlib
import re
import typing

import pytest

from schemas.failures import INPUT_FAILURE_SCHEMA
from schemas.flickr8k import (
    BadLineError,
    Flickr8kKind,
    Split,
    photo_id_of,
    read_caption,
    read_kaggle_caption,
    read_rating,
    recognise,
    split_of,
)
from schemas.merge_annotations import merge_elements
from schemas.surrogate_ids import surrogate_id
from transforms.sources.annotation_parts import PART_TYPES
from transforms.sources.read_flickr8k import Flickr8kFile, find_flickr8k, read_flickr8k, read_splits, refusal_of

BAD_NAME = "2258277193_586949ec62.jpg.1"
CAPTION = "1000268201_693b08cb0e.jpg#0\tA child in a pink dress ."

FILES = {
    "Flickr8k.token.first2000.txt": Flickr8kKind.CAPTIONS,
    "captions.first2000.txt": Flickr8kKind.KAGGLE,
    "Flickr_8k.trainImages.first300.txt": Flickr8kKind.SPLIT,
    "Flickr_8k.devImages.first300.txt": Flickr8kKind.SPLIT,
    "Flickr_8k.testImages.first300.txt": Flickr8kKind.SPLIT,
    "ExpertAnnotations.first300.txt": Flickr8kKind.EXPERT,
    "CrowdFlowerAnnotations.first300.txt": Flickr8kKind.CROWD,
}


class Read(typing.NamedTuple):
    """Everything files give: (photo id, element) by column, and failures."""

    columns: dict[str, list[tuple[int, typing.Any]]]
    failures: list[dict[str, typing.Any]]


def _read(*paths: pathlib.Path) -> Read:
    files = [typing.cast(Flickr8kFile, find_flickr8k(str(path))) for path in paths]
    assert all(files)
    splits, read = read_splits(files), Read(collections.defaultdict(list), [])
    for part in (part for file in files for part in read_flickr8k(file, splits)):
        read.failures.extend(part.failures)
        for column, batch in part.batches.items():
            assert batch.schema.names == ["photo_id", column]
            assert batch.schema.field(column).type == PART_TYPES[column]
            read.columns[column] += zip(*(values.to_pylist() for values in batch.columns), strict=True)
    return read


@pytest.fixture(scope="module")
def flickr8k(shared_data: pathlib.Path) -> pathlib.Path:
    return shared_data / "flickr8k"


def test_the_real_files_are_known_by_their_lines(flickr8k: pathlib.Path) -> None:
    for name, kind in FILES.items():
        found = find_flickr8k(str(flickr8k / name))
        assert found is not None, name
        assert found.kind is kind, name
    assert find_flickr8k(str(flickr8k / "prakhar-dhakar_Image-Captioning/readme.txt")) is None


def test_every_caption_of_the_token_file_is_read(flickr8k: pathlib.Path) -> None:
    path = flickr8k / "Flickr8k.token.first2000.txt"
    read = _read(path)
    lines = [re.fullmatch(r"((\d+)_.*)#(\d)\t(.*)", line) for line in path.read_text().splitlines()]
    expected = [(int(m[2]), (m[1], int(m[3]), m[4].strip())) for m in lines if m]
    assert len(expected) == 2000
    assert [
        (photo_id, (c["image_id"], c["caption_id"], c["text"])) for photo_id, c in read.columns["captions"]
    ] == expected
    assert read.failures == []
    assert {photo_id for photo_id, _ in read.columns["copies"]} == {photo_id for photo_id, _ in expected}


def test_kaggle_repeats_the_token_file(flickr8k: pathlib.Path) -> None:
    paths = [flickr8k / name for name in ("Flickr8k.token.first2000.txt", "captions.first2000.txt")]
    token, kaggle = map(_read, paths)
    with paths[1].open(newline="") as file:
        published = [(row["image"], row["caption"].strip()) for row in csv.DictReader(file)]
    assert [(c["image_id"], c["text"]) for _, c in kaggle.columns["captions"]] == published
    assert kaggle.columns["captions"] == token.columns["captions"]
    both = [c for _, c in kaggle.columns["captions"] + token.columns["captions"]]
    assert len(merge_elements("captions", both)) == len(published)
    copies = [c for read in (token, kaggle) for _, c in read.columns["copies"]]
    assert len(merge_elements("copies", copies)) == len({image for image, _ in published})


def test_splits_are_those_of_the_lists(flickr8k: pathlib.Path) -> None:
    paths = [flickr8k / name for name, kind in FILES.items() if kind is Flickr8kKind.SPLIT]
    read = _read(*paths, flickr8k / "Flickr8k.token.first2000.txt")
    listed = {name: split for path, split in zip(paths, Split, strict=False) for name in path.read_text().split()}
    found = dict(read.columns["flickr8k_split"])
    assert collections.Counter(found.values()) == {"train": 300, "dev": 300, "test": 300}
    for photo_id, copy in read.columns["copies"]:
        split = listed.get(copy["file_name"])
        assert copy["split"] == (split and split.value) == found.get(photo_id)
    assert read.failures == []


@pytest.mark.parametrize("kind", [Flickr8kKind.EXPERT, Flickr8kKind.CROWD])
def test_ratings_are_those_published(flickr8k: pathlib.Path, kind: Flickr8kKind) -> None:
    path = next(flickr8k / name for name, known in FILES.items() if known is kind)
    read = _read(path)
    assert [
        (r["image_id"], f"{r['caption_image_id']}#{r['caption_id']}", *r["scores"]) for _, r in read.columns["ratings"]
    ] == [(a, b, *map(float, scores)) for a, b, *scores in (ln.split("\t") for ln in path.read_text().splitlines())]
    assert {r["kind"] for _, r in read.columns["ratings"]} == {kind.value}
    assert len(read.columns["ratings"]) == 300
    assert all(photo_id == int(r["image_id"].split("_")[0]) for photo_id, r in read.columns["ratings"])


def test_the_known_bad_name_is_reported_and_the_rest_is_read(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "Flickr8k.token.txt"
    bad = [f"{BAD_NAME}#{i}\tA man ." for i in range(5)]
    path.write_text("\n".join([CAPTION, *bad, CAPTION.replace("#0", "#1")]) + "\n")
    read = _read(path)
    assert [c["caption_id"] for _, c in read.columns["captions"]] == [0, 1]
    assert [f["reason"] for f in read.failures] == ["unknown_image"] * 5
    assert [f["raw"].decode() for f in read.failures] == bad
    assert all(BAD_NAME in f["detail"] for f in read.failures)


def test_bad_lines_are_reported_where_they_are(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "Flickr8k.lemma.token.txt"
    good = [CAPTION.replace("#0", f"#{i}").encode() for i in range(8)]
    bad = [
        b"no tab",
        b"1_a.jpg\tno number",
        b"1_a.jpg#x\tno number",
        b"1_a.jpg#0\t ",
        b"#0\tnobody",
        b"1_a.jpg#1\t\xff",
    ]
    path.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join([*good, b"", *bad]))
    read = _read(path)
    assert [c["caption_id"] for _, c in read.columns["captions"]] == list(range(8))
    assert all(c["is_lemma"] for _, c in read.columns["captions"])
    assert [f["raw"] for f in read.failures] == bad
    assert {f["reason"] for f in read.failures} == {"malformed_row"}
    data = path.read_bytes()
    for failure in read.failures:
        assert set(failure) == set(INPUT_FAILURE_SCHEMA.names)
        assert data[failure["offset"] :].startswith(failure["raw"])


def test_kaggle_quotes_hurt_their_own_line_only(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "captions.txt"
    path.write_text('image,caption\n1_a.jpg,"One, ""two"" ."\n1_a.jpg,"open\n1_a.jpg,a,b\n1_a.jpg,Three .\n')
    read = _read(path)
    assert [(c["caption_id"], c["text"]) for _, c in read.columns["captions"]] == [(0, 'One, "two" .'), (1, "Three .")]
    assert len(read.failures) == 2


def test_an_image_of_two_splits_is_reported(tmp_path: pathlib.Path) -> None:
    train, test = tmp_path / "Flickr_8k.trainImages.txt", tmp_path / "Flickr_8k.testImages.txt"
    train.write_text("1_a.jpg\n2_b.jpg\n")
    test.write_text("2_b.jpg\n3_c.jpg\n")
    for order in ((train, test), (test, train)):
        read = _read(*order)
        assert sorted(read.columns["flickr8k_split"]) == [(1, "train"), (2, "test"), (3, "test")]
        assert [f["file"] for f in read.failures] == [str(train)]


@pytest.mark.parametrize(
    ("lines", "name", "kind"),
    [
        ([CAPTION], "Flickr8k.token.txt", Flickr8kKind.CAPTIONS),
        ([CAPTION], "a/Flickr8k.lemma.token.txt", Flickr8kKind.LEMMAS),
        (["Image,Caption ", "1_a.jpg,A"], "x.csv", Flickr8kKind.KAGGLE),
        (["", "1_a.jpg"], "x.txt", Flickr8kKind.SPLIT),
        (["1_a.jpg\t2_b.jpg#2\t1\t3\t1", "1_a.jpg\t2_b.jpg#2\t0.5\t2\t2"], "x", Flickr8kKind.CROWD),
        (["1_a.jpg\t2_b.jpg#2\t1\t3\t1"], "x", Flickr8kKind.EXPERT),
        (["1_a.jpg\t2_b.jpg#2\t1\t3\t1"] * 2 + ["1_a.jpg\t2_b.jpg#2\t1\t3\t5"], "x", Flickr8kKind.EXPERT),
        (["1_a.jpg", "If you use this", "corpus"], "x", None),
        ([], "x", None),
        (["photo_id,title", "1,A"], "x", None),
    ],
)
def test_kinds(lines: list[str], name: str, kind: Flickr8kKind | None) -> None:
    assert recognise(lines, name) is kind


def test_lines_that_end_with_cr_alone_are_not_one_long_caption(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "Flickr8k.token.txt"
    path.write_bytes(f"{CAPTION}\r{CAPTION}\r".encode())
    assert find_flickr8k(str(path)) is None
    assert "CR alone" in str(refusal_of(str(path)))
    path.write_bytes(f"{CAPTION}\r\n{CAPTION}\r\n".encode())
    assert find_flickr8k(str(path)) == Flickr8kFile(str(path), Flickr8kKind.CAPTIONS)


def test_a_list_whose_split_is_not_known_is_none_of_ours(tmp_path: pathlib.Path) -> None:
    (tmp_path / "images.txt").write_text("1_a.jpg\n")
    assert find_flickr8k(str(tmp_path / "images.txt")) is None


@pytest.mark.parametrize(
    ("name", "split"),
    [("Flickr_8k.trainImages.txt", "train"), ("val.txt", "dev"), ("a/test/x.txt", None), ("latest.txt", None)],
)
def test_splits_of_names(name: str, split: str | None) -> None:
    assert split_of(name) == split


def test_names_without_a_flickr_id_get_surrogates() -> None:
    assert photo_id_of("dog.JPG") == surrogate_id("flickr8k", "dog.JPG")
    assert photo_id_of("0_a.jpg") == surrogate_id("flickr8k", "0_a.jpg")
    assert photo_id_of(BAD_NAME) is None


@pytest.mark.parametrize(
    "line",
    ["", "1_a.jpg\t2_b.jpg#1\t1\t1", "1_a.jpg\t2_b.jpg#1\t1\t1\t5", "1_a.jpg\t2_b.jpg\t1\t1\t1", "a\tb#1\t1\t1\t1"],
)
def test_ratings_of_another_form_are_refused(line: str) -> None:
    with pytest.raises(BadLineError):
        read_rating(line, Flickr8kKind.EXPERT)


def test_crowd_ratings_have_a_share(tmp_path: pathlib.Path) -> None:
    assert read_rating("1_a.jpg\t2_b.jpg#1\t0.333\t1\t2", Flickr8kKind.CROWD).scores == (0.333, 1.0, 2.0)
    for share in ("1.5", "-1", "nan", "x"):
        with pytest.raises(BadLineError):
            read_rating(f"1_a.jpg\t2_b.jpg#1\t{share}\t1\t2", Flickr8kKind.CROWD)


def test_captions_may_hold_tabs_and_hashes() -> None:
    assert read_caption("1_a.jpg#2\tone\ttwo #3").text == "one\ttwo #3"
    assert read_kaggle_caption("1_a.jpg, A dog # 1 ").text == "A dog # 1"
