"""Counts and histograms of the ledger as the report has them: plain values under the names of docs/report.md."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from triton_users.ledger import MEASURES, Histogram, Ledger, Row, ScenarioCounts


def counts_of(counts: ScenarioCounts) -> dict[str, Any]:
    """What became of a scenario's runs."""
    return {
        "runs": counts.runs,
        "passed": counts.passed,
        "failed": counts.failed,
        "unexcused": counts.unexcused,
        "skipped": counts.skipped,
        "skips": dict(sorted(counts.skips.items(), key=lambda item: -item[1])),
        "requests": counts.requests,
        "answers_checked": counts.answers_checked,
        "expected_deadlines": counts.expected_deadlines,
        "unexpected_deadlines": counts.unexpected_deadlines,
        "sequence_failures": counts.sequence_failures,
        "confirmed": counts.confirmed,
        "unchecked": counts.unchecked,
    }


def row_of(model: str, row: Row) -> dict[str, Any]:
    """The requests to one model."""
    return {
        "model": model,
        "requests": row.requests,
        "failed": row.failed,
        "errors": dict(sorted(row.errors.items(), key=lambda item: -item[1])),
        "bytes_sent": row.sent,
        "bytes_received": row.received,
        "latency_ms": quantiles_ms(row.latency),
        "queue_time_ms": quantiles_ms(row.queue_time),
        "measures": measures_of(row),
        "goodput": goodput_of(row),
        "judged": row.judged,
        "good": row.good,
        "by_order": row.by_order,
        "unanswered": row.unanswered.total,
        "unanswered_longest_ms": round(row.unanswered.max_us / 1e3, 3),
    }


def totals_of(scenarios: list[dict[str, Any]], requests: Iterable[Row], load_s: float) -> dict[str, Any]:
    """All scenarios and all requests together."""
    together = Row.together(requests)
    counted = [name for name in counts_of(ScenarioCounts()) if name != "skips"]
    return {
        **{name: sum(scenario[name] for scenario in scenarios if scenario["name"]) for name in counted},
        "rpcs": together.requests,
        "rpcs_failed": together.failed,
        "requests_per_s": round(together.answered / load_s, 3) if load_s > 0 else 0.0,
        "responses_per_s": responses_per_s(together, load_s),
        "bytes_sent": together.sent,
        "bytes_received": together.received,
        "latency_ms": quantiles_ms(together.latency),
        "measures": measures_of(together),
        "goodput": goodput_of(together),
        "queue_time_ms": quantiles_ms(together.queue_time),
    }


def reconnects_of(total: Ledger) -> dict[str, Any]:
    """Connections that were made again, and why."""
    return {
        "reconnects": sum(total.reconnects.values()),
        "reconnects_by_reason": dict(sorted(total.reconnects.items(), key=lambda item: -item[1])),
    }


def measures_of(row: Row) -> dict[str, dict[str, float | None]]:
    """The measures that were taken, in the order of their table, under their names with a unit."""
    return {
        measure.field(name): quantiles_ms(row.measures[name]) if measure.is_time else _quantiles(row.measures[name])
        for name, measure in MEASURES.items()
        if name in row.measures
    }


def responses_per_s(row: Row, load_s: float) -> float | None:
    """Responses to answered requests of streams, per second; None where there were none of these."""
    responses = row.measures.get("responses")
    return None if responses is None else round(responses.sum_us / load_s, 3) if load_s > 0 else 0.0


def goodput_of(row: Row) -> float | None:
    """The share of good requests, out of those that were held against limits; 1.0 only when all were good."""
    return row.good / row.judged if row.judged else None


def quantiles_ms(histogram: Histogram) -> dict[str, float | None]:
    """What the report says of a histogram, in milliseconds; None where nothing was recorded."""
    return _quantiles(histogram, 1e3)


def _quantiles(histogram: Histogram, unit: float = 1.0) -> dict[str, float | None]:
    p50, p95, p99 = histogram.quantiles([0.50, 0.95, 0.99])
    highest = float(histogram.max_us) if histogram.counts else None
    named = {"mean": histogram.mean_us(), "p50": p50, "p95": p95, "p99": p99, "max": highest}
    return {name: None if value is None else round(value / unit, 3) for name, value in named.items()}
