"""Input data made from a seed, where the user has none: a pool of steps, made before the run."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from triton_users.inputs.data import Step, StepList, Tensor
from triton_users.inputs.datatypes import FLOATS, NUMPY, Array, encode, rounded
from triton_users.inputs.model import ModelSpec, TensorSpec

POOL_BYTES = 64 * 1024 * 1024
"""The most that one model's pool takes, in bytes. Picked arbitrarily: a few hundred pictures of 224 x 224."""

POOL_STEPS = 256
"""The most steps in a pool; more would not make a cache less likely to miss."""


MAX_SETS = 8
"""The most sets of optional inputs that are tried."""


@dataclass(frozen=True)
class Ranges:
    """What random values are like. The defaults fit any model that takes ids: they are small."""

    integers: tuple[int, int] = (0, 100)
    """Lowest and highest integer, cut to what the datatype holds."""
    floats: tuple[float, float] = (0.0, 1.0)
    bytes_length: int = 16
    """Bytes in an element of BYTES: lower-case letters."""


def random_data(
    model: ModelSpec,
    seed: int,
    ranges: Mapping[str, Ranges] | None = None,
    optional: Collection[str] | None = None,
) -> StepList:
    """A pool of steps for this model, whose shapes are resolved: the same for the same seed.

    `ranges`: by input; "" for the others. `optional`: the optional inputs that part of the steps has; None for all.
    Steps with the same optional inputs are a stream, since one batch, and one sequence, must have the same. A sequence
    takes any steps of one.
    """
    given = ranges or {}
    ranges_of = {spec.name: given.get(spec.name, given.get("", Ranges())) for spec in model.inputs}
    generator = np.random.default_rng(random.Random(f"{seed}/{model.name}").getrandbits(64))
    sets = _sets(model, optional)
    streams: list[list[Step]] = []
    for specs in sets:
        steps: list[Step] = []
        most, room, size = max(1, POOL_STEPS // len(sets)), POOL_BYTES / len(sets), 0
        while len(steps) < most and (not steps or size * (len(steps) + 1) / len(steps) <= room):
            tensors = {
                spec.name: Tensor(spec, spec.shape, _raw(spec, generator, ranges_of[spec.name])) for spec in specs
            }
            size += sum(len(each.raw) for each in tensors.values())
            steps.append(Step(tensors))
        streams.append(steps)
    return StepList(streams, whole=False, name="random data")


def _sets(model: ModelSpec, wanted: Collection[str] | None) -> list[list[TensorSpec]]:
    """Which inputs go together: those that must be there alone, with each optional one, and with all of them.

    Optional ones of open size that were given none are left out, and so are the single ones beyond MAX_SETS.
    """
    able = (spec.name for spec in model.inputs if spec.optional and spec.fixed)
    optional = [name for name in able if wanted is None or name in wanted]
    chosen: list[set[str]] = [set(), *({name} for name in optional[: MAX_SETS - 2]), set(optional)]
    unique = [names for i, names in enumerate(chosen) if names not in chosen[:i]]
    return [[spec for spec in model.inputs if not spec.optional or spec.name in names] for names in unique]


def _raw(spec: TensorSpec, generator: np.random.Generator, ranges: Ranges) -> bytes:
    return encode(_values(spec, generator, ranges), spec.datatype)


def _values(spec: TensorSpec, generator: np.random.Generator, ranges: Ranges) -> Array:
    kind, count = NUMPY[spec.datatype], spec.elements
    if spec.datatype == "BYTES":
        letters = generator.integers(ord("a"), ord("z") + 1, (count, ranges.bytes_length), np.uint8)
        texts = np.empty(count, dtype=object)
        texts[:] = [row.tobytes() for row in letters]
        return texts
    if spec.datatype in FLOATS:
        low, high = ranges.floats
        return rounded(generator.uniform(low, high, count).astype(kind), spec.datatype)
    if spec.datatype == "BOOL":
        return generator.integers(0, 2, count).astype(kind)
    limits = np.iinfo(kind)
    lowest, highest = (min(max(bound, int(limits.min)), int(limits.max)) for bound in ranges.integers)
    return generator.integers(lowest, highest, count, kind, endpoint=True)
