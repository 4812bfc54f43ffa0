"""`photobeam text` with word vectors, vectors of texts, and labels; and what it refuses."""

import io
import json
import logging
import pathlib
import shutil
import typing
import zipfile

import nltk
import numpy as np
import pyarrow.parquet as pq
import pytest

from beam_jobs import prepare_text
from beam_jobs.outputs.run_folder import RunFolder
from beam_jobs.text.label_flags import LabelOptions
from beam_jobs.text.text_job import TextJob
from beam_jobs.text.text_vectors import model_folder
from beam_jobs.text.vector_flags import VectorOptions
from schemas.coco_categories import COCO_CATEGORIES
from schemas.columns import vector_of
from schemas.product_records import ProductRecord
from tests.annotated_photos import element
from tests.captioned_photos import make_captioned
from tests.gensim_vectors import infer_directly, needs_siphash13
from tests.store_servers import S3Server
from transforms.datasets.finished_dataset import open_finished
from transforms.stores.output import LocalOutput
from transforms.stores.scratch import LocalScratch
from transforms.text.text_options import TextOptions
from transforms.text.tokenizers import tokenizer
from transforms.text.write_doc2vec import InferVectors, publish_model
from transforms.verify.verify_dataset import verify

CAPTIONS = {
    11: ["A dog runs on the beach .", "the dog runs"],
    12: ["the man in the white hat", ""],
    13: [],
    15: ["a dog and a man", "a man", "two dogs in the snow"],
    16: ["the Ünknown zebra"],
    18: ["a failure"],
}
VALIDATION, FAILED = 16, 18
BOXES = {11: [18, 18], 12: [1, 27], 15: [18, 12]}
TREE = {"name": "Entity", "children": [{"name": "Animal", "children": [{"name": "Dog"}, {"name": "Zebra"}]}]}
CLASSES = "/m/0bt9lr,Dog\n/m/0jbk,Animal\n/m/0898b,Zebra\n"
TRAIN = ("--doc2vec=train", "--doc2vec_preset=lau_baldwin", "--vector_size=8", "--epochs=2")
GLOVE = "glove/gensim/gensim/test/test_data/test_glove.txt"


def make_photos(root: pathlib.Path, captions: dict[int, list[str]] = CAPTIONS) -> pathlib.Path:
    """Writes a dataset of two shards with captions, boxes of COCO and labels of Open Images."""
    splits = {photo: "val" if photo == VALIDATION else "train" for photo in captions}
    return make_captioned(root, captions, splits, (FAILED,), labels_of)


def labels_of(photo: int) -> dict[str, typing.Any]:
    boxes = [element("boxes", label_id=str(i), label=COCO_CATEGORIES.get(i, "hat")) for i in BOXES.get(photo, [])]
    seen = {"/m/0bt9lr": float(photo % 2), "/m/0zz": 1.0}
    own = {"source": "open_images", "annotator": "verification"}
    labels = [element("image_labels", label_id=mid, confidence=c, **own) for mid, c in seen.items()]
    return {"boxes": boxes, "image_labels": labels}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return make_photos(tmp_path_factory.mktemp("photos") / "dataset")


@pytest.fixture
def dataset(whole: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    return pathlib.Path(shutil.copytree(whole, tmp_path / "dataset"))


def text(root: pathlib.Path, *flags: str, workers: int = 1) -> int:
    return prepare_text.main([str(root), "--tokenizer=nltk_no_punkt", f"--workers={workers}", *flags])


def record_of(root: pathlib.Path) -> ProductRecord:
    return ProductRecord.from_json((root / "text/manifest.json").read_bytes(), "text/manifest.json")


def files_of(root: pathlib.Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted((root / "text").rglob("*")) if p.is_file()}


def table_of(root: pathlib.Path, folder: str) -> list[dict[str, typing.Any]]:
    return [row for path in sorted((root / folder).glob("0*.parquet")) for row in pq.read_table(path).to_pylist()]


def array_of(root: pathlib.Path, folder: str, ending: str = "npy") -> np.ndarray:
    return np.concatenate([np.load(path) for path in sorted((root / folder).glob(f"00000?.{ending}"))])


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory, shared_data: pathlib.Path) -> pathlib.Path:
    """The dataset with vectors of words and texts."""
    root = make_photos(tmp_path_factory.mktemp("vectors") / "dataset")
    assert text(root, f"--glove={shared_data / GLOVE}", "--unknown_words=mean", *TRAIN, workers=2) == 0
    return root


