"""Files that flags of `photobeam text` name: known by what is in them, and passwords in their URLs are not told."""

import json
import os
import pathlib
import typing
import zipfile

import fsspec
import pytest

from beam_jobs.command.errors import UsageError
from beam_jobs.command.flags import FlagParser, parse
from beam_jobs.text.label_flags import label_options
from beam_jobs.text.text_flags import add_text_flags
from beam_jobs.text.vector_flags import vector_options
from transforms.stores.request_signers import S3Options

SECRET = "memory://me:secret@there"
NOWHERE = "http://me:secret@127.0.0.1:9/none?X-Amz-Signature=secret"


def recorded(*argv: str) -> dict[str, typing.Any]:
    parser = FlagParser("text", "")
    add_text_flags(parser)
    flags = parse(parser, ["OUT", *argv])
    return vector_options(flags, S3Options()).recorded | label_options(flags, S3Options()).recorded


def test_files_are_known_by_their_content(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = {}
    for folder, word in (("a", "dog"), ("b", "dog"), ("c", "cat")):
        (tmp_path / folder).mkdir()
        for name in ("glove.txt", "model", "model.wv.vectors.npy", "names.txt"):
            (tmp_path / folder / name).write_text(f"{word} 1 2\n")
        os.utime(tmp_path / folder / "glove.txt", (len(found), len(found)))
        flags = [f"--glove={folder}/glove.txt", f"--doc2vec=./{folder}/model", f"--autotag_names={folder}/names.txt"]
        found[folder] = recorded(*flags, "--labels=autotags")
    assert found["a"] == found["b"]
    assert {name for name, value in found["a"].items() if value != found["c"][name]} == {
        "glove",
        "doc2vec",
        "autotag_names",
    }


def test_arrays_beside_a_model_count(tmp_path: pathlib.Path) -> None:
    for name in ("model", "model.wv.vectors.npy"):
        (tmp_path / name).write_bytes(b"1")
    before = recorded(f"--doc2vec={tmp_path}/model")
    (tmp_path / "model.wv.vectors.npy").write_bytes(b"2")
    assert recorded(f"--doc2vec={tmp_path}/model") != before


def test_members_of_a_zip_are_told_apart(tmp_path: pathlib.Path) -> None:
    with zipfile.ZipFile(tmp_path / "v.zip", "w") as archive:
        for name in ("v.2d.txt", "v.1d.txt"):
            archive.writestr(name, "a 1 2\n")
    members = [recorded(f"--glove=zip://v.{n}d.txt::{tmp_path}/v.zip")["glove"] for n in (1, 2)]
    assert [member.split()[0] for member in members] == ["v.1d.txt", "v.2d.txt"]


def test_passwords_are_neither_recorded_nor_told() -> None:
    files = {"glove.txt": b"a 1 2\n", "model": b"1", "names.csv": b"/m/1,Dog\n"}
    store = fsspec.filesystem("memory")
    for name, data in files.items():
        store.pipe(f"{SECRET}/{name}", data)
    flags = [f"--glove={SECRET}/glove.txt", f"--doc2vec={SECRET}/model"]
    flags += ["--labels=open_images,autotags", f"--class_names={SECRET}/names.csv", f"--autotag_names={SECRET}/model"]
    assert "secret" not in json.dumps(recorded(*flags))
    bad = [f"--glove={SECRET}/model", f"--labels=open_images --class_names={SECRET}/model", f"--glove={NOWHERE}"]
    bad += [f"--doc2vec={NOWHERE}", f"--labels=autotags --autotag_names={NOWHERE}"]
    for wrong in bad:
        with pytest.raises(UsageError, match="memory://there/|http://127.0.0.1:9/none") as caught:
            recorded(*wrong.split())
        assert "secret" not in str(caught.value)
