"""Which models fit which images, and what is said of those that do not."""

import pathlib

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from tests.onnx_models import model_of, small_cnn
from transforms.features.onnx_model import ModelError, check_device, fit_model, infer, load_session, model_file
from transforms.stores.request_signers import S3Options

_IMAGES = np.random.default_rng(7).normal(0, 1, (3, 32, 32, 3)).astype(np.float32)


def _session(model: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model, options, ["CPUExecutionProvider"])


def _passed_on(inputs, type_=TensorProto.FLOAT):
    """A model that gives its first input as it is, as float32."""
    first = next(iter(inputs))
    nodes = [helper.make_node("Cast", [first], ["same"], to=TensorProto.FLOAT)]
    return model_of(nodes, inputs, {"same": None}, {}, {first: type_})


def _shape_of(inputs):
    nodes = [helper.make_node("Shape", [next(iter(inputs))], ["shape"])]
    return model_of(nodes, inputs, {"shape": None}, {}, {"shape": TensorProto.INT64})


def _load(tmp_path: pathlib.Path, model: bytes):
    path = tmp_path / "m.onnx"
    path.write_bytes(model)
    return model_file(str(path), S3Options(), "cpu")


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("batch", ["N", 2, 4])
def test_what_a_model_gives_does_not_depend_on_how_it_takes_images(layout, batch):
    session = _session(small_cnn(layout, batch, 32))
    fit = fit_model(session, 32, output_name="pool")
    assert (fit.layout, fit.batch, fit.width) == (layout, 0 if batch == "N" else batch, 8)
    pieces = [infer(session, fit, _IMAGES[begin : begin + (fit.batch or 3)]) for begin in range(0, 3, fit.batch or 3)]
    direct = _session(small_cnn()).run(["pool"], {"image": _IMAGES.transpose(0, 3, 1, 2)})[0]
    np.testing.assert_allclose(np.concatenate(pieces), direct, atol=1e-6)


def test_an_output_of_maps_is_flattened():
    fit = fit_model(_session(small_cnn()), 32, output_name="map")
    assert fit.width == 8 * 15 * 15


def test_half_precision_is_cast_there_and_back():
    session = _session(_passed_on({"image": ["N", 3, 32, 32]}, TensorProto.FLOAT16))
    fit = fit_model(session, 32)
    vectors = infer(session, fit, _IMAGES)
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, _IMAGES.transpose(0, 3, 1, 2).astype(np.float16).reshape(3, -1))


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        (small_cnn(), {}, r"several outputs: give --output_name, one of pool float \[N, 8\], map float \[N, 8,"),
        (small_cnn(), {"output_name": "pol"}, r"--output_name pol: it has no such output, one of pool float"),
        (small_cnn(size=224), {"output_name": "pool"}, r"image float \[N, 3, 224, 224\] takes images of 224 x 224 px"),
        (small_cnn(), {"layout": "NHWC"}, r"--layout NHWC: its input image float .* is NCHW; leave it out"),
        (_passed_on({"x": ["N", 3, 5, 5], "ids": ["N", 7]}), {}, r"takes x float \[N, 3, 5, 5\], ids float \[N, 7\]"),
        (_passed_on({"x": ["N", 784]}), {}, r"its input x float \[N, 784\] is no batch of images"),
        (_passed_on({"x": ["N", 3, 32, 32]}, type_=TensorProto.INT64), {}, r"x int64 \[N, 3, 32, 32\] is no batch"),
        (_passed_on({"x": ["N", None, 32, None]}), {}, r"x float \[N, \?, 32, \?\] does not tell .*: give --layout"),
        (_passed_on({"x": ["N", 1, 32, 32]}), {"layout": "NCHW"}, r"x float \[N, 1, 32, 32\] .* 3 channels"),
        (_shape_of({"x": ["N", 3, 32, 32]}), {}, r"its output shape is of int64, not of floats"),
    ],
)  # fmt: skip
def test_a_model_that_does_not_fit_is_refused_by_name_and_shape(model, options, said):
    with pytest.raises(ModelError, match=said):
        fit_model(_session(model), 32, **options)


def test_an_output_without_a_row_for_each_image_is_refused():
    nodes = [helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=0)]
    model = model_of(nodes, {"x": ["N", 3, 32, 32]}, {"mean": None}, {})
    with pytest.raises(ModelError, match=r"its output mean is of shape \[\] for 2 images, not a row for each"):
        fit_model(_session(model), 32)


def test_a_model_that_fails_on_images_of_that_size_is_refused():
    weights = {"w": np.zeros((8, 3, 7, 7), np.float32)}
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"])]
    model = model_of(nodes, {"x": ["N", 3, None, None]}, {"y": None}, weights)
    with pytest.raises(ModelError, match=r"does not run on 2 images of 4 x 4 px"):
        fit_model(_session(model), 4)


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"m\.onnx: it cannot be loaded; .*protobuf"):
        load_session(_load(tmp_path, b"no model"))
    with pytest.raises(ModelError, match=r"none\.onnx: there is no such file"):
        model_file(str(tmp_path / "none.onnx"), S3Options(), "cpu")


def test_a_model_that_was_replaced_is_refused(tmp_path):
    model = _load(tmp_path, small_cnn(seed=1))
    (tmp_path / "m.onnx").write_bytes(small_cnn(seed=2))
    with pytest.raises(ModelError, match="here it is another file than where the job began"):
        load_session(model)


def test_another_runtime_than_the_submitters_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"onnxruntime .* where the submitter has 0\.9"):
        load_session(_load(tmp_path, small_cnn())._replace(runtime="0.9"))


def test_weights_beside_the_model_are_refused_since_no_hash_covers_them(tmp_path, monkeypatch):
    path = tmp_path / "m.onnx"
    onnx.save(
        onnx.load_from_string(small_cnn(width=64)),
        path,
        save_as_external_data=True,
        location="m.data",
        size_threshold=0,
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="weights beside the file are not read, save it as one file"):
        load_session(model_file(str(path), S3Options(), "cpu"))


def test_a_model_is_loaded_once_in_a_process(tmp_path):
    model = _load(tmp_path, small_cnn())
    assert load_session(model) is load_session(model._replace())
    options = load_session(model).get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)


@pytest.mark.skipif("CUDAExecutionProvider" in ort.get_available_providers(), reason="CUDA is here")
def test_a_device_that_the_runtime_does_not_know_is_refused():
    with pytest.raises(ModelError, match=r"--device cuda: onnxruntime .* lacks CUDAExecutionProvider: pip install"):
        check_device("cuda")
