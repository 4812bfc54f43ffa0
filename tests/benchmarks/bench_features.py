"""What `photobeam features` makes of the time of a network: against a bare loop over the same batches.

Run: `python tests/benchmarks/bench_features.py [--json] [--photos 64 256] [--network inception_v3|small]`. Exits with
1 if the job makes less than 0.9 of the images a second of the bare loop, with one worker or with two, or if its
numbers differ from those of the loop by more than 1e-5 of the largest.

The bare loop reads, decodes and prepares the same pictures with Pillow and NumPy, and calls ONNX Runtime with the same
batches and one thread a call, in as many threads as the job has workers; it writes nothing. Rates are marginal: the
photos that many have more than few, by the time that these take; what a run takes to start stands apart.
Photos are smooth noise of 341 x 256 px in two shards. The network has InceptionV3's shape and random weights, or is a
single convolution, which shows what the job itself costs. Runs take turns; of each the fastest counts. On a machine
that does other things, too, compare images per second of processor time.
"""

import argparse
import concurrent.futures
import io
import json
import os
import pathlib
import platform
import sys
import tarfile
import tempfile
import time
import typing

import apache_beam as beam
import numpy as np
import onnxruntime as ort
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from beam_jobs.command.flags import parse  # noqa: E402
from beam_jobs.extract_features import make_parser  # noqa: E402
from beam_jobs.features.feature_job import checked_job  # noqa: E402
from beam_jobs.runners.local_runner import run_locally  # noqa: E402
from schemas import layout  # noqa: E402
from schemas.feature_records import features_array  # noqa: E402
from tests.benchmarks.bench_verify import make_photos  # noqa: E402
from tests.onnx_models import inception_v3, small_cnn  # noqa: E402
from transforms.features.onnx_model import load_session  # noqa: E402
from transforms.features.preprocess import PRESETS, prepare  # noqa: E402
from transforms.features.run_model import ExtractFeatures  # noqa: E402
from transforms.features.shard_features import FeaturesConfig  # noqa: E402

BAR, DIFFERENCE = 0.9, 1e-5
_SHARDS, _BATCH, _PRESET = 2, 16, "inception_v3"
_NETWORKS: dict[str, typing.Callable[[], bytes]] = {"inception_v3": inception_v3, "small": small_cnn}

Times = tuple[float, float]
"""Seconds of the clock, and of the processor."""


def bare(dataset: pathlib.Path, model: pathlib.Path, workers: int) -> list[np.ndarray]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(model.read_bytes(), options, ["CPUExecutionProvider"])

    def over(shard: int) -> np.ndarray:
        rows = []
        with tarfile.open(dataset / layout.tar_file(shard)) as tar:
            members = [m for m in tar.getmembers() if m.name.endswith(".jpg")]
            for begin in range(0, len(members), _BATCH):
                files = [tar.extractfile(m).read() for m in members[begin : begin + _BATCH]]
                pictures = [prepare(Image.open(io.BytesIO(file)), PRESETS[_PRESET]) for file in files]
                batch = np.ascontiguousarray(np.stack(pictures).transpose(0, 3, 1, 2))
                rows.append(session.run(["pool"], {"image": batch})[0])
        return np.concatenate(rows)

    with concurrent.futures.ThreadPoolExecutor(workers) as threads:
        return list(threads.map(over, range(_SHARDS)))


def job(dataset: pathlib.Path, model: pathlib.Path, workers: int) -> None:
    load_session.cache_clear()
    line = [str(dataset), "--model", str(model), "--preprocessing", _PRESET, "--output_name", "pool"]
    checked = checked_job(parse(make_parser(), [*line, "--batch_size", str(_BATCH)]))
    config = FeaturesConfig(
        output=checked.output,
        folder=dataset / "_tmp",
        model=checked.model,
        fit=checked.fit,
        preprocessing=checked.preprocessing,
        batch_size=_BATCH,
        extension=checked.extension,
        options=checked.options,
    )

    def build(pipeline: beam.Pipeline) -> None:
        _ = pipeline | ExtractFeatures(tuple(range(_SHARDS)), config)

    run_locally(build, workers)


def worst_difference(dataset: pathlib.Path, model: pathlib.Path) -> float:
    """Between the job's numbers and the loop's, as a share of the largest."""
    found = np.concatenate([np.load(dataset / features_array(shard)) for shard in range(_SHARDS)])
    direct = np.concatenate(bare(dataset, model, 1))
    assert found.shape == direct.shape
    return float(np.abs(found - direct).max() / np.abs(direct).max())


def timed(run: typing.Callable[..., typing.Any], *arguments: typing.Any) -> Times:
    clock, processor = time.perf_counter(), time.process_time()
    run(*arguments)
    return time.perf_counter() - clock, time.process_time() - processor


def measure(folder: pathlib.Path, photos: list[int], network: str, rounds: int) -> dict[str, float]:
    datasets = [make_photos(folder / str(number), number, 90, _SHARDS) for number in photos]
    model = folder / "m.onnx"
    model.write_bytes(_NETWORKS[network]())
    figures: dict[str, float] = {}
    for workers in (1, 2):
        times = {(run, dataset): list[Times]() for run in (bare, job) for dataset in datasets}
        for run, dataset in rounds * list(times):
            times[run, dataset].append(timed(run, dataset, model, workers))
        for kind, place in (("", 0), ("_cpu", 1)):
            best = {what: min(taken[place] for taken in all_taken) for what, all_taken in times.items()}
            rates = {run: marginal_rate(photos, [best[run, dataset] for dataset in datasets]) for run in (bare, job)}
            for run, rate in rates.items():
                figures[f"{run.__name__}{kind}_images_per_s_{workers}"] = round(rate, 2)
                figures[f"{run.__name__}{kind}_start_s_{workers}"] = round(best[run, datasets[0]] - photos[0] / rate, 2)
            figures[f"ratio{kind}_{workers}"] = round(rates[job] / rates[bare], 3)
    return {**figures, "worst_difference": worst_difference(datasets[0], model)}


def marginal_rate(photos: list[int], seconds: list[float]) -> float:
    """Of few and many photos."""
    return (photos[1] - photos[0]) / (seconds[1] - seconds[0])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--photos", type=int, nargs=2, default=[64, 256], help="few and many (%(default)s)")
    parser.add_argument("--network", choices=_NETWORKS, default="inception_v3", help="(%(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="of which the fastest counts (%(default)s)")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(pathlib.Path(folder), flags.photos, flags.network, flags.rounds)
    machine = {"machine": platform.machine(), "cpus": os.cpu_count(), "python": platform.python_version()}
    about = {**machine, "onnxruntime": ort.__version__, "network": flags.network, "photos": flags.photos}
    if flags.json:
        print(json.dumps({**about, **figures}))
    else:
        for name, value in {**about, **figures}.items():
            print(f"{name:26} {value}")
    is_fast = min(figures["ratio_1"], figures["ratio_2"]) >= BAR
    return 0 if is_fast and figures["worst_difference"] <= DIFFERENCE else 1


if __name__ == "__main__":
    sys.exit(main())