def test_glove(vectors: pathlib.Path, shared_data: pathlib.Path) -> None:
    from gensim.models import KeyedVectors

    theirs = KeyedVectors.load_word2vec_format(str(shared_data / GLOVE), no_header=True)
    matrix = np.load(vectors / "text/glove.npy")
    vocabulary = pq.read_table(vectors / "text/vocabulary.parquet").to_pylist()
    assert [word["id"] for word in vocabulary] == list(range(len(matrix)))
    known = [word["word"] in theirs for word in vocabulary]
    wanted = np.array([theirs[word["word"]] for word, is_known in zip(vocabulary, known, strict=True) if is_known])
    assert matrix[known].tobytes() == wanted.tobytes()
    assert not matrix[0].any()
    for row in matrix[1:][~np.array(known[1:])]:
        np.testing.assert_allclose(row, wanted.mean(axis=0), rtol=1e-5, atol=1e-7)
    counted = {word["word"]: word["count"] for word in vocabulary if word["count"]}
    report = json.loads((vectors / "text/glove.json").read_text())
    assert report["words_found"] == len(counted.keys() & theirs.key_to_index.keys()) > 0
    assert report["words_missing"] == len(counted) - report["words_found"] > 0
    assert report["tokens_found"] == sum(n for word, n in counted.items() if word in theirs)
    assert report["share_of_tokens"] == report["tokens_found"] / sum(counted.values())
    assert set(report["most_frequent_missing"]) == counted.keys() - theirs.key_to_index.keys()


@needs_siphash13
def test_doc2vec(vectors: pathlib.Path) -> None:
    from gensim.models.doc2vec import Doc2Vec

    model_path, pairs = str(vectors / "text/doc2vec/model"), list[tuple[list[float], list[str]]]()
    model = Doc2Vec.load(model_path)
    words = {word["word"] for word in pq.read_table(vectors / "text/vocabulary.parquet").to_pylist() if word["count"]}
    assert set(model.wv.key_to_index) == words
    assert "zebra" not in words
    photos, found = table_of(vectors, "text"), table_of(vectors, "text/doc2vec")
    assert [row["photo_id"] for row in found] == [row["photo_id"] for row in photos]
    for photo, row in zip(photos, found, strict=True):
        texts = [caption["tokens"] for caption in photo["captions"]]
        assert any(row["vector"]) == bool(texts)
        of_photo = [(row["vector"], [word for tokens in texts for word in tokens])]
        pairs += [pair for pair in [*zip(row["caption_vectors"], texts, strict=True), *of_photo] if pair[1]]
    assert [vector for vector, _ in pairs] == infer_directly([model_path], [tokens for _, tokens in pairs])
    assert array_of(vectors, "text/doc2vec").tolist() == [row["vector"] for row in found]
    of_captions = [vector for row in found for vector in row["caption_vectors"]]
    assert array_of(vectors, "text/doc2vec", "captions.npy").tolist() == of_captions
    assert pq.read_schema(vectors / "text/doc2vec/000000.parquet").field("vector").type == vector_of(8)


