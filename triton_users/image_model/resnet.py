"""Builds the image model's network: a ResNet-50 v1 in ONNX whose last layer is fitted to given pictures.

A program of the server's own Python, which has numpy, onnx and onnxruntime; it imports nothing of this package:

    python resnet.py PICTURES.npz MODEL.onnx

PICTURES.npz holds `pictures` [n, 224, 224, 3] FP32, preprocessed, `labels` [n], the class index of each, and
`calibration`, how many of the first of them set the range of the activations.

Pretrained weights cannot be shipped, so the weights are random: He's initialisation from a fixed seed. Each
convolution is followed by a batch normalisation whose statistics are those of the calibration pictures, folded into
its weights, so that activations stay in range all the way. The last layer is a ridge regression from the 2048 features
of the given pictures to their classes. That makes the network exactly as large and as slow as a trained one,
right about the given pictures, and meaningless about all others.

Architecture: He et al., "Deep Residual Learning for Image Recognition", table 1, the 50-layer column, with the stride
in a stage's first 1x1 convolution as in the paper.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

INPUT = "input:0"
OUTPUT = "resnet_v1_50/predictions/Softmax:0"
SIDE = 224
CLASSES = 1000
FEATURES = 2048

#: Bottlenecks and inner channels of each stage; a stage's output has four times its inner channels.
STAGES = ((3, 64), (4, 128), (6, 256), (3, 512))

SEED = 50

#: Read by every onnxruntime since 1.10, so also by those inside older Tritons.
OPSET = 13
IR_VERSION = 8

#: Logit that the fit aims at for the right class; the other fitted classes aim at zero.
TARGET_LOGIT = 14.0

#: Logit of each class that no picture shows.
UNUSED_LOGIT = -10.0

#: Weight of the ridge term relative to the mean square of the features; picked by hand, nothing depends on it closely.
RIDGE = 1e-3


Floats = npt.NDArray[np.float32]


@dataclass
class Signal:
    """A tensor in the graph, by name, and its value for the given pictures."""

    name: str
    value: Floats


class Builder:
    """Adds operators to a graph and runs each at once on the given pictures."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def convolution(self, x: Signal, channels: int, kernel: int, stride: int = 1) -> Signal:
        """A convolution with its batch normalisation folded in: zero mean and unit variance in each channel."""
        inputs = x.value.shape[1]
        scale = np.sqrt(2.0 / (inputs * kernel * kernel))
        weight = self._random.normal(0, scale, (channels, inputs, kernel, kernel)).astype(np.float32)
        attributes = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [kernel // 2] * 4}
        raw = run("Conv", [x.value, weight], attributes)
        mean = raw.mean(axis=(0, 2, 3), dtype=np.float64)
        deviation = np.sqrt(raw.var(axis=(0, 2, 3), dtype=np.float64) + 1e-5)
        weight = (weight / deviation[:, None, None, None]).astype(np.float32)
        bias = (-mean / deviation).astype(np.float32)
        name = self.add("Conv", [x.name, self.constant(weight), self.constant(bias)], attributes)
        raw -= mean[:, None, None].astype(np.float32)
        raw /= deviation[:, None, None].astype(np.float32)
        return Signal(name, raw)

    def relu(self, x: Signal) -> Signal:
        return Signal(self.add("Relu", [x.name]), np.maximum(x.value, 0))

    def bottleneck(self, x: Signal, inner: int, stride: int) -> Signal:
        """1x1, 3x3 and 1x1 convolutions beside a shortcut, which is a convolution where the shape changes."""
        y = self.relu(self.convolution(x, inner, 1, stride))
        y = self.relu(self.convolution(y, inner, 3))
        y = self.convolution(y, 4 * inner, 1)
        shortcut = x if x.value.shape == y.value.shape else self.convolution(x, 4 * inner, 1, stride)
        return self.relu(Signal(self.add("Add", [y.name, shortcut.name]), y.value + shortcut.value))

    def add(
        self, operator: str, inputs: Sequence[str], attributes: dict[str, Any] | None = None, output: str | None = None
    ) -> str:
        """Append an operator with one output; the name of that output."""
        output = output or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **(attributes or {})))
        return output

    def constant(self, value: Floats) -> str:
        name = f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(value, name))
        return name


