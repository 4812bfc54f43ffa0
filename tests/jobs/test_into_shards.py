"""`photobeam text --into_shards`: ids and classes are members of every sample, and `verify` knows which lack them."""

import dataclasses
import pathlib
import shutil
import typing

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset as wds

from beam_jobs import check_dataset, diff_datasets, prepare_text, reprocess_dataset
from schemas.coco_categories import COCO_CATEGORIES
from schemas.layout import failures_file, sidecar_file
from schemas.photo_ids import hash64, key, shards_of
from schemas.product_records import FEATURES, made_from
from schemas.records import CommitRecord
from schemas.rows import ROW_SCHEMA
from tests.annotated_photos import copy, element
from tests.factories import make_rows, stage_shard, write_input_failures, write_records
from transforms.features.feature_product import finish_features, read_features
from transforms.features.shard_features import publish_features, write_array, write_table
from transforms.files.file_digest import file_digest
from transforms.stores.output import LocalOutput
from transforms.verify.verify_dataset import verify

CAPTIONS = {1: ["a dog runs"], 2: [], 3: ["a cat", "a dog and a cat sit"], 4: ["a failure"], 5: ["a hat"]}
LABELS = {1: [18, 18], 2: [17], 3: [17], 4: [], 5: [18]}
"""COCO's ids of cat and dog; as columns they are smaller by 2."""
FAILED, LENGTH = 4, 4
FLAGS = ["--tokenizer=nltk_no_punkt", "--workers=1", f"--max_tokens={LENGTH}", "--labels=coco", "--into_shards"]

Samples = dict[str, dict[str, typing.Any]]


def make_photos(root: pathlib.Path) -> pathlib.Path:
    """Writes a dataset of two shards."""
    ids = np.array(sorted(CAPTIONS), np.int64)
    commits = []
    for shard in range(2):
        rows = make_rows(sorted(ids[shards_of(hash64(ids), 2) == shard].tolist(), key=key)).to_pylist()
        for row in rows:
            photo = row["photo_id"]
            captions = enumerate(CAPTIONS[photo])
            row["captions"] = [element("captions", caption_id=i, text=text, is_lemma=False) for i, text in captions]
            row["copies"] = [copy("coco", str(photo))]
            row["boxes"] = [element("boxes", label_id=str(i), label=COCO_CATEGORIES[i]) for i in LABELS[photo]]
        commits.append(stage_shard(shard, pa.Table.from_pylist(rows, ROW_SCHEMA), root, (FAILED,)))
    commits[0] = with_older_failures(commits[0], root)
    write_input_failures(root)
    write_records(root, commits)
    return root


def with_older_failures(commit: CommitRecord, root: pathlib.Path) -> CommitRecord:
    """Writes the failures of a shard as another version of Parquet's writer would."""
    name = failures_file(commit.shard)
    pq.write_table(pq.read_table(root / name), root / name, compression="gzip")
    return dataclasses.replace(commit, files={**commit.files, name: file_digest(root / name)})


def add_features(root: pathlib.Path) -> None:
    """Makes features of the samples, as of a model that gives zeros."""
    output, commits = LocalOutput(root), [read_commit(path) for path in sorted(root.glob("commits/*.json"))]
    array, table = root.parent / "array", root.parent / "table"
    for commit in (commit for commit in commits if commit.samples):
        keys = pq.read_table(root / sidecar_file(commit.shard))["key"].to_pylist()
        vectors = np.zeros((commit.samples, 3), np.float32)
        write_array(vectors, array)
        write_table(keys, vectors, table)
        publish_features(commit, array, table, {"model": "zeros"}, output)
    sha256 = {name: file.sha256 for commit in commits for name, file in commit.files.items()}
    records = read_features(output, range(len(commits))).values()
    finish_features(output, records, made_from(FEATURES, sha256), {"model": "zeros"}, {})


