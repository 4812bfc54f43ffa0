"""`photobeam features` as a whole: against ONNX Runtime called directly, resumed, refused, and purged."""

import dataclasses
import io
import pathlib
import shutil
import sys
import tarfile
import typing

import apache_beam as beam
import numpy as np
import onnx
import onnxruntime as ort
import pyarrow.parquet as pq
import pytest
from apache_beam.runners.pipeline_context import PipelineContext
from PIL import Image

from beam_jobs import cli, extract_features
from schemas import layout
from schemas.feature_records import FeaturesRecord, features_array, features_record, features_schema, features_table
from schemas.product_records import FEATURES, ProductRecord, product_manifest
from schemas.records import CommitRecord, OtherFormatError
from tests import factories
from tests.onnx_models import model_of, small_cnn
from transforms.features.feature_product import read_features
from transforms.features.onnx_model import ModelFile, ModelFit, load_session
from transforms.features.preprocess import PRESETS
from transforms.features.run_model import ExtractFeatures
from transforms.features.shard_features import FeaturesConfig
from transforms.stores.output import LocalOutput
from transforms.stores.request_signers import S3Options

_SHARDS = (0, 1)
"""Those of the dataset that have samples."""

_POOL = ("--preprocessing", "clip", "--output_name", "pool", "--batch_size", "2")


def _noise(photo_id: int, width: int = 32, height: int = 24) -> bytes:
    """A picture of its own for each photo."""
    pixels = np.random.default_rng(photo_id).integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).resize((width, height)).save(out, "JPEG", quality=90)
    return out.getvalue()


@pytest.fixture
def dataset(tmp_path, monkeypatch) -> pathlib.Path:
    monkeypatch.setattr(factories, "make_jpeg", _noise)
    return factories.make_dataset(tmp_path / "out", further_sizes=[64])


@pytest.fixture
def model(tmp_path) -> pathlib.Path:
    path = tmp_path / "m.onnx"
    path.write_bytes(small_cnn())
    return path


def _features(dataset: pathlib.Path, model: pathlib.Path, *flags: str) -> int:
    return cli.main([FEATURES, str(dataset), "--model", str(model), "--progress", "none", *(flags or _POOL)])


def _files(dataset: pathlib.Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (dataset / FEATURES).iterdir()}


def _pictures(dataset: pathlib.Path, shard: int, extension: str = "jpg") -> dict[str, Image.Image]:
    """The pictures of a shard by key, in the order of the tar."""
    with tarfile.open(dataset / layout.tar_file(shard)) as tar:
        members = [(m.name.split(".", 1), tar.extractfile(m)) for m in tar.getmembers()]
        return {key: Image.open(io.BytesIO(file.read())) for (key, ending), file in members if ending == extension}


def _direct(model: pathlib.Path, pictures: typing.Iterable[Image.Image]) -> np.ndarray:
    """CLIP's recipe by itself, and ONNX Runtime called image by image."""
    session = ort.InferenceSession(model.read_bytes(), providers=["CPUExecutionProvider"])
    mean, std = ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])
    rows = []
    for picture in pictures:
        width = int(224 * picture.width / picture.height)
        left = int(round((width - 224) / 2.0))
        resized = picture.resize((width, 224), Image.Resampling.BICUBIC).crop((left, 0, left + 224, 224))
        numbers = ((np.asarray(resized) / 255 - mean) / std).astype(np.float32)
        rows.append(session.run(["pool"], {"image": numbers.transpose(2, 0, 1)[None]})[0][0])
    return np.array(rows)


def test_features_are_those_of_a_direct_call_row_by_row(dataset, model, capsys):
    assert _features(dataset, model) == 0
    assert (
        "13 samples with features of 8 numbers, in 2 shards, 0 of which had them; 10 photos" in capsys.readouterr().out
    )
    for shard in _SHARDS:
        pictures = _pictures(dataset, shard)
        vectors = np.load(dataset / features_array(shard))
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(vectors, _direct(model, pictures.values()), atol=1e-5)
        assert len(np.unique(vectors, axis=0)) == len(vectors)
        table = pq.read_table(dataset / features_table(shard))
        samples = pq.read_table(dataset / layout.sidecar_file(shard), columns=["photo_id", "key"])
        assert table.select(["photo_id", "key"]).to_pylist() == samples.to_pylist()
        assert table["key"].to_pylist() == list(pictures)
        assert str(table.schema.field("vector").type) == "fixed_size_list<element: float not null>[8]"
        assert np.array_equal(np.stack(table["vector"].to_numpy()), vectors)
    assert cli.main(["verify", str(dataset)]) == 0


