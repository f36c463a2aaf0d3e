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
    def dtype(self) -> type[np.int32] | type[np.float32]:
        return np.int32 if self.datatype == "INT32" else np.float32


def sequence_models(trials: Iterable[str], ready: Collection[str]) -> tuple[SequenceModel, ...]:
    """One ready sequence model for each trial that has one, in the trials' order.

    `plan` models are FP32, all others INT32; a trial whose model of that type is not ready gives the other type's.
    """
    found = []
    for trial in trials:
        for datatype in ("FP32", "INT32") if trial.startswith("plan") else ("INT32", "FP32"):
            model = _sequence_model(trial, datatype)
            if model.name in ready:
                found.append(model)
                break
    return tuple(found)


def all_sequence_models(trials: Iterable[str], ready: Collection[str]) -> tuple[SequenceModel, ...]:
    """Every ready sequence model of these trials, of either type."""
    models = (_sequence_model(trial, datatype) for trial in trials for datatype in ("INT32", "FP32"))
    return tuple(model for model in models if model.name in ready)


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
    return tuple(draw.randrange(1024 * 1024) for _ in range(max(1, int(draw.normalvariate(mean, stdev)))))


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