def read_commit(path: pathlib.Path) -> CommitRecord:
    return CommitRecord.from_json(path.read_bytes(), path.name)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A dataset with features, whose samples got the members after these, beside one without any of it."""
    plain = make_photos(tmp_path_factory.mktemp("into_shards") / "plain")
    root = pathlib.Path(shutil.copytree(plain, plain.parent / "done"))
    add_features(root)
    assert prepare_text.main([str(root), *FLAGS]) == 0
    return root


@pytest.fixture
def dataset(done: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    return pathlib.Path(shutil.copytree(done, tmp_path / "dataset"))


def text(root: pathlib.Path, *flags: str) -> int:
    return prepare_text.main([str(root), *FLAGS, *flags])


def samples_of(root: pathlib.Path) -> Samples:
    """What webdataset reads and decodes."""
    tars = sorted(map(str, root.glob("shards/*.tar")))
    return {
        sample["__key__"]: sample
        for sample in wds.WebDataset(tars, shardshuffle=False, empty_check=False).decode(
            wds.handle_extension("jpg", bytes)
        )
    }


def files_of(root: pathlib.Path, *folders: str) -> dict[str, bytes]:
    return {f"{f}/{path.name}": path.read_bytes() for f in folders for path in (root / f).glob("[0-9]*.*")}


def take_down(root: pathlib.Path, photo: int) -> int:
    (root.parent / "ids.txt").write_text(f"{photo}\n")
    return reprocess_dataset.main([str(root), f"--take_down={root.parent / 'ids.txt'}", "--workers=1"])


def test_every_sample_has_its_ids_and_its_class(done: pathlib.Path) -> None:
    samples, before = samples_of(done), samples_of(done.parent / "plain")
    vocabulary = (done / "text/vocab.txt").read_text().splitlines()
    assert samples.keys() == before.keys() == {key(photo) for photo in CAPTIONS if photo != FAILED}
    for name, sample in samples.items():
        photo = int(name)
        assert all(sample[member] == before[name][member] for member in ("jpg", "json", "txt"))
        assert sample["cls"] == LABELS[photo][0] - 2
        ids = sample["tokens.npy"]
        assert (ids.dtype, ids.shape) == (np.int32, (len(CAPTIONS[photo]), LENGTH))
        words = [[vocabulary[i] for i in row if i] for row in ids]
        assert words == [caption.split()[-LENGTH:] for caption in CAPTIONS[photo]]
    rows = [row for path in sorted(done.glob("shards/*.parquet")) for row in pq.read_table(path).to_pylist()]
    assert {row["key"]: row["token_ids"] for row in rows} == {k: s["tokens.npy"].tolist() for k, s in samples.items()}
    assert {row["photo_id"]: row["token_lengths"] for row in rows}[3] == [2, LENGTH]
    assert verify(str(done)).faults == []


def test_the_same_command_does_nothing_and_another_text_reaches_the_samples(
    dataset: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files_of(dataset, "shards", "commits")
    assert text(dataset) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert files_of(dataset, "shards", "commits") == before
    without = [flag for flag in FLAGS if flag != "--into_shards"]
    assert prepare_text.main([str(dataset), *without, "--padding=post", "--overwrite"]) == 2
    assert "have members of --into_shards (cls, tokens.npy): give it again" in capsys.readouterr().err
    assert text(dataset, "--padding=post", "--overwrite") == 0
    assert samples_of(dataset)[key(1)]["tokens.npy"][0, -1] == 0
    assert verify(str(dataset)).faults == []
    assert text(dataset, "--overwrite") == 0
    assert files_of(dataset, "shards", "commits") == before


def test_photos_that_are_taken_down_leave_and_the_others_keep_their_members(dataset: pathlib.Path) -> None:
    before = samples_of(dataset)
    assert take_down(dataset, 3) == 0
    left = samples_of(dataset)
    assert left.keys() == before.keys() - {key(3)}
    for name, sample in left.items():
        assert sample["cls"] == before[name]["cls"]
        np.testing.assert_array_equal(sample["tokens.npy"], before[name]["tokens.npy"])
    [fault] = verify(str(dataset)).faults
    assert fault.problem == "members of the samples were made from another text/ than is there"
    assert text(dataset) == 0
    assert "cat" not in (dataset / "text/vocab.txt").read_text().splitlines()
    assert verify(str(dataset)).faults == []


def test_a_repair_that_loses_no_image_keeps_them(dataset: pathlib.Path) -> None:
    before = files_of(dataset, "shards", "commits", "failures")
    (dataset / "shards/000001.idx").write_bytes(b"damaged")
    assert check_dataset.main([str(dataset), "--repair"]) == 0
    assert files_of(dataset, "shards", "commits", "failures") == before


def test_a_changed_member_is_found(dataset: pathlib.Path) -> None:
    """Of a shard whose record fits its bytes."""
    [path, *_] = sorted(dataset.glob("shards/*.tar"))
    data = path.read_bytes()
    place = data.index(b".cls\0") // 512 * 512 + 512
    path.write_bytes(data[:place] + b"9" + data[place + 1 :])
    assert any("its cls is not that of the sidecar's row" in fault.problem for fault in verify(str(dataset)).faults)


def test_shards_that_lack_members_are_named_and_get_them(dataset: pathlib.Path, done: pathlib.Path) -> None:
    """As a shard does that was built again."""
    shutil.rmtree(dataset / "features")
    before, plain = files_of(dataset, "shards", "commits"), files_of(done.parent / "plain", "shards", "commits")
    shard = next(path.stem for path in sorted(dataset.glob("shards/*.tar")))
    for name, data in plain.items():
        if shard in name:
            (dataset / name).write_bytes(data)
    assert check_dataset.main([str(dataset), "--repair"]) == 1
    [fault] = verify(str(dataset)).faults
    assert (fault.file, fault.problem) == (
        "shards", "the samples of 1 of them have not the same members cls, tokens.npy as the others"
    )  # fmt: skip
    assert text(dataset) == 0
    assert files_of(dataset, "shards", "commits") == before
    assert verify(str(dataset)).faults == []


def test_two_datasets_of_other_members_differ(done: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert diff_datasets.main([str(done.parent / "plain"), str(done)]) == 0
    assert "--into_shards: nothing in A, cls,tokens.npy in B" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--into_shards"], "--into_shards needs --max_tokens N"),
        (["--into_shards", "--max_tokens=3", "--labels=coco,autotags"], "give one set of --labels, not coco,autotags"),
    ],
)
def test_flags_that_do_not_go_together(
    done: pathlib.Path, flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prepare_text.main([str(done), *flags]) == 2
    assert message in capsys.readouterr().err