def test_the_help_names_the_columns_and_exit_codes():
    told = " ".join(extract_features.make_parser().format_help().split())
    assert f"NNNNNN.parquet ({', '.join(features_schema(2).names)})" in told
    assert "Exit code 0: done" in told


def test_two_workers_share_one_model_with_the_command_itself(dataset, model):
    before = load_session.cache_info().misses
    assert _features(dataset, model, *_POOL, "--workers", "2") == 0
    assert load_session.cache_info().misses == before + 1


def test_bytes_are_the_same_whatever_the_workers_and_a_second_run_does_nothing(dataset, model, capsys):
    assert _features(dataset, model, *_POOL, "--workers", "1") == 0
    first = _files(dataset)
    assert _features(dataset, model) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert _features(dataset, model, *_POOL, "--workers", "2", "--overwrite") == 0
    assert _files(dataset) == first


def test_another_size_of_the_images(dataset, model):
    assert _features(dataset, model, *_POOL, "--image_size", "64") == 0
    vectors = np.load(dataset / features_array(0))
    np.testing.assert_allclose(vectors, _direct(model, _pictures(dataset, 0, "64.jpg").values()), atol=1e-5)


def test_other_flags_or_another_model_are_refused_by_name(dataset, model, tmp_path, capsys):
    assert _features(dataset, model) == 0
    before = _files(dataset)
    assert _features(dataset, model, "--preprocessing", "imagenet", *_POOL[2:]) == 2
    told = capsys.readouterr().err
    assert "--preprocessing is imagenet, features/manifest.json has clip: give --overwrite" in told
    assert _features(dataset, model, *_POOL[:-1], "4") == 2
    assert "--batch_size is 4," in capsys.readouterr().err
    model.write_bytes(small_cnn(seed=2))
    assert _features(dataset, model) == 2
    assert "--model is another file or folder than features/manifest.json has: give" in capsys.readouterr().err
    assert _files(dataset) == before
    assert _features(dataset, model, *_POOL, "--overwrite") == 0
    assert _files(dataset) != before


def test_a_run_that_stopped_at_a_damaged_shard_is_gone_on_with(dataset, model, capsys):
    tar = dataset / layout.tar_file(1)
    whole = tar.read_bytes()
    tar.write_bytes(whole[:700] + b"\0\0\0" + whole[703:])
    assert _features(dataset, model, *_POOL, "--workers", "1") == 1
    assert "photobeam verify" in capsys.readouterr().err
    kept = [(dataset / features_record(0)).exists(), (dataset / features_record(1)).exists()]
    assert not kept[1]
    assert not (dataset / product_manifest(FEATURES)).exists()
    assert cli.main(["verify", str(dataset), "--fast"]) == 1
    assert "there is no features/manifest.json" in capsys.readouterr().out
    tar.write_bytes(whole)
    assert _features(dataset, model) == 0
    assert f"in 2 shards, {sum(kept)} of which had them" in capsys.readouterr().out


def test_an_image_that_does_not_decode_names_verify(dataset, model, capsys):
    """The bytes behind a JPEG's header are gone, and all records fit the damaged tar."""
    key = next(iter(_pictures(dataset, 1)))
    row = pq.read_table(dataset / layout.sidecar_file(1)).to_pylist()[0]
    with (dataset / layout.tar_file(1)).open("r+b") as tar:
        tar.seek(row["image_offset"])
        tar.write(bytes(row["image_bytes"]))
    factories.reseal(dataset)
    assert _features(dataset, model) == 1
    told = capsys.readouterr().err
    assert f"shards/000001.tar: {key}.jpg is damaged or was replaced; `photobeam verify" in told


def _build_again(dataset: pathlib.Path, failed: int) -> CommitRecord:
    """Makes shard 1 anew, where two photos had failed."""
    ids = pq.read_table(dataset / layout.rows_file(1))["photo_id"].to_pylist()
    again = factories.stage_shard(1, factories.make_rows(ids), dataset, ids[:failed], further_sizes=[64])
    commits = [factories.read_commit(dataset, 0), again, factories.read_commit(dataset, 2)]
    factories.write_records(dataset, commits, format=factories.format_of([64]))
    return again


