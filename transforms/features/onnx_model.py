"""A network in ONNX: loaded from wherever it lies, tried on images of a size, and asked for one of its outputs."""

import contextlib
import functools
import hashlib
import typing

import numpy as np
import numpy.typing as npt

from transforms.stores.request_signers import S3Options
from transforms.stores.store_errors import as_os_errors
from transforms.stores.store_files import open_file_system

if typing.TYPE_CHECKING:
    import onnxruntime as ort

PROVIDERS: typing.Final = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
"""Of ONNX Runtime, by device."""

LAYOUTS: typing.Final = {"NCHW": (1, 2, 3), "NHWC": (3, 1, 2)}
"""By name: which axes of a batch are channels, height and width."""

_PROVIDER_OPTIONS: typing.Final = {
    "cpu": {},
    # The fastest algorithm is another one from run to run, and TF32 is off by 1e-3.
    "cuda": {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"},
}
_NOWHERE = "/dev/null/beside-the-model"
_DTYPES: typing.Final = {"tensor(float)": "float32", "tensor(float16)": "float16"}
_TRIED = 2


class ModelError(OSError):
    """A model cannot be read, or is not for these images; says why, and what to do."""


class ModelFile(typing.NamedTuple):
    """A model that every worker reads for itself.

    Attributes:
        url: local path or any URL that fsspec opens.
        sha256: of the file, hex.
        s3: how S3 is reached.
        device: ``cpu`` or ``cuda``.
        runtime: version of ONNX Runtime.
    """

    url: str
    sha256: str
    s3: S3Options
    device: str
    runtime: str


class ModelFit(typing.NamedTuple):
    """How images go into a model, and what comes out.

    Attributes:
        input_name: of its only input.
        layout: one of :data:`LAYOUTS`.
        dtype: of the input: ``float32`` or ``float16``.
        batch: images that it takes at once, always; 0 if it takes any number.
        output_name: of the output that is asked for.
        width: numbers of that output for each image.
    """

    input_name: str
    layout: str
    dtype: str
    batch: int
    output_name: str
    width: int


def read_model(url: str, s3: S3Options) -> bytes:
    """Reads a model.

    Raises:
        ModelError: it cannot be read.
    """
    try:
        file_system, path = open_file_system(url, s3)
        with as_os_errors():
            return file_system.cat_file(path)
    except (OSError, ValueError, ImportError) as error:
        problem = "there is no such file" if isinstance(error, FileNotFoundError) else f"it cannot be read ({error})"
        raise ModelError(f"--model {url}: {problem}") from error


def model_file(url: str, s3: S3Options, device: str) -> ModelFile:
    """Reads a model and says which it is.

    Raises:
        ModelError: it cannot be read.
    """
    import onnxruntime as ort

    return ModelFile(url, hashlib.sha256(read_model(url, s3)).hexdigest(), s3, device, ort.__version__)


@functools.lru_cache(1)
def load_session(model: ModelFile) -> "ort.InferenceSession":
    """Loads a model, once in each process. Each run takes one thread, so that sums are formed in one order.

    Raises:
        ModelError: it is not the one it should be, or cannot be loaded, or its device is not there.
    """
    import onnxruntime as ort

    if ort.__version__ != model.runtime:
        raise ModelError(f"onnxruntime {ort.__version__} where the submitter has {model.runtime}: install that")
    data = read_model(model.url, model.s3)
    if hashlib.sha256(data).hexdigest() != model.sha256:
        raise ModelError(f"--model {model.url}: here it is another file than where the job began, or was replaced")
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = 4
    # What lies beside the model is not in its hash.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", _NOWHERE)
    providers = [(PROVIDERS[model.device], _PROVIDER_OPTIONS[model.device]), (PROVIDERS["cpu"], {})]
    with _told(f"--model {model.url}: it cannot be loaded; weights beside the file are not read, save it as one file"):
        session = ort.InferenceSession(data, options, providers[: 1 if model.device == "cpu" else 2])
    if PROVIDERS[model.device] not in session.get_providers():
        raise ModelError(f"--device {model.device}: {_installed()}, and no such device works here; leave it out")
    return session


def check_device(device: str) -> None:
    """Looks whether the ONNX Runtime that is installed knows a device.

    Raises:
        ModelError: it does not.
    """
    import onnxruntime as ort

    if PROVIDERS[device] not in ort.get_available_providers():
        raise ModelError(
            f"--device {device}: {_installed()} lacks {PROVIDERS[device]}: pip install onnxruntime-gpu in place of "
            "onnxruntime, or leave --device out"
        )


def fit_model(session: "ort.InferenceSession", size: int, layout: str = "", output_name: str = "") -> ModelFit:
    """Finds out how images of a size go into a model, and tries it on black ones.

    Args:
        session: the model.
        size: sides of the images, px.
        layout: one of :data:`LAYOUTS`; '' if the input's shape tells.
        output_name: which output; '' for the only one.

    Raises:
        ModelError: they do not; names inputs or outputs with their shapes.
    """
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise ModelError(f"it takes {_listed(inputs)}, not images alone: export its image part")
    image, dtype = inputs[0], _DTYPES.get(inputs[0].type)
    if dtype is None or len(image.shape) != 4:
        raise ModelError(f"its input {_described(image)} is no batch of images in float32 or float16")
    layout = _layout(image, layout)
    _, height, width = sides = tuple(image.shape[axis] for axis in LAYOUTS[layout])
    if any(_is_fixed(side) and side != wanted for side, wanted in zip(sides, (3, size, size), strict=True)):
        raise ModelError(
            f"its input {_described(image)} takes images of {height} x {width} px as {layout}, and not those of "
            f"{size} x {size} px and 3 channels that --preprocessing or --input_size gives"
        )
    batch = image.shape[0] if _is_fixed(image.shape[0]) else 0
    output = _output(session, output_name)
    fit = ModelFit(image.name, layout, dtype, batch, output.name, 0)
    return fit._replace(width=_tried_width(session, fit, size))


def infer(session: "ort.InferenceSession", fit: ModelFit, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Asks a model for its output.

    Args:
        session: the model.
        fit: as :func:`fit_model` gave it.
        images: n x height x width x 3; at most as many as it takes at once.

    Returns:
        n x width.

    Raises:
        ModelError: it fails.
    """
    with _told(f"its output {fit.output_name} fails for {len(images)} images"):
        return _run(session, fit, images).reshape(len(images), fit.width).astype(np.float32, copy=False)


def _run(session: "ort.InferenceSession", fit: ModelFit, images: npt.NDArray[np.float32]) -> npt.NDArray[typing.Any]:
    count = len(images)
    if fit.batch > count:
        images = np.concatenate([images, np.zeros((fit.batch - count, *images.shape[1:]), np.float32)])
    if fit.layout == "NCHW":
        images = images.transpose(0, 3, 1, 2)
    values = session.run([fit.output_name], {fit.input_name: np.ascontiguousarray(images, fit.dtype)})[0]
    return values[:count] if fit.batch else values


def _layout(image: "ort.NodeArg", given: str) -> str:
    """Tells where the channels are."""
    possible = [name for name, axes in LAYOUTS.items() if image.shape[axes[0]] == 3]
    if given:
        if possible and given not in possible:
            raise ModelError(f"--layout {given}: its input {_described(image)} is {possible[0]}; leave it out")
        return given
    if len(possible) != 1:
        raise ModelError(f"its input {_described(image)} does not tell where the channels are: give --layout")
    return possible[0]


def _output(session: "ort.InferenceSession", name: str) -> "ort.NodeArg":
    outputs = session.get_outputs()
    found = [output for output in outputs if output.name == name or not name]
    if len(found) != 1:
        problem = (
            f"--output_name {name}: it has no such output" if name else "it has several outputs: give --output_name"
        )
        raise ModelError(f"{problem}, one of {_listed(outputs)}")
    return found[0]


def _tried_width(session: "ort.InferenceSession", fit: ModelFit, size: int) -> int:
    count = fit.batch or _TRIED
    with _told(f"it does not run on {count} images of {size} x {size} px"):
        values = _run(session, fit, np.zeros((count, size, size, 3), np.float32))
    if not isinstance(values, np.ndarray) or not np.issubdtype(values.dtype, np.floating):
        raise ModelError(f"its output {fit.output_name} is of {getattr(values, 'dtype', type(values))}, not of floats")
    if values.ndim < 2 or len(values) != count or not values.size:
        raise ModelError(
            f"its output {fit.output_name} is of shape {list(values.shape)} for {count} images, not a row for each: "
            f"give another --output_name, one of {_listed(session.get_outputs())}"
        )
    return values.size // count


def _is_fixed(side: typing.Any) -> bool:
    return isinstance(side, int) and side > 0


def _listed(values: typing.Iterable["ort.NodeArg"]) -> str:
    return ", ".join(map(_described, values)) or "nothing"


def _described(value: "ort.NodeArg") -> str:
    shape = ", ".join("?" if side is None else str(side) for side in value.shape)
    return f"{value.name} {value.type.removeprefix('tensor(').removesuffix(')')} [{shape}]"


def _is_error(value: typing.Any) -> bool:
    return isinstance(value, type) and issubclass(value, Exception)


def _installed() -> str:
    import onnxruntime as ort

    return f"onnxruntime {ort.__version__} ({', '.join(ort.get_available_providers())})"


@contextlib.contextmanager
def _told(problem: str) -> typing.Iterator[None]:
    """Raises what ONNX Runtime raises as ModelError."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    errors: tuple[type[Exception], ...] = tuple(e for e in vars(state).values() if _is_error(e))
    try:
        yield
    except errors as error:
        raise ModelError(f"{problem} ({' '.join(str(error).split())[:500]})") from error
