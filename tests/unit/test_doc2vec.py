"""Vectors of texts, against gensim called directly; and what is not opened as a model."""

import copy
import json
import os
import pathlib
import pickle
import subprocess
import sys
import typing

import fsspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.gensim_vectors import infer_directly, needs_siphash13
from transforms.stores.request_signers import S3Options
from transforms.text.doc2vec import PRESETS, Doc2VecOptions, infer, train
from transforms.text.doc2vec_file import ModelError, fetch_model, load_model
from transforms.text.python_hash import stable_hash

if typing.TYPE_CHECKING:
    from gensim.models.doc2vec import Doc2Vec

OLD_MODELS = "glove/gensim/gensim/test/test_data/old_d2v_models"
TEXTS = [f"a dog number {i} runs over the green grass {i % 7}".split() for i in range(60)] + [[], ["é", "日本", "😀"]]
SMALL = {"vector_size": 12, "epochs": 3, "min_count": 1}


def small(algorithm: str, **options: typing.Any) -> "Doc2Vec":
    return train(TEXTS, Doc2VecOptions(algorithm=algorithm, **SMALL, **options))


MODES = ({"dm": 0}, {"dm": 1}, {"dm": 1, "dm_concat": 1})


@needs_siphash13
def test_vectors_are_those_of_gensim(tmp_path: pathlib.Path):
    from gensim.models.doc2vec import Doc2Vec, TaggedDocument

    documents = [TaggedDocument(tokens, [i]) for i, tokens in enumerate(TEXTS)]
    models = [Doc2Vec(documents, **SMALL, **mode) for mode in MODES]
    paths = [str(tmp_path / str(i)) for i in range(len(models))]
    for model, path in zip(models, paths, strict=True):
        model.save(path)
    texts = [tokens for tokens in TEXTS[::9] if tokens] + [["no", "such", "words"], TEXTS[0] * 30]
    assert [infer(model, tokens).tolist() for model in models for tokens in texts] == infer_directly(paths, texts)


def test_training_is_that_of_gensim():
    from gensim.models.doc2vec import Doc2Vec, TaggedDocument

    model = small("dbow", train_words=True, seed=7)
    documents = [TaggedDocument(tokens, [i]) for i, tokens in enumerate(t for t in TEXTS if t)]
    theirs = Doc2Vec(documents, dm=0, dbow_words=1, vector_size=12, epochs=3, min_count=1, seed=7, workers=1)
    assert model.wv.index_to_key == theirs.wv.index_to_key
    assert model.wv.vectors.tobytes() == theirs.wv.vectors.tobytes()
    assert model.syn1neg.tobytes() == theirs.syn1neg.tobytes()


def test_a_model_has_the_same_bytes_each_time(tmp_path: pathlib.Path):
    for name in ("a", "b"):
        small("dm").save(str(tmp_path / name))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert [f.name for f in sorted(tmp_path.iterdir())] == ["a", "b"]


def test_an_inference_depends_on_model_and_text_alone():
    model = small("dbow")
    first = infer(model, TEXTS[0])
    infer(model, TEXTS[1])
    assert infer(model, TEXTS[0]).tobytes() == first.tobytes()
    assert first.shape == (12,)
    assert first.dtype == np.float32


def test_no_tokens_is_zeros():
    assert not infer(small("dm"), []).any()


def test_no_words_to_train_with_is_said():
    with pytest.raises(ModelError, match="no word occurs 5 times"):
        train([["a"], ["b"]], Doc2VecOptions())
    with pytest.raises(ModelError, match="no word occurs"):
        train([], Doc2VecOptions())


def test_the_preset_is_that_of_the_paper():
    preset = PRESETS["lau_baldwin"]
    assert (preset.algorithm, preset.vector_size, preset.window, preset.min_count) == ("dbow", 300, 15, 1)
    assert (preset.sample, preset.negative, preset.epochs, preset.train_words) == (1e-5, 5, 20, True)


def test_loads_a_model_with_its_arrays(tmp_path: pathlib.Path):
    model = small("dbow")
    (tmp_path / "here").mkdir()
    model.save(str(tmp_path / "my.d2v"), sep_limit=64)
    assert len(list(tmp_path.glob("my.d2v.*.npy"))) >= 2
    path = fetch_model(str(tmp_path / "my.d2v"), S3Options(), tmp_path / "here")
    loaded = load_model(path, "my.d2v")
    assert infer(loaded, TEXTS[3]).tobytes() == infer(model, TEXTS[3]).tobytes()
    fsspec.filesystem("memory").put(str(tmp_path / "my.d2v*"), "/models/", recursive=True)
    (tmp_path / "there").mkdir()
    fetch_model("memory://models/my.d2v", S3Options(), tmp_path / "there")
    assert {p.name: p.read_bytes() for p in (tmp_path / "there").iterdir()} == {
        p.name: p.read_bytes() for p in (tmp_path / "here").iterdir()
    }
    next((tmp_path / "here").glob("*.npy")).unlink()
    with pytest.raises(ModelError, match="my.d2v: gensim cannot load it"):
        load_model(path, "my.d2v")