def test_shards_that_have_changed_are_made_again_and_no_other(dataset, model, capsys):
    assert _features(dataset, model) == 0
    first = (dataset / features_array(0)).stat().st_mtime_ns
    again = _build_again(dataset, failed=3)
    assert cli.main(["verify", str(dataset)]) == 1
    assert "features/manifest.json: it was made from another state" in capsys.readouterr().out
    assert _features(dataset, model) == 0
    said = capsys.readouterr()
    assert "in 2 shards, 1 of which had them" in said.out
    assert (dataset / features_array(0)).stat().st_mtime_ns == first
    assert len(np.load(dataset / features_array(1))) == again.samples
    assert cli.main(["verify", str(dataset)]) == 0


def test_a_flipped_bit_is_found_by_verify(dataset, model, capsys):
    assert _features(dataset, model) == 0
    array = dataset / features_array(0)
    array.write_bytes(array.read_bytes()[:-1] + b"\x55")
    assert cli.main(["verify", str(dataset)]) == 1
    assert "features/000000.npy: its bytes have changed" in capsys.readouterr().out


def _take_down(dataset: pathlib.Path, tmp_path: pathlib.Path, ids: typing.Iterable[int]) -> int:
    listed = tmp_path / "ids.txt"
    listed.write_text("".join(f"{photo_id}\n" for photo_id in ids))
    return cli.main(["reprocess", str(dataset), "--take_down", str(listed)])


def test_photos_that_are_taken_down_leave_the_features_and_the_others_stay(dataset, model, tmp_path, capsys):
    assert _features(dataset, model) == 0
    table, vectors = pq.read_table(dataset / features_table(0)), np.load(dataset / features_array(0))
    gone = table["photo_id"][1].as_py()
    assert _take_down(dataset, tmp_path, [gone]) == 0
    left = [i for i in range(len(vectors)) if i != 1]
    assert np.array_equal(np.load(dataset / features_array(0)), vectors[left])
    assert pq.read_table(dataset / features_table(0)).to_pylist() == table.take(left).to_pylist()
    assert not any(str(gone).encode() in data for data in _files(dataset).values())
    assert cli.main(["verify", str(dataset)]) == 0
    assert _features(dataset, model) == 0
    assert "nothing to do" in capsys.readouterr().out
    purged = _files(dataset)
    assert _features(dataset, model, *_POOL, "--overwrite") == 0
    again = ProductRecord.from_json(_files(dataset)["manifest.json"], "")
    assert again.made_from == ProductRecord.from_json(purged["manifest.json"], "").made_from
    np.testing.assert_allclose(np.load(dataset / features_array(0)), vectors[left], atol=1e-5)


def test_features_that_are_not_of_the_shard_as_it_was_go_as_a_whole(dataset, model, tmp_path):
    assert _features(dataset, model) == 0
    ids = pq.read_table(dataset / features_table(1))["photo_id"].to_pylist()
    (dataset / features_array(1)).write_bytes(b"damaged")
    assert _take_down(dataset, tmp_path, ids[:1]) == 0
    assert sorted(_files(dataset)) == ["000000.json", "000000.npy", "000000.parquet"]
    assert _features(dataset, model) == 0
    assert pq.read_table(dataset / features_table(1))["photo_id"].to_pylist() == ids[1:]


def test_features_of_a_shard_that_was_built_again_go_with_a_photo(dataset, model, tmp_path, monkeypatch):
    """The rows that stay fit the new samples by number and key, but are of other pictures."""
    assert _features(dataset, model) == 0
    ids = pq.read_table(dataset / features_table(1))["photo_id"].to_pylist()
    monkeypatch.setattr(factories, "make_jpeg", lambda photo_id, *size: _noise(photo_id + 1, *size))
    _build_again(dataset, failed=2)
    assert _take_down(dataset, tmp_path, ids[-1:]) == 0
    assert sorted(_files(dataset)) == ["000000.json", "000000.npy", "000000.parquet"]


def test_a_shard_without_samples_any_more_has_no_features(dataset, model, tmp_path):
    assert _features(dataset, model) == 0
    assert _take_down(dataset, tmp_path, pq.read_table(dataset / features_table(0))["photo_id"].to_pylist()) == 0
    assert sorted(_files(dataset)) == ["000001.json", "000001.npy", "000001.parquet", "manifest.json"]
    assert cli.main(["verify", str(dataset)]) == 0


def test_vectors_that_are_no_numbers_are_kept_and_counted(dataset, model, caplog):
    root = onnx.helper.make_node("Sqrt", ["image"], ["root"])
    model.write_bytes(model_of([root], {"image": ["N", 3, 8, 8]}, {"root": ["N", 3, 8, 8]}, {}))
    assert _features(dataset, model, "--input_size", "8", "--mean", "1,1,1", "--std", "1,1,1") == 0
    record = ProductRecord.from_json((dataset / FEATURES / "manifest.json").read_bytes(), "manifest.json")
    assert 0 < record.counts["not_finite"] <= record.counts["samples"]
    assert f"{record.counts['not_finite']} samples have features that are infinite or no number" in caplog.text


