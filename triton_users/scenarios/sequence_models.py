"""The sequence models: what they are called, what is sent to them and what each must answer; asks no server."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np

from triton_users.scenarios.models import batches


@dataclass(frozen=True)
class SequenceModel:
    """A model with a sequence batcher: one number in, one number out."""

    name: str
    datatype: str
    """INT32 or FP32."""
    input: str
    output: str
    shape: tuple[int, ...]
    """Shape of both tensors: (1,), or (1, 1) where the model has a batch dimension."""
    accumulates: bool
    """Whether it answers the sum so far; the others answer the value, or one more than that on START."""

    @property
    def batches(self) -> bool:
        """Whether its server may answer requests of several sequences in one execution."""
        return len(self.shape) > 1

    @property
    def dtype(self) -> type[np.int32] | type[np.float32]:
        return np.int32 if self.datatype == "INT32" else np.float32


def sequence_models(
    trials: Iterable[str], ready: Collection[str], *, reference_datatypes: bool = False
) -> tuple[SequenceModel, ...]:
    """The sequence models of these trials that are ready, in the trials' order.

    `reference_datatypes`: one for each trial that has one, as `qa/L0_long_running_stress` picks them: FP32 for `plan`,
    INT32 for all others; a trial whose model of that type is not ready gives the other type's.
    """
    found = []
    for trial in trials:
        datatypes = ("FP32", "INT32") if trial.startswith("plan") else ("INT32", "FP32")
        models = [model for model in (_sequence_model(trial, each) for each in datatypes) if model.name in ready]
        found += models[:1] if reference_datatypes else models
    return tuple(found)


def _sequence_model(trial: str, datatype: str) -> SequenceModel:
    tensor = "{}__0" if trial.startswith("libtorch") else "{}"
    return SequenceModel(
        name=f"{trial}_sequence_{'int32' if datatype == 'INT32' else 'float32'}",
        datatype=datatype,
        input=tensor.format("INPUT"),
        output=tensor.format("OUTPUT"),
        shape=(1, 1) if batches(trial) else (1,),
        accumulates=trial.startswith("custom"),
    )


def draw_values(draw: random.Random, mean: float, stdev: float) -> tuple[int, ...]:
    """The values of one sequence: `max(1, int(normal(mean, stdev)))` numbers in [0, 1024 * 1024)."""
    return tuple(draw.randrange(1024 * 1024) for _ in range(draw_length(draw, mean, stdev)))


def draw_length(draw: random.Random, mean: float, stdev: float) -> int:
    """The number of requests of one sequence: `max(1, int(normal(mean, stdev)))`."""
    return max(1, int(draw.normalvariate(mean, stdev)))


def expected_answers(values: tuple[int, ...], datatype: str, accumulates: bool) -> list[int] | list[float]:
    """What a sequence model must answer to each value of one whole sequence, as Python numbers.

    An accumulator answers the sum so far: INT32 wraps around, FP32 rounds after each addition. The other models of
    Triton's tests keep no state between requests and answer the value, and one more than that on START.
    """
    kind = np.int32 if datatype == "INT32" else np.float32
    sent = np.array(values, dtype=kind)
    if accumulates:
        # cumsum adds one after the other in the given type, as the model does: no pairwise sums, no wider type.
        answers = np.cumsum(sent, dtype=kind)
    else:
        answers = sent
        answers[0] += 1
    listed: list[int] | list[float] = answers.tolist()
    return listed
