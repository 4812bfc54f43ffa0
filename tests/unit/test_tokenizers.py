"""Tokens are NLTK's and Keras' own, whatever the caption; where NLTK lacks its data, that is said."""

import functools
import json
import pathlib
import typing

import nltk
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from keras_preprocessing.text import text_to_word_sequence

from beam_jobs.diagnosis import machine_findings
from tests.punkt_data import write_punkt
from transforms.text.tokenizers import (
    KERAS,
    NLTK,
    NLTK_NO_PUNKT,
    NoNltkError,
    Tokenize,
    keras_tokens,
    punkt_sha256,
    tokenizer,
)

_WORDS = """
a dog Cannot gonna wanna gimme lemme gotta can't won't 's n't d'ye more'n 'tis 'twas man's boys' ' '' " ` `` . .. ...
! ? , : ; -- - 1,000 3.5 $ ( ) [ ] < > { } “ ” ‘ ’ « » é ß İ 世界 🙂 👩‍👧 mr. u.s. e.g. i. o'clock he'll they've ,. * &
# @ … — 12th 10:30 http://a.b/c?d=e l'été _ st. paul p.m. o'
"""
PIECES = [*_WORDS.split(), "\n", "\t", "\x1c", "\x85", "\u2028", "\xa0", "\u0301", "\x00", "x" * 70]
SPACES = st.sampled_from(["", " ", " ", " ", "  "])
CAPTIONS = st.lists(st.tuples(st.sampled_from(PIECES), SPACES).map("".join), max_size=8).map("".join)

Both = dict[str, tuple[Tokenize, Tokenize]]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    """Of each of NLTK's tokenizers ours and NLTK's own. Where NLTK has its own data, these are used."""
    try:
        nltk.word_tokenize("")
        data = ""
    except LookupError:
        data = write_punkt(tmp_path_factory.mktemp("nltk_data"))
    return {
        name: (tokenizer(name, data), functools.partial(nltk.word_tokenize, preserve_line=name == NLTK_NO_PUNKT))
        for name in (NLTK, NLTK_NO_PUNKT)
    }


def check(both: Both, caption: str) -> None:
    for ours, theirs in both.values():
        assert ours(caption) == theirs(caption.lower())


@settings(max_examples=400, deadline=None)
@given(CAPTIONS)
@example("a man who is gonna wanna")
@example("i cannot")
@example('a dog . " ')
@example("dog. )")
@example("man's\x1c")
def test_tokens_of_odd_captions_are_those_of_nltk(both: Both, caption: str) -> None:
    check(both, caption)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=40))
def test_tokens_of_any_text_are_those_of_nltk(both: Both, caption: str) -> None:
    check(both, caption)


@pytest.mark.parametrize("piece", ["word ", "a. ", "'\" ", "x", ".", "what? ", "u.s.", ".)"])
def test_a_long_caption_is_cut_as_by_nltk(both: Both, piece: str) -> None:
    check(both, piece * (8_000 // len(piece)))


def test_tokens_of_real_captions_are_those_of_nltk(both: Both, shared_data: pathlib.Path) -> None:
    flickr = (shared_data / "flickr8k/Flickr8k.token.first2000.txt").read_text().splitlines(keepends=True)
    [coco] = shared_data.glob("coco/*/annotations/captions_train2017.json")
    captions = [line.partition("\t")[2] for line in flickr]
    captions += [annotation["caption"] for annotation in json.loads(coco.read_text())["annotations"]]
    assert len(captions) > 2_300
    for caption in captions[::3]:
        check(both, caption)


def test_most_captions_go_the_short_way(both: Both, shared_data: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise it would be no faster than NLTK."""
    flickr = (shared_data / "flickr8k/Flickr8k.token.first2000.txt").read_text().splitlines()
    captions, long_way = [line.partition("\t")[2] for line in flickr], list[str]()
    for caption in captions:
        both[NLTK][0](caption)
    monkeypatch.setattr(nltk, "sent_tokenize", lambda text: long_way.append(text) or [])
    for caption in captions:
        both[NLTK][0](caption)
    assert 0 < len(long_way) < 0.02 * len(flickr)


@settings(max_examples=100, deadline=None)
@given(st.one_of(CAPTIONS, st.text(max_size=40)))
def test_words_are_those_of_keras(caption: str) -> None:
    assert keras_tokens(caption) == text_to_word_sequence(caption)
    assert tokenizer(KERAS)(caption) == text_to_word_sequence(caption)


def test_without_its_data_nltk_is_refused_with_what_to_do(tmp_path: pathlib.Path, monkeypatch: typing.Any) -> None:
    monkeypatch.setattr(nltk.data, "path", [])
    tokenizer.cache_clear()
    nltk.tokenize._get_punkt_tokenizer.cache_clear()
    with pytest.raises(NoNltkError, match=r"downloader punkt_tab.*--nltk_data.*--tokenizer nltk_no_punkt"):
        tokenizer(NLTK, str(tmp_path))
    assert tokenizer(NLTK_NO_PUNKT)("a. b.") == ["a.", "b", "."]
    tokenizer.cache_clear()


def test_data_are_known_by_their_content(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for name, data in (("a", b""), ("b", b""), ("c", b"zz\n")):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(nltk.data, "path", [write_punkt(tmp_path / name)])
        with open(tmp_path / name / "tokenizers/punkt_tab/english/abbrev_types.txt", "ab") as file:
            file.write(data)
        found.append(punkt_sha256())
    assert found[0] == found[1] != found[2]


def test_doctor_says_where_the_data_are(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = nltk.data.path[-8:]
    assert [str(pathlib.Path(folder).expanduser()) for folder in machine_findings._NLTK_FOLDERS] == folders
    monkeypatch.setattr(machine_findings, "_NLTK_FOLDERS", (str(tmp_path / "none"),))
    [finding] = machine_findings.look_at_nltk()
    assert "punkt_tab is not here: for `photobeam text` get it by" in finding.found
    monkeypatch.setenv("NLTK_DATA", write_punkt(tmp_path))
    [finding] = machine_findings.look_at_nltk()
    assert f"punkt_tab in {tmp_path}/tokenizers/punkt_tab/english" in finding.found