def test_missing_files_are_made_again(dataset, model, capsys):
    assert _features(dataset, model) == 0
    before = _files(dataset)
    (dataset / features_array(1)).unlink()
    assert _features(dataset, model) == 0
    assert "in 2 shards, 1 of which had them" in capsys.readouterr().out
    assert _files(dataset) == before


def test_a_dataset_without_a_sample_has_no_row(tmp_path, model, capsys):
    dataset = factories.make_dataset(tmp_path / "out", failed=factories.PHOTO_IDS)
    assert _features(dataset, model) == 0
    assert list(_files(dataset)) == ["manifest.json"]
    assert _features(dataset, model) == 0
    assert "0 samples with features" in (told := capsys.readouterr().out)
    assert "nothing to do" in told
    assert cli.main(["verify", str(dataset)]) == 0


def test_numbers_that_differ_are_named_by_their_flags(tmp_path, model, capsys):
    dataset = factories.make_dataset(tmp_path / "out", failed=factories.PHOTO_IDS)
    numbers = ("--output_name", "pool", "--mean", "0,0,0", "--std", "1,1,1", "--input_size")
    assert _features(dataset, model, *numbers, "9") == 0
    capsys.readouterr()
    assert _features(dataset, model, *numbers, "11") == 2
    told = capsys.readouterr().err
    assert "--input_size is 11, features/manifest.json has 9: give" in told
    assert _features(dataset, model) == 2
    told = capsys.readouterr().err
    assert "--preprocessing is clip, features/manifest.json has not given" in told
    assert "--mean" not in told


def test_a_record_of_another_format_is_left_alone_and_a_damaged_one_made_anew(tmp_path, model, capsys, caplog):
    dataset = factories.make_dataset(tmp_path / "out", failed=factories.PHOTO_IDS)
    assert _features(dataset, model) == 0
    path = dataset / product_manifest(FEATURES)
    before = path.read_bytes()
    newer = dataclasses.replace(ProductRecord.from_json(before, ""), format_version=9).to_json()
    path.write_bytes(newer)
    assert _features(dataset, model) == 2
    assert "was written by a newer photobeam" in capsys.readouterr().err
    assert path.read_bytes() == newer
    path.write_bytes(b"{}")
    assert _features(dataset, model) == 0
    assert "checksum does not fit what it says; it is made anew" in caplog.text
    assert path.read_bytes() == before


def test_a_shard_record_of_another_format_is_refused(tmp_path):
    output = LocalOutput(tmp_path / "out")
    record = FeaturesRecord(shard=0, samples=0, not_finite=0, options={}, made_from="", files={}, format_version=9)
    output.write(features_record(0), record.to_json())
    with pytest.raises(OtherFormatError, match="features/000000.json was written by a newer photobeam"):
        read_features(output, [0])
    output.write(features_record(0), b"{}")
    assert read_features(output, [0]) == {}


