"""Names, tensors and shapes of the models that scenarios use, by Triton's own naming; asks no server."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from triton_users.image_model.tensors import ImageTensors
from triton_users.settings import IMAGE_MODEL

SLOW_MODEL = "custom_zero_1_float32"
"""An identity model with an execution delay of 10 s: a request to it is still executing when its client crashes."""

WITNESS_MODEL = "custom_executing"
"""Tells which requests the slow model of this project is executing (models/custom_executing)."""

REFERENCE_IMAGE_TENSORS = ImageTensors("input:0", "resnet_v1_50/predictions/Softmax:0")
"""Of the image model of Triton's own test, for a server that does not describe it."""


@dataclass(frozen=True)
class IdentityModel:
    """A model that answers the FP32 tensor it was given."""

    name: str
    input: str
    output: str
    batches: bool
    """Whether its tensors have a batch dimension in front of the one of any length."""

    def shape(self, length: int) -> tuple[int, ...]:
        return (1, length) if self.batches else (length,)


def identity_models(trials: Iterable[str], ready: Collection[str]) -> tuple[IdentityModel, ...]:
    """Every ready identity model of these trials that answers at once, in the trials' order."""
    found = []
    for trial in trials:
        name = f"{trial}_zero_1_float32"
        if name in ready and name != SLOW_MODEL:
            tensor = "{}__0" if trial.startswith("libtorch") else "{}0"
            found.append(IdentityModel(name, tensor.format("INPUT"), tensor.format("OUTPUT"), batches(trial)))
    return tuple(found)


def batches(trial: str) -> bool:
    """Whether the models of this family have a batch dimension."""
    return not trial.endswith("_nobatch")


PACKAGED_TRIALS = ("custom", "custom_nobatch")
"""The trials whose models are in the folder models/."""


def names_of_all(trials: Iterable[str], image_model: str = IMAGE_MODEL) -> tuple[str, ...]:
    """Every model that a scenario might use with these trials and this image model."""
    kinds = ("sequence_int32", "sequence_float32", "zero_1_float32")
    of_trials = (f"{trial}_{kind}" for trial in trials for kind in kinds)
    return tuple(dict.fromkeys([*of_trials, SLOW_MODEL, WITNESS_MODEL, image_model]))


def how_to_get_a_sequence_model(trials: Sequence[str]) -> str:
    """What to do where no sequence model of these trials is ready."""
    names = {trial: f"{trial}_sequence_{'float32' if trial.startswith('plan') else 'int32'}" for trial in trials}
    return _how_to_get(names, PACKAGED_TRIALS)


def how_to_get_an_identity_model(trials: Sequence[str]) -> str:
    """What to do where no identity model that answers at once is ready, of these trials."""
    names = {trial: name for trial in trials if (name := f"{trial}_zero_1_float32") != SLOW_MODEL}
    return _how_to_get(names, [trial for trial in PACKAGED_TRIALS if f"{trial}_zero_1_float32" != SLOW_MODEL])


def _how_to_get(names: Mapping[str, str], packaged: Sequence[str]) -> str:
    """`names`: trial -> its model. `packaged`: the trials whose model of this kind is in the folder models/."""
    here = [names[trial] for trial in packaged if trial in names]
    if here:
        return f"load one ({', '.join(here)}; the folder models/ has {'it' if len(here) == 1 else 'them'})"
    other = f"select trials whose models the folder models/ has (--trials {','.join(packaged)})"
    return f"load one ({', '.join(names.values())}), or {other}" if names else other
