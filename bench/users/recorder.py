"""Writes what a Locust run counted to locust.json: exact latencies, where Locust's own are whole milliseconds."""

from __future__ import annotations

import json
import os
from array import array
from pathlib import Path
from typing import Any

from locust import events
from locust.env import Environment

from triton_users.events import add_hooks

#: The settings of this run, from the bench.
CASE: dict[str, Any] = json.loads(os.environ["BENCH_CASE"])


def listen(event: Any, listener: Any) -> None:
    """Add a listener to one of Locust's events."""
    event.add_listener(listener)


def record() -> None:
    """Have this Locust process write the file when its test stops; for a locustfile's top level."""
    listen(events.init, _record)


def _record(environment: Environment, **_kwargs: object) -> None:
    """Listen to every request, beside Locust's own statistics.

    The listener costs under half a microsecond a request, on each side that runs inside Locust.
    """
    add_hooks(environment)
    latencies_ms = array("d")
    unanswered: list[float] = []
    failures: dict[str, int] = {}
    add = latencies_ms.append

    def on_request(response_time: float, exception: BaseException | None, **_kwargs: object) -> None:
        add(response_time)
        if exception is not None:
            text = str(exception) or repr(exception)
            failures[text] = failures.get(text, 0) + 1

    def write(**_kwargs: object) -> None:
        ordered = sorted(latencies_ms)
        content = {
            "requests": len(ordered),
            "unanswered": len(unanswered),
            "errors": sum(failures.values()),
            "failures": [f"{count} x {text}" for text, count in list(failures.items())[:5]],
            **{f"p{percent}_us": percentile_us(ordered, percent) for percent in (50, 90, 99)},
        }
        Path("locust.json").write_text(json.dumps(content))

    listen(environment.events.request, on_request)
    hooks: Any = environment.events
    listen(hooks.request_unanswered, lambda waited_s, **_kwargs: unanswered.append(waited_s))
    listen(environment.events.test_stop, write)  # after the users have stopped, which `quitting` may precede


def percentile_us(ordered_ms: list[float], percent: int) -> float | None:
    """The value that `percent` of a sorted list do not exceed, in microseconds; None for an empty list."""
    if not ordered_ms:
        return None
    return 1000 * ordered_ms[min(len(ordered_ms) - 1, len(ordered_ms) * percent // 100)]