def run(operator: str, values: Sequence[Floats], attributes: dict[str, Any]) -> Floats:
    """The output of one operator for `values`."""
    given = {f"x{number}": value for number, value in enumerate(values)}
    graph = helper.make_graph(
        [helper.make_node(operator, list(given), ["y"], **attributes)],
        operator,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape) for name, value in given.items()],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    output: Floats = session(model_of(graph)).run(None, given)[0]
    return output


def session(model: Any) -> Any:
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def model_of(graph: Any) -> Any:
    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="triton-users")


def fit(features: Floats, labels: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Weight [CLASSES, FEATURES] and bias [CLASSES] of the last layer: a ridge regression to the given classes."""
    used = np.unique(labels)
    targets = np.where(labels[:, None] == used[None, :], TARGET_LOGIT, 0.0)
    inputs = features.astype(np.float64)
    centre, target_centre = inputs.mean(axis=0), targets.mean(axis=0)
    inputs -= centre
    # There are fewer pictures than features, so the dual form is the small one.
    gram = inputs @ inputs.T
    dual = np.linalg.solve(gram + RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram)), targets - target_centre)
    weight = np.zeros((CLASSES, FEATURES))
    bias = np.full(CLASSES, UNUSED_LOGIT)
    weight[used] = (inputs.T @ dual).T
    bias[used] = target_centre - weight[used] @ centre
    return weight.astype(np.float32), bias.astype(np.float32)


def build(pictures: Floats, labels: npt.NDArray[np.int64], calibration: int) -> Any:
    """The whole network, fitted to `pictures`; the first `calibration` of them set the range of the activations."""
    builder = Builder(SEED)
    first = pictures[:calibration].transpose(0, 3, 1, 2).copy()
    x = Signal(builder.add("Transpose", [INPUT], {"perm": [0, 3, 1, 2]}), first)
    x = builder.relu(builder.convolution(x, 64, 7, 2))
    pool = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    x = Signal(builder.add("MaxPool", [x.name], pool), run("MaxPool", [x.value], pool))
    for stage, (blocks, inner) in enumerate(STAGES):
        for block in range(blocks):
            x = builder.bottleneck(x, inner, 2 if stage and not block else 1)
    pooled = builder.add("Flatten", [builder.add("GlobalAveragePool", [x.name])])
    weight, bias = fit(answers(network(builder, pooled, FEATURES), pictures), labels)
    logits = builder.add("Gemm", [pooled, builder.constant(weight), builder.constant(bias)], {"transB": 1})
    return network(builder, builder.add("Softmax", [logits], {"axis": 1}, OUTPUT), CLASSES)


def network(builder: Builder, output: str, width: int) -> Any:
    """The graph so far as a model with one output [batch, width]."""
    graph = helper.make_graph(
        builder.nodes,
        "resnet_v1_50",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", width])],
        builder.weights,
    )
    return model_of(graph)


def answers(model: Any, pictures: Floats) -> Floats:
    """What `model` answers to `pictures`, sixteen at a time."""
    running = session(model)
    parts = [running.run(None, {INPUT: pictures[start : start + 16]})[0] for start in range(0, len(pictures), 16)]
    return np.concatenate(parts)


def main(pictures_path: str, model_path: str) -> None:
    """Build, check that the network names every given picture rightly, and write it."""
    with np.load(pictures_path) as given:
        pictures, labels, calibration = given["pictures"], given["labels"], int(given["calibration"])
    model = build(pictures, labels, calibration)
    onnx.checker.check_model(model)
    wrong = np.flatnonzero(answers(model, pictures).argmax(axis=1) != labels)
    if len(wrong):
        sys.exit(f"the fitted network is wrong about pictures {wrong.tolist()}")
    onnx.save(model, model_path)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
