"""Triton's datatypes: values to the bytes of a tensor and back. Knows numpy, no model and no file.

Raw contents are row-major and little-endian. An element of BYTES is its length as an unsigned 32-bit number, then its
bytes. numpy has no BF16: here its values are FP32 whose lower 16 bits are zero.
Source: https://github.com/kserve/open-inference-protocol (tensor data types) and Triton's extension_binary_data.md.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

NUMPY: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "BF16": np.dtype("<f4"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BYTES": np.dtype(object),
}
"""Every datatype of Triton, and the type of an array of its values."""

FLOATS = frozenset({"FP16", "BF16", "FP32", "FP64"})

_LENGTH = struct.Struct("<I")


class DataError(ValueError):
    """Values or bytes that are no tensor of the datatype: the message says what was found and what was wanted."""


def element_size(datatype: str) -> int:
    """Bytes of an element; 0 for BYTES, whose elements differ."""
    return {"BF16": 2, "BYTES": 0}.get(datatype, NUMPY[datatype].itemsize)


def from_values(values: Sequence[Any], datatype: str) -> Array:
    """A flat array of values as JSON has them.

    DataError for the first that is none of the datatype: a fraction or a number out of range for an integer, a text for
    a number, anything but a text for BYTES.
    """
    if datatype == "BYTES":
        return _texts(values)
    kind = NUMPY[datatype]
    try:
        given = np.array(values)
    except ValueError:
        raise DataError("the values are nested; write them as one flat row-major array") from None
    if given.ndim != 1:
        raise DataError("the values are nested; write them as one flat row-major array")
    if not given.size:
        return np.empty(0, kind)
    if given.dtype.kind not in "biuf":  # texts, nulls, or numbers of more than 64 bits
        for position, value in enumerate(values):
            if not isinstance(value, (bool, int, float)):
                raise DataError(f"element {position} is {value!r}, not a number")
    if datatype in FLOATS:
        with np.errstate(over="ignore"):
            floats = rounded(given.astype(kind), datatype)
        beyond = np.flatnonzero(np.isinf(floats) & np.isfinite(given.astype(np.float64)))
        if beyond.size:
            raise DataError(f"element {beyond[0]} is {values[beyond[0]]!r}, which is more than {datatype} holds")
        return floats
    if datatype == "BOOL":
        wrong = [position for position, value in enumerate(values) if value not in (0, 1)]
        wanted = "true or false"
    else:
        limits = np.iinfo(kind)
        low, high = int(limits.min), int(limits.max)
        # As Python's numbers: numpy would compare 2**63 and -1 as floats.
        wrong = [i for i, value in enumerate(values) if value % 1 != 0 or not low <= value <= high]
        wanted = f"a whole number from {low} to {high}"
    if wrong:
        raise DataError(f"element {wrong[0]} is {values[wrong[0]]!r}, but {datatype} takes {wanted}")
    return np.array([int(value) for value in values], dtype=kind)


def _texts(values: Sequence[Any]) -> Array:
    array = np.empty(len(values), dtype=object)
    for position, value in enumerate(values):
        if not isinstance(value, str):
            raise DataError(f"element {position} is {value!r}, but BYTES takes texts")
        array[position] = value.encode()
    return array


def rounded(values: Array, datatype: str) -> Array:
    """The values as the datatype holds them: for BF16, FP32 rounded to the nearest, ties to even."""
    if datatype != "BF16":
        return values
    bits = values.astype("<f4").view("<u4")
    nearest = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(0xFFFF0000)
    quiet = (bits | np.uint32(0x00400000)) & np.uint32(0xFFFF0000)  # a NaN must not round up to infinity
    return np.where(np.isnan(values), quiet, nearest).astype("<u4").view("<f4")


def encode(values: Array, datatype: str) -> bytes:
    """The raw contents of these values, which are of the type in `NUMPY`; their shape does not matter."""
    if datatype == "BYTES":
        return b"".join(_LENGTH.pack(len(element)) + element for element in values.reshape(-1))
    if datatype == "BF16":
        words = (np.ascontiguousarray(values, "<f4").view("<u4") >> np.uint32(16)).astype("<u2")
        return words.tobytes()
    return np.ascontiguousarray(values, NUMPY[datatype]).tobytes()


def decode(raw: bytes | memoryview, datatype: str) -> Array:
    """The values in these raw contents, flat. DataError when they do not come to a whole number of elements."""
    if datatype == "BYTES":
        return _elements(bytes(raw))
    size = element_size(datatype)
    if len(raw) % size:
        raise DataError(f"{len(raw)} bytes are no whole number of {datatype} elements of {size} bytes")
    if datatype == "BF16":
        return (np.frombuffer(raw, "<u2").astype("<u4") << np.uint32(16)).view("<f4")
    return np.frombuffer(raw, NUMPY[datatype])


def _elements(raw: bytes) -> Array:
    found: list[bytes] = []
    position, size = 0, len(raw)
    while position < size:
        if size - position < _LENGTH.size:
            raise DataError(f"{size - position} bytes are left after element {len(found)}: its length takes 4")
        (length,) = _LENGTH.unpack_from(raw, position)
        position += _LENGTH.size
        if length > size - position:
            raise DataError(
                f"element {len(found)} says it has {length} bytes, but {size - position} are left; "
                "each element of BYTES is a 4-byte little-endian length and its bytes"
            )
        found.append(raw[position : position + length])
        position += length
    array = np.empty(len(found), dtype=object)
    array[:] = found
    return array
