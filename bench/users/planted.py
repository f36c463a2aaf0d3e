"""The stress test on an embedded Triton with a defect, noting what its verdict would be were the run to end now."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.users.recorder import CASE
from triton_users.locustfile import *  # noqa: F403  # users and listeners
from triton_users.report import build_report
from triton_users.run import reporting
from triton_users.server import repository

repository.default_repository = lambda: Path(CASE["models"])


def _build(*arguments: Any, state: str, **named: Any) -> dict[str, Any]:
    """Called for each checkpoint of the run, every 30 s."""
    ended = build_report(*arguments, state="finished", **named)
    line = {"at_s": ended["duration_s"], "reasons": ended["verdict"]["reasons"]}
    with Path(CASE["log"]).open("a") as file:
        file.write(json.dumps(line) + "\n")
    return ended if state == "finished" else build_report(*arguments, state="running", **named)


reporting.build_report = _build  # type: ignore[assignment]  # the same but for the form of its arguments
