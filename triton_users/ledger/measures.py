"""The named measures that a row may have beside its latency: what each is, and its unit. Plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """What one of a row's histograms holds."""

    title: str
    """For people: the head of a column."""
    meaning: str
    is_time: bool = True
    """Recorded in microseconds and shown in milliseconds; else a number of things."""

    def field(self, name: str) -> str:
        """What the report calls it: `name` with its unit."""
        return f"{name}_ms" if self.is_time else name


MEASURES: Mapping[str, Measure] = {
    "first_response": Measure("First response", "from a request's sending to its first response with outputs"),
    "inter_response": Measure("Inter-response", "between two responses with outputs to one request"),
    "responses": Measure("Responses", "responses with outputs to one request", is_time=False),
    "service": Measure("Service", "from a request's real sending to its end, where its latency begins as intended"),
    "issue_delay": Measure("Issue delay", "how much later than intended a request was sent"),
}
"""Name -> what it is. No row has another one, which bounds what a row can hold."""
