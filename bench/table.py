"""Plain text tables and the JSON file of a measurement. Knows no measurement."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

#: What a cell without a value shows.
NOTHING = "-"

Cell = str | float | int | None


def render(headers: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """A table with aligned columns, the first to the left and the others to the right."""
    cells = [list(headers), *[[show(cell) for cell in row] for row in rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headers))]
    lines = [
        "  ".join(
            text.ljust(width) if column == 0 else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    lines.insert(1, "-" * len(lines[0]))
    return "\n".join(lines)


def show(cell: Cell) -> str:
    """A number with about three significant digits, thousands apart; text as it is."""
    if cell is None:
        return NOTHING
    if isinstance(cell, str):
        return cell
    if isinstance(cell, int) or abs(cell) >= 100:
        return f"{cell:,.0f}"
    return f"{cell:.1f}" if abs(cell) >= 10 else f"{cell:.2f}"


def machine() -> dict[str, Any]:
    """What a number depends on: the processor, how busy it was, and the versions measured."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    packages = ["locust", "gevent", "grpcio", "tritonclient", "protobuf", "numpy", "hpack"]
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "load_average": os.getloadavg()[0],
        "kernel": platform.release(),
        "python": platform.python_version(),
        "packages": {package: metadata.version(package) for package in packages},
    }


def about_machine(facts: dict[str, Any], pinned: str) -> str:
    """One paragraph of `machine()` for the terminal."""
    packages = ", ".join(f"{name} {version}" for name, version in facts["packages"].items())
    return (
        f"{facts['processor']}, {facts['cores']} cores, load {facts['load_average']:.1f}, "
        f"Python {facts['python']}, {packages}; {pinned}"
    )


def write_json(path: Path, kind: str, settings: dict[str, Any], results: Any) -> None:
    """Write one measurement with its settings and its machine."""
    content = {"measurement": kind, "machine": machine(), "settings": settings, "results": results}
    path.write_text(json.dumps(content, indent=2) + "\n")
