"""Word vectors in the order of a vocabulary, against gensim's reading of the same files."""

import gzip
import io
import pathlib
import zipfile

import fsspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.stores.request_signers import S3Options
from transforms.text.glove import FoundVectors, UnknownWords, fill_unknown, find_vectors
from transforms.text.vector_file import VectorFileError, open_vectors
from transforms.text.write_glove import GloveOptions, check_vectors

GENSIM_SAMPLE = "glove/gensim/gensim/test/test_data/test_glove.txt"
GZIP_SAMPLE = "glove/allenai_allennlp/test_fixtures/embeddings/glove.6B.100d.sample.txt.gz"

THREE = b"the 0.5 1 -2e-3\ncat 1 2 3\n. . 4 5 6\n"


def found_in(text: bytes, words: list[str]) -> FoundVectors:
    return find_vectors(io.BytesIO(text), words, "vectors.txt")


@pytest.mark.parametrize(("sample", "dim"), [(GENSIM_SAMPLE, 50), (GZIP_SAMPLE, 100)])
def test_rows_are_those_of_gensim(shared_data: pathlib.Path, sample: str, dim: int):
    from gensim.models import KeyedVectors

    path = str(shared_data / sample)
    theirs = KeyedVectors.load_word2vec_format(path, no_header=True)
    words = ["<pad>", *theirs.index_to_key[::-1], "no such word"]
    with open_vectors(path) as file:
        ours = find_vectors(file, words, path)
    assert ours.is_found.tolist() == [False, *[True] * len(theirs), False]
    assert ours.matrix[1:-1].tobytes() == theirs.vectors[::-1].tobytes()
    assert ours.matrix.shape == (len(theirs) + 2, dim)
    assert not ours.matrix[[0, -1]].any()


def test_words_with_spaces_have_the_last_fields():
    found = found_in(THREE, [". .", "the", "."])
    assert found.matrix.tolist() == [[4, 5, 6], [0.5, 1, np.float32(-2e-3)], [0, 0, 0]]
    assert found.is_found.tolist() == [True, True, False]


@pytest.mark.parametrize("header", [b"", b"3 3\n"])
@pytest.mark.parametrize("pack", ["plain", "gzip", "zip", "member"])
def test_reads_every_packing(tmp_path: pathlib.Path, header: bytes, pack: str):
    path = tmp_path / "vectors"
    if pack in ("zip", "member"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("v.3d.txt", header + THREE)
            if pack == "member":
                archive.writestr("v.2d.txt", b"the 1 2\n")
    else:
        path.write_bytes(gzip.compress(header + THREE) if pack == "gzip" else header + THREE)
    url = f"zip://v.3d.txt::{path}" if pack == "member" else str(path)
    with open_vectors(url) as file:
        found = find_vectors(file, ["cat"], url)
    assert found.matrix.tolist() == [[1, 2, 3]]
    assert found.counts.lines == 3


def test_reads_from_any_file_system():
    fsspec.filesystem("memory").pipe("/glove/v.txt.gz", gzip.compress(THREE))
    with open_vectors("memory://glove/v.txt.gz") as file:
        assert find_vectors(file, ["cat"], "v").matrix.tolist() == [[1, 2, 3]]
    with (
        pytest.raises(VectorFileError, match="memory://glove/none: cannot be read"),
        open_vectors("memory://glove/none"),
    ):
        pass


def test_a_zip_of_several_says_how_to_name_one(tmp_path: pathlib.Path):
    with zipfile.ZipFile(tmp_path / "v.zip", "w") as archive:
        archive.writestr("v.2d.txt", b"a 1 2\n")
        archive.writestr("v.3d.txt", THREE)
    with (
        pytest.raises(VectorFileError, match=r"holds 2 files .*zip://v.2d.txt::"),
        open_vectors(str(tmp_path / "v.zip")),
    ):
        pass


def test_a_member_that_is_not_there_is_said(tmp_path: pathlib.Path):
    with zipfile.ZipFile(tmp_path / "v.zip", "w") as archive:
        archive.writestr("v.2d.txt", b"a 1 2\n")
    url = f"zip://v.3d.txt::{tmp_path / 'v.zip'}"
    with pytest.raises(VectorFileError, match=r"no such member; the zip holds \['v.2d.txt'\]"), open_vectors(url):
        pass


def test_passwords_are_not_told():
    assert GloveOptions(url="https://me:secret@host/v.txt?sig=secret").name == "https://host/v.txt?"
    with pytest.raises(VectorFileError) as caught, open_vectors("http://me:secret@127.0.0.1:9/v.txt"):
        pass
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("packing", [gzip.compress, None])
def test_a_cut_packing_is_said(tmp_path: pathlib.Path, packing: object):
    data = bytes(np.random.default_rng(0).integers(97, 122, 50_000, np.uint8))
    lines = b"".join(b"%s 1 2\n" % data[i : i + 20] for i in range(0, len(data), 20))
    path = tmp_path / "v"
    if packing:
        path.write_bytes(gzip.compress(lines)[:-2000])
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("v.txt", lines)
        damaged = bytearray(path.read_bytes())
        damaged[2000] ^= 0xFF
        path.write_bytes(damaged)
    with pytest.raises(VectorFileError, match="damaged or cut"), open_vectors(str(path)) as file:
        find_vectors(file, ["a"], "v")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "vectors.txt: line 1: not a file of word vectors: each line is a word and its numbers"),
        (b"word\n", "line 1: not a file of word vectors"),
        (THREE + b"dog 1 2\n", "line 4: has 2 numbers, the lines before have 3"),
        (b"\n" + THREE + b"\n\ndog 1 2\n", "line 7: has 2 numbers, the lines before have 3"),
        (THREE + b"dog 1 2", "line 4: ends after 2 of 3 numbers: the file is cut"),
        (THREE + b"dog 1 2 3 4\n", "line 4: has 4 numbers, the lines before have 3"),
        (b"9 3\n" + THREE, "has 3 of the 9 words"),
        (b"9 3\n", "has 0 of the 9 words"),
        (THREE + b"dog 1 x 3\n", "line 4: could not convert"),
        (THREE + b"dog 1 nan 3\n", "line 4: a number is infinite or none"),
        (THREE + b"dog 1 1e99 3\n", "line 4: a number is infinite or none"),
        (b"a" * (1 << 21), "line 1: is longer than 1,048,576 bytes"),
    ],
)
def test_what_is_no_file_of_vectors_is_said(text: bytes, problem: str):
    with pytest.raises(VectorFileError) as error:
        found_in(text, ["dog"])
    assert problem in str(error.value)


