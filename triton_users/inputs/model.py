"""What a model takes and answers, read from its metadata and configuration. Knows Triton's messages, sends nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from triton_users.inputs.datatypes import NUMPY, DataError
from triton_users.settings import UsageError

Shape = tuple[int, ...]


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a model."""

    name: str
    datatype: str
    shape: Shape
    """Without the batch dimension; -1 where the model takes any size."""
    optional: bool = False
    labels: bool = False
    """Whether the server has a file of labels for it."""
    classes: int = 0
    """Of an output: how many of its best classes are asked for, as texts "score:index:label", in its values' place."""
    open_shape: Shape | None = None
    """What the model takes where `shape` is the user's choice: data that say their own shape need not have that one."""

    @property
    def fixed(self) -> bool:
        """Whether every dimension is known."""
        return -1 not in self.shape

    @property
    def elements(self) -> int:
        """Elements of one tensor of the batch; only where it is `fixed`."""
        return math.prod(self.shape)

    def admits(self, shape: Shape) -> bool:
        """Whether a tensor of this shape (no batch dimension) is one of these."""
        takes = self.open_shape or self.shape
        return len(shape) == len(takes) and all(
            want in (-1, got) and got >= 0 for want, got in zip(takes, shape, strict=True)
        )

    def __str__(self) -> str:
        dimensions = ",".join(map(str, self.shape))
        return f"{self.name} {self.datatype} [{dimensions}]{' optional' if self.optional else ''}"


@dataclass(frozen=True)
class ModelSpec:
    """One model, as its server describes it."""

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    version: str = ""
    """The version that is asked for; "": the server's choice."""
    max_batch_size: int = 0
    """0: its tensors have no batch dimension."""
    sequences: bool = False
    """Whether requests belong to sequences."""
    decoupled: bool = False
    """Whether a request is answered any number of times, over a stream only."""
    steps: tuple[str, ...] = ()
    """The models of an ensemble, in the order of its configuration."""

    def input(self, name: str) -> TensorSpec | None:
        return next((spec for spec in self.inputs if spec.name == name), None)

    def output(self, name: str) -> TensorSpec | None:
        return next((spec for spec in self.outputs if spec.name == name), None)

    @property
    def unresolved(self) -> tuple[TensorSpec, ...]:
        """Inputs that must be sent and whose shape is not known."""
        return tuple(spec for spec in self.inputs if not spec.fixed and not spec.optional)

    def with_shapes(self, shapes: Mapping[str, Shape]) -> ModelSpec:
        """The same model, with these shapes (no batch dimension) for its inputs.

        UsageError for an input that it does not have and a shape that its input does not admit.
        """
        for name, shape in shapes.items():
            spec = self.input(name)
            if spec is None:
                known = ", ".join(each.name for each in self.inputs)
                raise UsageError(f"shapes: {self.name} has no input {name}; it has {known}")
            if not spec.admits(shape) or -1 in shape:
                raise UsageError(
                    f"shapes: [{_joined(shape)}] does not fit {name} of {self.name}: "
                    f"the model takes [{_joined(spec.shape)}], the batch dimension left out; -1 stands for any size"
                )
        inputs = tuple(
            replace(spec, shape=shapes[spec.name], open_shape=spec.shape) if spec.name in shapes else spec
            for spec in self.inputs
        )
        return replace(self, inputs=inputs)

    def with_classes(self, count: int) -> ModelSpec:
        """The same model, asked for its `count` best classes: of the outputs with labels, of all where none has any."""
        if not count:
            return self
        labelled = [each.labels for each in self.outputs]
        outputs = tuple(
            replace(each, datatype="BYTES", shape=(count,), classes=count) if each.labels or not any(labelled) else each
            for each in self.outputs
        )
        return replace(self, outputs=outputs)


def from_server(metadata: Any, config: Any | None) -> ModelSpec:
    """The model of a `ModelMetadataResponse` and its `ModelConfig`.

    `config` is None where a server has no ModelConfig (KServe's protocol has none): then the shapes are
    as the server says, no batch dimension is known, and neither sequences nor decoupled answers are.
    """
    batched = config is not None and config.max_batch_size > 0
    optional = {each.name for each in config.input if each.optional} if config is not None else set()
    labelled = {each.name for each in config.output if each.label_filename} if config is not None else set()

    def spec(tensor: Any) -> TensorSpec:
        if tensor.datatype not in NUMPY:
            raise DataError(f"{metadata.name}: {tensor.name} is of the datatype {tensor.datatype!r}, which is unknown")
        shape = tuple(int(size) for size in tensor.shape)
        return TensorSpec(
            name=tensor.name,
            datatype=tensor.datatype,
            shape=shape[1:] if batched else shape,
            optional=tensor.name in optional,
            labels=tensor.name in labelled,
        )

    return ModelSpec(
        name=metadata.name,
        inputs=tuple(spec(tensor) for tensor in metadata.inputs),
        outputs=tuple(spec(tensor) for tensor in metadata.outputs),
        max_batch_size=config.max_batch_size if config is not None else 0,
        sequences=config is not None and config.HasField("sequence_batching"),
        decoupled=config is not None and config.model_transaction_policy.decoupled,
        steps=tuple(step.model_name for step in config.ensemble_scheduling.step) if config is not None else (),
    )


def example_shapes(spec: ModelSpec) -> str:
    """`shapes` for the inputs of this model whose sizes are open, with 1 for each that is, in Python."""
    return repr({t.name: tuple(1 if size == -1 else size for size in t.shape) for t in spec.unresolved})


def example_sizes(spec: ModelSpec) -> str:
    """The same as the option `--shape` has it; "" when it needs none."""
    return ",".join(
        f"{spec.name}:{each.name}={_joined(tuple(1 if size == -1 else size for size in each.shape))}"
        for each in spec.unresolved
    )


def example_options(spec: ModelSpec) -> str:
    """The same as a command line has it."""
    return f'--shape "{example_sizes(spec)}"'


def _joined(shape: Shape) -> str:
    return ",".join(map(str, shape))