def test_what_was_made_is_recorded_and_verified(
    vectors: pathlib.Path, shared_data: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = record_of(vectors)
    assert record.counts["doc2vec_unknown_tokens"] == 2
    assert record.software["gensim"].startswith("4.")
    assert record.options["doc2vec_algorithm"] == "dbow"
    assert verify(str(vectors)).faults == []
    assert text(vectors, f"--glove={shared_data / GLOVE}", "--unknown_words=mean", *TRAIN) == 0
    assert "nothing to do: " in capsys.readouterr().out
    assert text(vectors, *TRAIN) == 2
    assert "--glove is not given, text/manifest.json has a file or folder" in capsys.readouterr().err


def test_a_model_that_is_there_gives_the_same_vectors(vectors: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Here in this process, whose hashes of texts are not those of the workers."""
    root, run = tmp_path / "dataset", RunFolder(tmp_path, None, LocalScratch(tmp_path / "scratch"))
    shutil.copy(vectors / "text/doc2vec/model", tmp_path / "mine")
    shutil.copytree(vectors, root)
    before = files_of(root)
    shutil.rmtree(root / "text/doc2vec")
    output, asked = LocalOutput(root), VectorOptions(doc2vec=str(tmp_path / "mine"))
    job = TextJob(
        output, open_finished(str(root)), TextOptions(tokenizer="keras"), asked, LabelOptions(), "", None, run, "none"
    )
    with model_folder(job) as folder:
        model = publish_model(folder, output)
    infer_vectors = InferVectors(output, run.scratch, tuple(model), model["text/doc2vec/model"].sha256)
    assert sum(map(infer_vectors, range(2))) == len(CAPTIONS) - 1
    assert files_of(root) == before


@pytest.mark.usefixtures("no_credentials")
def test_all_of_it_in_a_bucket(vectors: pathlib.Path, shared_data: pathlib.Path, s3: S3Server, bucket: str) -> None:
    made_here = {"text", "_tmp"}
    files = {
        f"out/{p.relative_to(vectors)}": p for p in vectors.rglob("*") if p.is_file() and not made_here & {*p.parts}
    }
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("other.txt", "a 1\n")
        zipped.write(shared_data / GLOVE, "glove.txt")
    s3.put(bucket, {name: path.read_bytes() for name, path in files.items()} | {"glove.zip": archive.getvalue()})
    s3.put(bucket, {"tags.txt": b"fog\ndune\n", "mine": (vectors / "text/doc2vec/model").read_bytes()})
    place = f"s3://{bucket}"
    flags = [f"--glove=zip://glove.txt::{place}/glove.zip", "--unknown_words=mean", f"--doc2vec={place}/mine"]
    flags += ["--labels=autotags,coco", f"--autotag_names={place}/tags.txt"]
    keys = {"endpoint_url": s3.url, "access_key_id": s3.key_id, "secret_access_key": s3.secret}
    reached = [f"--s3_{name}={value}" for name, value in keys.items()]
    assert prepare_text.main([f"{place}/out", "--tokenizer=nltk_no_punkt", "--workers=1", *flags, *reached]) == 0
    for name, data in files_of(vectors).items():
        if name not in ("text/manifest.json", "text/glove.json"):
            assert s3.client.get_object(Bucket=bucket, Key=f"out/{name}")["Body"].read() == data, name
    listed = s3.client.get_object(Bucket=bucket, Key="out/text/labels/autotags/classes.json")["Body"].read()
    assert [c["name"] for c in json.loads(listed)] == ["dune", "fog"]


def test_labels_of_three_sources(dataset: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tmp_path / "classes.csv").write_text(CLASSES)
    (tmp_path / "tree.json").write_text(json.dumps(TREE))
    files = [f"--class_names={tmp_path / 'classes.csv'}", f"--hierarchy={tmp_path / 'tree.json'}"]
    assert text(dataset, "--labels=open_images,coco,autotags", *files) == 0
    photos = [row["photo_id"] for row in table_of(dataset, "text")]
    assert FAILED not in photos

    coco, classes = array_of(dataset, "text/labels/coco"), table_of(dataset, "text/labels/coco")
    wanted = {photo: {[*COCO_CATEGORIES].index(i) for i in BOXES.get(photo, []) if i != 12} for photo in photos}
    assert {photo: set(np.flatnonzero(row)) for photo, row in zip(photos, coco, strict=True)} == wanted
    single = {photo: next(iter(ids)) if len(ids) == 1 else None for photo, ids in wanted.items()}
    assert {row["photo_id"]: row["class_id"] for row in classes} == single
    hot = array_of(dataset, "text/labels/coco", "one_hot.npy")
    assert {photo: row.tolist() for photo, row in zip(photos, hot, strict=True)} == {
        photo: [int(i == class_id) for i in range(80)] for photo, class_id in single.items()
    }
    listed = json.loads((dataset / "text/labels/coco/classes.json").read_text())
    assert listed[16] == {"id": 16, "name": "dog", "original_id": "18"}

    present, absent = (array_of(dataset, "text/labels/open_images", ending) for ending in ("npy", "absent.npy"))
    for photo, row, denied in zip(photos, present, absent, strict=True):
        assert row.tolist() == ([1, 1, 0] if photo % 2 else [0, 0, 0])
        assert denied.tolist() == ([0, 0, 0] if photo % 2 else [1, 0, 0])

    scores = array_of(dataset, "text/labels/autotags")
    assert [c["name"] for c in json.loads((dataset / "text/labels/autotags/classes.json").read_text())] == [
        "fog",
        "outdoor",
    ]
    tags = np.array([[0.861, 1.0] if photo % 2 else [0, 0] for photo in photos], np.float32)
    np.testing.assert_array_equal(scores, tags)

    counts = record_of(dataset).counts
    assert counts["coco_photos_labelled"] + counts["coco_photos_without_labels"] == len(photos)
    assert counts["coco_labels_of_unknown_classes"] == 1
    assert counts["open_images_labels_of_unknown_classes"] == len(photos)
    assert verify(str(dataset)).faults == []


def test_labels_alone_where_there_are_no_captions(
    tmp_path: pathlib.Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """NLTK's data are not looked for."""
    monkeypatch.setattr(nltk.data, "path", [])
    tokenizer.cache_clear()
    nltk.tokenize._get_punkt_tokenizer.cache_clear()
    root = make_photos(tmp_path / "dataset", {11: [], 12: []})
    (tmp_path / "names.txt").write_text("outdoor\ndune\n")
    flags = ["--labels=autotags,coco", f"--autotag_names={tmp_path / 'names.txt'}", "--coco_ids=original"]
    flags += ["--max_tokens=3", "--tokenizer=nltk"]
    assert text(root, *flags, "--doc2vec=train") == 2
    assert "punkt_tab" in capsys.readouterr().err
    with caplog.at_level(logging.INFO, "photobeam"):
        assert text(root, *flags) == 0
    assert "dataset has no captions; labels alone are made" in caplog.text
    assert not list((root / "text").glob("*.parquet"))
    assert array_of(root, "text/labels/coco").shape == (2, 91)
    assert sorted(array_of(root, "text/labels/autotags").tolist()) == [[0, 0], [0, 1]]
    assert record_of(root).counts["autotags_labels_of_unknown_classes"] == 1
    assert verify(str(root)).faults == []
    assert text(root, *flags) == 0
    assert text(root, "--labels=coco", "--doc2vec=train", "--overwrite") == 1


def test_where_samples_would_get_no_members(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """That is known when labels are made, and from then on before any work."""
    root = make_photos(tmp_path / "dataset", {12: [], 13: []})
    flags = ["--labels=coco", "--max_tokens=3", "--into_shards"]
    for code in (1, 2):
        assert text(root, *flags) == code
        said = capsys.readouterr().err
        assert "--into_shards: no captions, and 2 of 2 samples have no class of coco or several" in said
        assert f"{root}/text is made: leave --into_shards out, or give --labels of which each photo has one" in said
        assert verify(str(root)).faults == []
    assert text(root, *flags[:2]) == 0


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (["--glove={}/none.txt"], 2, "--glove {}/none.txt: cannot be read"),
        (["--glove="], 2, "--glove is empty; name a path"),
        (["--glove={}/header.txt"], 2, "header.txt: line 2: has 2 numbers, the lines before have 99999999999"),
        (["--glove={}/classes.csv"], 2, "classes.csv: line 1: not a file of word vectors: each line is a"),
        (["--glove={}/json.txt"], 2, "json.txt: line 1: not a file of word vectors: each line is a word and"),
        (["--glove={}/empty"], 2, "empty: line 1: not a file of word vectors"),
        (["--unknown_words=mean"], 2, "--unknown_words is for --glove; leave it out"),
        (["--seed=1"], 2, "--seed is for --glove or --doc2vec train"),
        (["--doc2vec=train", "--seed=-1"], 2, "--seed -1: give a number from 0 to 4294967295"),
        (["--doc2vec=train", f"--seed={2**32}"], 2, f"--seed {2**32}: give a number from 0"),
        (["--doc2vec="], 2, "--doc2vec is empty; name a path"),
        (["--vector_size=5"], 2, "--vector_size is for --doc2vec train; leave it out"),
        (["--doc2vec={}/empty", "--epochs=5"], 2, "--epochs is for --doc2vec train; leave it out"),
        (["--doc2vec={}/none"], 2, "--doc2vec {}/none: there is no such file"),
        (["--doc2vec={}/empty"], 2, "--doc2vec {}/empty: is no model that gensim saved"),
        (["--labels=voc"], 2, "'voc' is no set of labels: choose of coco, open_images, autotags"),
        (["--labels=open_images"], 2, "needs the list of classes: --class_names"),
        (["--labels=autotags", "--autotag_names="], 2, "--autotag_names is empty; name a path"),
        (["--labels=open_images", "--class_names={}/empty"], 2, "empty: has no class"),
        (["--labels=open_images", "--class_names={}/cut.txt"], 2, "line 1 is not a class id and a name"),
        (
            ["--labels=open_images", "--class_names={}/classes.csv", "--hierarchy={}/cut.txt"],
            2,
            "cut.txt: is no tree of classes",
        ),
        (
            ["--labels=open_images", "--class_names={}/classes.csv", "--hierarchy={}/list.json"],
            2,
            "list.json: is no tree of classes: an element has no LabelName and no name: []",
        ),
        (["--labels=autotags", "--autotag_names={}/empty"], 2, "empty: has no name"),
        (["--labels=coco", "--hierarchy={}/empty"], 2, "--hierarchy is for --labels open_images; leave it out"),
    ],
)
def test_what_cannot_be_is_refused(
    whole: pathlib.Path,
    tmp_path: pathlib.Path,
    flags: list[str],
    code: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "cut.txt").write_text("the 1 2\ndog 1")
    (tmp_path / "empty").write_text("")
    (tmp_path / "header.txt").write_text("1 99999999999\ndog 1 2\n")
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "json.txt").write_text('{"a": 1}\n')
    (tmp_path / "classes.csv").write_text(CLASSES)
    assert text(whole, *(flag.format(tmp_path) for flag in flags)) == code
    assert message.format(tmp_path) in capsys.readouterr().err
    assert not (whole / "text").exists()