@pytest.mark.parametrize(("before", "line"), [(b"\n", 2), (b"9 3\n", 2), (b"", 1)])
def test_a_text_of_something_else_is_said(tmp_path: pathlib.Path, before: bytes, line: int):
    (tmp_path / "LICENSE").write_bytes(before + b"   Apache License\n   Version 2.0\n")
    with pytest.raises(
        VectorFileError, match=rf"LICENSE: line {line}: not a file of word vectors: each line is a word"
    ):
        check_vectors(GloveOptions(url=str(tmp_path / "LICENSE")), S3Options())


def test_lines_are_counted():
    found = found_in(THREE + b"cat 7 8 9\n\xff\xfe 1 2 3\ndog 1 2 3", ["cat"])
    assert found.matrix.tolist() == [[1, 2, 3]]
    assert found.counts == (6, 1, 1, True)


def test_no_words_is_no_rows():
    found = found_in(THREE, [])
    assert found.matrix.shape == (0, 3)
    assert fill_unknown(found, [], UnknownWords.MEAN, 0).shape == (0, 3)


def test_policies_for_unknown_words():
    words = ["the", "x", "cat", "y"]

    def filled(policy: UnknownWords, seed: int = 0, order: list[str] = words) -> np.ndarray:
        return fill_unknown(found_in(THREE, order), order, policy, seed)

    assert not filled(UnknownWords.ZEROS)[[1, 3]].any()
    mean = np.mean([[0.5, 1, -2e-3], [1, 2, 3]], axis=0)
    np.testing.assert_allclose(filled(UnknownWords.MEAN)[[1, 3]], [mean, mean], rtol=1e-6)
    normal = filled(UnknownWords.NORMAL)
    assert normal[1].tolist() != normal[3].tolist()
    assert filled(UnknownWords.NORMAL)[1].tobytes() == normal[1].tobytes()
    assert filled(UnknownWords.NORMAL, seed=1)[1].tobytes() != normal[1].tobytes()
    np.testing.assert_array_equal(filled(UnknownWords.NORMAL, order=words[::-1])[2], normal[1])
    assert normal[[0, 2]].tolist() == filled(UnknownWords.ZEROS)[[0, 2]].tolist()


def test_normal_has_the_moments_of_what_was_found():
    vectors = np.random.default_rng(0).normal([3, -1], [0.5, 2], (4000, 2))
    text = "".join(f"k{i} {a} {b}\n" for i, (a, b) in enumerate(vectors)).encode()
    words = [*(f"k{i}" for i in range(4000)), *(f"u{i}" for i in range(4000))]
    matrix = fill_unknown(found_in(text, words), words, UnknownWords.NORMAL, 5)
    np.testing.assert_allclose(matrix[4000:].mean(axis=0), [3, -1], atol=0.1)
    np.testing.assert_allclose(matrix[4000:].std(axis=0), [0.5, 2], rtol=0.05)


def test_nothing_found_is_zeros():
    assert not fill_unknown(found_in(THREE, ["x"]), ["x"], UnknownWords.NORMAL, 0).any()


_WORD = st.text(st.characters(blacklist_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=8)


@given(
    st.lists(st.tuples(_WORD, st.lists(st.floats(-9, 9, width=32), min_size=4, max_size=4)), min_size=1, max_size=20)
)
def test_what_is_written_is_found(entries: list[tuple[str, list[float]]]):
    """A line of 4 numbers whose word is one field; the first line of a word counts."""
    text = "".join(f"{word} {' '.join(map(repr, vector))}\n" for word, vector in entries).encode()
    first: dict[str, list[float]] = {}
    for word, vector in entries:
        first.setdefault(word, vector)
    found = found_in(text, list(first))
    assert found.is_found.all()
    assert found.matrix.tolist() == list(first.values())
    assert found.counts.duplicates == len(entries) - len(first)
