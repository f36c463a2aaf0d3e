"""The report's part about the server: where the time went, what it counted, its series. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from triton_users.judge.audit import Audited, in_short
from triton_users.ledger import Ledger, Row
from triton_users.witness.seen import Seen
from triton_users.witness.series import Key
from triton_users.witness.statistics import ModelCounts

MAX_ROWS = 240
"""Points of each series in the report, the newest one among them: with ten busy models they take 400 kB."""
SHOWN_MODELS = 20
"""Models whose series are in the report, the busiest ones; the table has all that were sent requests."""

OTHERS = 0.1
"""Share of a model's requests that may be other ones than this client's: perf_analyzer's, another client's."""

_PARTS = {"queue_ms": "queue_ns", "input_ms": "input_ns", "infer_ms": "infer_ns", "output_ms": "output_ns"}
"""Where a request's time goes in the server -> the counter of it."""

_RATES = {"success": ("requests", "1/s"), "executions": ("executions", "1/s"), "failed": ("failures", "1/s"),
          "cache_hits": ("cache_hits", "1/s")}  # fmt: skip
"""Counters of a model that are shown by the second."""


def section(seen: Seen, total: Ledger, audited: Sequence[Audited] = ()) -> dict[str, Any]:
    """What was seen of the server, beside what the client counted."""
    return {
        "sources": [{"name": each.name, "answered": each.answered, "missing": each.missing} for each in seen.sources],
        "models": models(seen, total),
        "audit": {"text": in_short(audited), "models": [asdict(each) for each in audited]},
        "series": series(seen),
    }


def batches(seen: Seen) -> dict[str, dict[str, int]]:
    """Model -> size of a batch -> executions of that size."""
    return {
        name: {str(size): n for size, n in counts.batches.items()}
        for name, counts in sorted(seen.models.items())
        if counts.batches
    }


def models(seen: Seen, total: Ledger) -> list[dict[str, Any]]:
    """Each model that the server counted requests of, and where their time went: a mean request's, in milliseconds.

    Client-side latency = network and client + queue + compute (input, infer, output). `network_ms` is what the server
    does not account for: the way there and back, the server's front end and this client. It is null where more than
    OTHERS of the server's requests are not those that this client timed, so that the two means are not of the same.
    """
    steps = {step for of in seen.steps.values() for step in of}
    found = []
    for name, counts in sorted(seen.models.items()):
        if not counts.success and not counts.failed:
            continue
        row = Row.together(row for (_, model), row in total.rows.items() if model == name)
        parts = {what: _ms(getattr(counts, of), counts.success) for what, of in _PARTS.items()}
        timed = row.measures.get("service", row.latency)  # in an open loop latencies begin when a run was due
        client_ms = None if not row.answered else _rounded((timed.mean_us() or 0.0) / 1e3)
        server_ms = sum(value or 0.0 for value in parts.values())
        same = abs(counts.success - row.answered) <= OTHERS * counts.success
        network_ms = None if client_ms is None or not same else _rounded(max(0.0, client_ms - server_ms))
        found.append(
            {
                "model": name,
                "answered": row.answered,
                "client_ms": client_ms,
                "network_ms": network_ms,
                **parts,
                "success": counts.success,
                "failed": counts.failed,
                "failures": dict(sorted(seen.failures.get(name, {}).items())),
                "executions": counts.executions,
                "mean_batch": round(counts.inferences / counts.executions, 3) if counts.executions else None,
                "cache_hits": counts.cache_hits,
                "steps": list(seen.steps.get(name, ())),
                "is_step": name in steps,
            }
        )
    return found


def series(seen: Seen) -> dict[str, Any]:
    """The series as columns of one table: `t_s`, and for each series its value there, null where there is none.

    A counter is shown as what it makes of the time since the row before: a rate, or a mean.
    """
    samples = seen.samples
    times, keys = samples.times, samples.keys()
    each = max(1, math.ceil(len(times) / MAX_ROWS))
    rows = sorted({len(times) - 1 - i for i in range(0, len(times), each)}) if times else []
    made: list[tuple[Key, list[float | None]]] = []
    busiest = sorted(
        (of for name, _, of in keys if name == "success" and of),
        key=lambda of: -(seen.models.get(of) or ModelCounts()).success,
    )[:SHOWN_MODELS]
    for model in busiest:
        made += _of_model(model, [times[i] for i in rows], lambda what, of=model: samples.at(Key(what, "", of), rows))
    for key in keys:
        if key.name in ModelCounts.__dataclass_fields__ or (key.name == "pending" and key.of not in busiest):
            continue
        values = samples.at(key, rows)
        if key == Key("cpu", "s", key.of):
            made.append((Key("cpu", "cores", key.of), _per([times[i] for i in rows], values)))
        else:
            made.append((key, [_value(value) for value in values]))
    return {
        "t_s": [round(times[i], 1) for i in rows],
        "series": [
            {"name": key.name, "unit": key.unit, "of": key.of, "values": values}
            for key, values in made
            if any(value is not None for value in values)
        ],
    }


def _of_model(model: str, times: list[float], column: Any) -> Iterable[tuple[Key, list[float | None]]]:
    success = column("success")
    for counter, (name, unit) in _RATES.items():
        values = column(counter)
        if counter == "success" or any(value > 0 for value in values):
            yield Key(name, unit, model), _per(times, values)
    for what, counter in _PARTS.items():
        yield Key(what.removesuffix("_ms"), "ms", model), _per(success, column(counter), 1e-6)
    yield Key("mean_batch", "", model), _per(column("executions"), column("inferences"))


def _per(base: list[float], values: list[float], factor: float = 1.0) -> list[float | None]:
    """By how much `values` grew for each unit that `base` grew by, since the last row that has both."""
    found: list[float | None] = []
    last: tuple[float, float] | None = None
    for of, value in zip(base, values, strict=True):
        if math.isnan(of) or math.isnan(value):
            found.append(None)
            continue
        grown = None if last is None else (of - last[0], value - last[1])
        found.append(_value(grown[1] / grown[0] * factor) if grown and grown[0] > 0 and grown[1] >= 0 else None)
        last = (of, value)
    return found


def _ms(nanoseconds: int, requests: int) -> float | None:
    return _rounded(nanoseconds / requests / 1e6) if requests else None


def _rounded(value: float) -> float:
    return round(value, 4 if value < 10 else 2)


def _value(value: float) -> float | None:
    """Four digits of what is drawn."""
    if math.isnan(value):
        return None
    return float(f"{value:.4g}")
