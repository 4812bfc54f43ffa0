"""`photobeam text`: its counts are those of NLTK, its ids those of Keras, and it fits the dataset or says so."""

import collections
import json
import logging
import pathlib
import re
import shutil
import typing

import nltk
import numpy as np
import pyarrow.parquet as pq
import pytest
from keras_preprocessing.sequence import pad_sequences
from keras_preprocessing.text import Tokenizer

from beam_jobs import join_metadata, prepare_text, reprocess_dataset
from schemas.product_records import ProductRecord
from tests.captioned_photos import CAPTIONS, FAILED, SPLITS, captions_in_order, make_captioned
from tests.store_servers import S3Server
from transforms.verify.verify_dataset import verify

NO_PUNKT = "--tokenizer=nltk_no_punkt"
SPECIAL = ["<pad>", "<start>", "<end>", "<unk>"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return make_captioned(tmp_path_factory.mktemp("captioned") / "dataset")


@pytest.fixture
def dataset(whole: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    return pathlib.Path(shutil.copytree(whole, tmp_path / "dataset"))


def text(root: pathlib.Path, *flags: str) -> int:
    return prepare_text.main([str(root), "--workers=1", *flags])


def record_of(root: pathlib.Path) -> ProductRecord:
    return ProductRecord.from_json((root / "text/manifest.json").read_bytes(), "text/manifest.json")


def photos_of(root: pathlib.Path) -> list[dict[str, typing.Any]]:
    return [row for path in sorted((root / "text").glob("0*.parquet")) for row in pq.read_table(path).to_pylist()]


def arrays_of(root: pathlib.Path, what: str) -> np.ndarray:
    return np.concatenate([np.load(path) for path in sorted((root / "text").glob(f"0*.{what}.npy"))])


def words_of(root: pathlib.Path) -> dict[str, int]:
    table = pq.read_table(root / "text/vocabulary.parquet")
    return dict(zip(table["word"].to_pylist(), table["count"].to_pylist(), strict=True))


def nltk_words(caption: str) -> list[str]:
    return nltk.word_tokenize(caption.lower(), preserve_line=True)


def test_real_captions_are_counted_as_by_nltk(tmp_path: pathlib.Path, shared_data: pathlib.Path) -> None:
    flickr, root = shared_data / "flickr8k/Flickr8k.token.first2000.txt", tmp_path / "out"
    [coco] = shared_data.glob("coco/*/annotations/captions_val2017.json")
    joined = [f"--flickr8k={flickr}", f"--coco={coco}", "--base=all", f"--output={root}", "--samples_per_shard=300"]
    assert join_metadata.main([*joined, "--workers=2"]) == 0
    captions = [line.partition("\t")[2] for line in flickr.read_text(encoding="utf-8").splitlines()]
    captions += [annotation["caption"] for annotation in json.loads(coco.read_text())["annotations"]]
    assert text(root, NO_PUNKT, "--vocabulary_split=all", "--max_tokens=16", "--padding=post") == 0
    counts = collections.Counter(word for caption in captions for word in nltk_words(caption))
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    assert list(words_of(root).items()) == [*((word, 0) for word in SPECIAL), *ranked]
    assert (root / "text/vocab.txt").read_text().splitlines() == [*SPECIAL, *(word for word, _ in ranked)]
    ids = json.loads((root / "text/vocabulary.json").read_text())
    assert list(ids.values()) == list(range(len(ids)))
    stored = [text for _, texts in captions_in_order(root) for text in texts]
    assert collections.Counter(stored) == collections.Counter(map(str.strip, captions))
    found = [caption for photo in photos_of(root) for caption in photo["captions"]]
    assert [caption["tokens"] for caption in found] == [nltk_words(caption) for caption in stored]
    wanted = [[ids[word] for word in nltk_words(caption)][-16:] for caption in stored]
    assert [caption["ids"][: caption["length"]] for caption in found] == wanted
    assert arrays_of(root, "ids").tolist() == [caption["ids"] for caption in found]
    assert arrays_of(root, "mask").sum(1).tolist() == [caption["length"] for caption in found]
    assert record_of(root).counts["tokens"] == counts.total()
    before = record_of(root)
    assert text(root, NO_PUNKT, "--vocabulary_split=all", "--max_tokens=16", "--padding=post") == 0
    assert record_of(root) == before
    assert verify(str(root)).faults == []


def test_ids_are_those_of_keras(dataset: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras' own classes, given the captions of the samples in the order of the dataset."""
    monkeypatch.setattr(np, "unicode_", np.str_, raising=False)
    captions = [text for photo, texts in captions_in_order(dataset) if photo != FAILED for text in texts]
    keras = Tokenizer(num_words=12 + 2, oov_token="<OOV>")
    keras.fit_on_texts(captions)
    flags = ["--max_words=12", "--oov_token=<OOV>", "--max_tokens=5", "--padding=post"]
    assert text(dataset, "--tokenizer=keras", "--vocabulary_split=all", *flags) == 0
    wanted = pad_sequences(keras.texts_to_sequences(captions), 5, padding="post")
    assert arrays_of(dataset, "ids").tolist() == wanted.tolist()
    ids = json.loads((dataset / "text/vocabulary.json").read_text())
    assert ids == {word: id_ for word, id_ in keras.word_index.items() if id_ < 14}
    assert text(dataset, "--tokenizer=keras", "--vocabulary_split=all", "--min_count=2", "--overwrite") == 0
    keras = Tokenizer()
    keras.fit_on_texts(captions)
    ids = {word: id_ for word, id_ in keras.word_index.items() if keras.word_counts[word] >= 2}
    assert json.loads((dataset / "text/vocabulary.json").read_text()) == ids
    found = [caption for photo in photos_of(dataset) for caption in photo["captions"]]
    known = [[id_ for id_ in caption if id_ <= len(ids)] for caption in keras.texts_to_sequences(captions)]
    assert [caption["ids"] for caption in found] == known
    assert not list((dataset / "text").glob("*.npy"))


def test_samples_alone_are_taken_and_words_of_other_splits_are_unknown(
    dataset: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert text(dataset, NO_PUNKT, "--start_end", "--max_tokens=8", "--truncating=post", "--progress=json") == 0
    *_, shown = map(json.loads, capsys.readouterr().err.splitlines())
    assert shown["samples"] == shown["rows"] == len(CAPTIONS) - 1
    sidecars = [pq.read_table(path) for path in sorted(dataset.glob("shards/*.parquet"))]
    tables = [pq.read_table(path) for path in sorted(dataset.glob("text/0*.parquet"))]
    for sidecar, table in zip(sidecars, tables, strict=True):
        assert table["photo_id"].to_pylist() == sidecar["photo_id"].to_pylist()
        assert table["key"].to_pylist() == sidecar["key"].to_pylist()
    photos = {photo["photo_id"]: photo["captions"] for photo in photos_of(dataset)}
    assert {photo: len(texts) for photo, texts in CAPTIONS.items() if photo != FAILED} == {
        photo: len(texts) for photo, texts in photos.items()
    }
    words, ids = words_of(dataset), json.loads((dataset / "text/vocabulary.json").read_text())
    train = [photo for photo, split in SPLITS.items() if split.startswith("train") and photo != FAILED]
    counts = collections.Counter(word for photo in train for text in CAPTIONS[photo] for word in nltk_words(text))
    assert {word: count for word, count in words.items() if word not in SPECIAL} == counts
    assert "zebra" not in words
    [zebra] = photos[17]
    assert zebra["ids"] == [0, 0, 0, 1, ids["a"], 3, 3, 2]
    assert photos[12][1] == {
        "source": "coco", "image_id": "12", "caption_id": 1201, "tokens": [], "ids": [0] * 6 + [1, 2], "length": 2
    }  # fmt: skip
    record = record_of(dataset)
    assert record.options["vocabulary_of"] == "train"
    assert record.counts["photos_without_captions"] == 1
    assert record.counts["captions_empty"] == 1
    assert record.counts["captions_cut"] == sum(len(c["tokens"]) > 6 for caps in photos.values() for c in caps)


def test_a_second_run_does_nothing_and_what_is_lost_is_made_again(
    dataset: pathlib.Path, fresh_workers: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert text(dataset, NO_PUNKT) == 0
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in (dataset / "text").iterdir()}
    assert text(dataset, NO_PUNKT) == 0
    made, again = capsys.readouterr().out.splitlines()
    assert made.startswith(f"{dataset}/text: ")
    assert again == f"nothing to do: {dataset}/text fits this dataset and these flags"
    assert text(dataset, NO_PUNKT, "--min_count=2") == 2
    assert "--min_count is 2, text/manifest.json has 1: give --overwrite" in capsys.readouterr().err
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in (dataset / "text").iterdir()} == before
    (dataset / "text/000001.parquet").unlink()
    (dataset / "text/manifest.json").rename(dataset / "manifest.bak")
    assert [fault.file for fault in verify(str(dataset)).faults] == ["text"]
    (dataset / "manifest.bak").rename(dataset / "text/manifest.json")
    assert text(dataset, NO_PUNKT, "--workers=2") == 0
    assert {path: path.read_bytes() for path in (dataset / "text").iterdir()} == {p: b for p, (_, b) in before.items()}
    assert verify(str(dataset)).faults == []


def test_another_state_of_the_dataset_is_noticed(dataset: pathlib.Path, tmp_path: pathlib.Path) -> None:
    assert text(dataset, NO_PUNKT) == 0
    (tmp_path / "ids.txt").write_text("13\n12345\n")
    (dataset / "text/000000.parquet").write_bytes(b"damaged")
    assert reprocess_dataset.main([str(dataset), f"--take_down={tmp_path / 'ids.txt'}", "--workers=1"]) == 0
    assert not (dataset / "text").exists()
    assert text(dataset, NO_PUNKT) == 0
    assert 13 not in {photo["photo_id"] for photo in photos_of(dataset)}
    (tmp_path / "ids.txt").write_text(f"{FAILED}\n")
    assert reprocess_dataset.main([str(dataset), f"--take_down={tmp_path / 'ids.txt'}", "--workers=1"]) == 0
    [fault] = verify(str(dataset)).faults
    assert (fault.file, fault.problem) == ("text/manifest.json", "it was made from another state of this dataset")
    assert text(dataset, NO_PUNKT, "--max_tokens=3") == 0
    assert verify(str(dataset)).faults == []


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (["--min_count=100000"], 1, "the most frequent word is there 3 times"),
        (["--vocabulary_split=test"], 1, "no caption of split test has a word"),
        (["--caption_source=flickr8k"], 1, "have no such captions (--caption_source, --lemmas)"),
        (["--caption_source=coco,flikr"], 2, "'flikr' is no source"),
        (["--oov_token=dog"], 2, "--oov_token is for --tokenizer keras"),
        (["--tokenizer=keras", "--oov_token=dog"], 2, "may be a word of a caption"),
        (["--tokenizer=keras", "--start_end"], 2, "has no <start> and <end>"),
        (["--max_tokens=0"], 2, "0 is not a positive number"),
        ([f"--max_words={10**23}"], 2, f"{10**23} is not a positive number below 2^31"),
        (["--max_tokens=100001"], 2, "--max_tokens 100001: give at most 100000"),
        (["--runner=PrismRunner"], 2, "--runner=PrismRunner needs --prism_location"),
        (["--runner=DataflowRunner", "--dry_run"], 2, "`photobeam text` has more to do when the job is done: leave"),
    ],
)
def test_what_cannot_be_is_refused(
    whole: pathlib.Path, flags: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert text(whole, NO_PUNKT, *flags) == code
    assert message in capsys.readouterr().err
    assert not (whole / "text").exists()


def test_numbers_of_the_summary_have_separators(dataset: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "photobeam"):
        assert text(dataset, NO_PUNKT, "--progress=none") == 0
    assert " of 20,0" in caplog.text
    assert not re.search(r"\b(photos|captions|tokens|words)\b.*\b\d{4,}\b", "\n".join(caplog.messages))


def test_a_dataset_without_captions_or_none_at_all(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_captioned(tmp_path / "bare", {1: [], 2: []}, {}, ())
    assert text(root, NO_PUNKT) == 1
    assert "its 2 photos have no captions" in capsys.readouterr().err
    root = make_captioned(tmp_path / "blank", {1: [""], 2: [" ", "\n"]}, {}, ())
    assert text(root, NO_PUNKT) == text(root, NO_PUNKT, "--vocabulary_split=val") == 1
    said = capsys.readouterr().err
    assert "blank: none of its 3 captions has a word" in said
    assert "blank: no caption of split validation has a word; choose another --vocabulary_split, or all" in said
    assert text(tmp_path / "nothing", "--glove=nothing", f"--nltk_data={tmp_path}") == 2
    assert "holds no dataset" in capsys.readouterr().err


def test_a_damaged_row_file_is_named(dataset: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = dataset / "rows/000001.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert text(dataset, NO_PUNKT) == 1
    assert "rows/000001.parquet: its bytes have changed" in capsys.readouterr().err
    (dataset / "manifest.json").write_bytes(b"{")
    assert text(dataset, NO_PUNKT) == 1
    assert "manifest.json" in capsys.readouterr().err


@pytest.mark.usefixtures("no_credentials")
def test_a_dataset_in_a_bucket_gives_the_same_files(dataset: pathlib.Path, s3: S3Server, bucket: str) -> None:
    """Flags too, that come from a file."""
    files = [path for path in dataset.rglob("*") if path.is_file() and "_tmp" not in path.parts]
    s3.put(bucket, {f"out/{path.relative_to(dataset)}": path.read_bytes() for path in files})
    config = dataset.parent / "text.yaml"
    config.write_text("tokenizer: nltk_no_punkt\nmax_tokens: 7\ncaption_source: [coco, flickr8k]\n")
    keys = {"endpoint_url": s3.url, "access_key_id": s3.key_id, "secret_access_key": s3.secret}
    reached = [f"--s3_{name}={value}" for name, value in keys.items()]
    for place, more in ((str(dataset), []), (f"s3://{bucket}/out", reached)):
        assert prepare_text.main([place, "--workers=1", f"--config={config}", *more]) == 0
    for path in (dataset / "text").iterdir():
        found = s3.client.get_object(Bucket=bucket, Key=f"out/text/{path.name}")["Body"].read()
        assert found == path.read_bytes(), path.name
