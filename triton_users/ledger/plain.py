"""Turns what a failure may carry into bounded plain values, and error texts into ones that group. Pure functions."""

from __future__ import annotations

import math
import re
from typing import Any

MAX_TEXT = 2_000
"""Characters kept of one text; the middle of a longer one is left out. Picked arbitrarily."""
MAX_ITEMS = 60
"""Items kept of one list or dict: the first 20 and the last 40, because what led to a failure stands before it."""
MAX_PLAN_ITEMS = 4_096
"""The same of a plan, which is of use only whole: a sequence of the default length has 16 values."""
MAX_DEPTH = 8
"""Containers inside containers; anything deeper is kept as its text."""


def plain(value: Any, depth: int = 0, most: int = MAX_ITEMS) -> Any:
    """`value` as None, bool, int, float, str, list and dict with str keys, all bounded: safe for msgpack and JSON.

    Integers outside 64 bits, NaN and infinities become text, NumPy scalars and arrays what their `tolist` gives.
    """
    if value is None or isinstance(value, bool):
        return value
    if type(value) is int:
        return value if -(2**63) <= value < 2**63 else str(value)
    if type(value) is float:
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return cut(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return cut(repr(bytes(value[: MAX_TEXT + 1])))
    if depth >= MAX_DEPTH:
        return cut(repr(value))
    if isinstance(value, dict):
        items = list(value.items())
        return {cut(str(key)): plain(item, depth + 1, most) for key, item in items[:most]} | (
            {"...": f"{len(items) - most} more left out"} if len(items) > most else {}
        )
    if isinstance(value, (list, tuple, range, set, frozenset)):
        listed = list(value)
        if len(listed) > most:
            first, last = most // 3, most - most // 3
            listed = [*listed[:first], f"... {len(listed) - most} left out ...", *listed[-last:]]
        return [plain(item, depth + 1, most) for item in listed]
    if hasattr(value, "tolist"):
        return plain(value.tolist(), depth + 1, most)
    if isinstance(value, int):
        return plain(int(value))
    return cut(str(value))


def cut(text: str, limit: int = MAX_TEXT) -> str:
    """`text`, its middle left out when it is longer than `limit`, without what UTF-8 cannot carry."""
    text = text.encode("utf-8", "replace").decode()
    if len(text) <= limit:
        return text
    return f"{text[: limit * 3 // 4]} [... {len(text) - limit} characters left out ...] {text[-(limit // 4) :]}"


_VARIES = re.compile(
    r"0x[0-9a-fA-F]+"  # addresses
    r"|\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"  # UUIDs
    r"|(?<![\w.])-?\d+(?:\.\d+)*(?:e[+-]?\d+)?(?![\w'])"  # numbers that stand alone; 'int32' and names keep theirs
)


def normalise(message: str) -> str:
    """One text for errors that differ in ids and numbers only, so that they are counted together.

    "sequence 17 to model 'custom_sequence_int32'" becomes "sequence # to model 'custom_sequence_int32'".
    """
    return cut(_VARIES.sub("#", " ".join(message.split())), 300)
