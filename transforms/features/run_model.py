"""Features as a graph: numbers of shards → the network. Pictures and vectors never leave the step with the model."""

import typing

import apache_beam as beam
from apache_beam.ml.inference.base import ModelHandler, RunInference

from transforms.features.onnx_model import load_session
from transforms.features.shard_features import FeaturesConfig, extract_shard
from transforms.workers.each_shard import SpreadShards

if typing.TYPE_CHECKING:
    import onnxruntime as ort

_NAME = "ExtractFeatures"


class ExtractFeatures(beam.PTransform):
    """Makes the features of some shards, by Beam's RunInference, which shares the model within a process.

    To it a shard is one example. Batches of pictures are cut within the shard, so that results do not depend on how
    the engine puts examples together.

    Output: the number of samples of each shard that is done.

    Counters (namespace "ExtractFeatures"): rows, and those of RunInference.

    Args:
        shards: their numbers.
        config: how.
    """

    def __init__(self, shards: tuple[int, ...], config: FeaturesConfig):
        super().__init__()
        self._shards, self._config = shards, config

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection[int]:
        """Wires the stages."""
        handler = _ShardHandler(self._config)
        return pipeline | SpreadShards(self._shards) | RunInference(handler).with_output_types(int)


class _ShardHandler(ModelHandler):
    """Tells RunInference how the model is loaded and what is done with a shard."""

    def __init__(self, config: FeaturesConfig):
        super().__init__(min_batch_size=1, max_batch_size=1)
        self._config = config
        self._rows = beam.metrics.Metrics.counter(_NAME, "rows")

    def load_model(self) -> "ort.InferenceSession":
        return load_session(self._config.model)

    def run_inference(
        self, batch: typing.Sequence[int], model: "ort.InferenceSession", inference_args: typing.Any = None
    ) -> list[int]:
        rows = [extract_shard(shard, model, self._config) for shard in batch]
        self._rows.inc(sum(rows))
        return rows

    def get_metrics_namespace(self) -> str:
        return _NAME
