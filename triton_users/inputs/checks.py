"""Compares what a model answered with what it must answer. Pure functions; the report says how many were compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from triton_users.inputs.data import Tensor
from triton_users.inputs.datatypes import FLOATS, Array, DataError, decode


@dataclass(frozen=True)
class Tolerance:
    """A float `got` is `expected` when |got - expected| <= atol + rtol * |expected|; NaN is NaN, an infinity itself."""

    rtol: float = 0.0
    atol: float = 0.0


TOLERANCES: Mapping[str, Tolerance] = {
    "FP16": Tolerance(1e-2, 1e-3),
    "BF16": Tolerance(4e-2, 1e-2),
    "FP32": Tolerance(1e-4, 1e-5),
    "FP64": Tolerance(1e-7, 1e-9),
}
"""What floats may differ by where the user says nothing: about ten times the spacing of the datatype's numbers, since
another order of additions on another device is no fault. Integers, BOOL and BYTES must be the same."""


@dataclass(frozen=True)
class Mismatch:
    """The first difference of one answer. Plain values."""

    output: str
    what: str
    index: tuple[int, ...] = ()
    expected: Any = None
    got: Any = None
    different: int = 0
    """How many elements differ."""
    elements: int = 0
    largest: float | None = None
    """The largest difference of two finite numbers."""

    def __str__(self) -> str:
        if not self.elements:
            return f"{self.output}: {self.what}"
        text = f"{self.output}{list(self.index)} is {self.got!r}, not {self.expected!r}"
        text += f"; {self.different:,} of {self.elements:,} elements differ"
        return text if self.largest is None else f"{text}, the largest difference is {self.largest:g}"


def compare(
    expected: Tensor, raw: bytes | memoryview, shape: tuple[int, ...], tolerance: Tolerance | None
) -> Mismatch | None:
    """The first difference between an output and what it must be; None when there is none.

    `raw` and `shape` are those of the answer, the batch dimension left out.
    """
    name, datatype = expected.spec.name, expected.spec.datatype
    if shape != expected.shape:
        return Mismatch(name, f"its shape is {list(shape)}, not {list(expected.shape)}")
    if raw == expected.raw:
        return None
    wanted = decode(expected.raw, datatype)
    try:
        got = decode(raw, datatype)
    except DataError as error:
        return Mismatch(name, f"its contents are no {datatype}: {error}")
    if len(got) != len(wanted):
        return Mismatch(name, f"it has {len(got)} elements, not {len(wanted)}")
    if expected.spec.classes:
        wrong = _other_classes(wanted, got, tolerance or TOLERANCES["FP32"])
    else:
        wrong = _different(wanted, got, datatype, tolerance or TOLERANCES.get(datatype, Tolerance()))
    positions = np.flatnonzero(wrong)
    if not positions.size:
        return None
    first = int(positions[0])
    return Mismatch(
        name,
        "a wrong value",
        tuple(int(i) for i in np.unravel_index(first, shape)) if shape else (),
        _plain(wanted[first]),
        _plain(got[first]),
        int(positions.size),
        len(wanted),
        _largest(wanted, got, datatype),
    )


def _different(wanted: Array, got: Array, datatype: str, tolerance: Tolerance) -> Array:
    if datatype not in FLOATS:
        return np.asarray(wanted != got)
    # As numpy's isclose in half its time: what is not finite is looked at only where something is not close.
    with np.errstate(invalid="ignore"):  # a signalling NaN; an infinity less another
        got, wanted = got.astype(np.float64), wanted.astype(np.float64)
        gaps = np.abs(got - wanted)
        wrong: Array = ~((gaps <= tolerance.atol + tolerance.rtol * np.abs(wanted)) & (gaps < np.inf))
    if wrong.any():
        wrong &= (got != wanted) & ~(np.isnan(got) & np.isnan(wanted))
    return wrong


def _other_classes(wanted: Array, got: Array, tolerance: Tolerance) -> Array:
    return np.array([not _same_class(*both, tolerance) for both in zip(wanted, got, strict=True)])


def _same_class(wanted: bytes, got: bytes, tolerance: Tolerance) -> bool:
    """Whether "score:index:label", as Triton answers, is the class that is `wanted`: so, or as a label or an index."""
    score, _, named = got.partition(b":")
    index, _, label = named.partition(b":")
    if wanted and wanted in (got, index, label):
        return True
    wanted_score, _, wanted_named = wanted.partition(b":")
    if wanted_named != named:
        return False
    try:
        difference = abs(float(score) - float(wanted_score))
        return difference <= tolerance.atol + tolerance.rtol * abs(float(wanted_score))
    except ValueError:
        return False


def _largest(wanted: Array, got: Array, datatype: str) -> float | None:
    if datatype in ("BYTES", "BOOL"):
        return None
    with np.errstate(invalid="ignore", over="ignore"):
        gaps = np.abs(got.astype(np.float64) - wanted.astype(np.float64))
    finite = gaps[np.isfinite(gaps)]
    return float(finite.max()) if finite.size else None


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return value.item()
