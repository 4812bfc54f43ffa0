"""Networks made here, with seeded weights: small ones to test with, and one of InceptionV3's shape."""

import typing

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_OPSET, _IR = 17, 9

Shape = typing.Sequence[int | str | None]


def model_of(
    nodes: typing.Sequence[onnx.NodeProto],
    inputs: typing.Mapping[str, Shape],
    outputs: typing.Mapping[str, Shape | None],
    weights: typing.Mapping[str, np.ndarray],
    types: typing.Mapping[str, int] | None = None,
) -> bytes:
    """A model; inputs and outputs hold floats unless `types` says otherwise."""
    type_of = {name: TensorProto.FLOAT for name in (*inputs, *outputs)} | dict(types or {})
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info(name, type_of[name], shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, type_of[name], shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
    return model.SerializeToString()


def small_cnn(
    layout: str = "NCHW",
    batch: int | str = "N",
    size: int | None = None,
    width: int = 8,
    seed: int = 1,
    with_map: bool = True,
) -> bytes:
    """A convolution, `map`, and what is left of it when it is averaged: `pool` of [batch, width]."""
    rng = np.random.default_rng(seed)
    weights = {"w": rng.normal(0, 0.3, (width, 3, 3, 3)).astype(np.float32), "b": np.zeros(width, np.float32)}
    shape = [batch, 3, size, size] if layout == "NCHW" else [batch, size, size, 3]
    first = [] if layout == "NCHW" else [helper.make_node("Transpose", ["image"], ["nchw"], perm=[0, 3, 1, 2])]
    nodes = [
        *first,
        helper.make_node("Conv", ["nchw" if first else "image", "w", "b"], ["conv"], strides=[2, 2]),
        helper.make_node("Relu", ["conv"], ["map"]),
        helper.make_node("GlobalAveragePool", ["map"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["pool"]),
    ]
    outputs: dict[str, Shape] = {"pool": [batch, width]}
    if with_map:
        outputs["map"] = [batch, width, None, None]
    return model_of(nodes, {"image": shape}, outputs, weights)


def inception_v3(seed: int = 1) -> bytes:
    """A network of InceptionV3's shape (Szegedy et al. 2015, https://arxiv.org/abs/1512.00567) up to its pooled 2048.

    Channels and strides are those of torchvision's; batch norms are folded away, weights are random of a scale that
    keeps the signal alive.
    """
    net = _Net(seed)
    x = net.convs("image", (3, 32, 3, 2), (32, 32, 3), (32, 64, (3, 3), 1, (1, 1)))
    x = net.convs(net.pool(x), (64, 80, 1), (80, 192, 3))
    x = net.pool(x)
    for channels, pooled in ((192, 32), (256, 64), (288, 64)):
        x = net.inception_a(x, channels, pooled)
    x = net.inception_b(x)
    for inner in (128, 160, 160, 192):
        x = net.inception_c(x, inner)
    x = net.inception_d(x)
    for channels in (1280, 2048):
        x = net.inception_e(x, channels)
    net.add("GlobalAveragePool", [x], "mean")
    net.add("Flatten", ["mean"], "pool")
    return model_of(net.nodes, {"image": ["N", 3, 299, 299]}, {"pool": ["N", 2048]}, net.weights)


class _Net:
    """Nodes and weights of a network that is being written."""

    def __init__(self, seed: int):
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, np.ndarray] = {}
        self._rng = np.random.default_rng(seed)

    def add(self, op: str, inputs: list[str], output: str = "", **attributes: typing.Any) -> str:
        output = output or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def convs(self, x: str, *layers: tuple) -> str:
        """Convolutions with ReLU: channels in and out, kernel, stride, padding of height and width."""
        for layer in layers:
            before, after, kernel, stride, padding = (*layer, *(1, (0, 0))[len(layer) - 3 :])
            kernel = kernel if isinstance(kernel, tuple) else (kernel, kernel)
            scale = (2 / (before * kernel[0] * kernel[1])) ** 0.5
            name = f"w{len(self.weights)}"
            self.weights[name] = (self._rng.standard_normal((after, before, *kernel)) * scale).astype(np.float32)
            x = self.add("Conv", [x, name], strides=[stride] * 2, pads=[*padding, *padding])
            x = self.add("Relu", [x])
        return x

    def pool(self, x: str) -> str:
        return self.add("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2])

    def pooled(self, x: str, channels: int, after: int) -> str:
        x = self.add("AveragePool", [x], kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)
        return self.convs(x, (channels, after, 1))

    def joined(self, *branches: str) -> str:
        return self.add("Concat", list(branches), axis=1)

    def inception_a(self, x: str, n: int, pooled: int) -> str:
        five = self.convs(x, (n, 48, 1), (48, 64, 5, 1, (2, 2)))
        double = self.convs(x, (n, 64, 1), (64, 96, 3, 1, (1, 1)), (96, 96, 3, 1, (1, 1)))
        return self.joined(self.convs(x, (n, 64, 1)), five, double, self.pooled(x, n, pooled))

    def inception_b(self, x: str) -> str:
        double = self.convs(x, (288, 64, 1), (64, 96, 3, 1, (1, 1)), (96, 96, 3, 2))
        return self.joined(self.convs(x, (288, 384, 3, 2)), double, self.pool(x))

    def inception_c(self, x: str, n: int) -> str:
        wide, high = ((1, 7), 1, (0, 3)), ((7, 1), 1, (3, 0))
        seven = self.convs(x, (768, n, 1), (n, n, *wide), (n, 192, *high))
        double = self.convs(x, (768, n, 1), (n, n, *high), (n, n, *wide), (n, n, *high), (n, 192, *wide))
        return self.joined(self.convs(x, (768, 192, 1)), seven, double, self.pooled(x, 768, 192))

    def inception_d(self, x: str) -> str:
        three = self.convs(x, (768, 192, 1), (192, 320, 3, 2))
        seven = (192, 192, (1, 7), 1, (0, 3)), (192, 192, (7, 1), 1, (3, 0))
        return self.joined(three, self.convs(x, (768, 192, 1), *seven, (192, 192, 3, 2)), self.pool(x))

    def inception_e(self, x: str, n: int) -> str:
        def split(y: str) -> list[str]:
            return [self.convs(y, (384, 384, *side)) for side in (((1, 3), 1, (0, 1)), ((3, 1), 1, (1, 0)))]

        double = split(self.convs(x, (n, 448, 1), (448, 384, 3, 1, (1, 1))))
        return self.joined(
            self.convs(x, (n, 320, 1)), *split(self.convs(x, (n, 384, 1))), *double, self.pooled(x, n, 192)
        )