@pytest.mark.usefixtures("no_credentials")
def test_dataset_and_model_in_a_bucket(dataset, model, tmp_path, s3, bucket, capsys):
    assert _features(dataset, model) == 0
    local = _files(dataset)
    for folder in (FEATURES, layout.TMP):
        shutil.rmtree(dataset / folder)
    files = {str(path.relative_to(dataset)): path.read_bytes() for path in dataset.rglob("*") if path.is_file()}
    s3.put(bucket, {**{f"out/{name}": data for name, data in files.items()}, "m.onnx": model.read_bytes()})
    key = [f"--s3_access_key_id={s3.key_id}", f"--s3_secret_access_key={s3.secret}", f"--s3_endpoint_url={s3.url}"]
    there = ["features", f"s3://{bucket}/out", "--model", f"s3://{bucket}/m.onnx", "--progress", "none", *_POOL, *key]
    assert cli.main(there) == 0, capsys.readouterr().err
    listed = s3.client.list_objects_v2(Bucket=bucket, Prefix="out/features/")["Contents"]
    found = {o["Key"]: s3.client.get_object(Bucket=bucket, Key=o["Key"])["Body"].read() for o in listed}
    assert found == {f"out/features/{name}": data for name, data in local.items()}
    listed = tmp_path / "ids.txt"
    listed.write_text(f"{pq.read_table(io.BytesIO(local['000000.parquet']))['photo_id'][0]}\n")
    assert cli.main(["reprocess", f"s3://{bucket}/out", "--take_down", str(listed), *key]) == 0
    assert cli.main(["verify", f"s3://{bucket}/out", *key]) == 0


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--preprocessing", "clip"], "it has several outputs: give --output_name, one of pool float [N, 8], map"),
        ([], "give --preprocessing (inception_v3, imagenet, clip), or --input_size and --mean and --std"),
        (["--preprocessing", "clip", "--mean", "0,0,0"], "--mean is part of --preprocessing clip"),
        (["--input_size", "9", "--mean", "0,0,0", "--std", "1,0,1"], "--std: 1,0,1 has a 0"),
        (["--input_size", "9", "--mean", "0,0,0", "--std", "1,1,1e-50"], "--std: 1,1,1e-50 has a 0 or almost"),
        (["--input_size", "9", "--mean", "0,0,1e50", "--std", "1,1,1"], "0,0,1e50 is not three numbers"),
        (["--input_size", "20000", "--mean", "0,0,0", "--std", "1,1,1"], "--input_size 20000: give at most 10000"),
        (["--input_size", "9", "--mean", "0,0", "--std", "1,1,1"], "0,0 is not three numbers"),
        ([*_POOL, "--image_size", "99"], "--image_size 99: the dataset has images of 32,64"),
        ([*_POOL, "--device", "cuda"], "--device cuda: onnxruntime"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_any_work(dataset, model, capsys, flags, said):
    assert _features(dataset, model, "--progress", "none", *flags) == 2
    assert said in capsys.readouterr().err
    assert not (dataset / FEATURES).exists()


def test_a_model_made_for_other_batches_or_sizes_is_refused(dataset, model, capsys):
    model.write_bytes(small_cnn(batch=3, size=224))
    assert _features(dataset, model, *_POOL) == 2
    assert "--batch_size 2: the model takes 3 images at once; leave it out" in capsys.readouterr().err
    assert _features(dataset, model, "--preprocessing", "inception_v3", "--output_name", "pool") == 2
    told = capsys.readouterr().err
    assert "its input image float [3, 3, 224, 224] takes images of 224 x 224 px as NCHW, and not those of 299" in told


def test_without_onnx_runtime_it_says_what_to_install(dataset, model, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert _features(dataset, model) == 2
    assert "onnxruntime is not installed: pip install 'photobeam[features]'" in capsys.readouterr().err


def test_rows_alone_and_no_dataset_are_refused(dataset, model, tmp_path, capsys):
    assert _features(tmp_path / "none", model) == 2
    assert "holds no dataset" in capsys.readouterr().err
    (dataset / layout.MANIFEST).unlink()
    assert _features(dataset, model) == 2
    assert "is not finished" in capsys.readouterr().err
    factories.write_records(dataset, [factories.read_commit(dataset, 0)], format={"base": "yfcc"})
    (dataset / layout.MANIFEST).unlink()
    assert _features(dataset, model) == 2
    assert "has rows alone, and no image to make features of" in capsys.readouterr().err


def test_no_picture_crosses_a_shuffle():
    """On the graph: the only group stands before the model, gets integers, and there is none after it."""
    fit = ModelFit("image", "NCHW", "float32", 0, "pool", 8)
    config = FeaturesConfig(
        output=LocalOutput(pathlib.Path("out")),
        folder=None,
        model=ModelFile("m.onnx", "", S3Options(), "cpu", ""),
        fit=fit,
        preprocessing=PRESETS["clip"],
        batch_size=2,
        extension="jpg",
        options={},
    )
    pipeline = beam.Pipeline()
    _ = pipeline | ExtractFeatures((0, 1), config)
    proto = pipeline.to_runner_api(default_environment=None)
    transforms = proto.components.transforms
    leaves = [t for t in transforms.values() if not t.subtransforms]
    groups = [t for t in leaves if t.spec.urn == "beam:transform:group_by_key:v1"]
    assert len(groups) == 1
    after = set(groups[0].outputs.values())
    steps = []
    while after:
        following = [t for t in leaves if after & set(t.inputs.values())]
        steps += following
        after = {name for t in following for name in t.outputs.values()}
    assert {t.spec.urn for t in steps} == {"beam:transform:pardo:v1"}
    assert "RunInference" in steps[-1].unique_name
    listed = next(t for t in leaves if t.unique_name.endswith("ListShards")).outputs.values()
    assert [PipelineContext(proto.components).pcollections.get_by_id(name).element_type for name in listed] == [int]