@pytest.mark.parametrize("file", ["d2v_0.12.0.mdl", "d2v_3.4.0.mdl"])
def test_old_models_are_refused_by_name(shared_data: pathlib.Path, file: str):
    with pytest.raises(ModelError, match=rf"{file}: is a model of gensim before 4.*lau_baldwin"):
        load_model(shared_data / OLD_MODELS / file, file)


def test_models_of_python_2_are_refused_by_name(shared_data: pathlib.Path, tmp_path: pathlib.Path):
    """What Python 2 writes differently is that its texts are bytes: here those of the real file are made such."""
    data = (shared_data / OLD_MODELS / "d2v_0.12.0.mdl").read_bytes()
    name = b"syn0_lockf"
    old = data.replace(b"X" + len(name).to_bytes(4, "little") + name, b"U" + bytes([len(name)]) + name)
    assert old != data
    (tmp_path / "enwiki.bin").write_bytes(old)
    with pytest.raises(
        ModelError, match=r"enwiki.bin: was pickled by Python 2.*jhlau/doc2vec.*--doc2vec_preset lau_bald"
    ):
        load_model(tmp_path / "enwiki.bin", "enwiki.bin")


class _Malicious:
    def __init__(self, marker: str):
        self.marker = marker

    def __reduce__(self) -> tuple[typing.Any, ...]:
        return os.mkdir, (self.marker,)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_pickle_that_runs_something_is_not_opened(tmp_path: pathlib.Path, protocol: int):
    bad = pickle.dumps(_Malicious(str(tmp_path / "ran")), protocol)
    (tmp_path / "bad").write_bytes(bad)
    with pytest.raises(ModelError, match=r"bad: (names posix.mkdir|is no Doc2Vec model).*not opened"):
        load_model(tmp_path / "bad", "bad")
    assert not (tmp_path / "ran").exists()


def _sparse_part(model: "Doc2Vec") -> None:
    vars(model.wv)["__scipys"] = ["evil"]


def _array_that_names_sparse_ones(model: "Doc2Vec") -> None:
    vars(model.wv)["__numpys"] = ["__scipys"]


def _further_part(model: "Doc2Vec") -> None:
    model.other = copy.copy(model.dv)
    vars(model.other)["__scipys"] = ["evil"]
    vars(model)["__recursive_saveloads"] = ["wv", "dv", "other"]


def _nested_part(model: "Doc2Vec") -> None:
    model.wv.other = copy.copy(model.dv)
    vars(model.wv.other)["__scipys"] = ["evil"]
    vars(model.wv)["__recursive_saveloads"] = ["other"]


@pytest.mark.parametrize("change", [_sparse_part, _array_that_names_sparse_ones, _further_part, _nested_part])
def test_files_beside_a_model_are_not_unpickled(
    tmp_path: pathlib.Path, change: typing.Callable[["Doc2Vec"], None]
) -> None:
    small("dbow").save(str(tmp_path / "model"))
    model = pickle.loads((tmp_path / "model").read_bytes())
    change(model)
    (tmp_path / "model").write_bytes(pickle.dumps(model, 4))
    np.save(tmp_path / "model.wv.__scipys.npy", np.array(["evil"]))
    for part in ("wv", "other", "wv.other"):
        (tmp_path / f"model.{part}.evil.npy").write_bytes(pickle.dumps(_Malicious(str(tmp_path / "ran"))))
    with pytest.raises(ModelError, match="names files beside it that are no arrays of a model: it is not opened"):
        load_model(tmp_path / "model", "model")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "no pickle"),
        (b"the 1 2 3\n", "no pickle"),
        (pickle.dumps([1, 2], 4), "is no Doc2Vec model but list"),
        (pickle.dumps([1, 2], 2), "is no Doc2Vec model: it is a pickle of plain values"),
        (pickle.dumps("x" * 100, 4)[:50], "is damaged"),
        (b"\x80\x02\xff", "is a damaged pickle"),
    ],
)
def test_what_is_no_model_is_said(tmp_path: pathlib.Path, data: bytes, problem: str):
    (tmp_path / "m").write_bytes(data)
    with pytest.raises(ModelError, match=problem):
        load_model(tmp_path / "m", "m")


def test_a_model_that_is_not_there_is_said(tmp_path: pathlib.Path):
    for place in ("none", "none/none"):
        with pytest.raises(ModelError, match="none"):
            fetch_model(str(tmp_path / place), S3Options(), tmp_path)


@needs_siphash13
def test_hashes_are_those_of_python():
    texts = ["", "a dog", "é", "日本", "😀", "x" * 7, "x" * 8, "x" * 9, "a😀" * 50]
    script = "import json, sys; print(json.dumps([hash(t) % 2**64 for t in json.load(sys.stdin)]))"
    run = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps(texts),
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert [stable_hash(text) for text in texts] == json.loads(run.stdout)


@given(st.text(max_size=30))
def test_every_text_has_a_hash(text: str):
    assert 0 <= stable_hash(text) < 1 << 64
