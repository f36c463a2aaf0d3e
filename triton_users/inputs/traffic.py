"""What one model of a run is sent and how its answers are judged: settled once, the same for all workers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from triton_users.inputs.checks import Tolerance
from triton_users.inputs.data import InputData, StepList
from triton_users.inputs.datatypes import FLOATS
from triton_users.inputs.load import files, load
from triton_users.inputs.model import ModelSpec, TensorSpec
from triton_users.inputs.options import ModelSettings
from triton_users.inputs.pool import RequestPool
from triton_users.inputs.random_data import Ranges, random_data
from triton_users.settings import UsageError


@dataclass(frozen=True)
class ModelTraffic:
    """One model under load."""

    spec: ModelSpec
    """With all its shapes, where its data are random."""
    input_data: tuple[str, ...] = ()
    """The files and directories of its input data; none: random data, made from the run's seed."""
    batch_size: int = 1
    optional: tuple[str, ...] | None = None
    """The optional inputs that part of its random data has; None: each whose size is known."""
    ranges: Mapping[str, Ranges] = field(default_factory=dict)
    """What random data are like, by input; "" for the others."""
    tolerances: Mapping[str, Tolerance] = field(default_factory=dict)
    """By output; the others have those of their datatype."""
    own_requests: bool = False
    """Whether the user's own code makes the requests, so that there are no data."""

    @property
    def name(self) -> str:
        return self.spec.name

    def data(self, seed: int) -> InputData:
        """Its input data. UsageError for a file that this machine lacks or that does not fit."""
        if self.own_requests:
            return StepList([])
        if self.input_data:
            return load([Path(name) for name in self.input_data], self.spec)
        return random_data(self.spec, seed, self.ranges, self.optional)

    def pool(self, seed: int) -> RequestPool:
        """Its requests, for all users of a process. UsageError as `data`."""
        return RequestPool(self.spec, self.data(seed), self.batch_size)

    def pack(self) -> dict[str, Any]:
        """As plain values, for the workers."""
        return asdict(self)

    @classmethod
    def unpack(cls, packed: Mapping[str, Any]) -> ModelTraffic:
        """The inverse of `pack`, after a way on which tuples become lists."""
        spec = packed["spec"]
        tensors = {
            side: tuple(
                TensorSpec(
                    **{**each, **{of: tuple(each[of]) for of in ("shape", "open_shape") if each[of] is not None}}
                )
                for each in spec[side]
            )
            for side in ("inputs", "outputs")
        }
        ranges = {
            name: Ranges(tuple(each["integers"]), tuple(each["floats"]), each["bytes_length"])
            for name, each in packed["ranges"].items()
        }
        return cls(
            **{
                **packed,
                "spec": ModelSpec(**{**spec, **tensors, "steps": tuple(spec["steps"])}),
                "input_data": tuple(packed["input_data"]),
                "optional": None if packed["optional"] is None else tuple(packed["optional"]),
                "ranges": ranges,
                "tolerances": {name: Tolerance(**each) for name, each in packed["tolerances"].items()},
            }
        )


def traffic_of(spec: ModelSpec, settings: ModelSettings) -> ModelTraffic:
    """What the options say of this model. UsageError, without the model's name, for what it does not admit."""
    name = spec.name
    _known("value-range", settings.value_range.get(name, {}), spec.inputs, "input")
    _known("bytes-length", settings.bytes_length.get(name, {}), spec.inputs, "input")
    for option, given in (("rtol", settings.rtol), ("atol", settings.atol)):
        _known(option, given.get(name, {}), spec.outputs, "output")
    shapes = dict(settings.shape.get(name, {}))
    if "" in shapes:
        shapes = {each.name: shapes[""] for each in spec.unresolved} | {k: v for k, v in shapes.items() if k}
    spec = spec.with_shapes(shapes).with_classes(settings.class_count.get(name, 0))
    return ModelTraffic(
        spec=spec,
        input_data=files(settings.input_data.get(name, ())),
        batch_size=checked_batch_size(spec, settings.model_batch_size.get(name, 1)),
        optional=checked_optional(spec, settings.optional_inputs.get(name)),
        ranges=_ranges(spec, settings.value_range.get(name, {}), settings.bytes_length.get(name, {})),
        tolerances=_tolerances(spec, settings.rtol.get(name, {}), settings.atol.get(name, {})),
    )


def checked_batch_size(spec: ModelSpec, size: int) -> int:
    """`size`, when the model takes so many. UsageError otherwise."""
    most = max(1, spec.max_batch_size)
    if not 1 <= size <= most:
        raise UsageError(f"the batch size is {size}; {spec.name} takes 1 to {most}")
    return size


def checked_optional(spec: ModelSpec, names: Sequence[str] | None) -> tuple[str, ...] | None:
    """These, when they are optional inputs whose size is known; "none" is none of them. UsageError otherwise."""
    if names is None:
        return None
    if tuple(names) == ("none",):
        return ()
    able = {each.name: each for each in spec.inputs if each.optional}
    for name in names:
        if name not in able:
            raise UsageError(
                f"optional-inputs: {spec.name} has no optional input {name!r}; it has {', '.join(able) or 'none'}"
            )
        if not able[name].fixed:
            raise UsageError(f"optional-inputs: the size of {able[name]} is open; give its shape too")
    return tuple(names)


def _known(option: str, given: Mapping[str, Any], tensors: tuple[TensorSpec, ...], what: str) -> None:
    names = [each.name for each in tensors]
    for name in given:
        if name and name not in names:
            raise UsageError(f"{option}: it has no {what} {name!r}; it has {', '.join(names)}")


def _ranges(
    spec: ModelSpec, values: Mapping[str, tuple[float, float]], lengths: Mapping[str, int]
) -> dict[str, Ranges]:
    found: dict[str, Ranges] = {}
    for each in spec.inputs:
        ranges = Ranges()
        if (limits := values.get(each.name, values.get(""))) is not None:
            low, high = math.ceil(limits[0]), math.floor(limits[1])
            if low > high and each.datatype not in FLOATS:
                raise UsageError(
                    f"value-range: {limits[0]:g}..{limits[1]:g} has no whole number, and {each} takes those"
                )
            ranges = replace(ranges, integers=(low, high), floats=limits)
        if (length := lengths.get(each.name, lengths.get(""))) is not None:
            ranges = replace(ranges, bytes_length=length)
        if ranges != Ranges():
            found[each.name] = ranges
    return found


def _tolerances(spec: ModelSpec, rtol: Mapping[str, float], atol: Mapping[str, float]) -> dict[str, Tolerance]:
    return {
        each.name: Tolerance(rtol.get(each.name, rtol.get("", 0.0)), atol.get(each.name, atol.get("", 0.0)))
        for each in spec.outputs
        if {each.name, ""} & {*rtol, *atol}
    }
