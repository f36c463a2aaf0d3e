"""Makes a run's report out of its counts: plain values, described in docs/report.md. Renders and writes nothing."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from datetime import datetime, timedelta, timezone
from functools import cache
from importlib import metadata
from typing import Any, Literal

from triton_users.judge import absences, arrivals, audit, client_limited, lateness, outages
from triton_users.judge.alerts import About, alerts
from triton_users.judge.thresholds import Check, apply
from triton_users.judge.trends import Trends, trends
from triton_users.judge.verdict import Said, Verdict, judge
from triton_users.ledger import Collector, Ledger, Row, ScenarioCounts, WorkerState, plain
from triton_users.ledger.evidence import Evidence
from triton_users.ledger.plain import cut
from triton_users.ledger.timeline import Timeline
from triton_users.report import server_side
from triton_users.report.info import RunInfo
from triton_users.report.numbers import (
    counts_of,
    goodput_of,
    measures_of,
    quantiles_ms,
    reconnects_of,
    responses_per_s,
    row_of,
    totals_of,
)
from triton_users.witness.seen import Seen

SCHEMA = 2
"""Version of the report's form; a new one whenever a reader of the old one could go wrong."""

OUTSIDE = "What users do outside of any scenario; its failures are requests."

MAX_CAUSE = 600
"""Characters of a failure's reason in the verdict; its middle is left out when it is longer. Room for a sentence of
ours with ids and values and one of the server's in it or behind it, which is the decisive one."""
MAX_FINDINGS = 200
"""Stretches of time the self-check names; further ones are counted."""

_WINDOW = tuple(each.name for each in fields(client_limited.Window))
"""`asdict` copies each value deeply: with 200 windows of four workers that was half of a report's time."""

State = Literal["finished", "interrupted", "running"]


def build_report(
    info: RunInfo,
    collector: Collector,
    timeline: Timeline,
    *,
    now_s: float,
    state: State,
    load_s: float | None = None,
    intended: int = 0,
    seen: Seen | None = None,
    rates: Sequence[tuple[float, str]] = (),
) -> dict[str, Any]:
    """The report as of `now_s` seconds into the run, with the verdict.

    `load_s`: for how long its users made load, which rates go by; they may have taken some time to stop. `seen`: what
    was seen of the server.

    `intended`: how many arrivals of an open loop were due by then. `rates`: from when on which rate held.

    `state`: "finished" (it ended by itself), "interrupted" (somebody ended it: what it counted is all there) or
    "running" (a checkpoint: if the file stays like this, the program was killed, and what came later is lost).
    """
    total, running = collector.total, state == "running"
    seen = seen or Seen()
    load_s = now_s if load_s is None else load_s
    points = timeline.dump(now_s)
    evidence = collector.evidence()
    found = client_limited.findings(collector.workers.values(), info.limits)
    gone = outages.outages(collector.workers.values())
    with_time = Trends() if running else _with_time(info, collector, timeline, seen)
    audited = [] if running else audit.audit(seen, total, collector.workers.values())  # while requests are under way
    fewer = audit.sentences(audited, "fewer")
    late_arrivals = (
        []
        if info.capacity is not None  # each level says so of itself
        else arrivals.sentences(
            total.arrivals,
            intended=intended,
            load_s=load_s,
            limited=bool(found),
            running=running,
            lost=bool(collector.lost()),
        )
    )
    verdict = judge(
        total,
        weights=info.weights,
        asked_by_name=info.asked_by_name,
        allow_failure=info.allow_failure,
        users=max((point["users"] or 0 for point in points), default=0),
        checks=apply(info.thresholds, total, load_s, running=running, fail_when_too_few=info.fail_on_too_few_requests),
        said=[
            Said("right", fewer if seen.whole else ()),
            Said("believable", [f"counts are missing: {why} ({n} times)" for why, n in collector.refused.items()]),
            Said("stable", with_time.reasons()),
            Said("stable", info.at_the_start),
            Said("stable", info.at_the_end),
            Said("believable", info.incomplete),
            Said("fast", info.capacity.reasons() if info.capacity is not None and not running else ()),
            Said("stable", absences.sentences(seen, info.absences, evidence), fails=not info.allow_restarts),
            Said(
                "fast",
                lateness.sentences(list(collector.workers.values()), info.limits, info.slow_questions, gone),
                fails=False,
            ),
            Said(
                "believable",
                [*audit.sentences(audited, "more"), *(() if seen.whole else fewer)],
                fails=info.fail_on_other_traffic,
            ),
            Said("believable", late_arrivals, fails=info.fail_on_missed_rate),
            Said("believable", client_limited.sentences(found), fails=info.fail_on_bottleneck),
        ],
        running=running,
        gone=outages.sentence(gone, len(collector.workers)),
        consequences=_consequences(gone, evidence),
        overloaded=info.capacity is not None,
        allow_restarts=info.allow_restarts,
        first_failures={name: _first(kept) for name, kept in evidence.items() if kept.first},
    )
    notes = [*info.notes, *(info.capacity.warnings() if info.capacity is not None and not running else ())]
    requests = {name: total.requests_of(name) for name in _names(info, total)}
    scenarios = [
        _scenario(name, info, total, of, verdict, evidence.get(name), load_s, running) for name, of in requests.items()
    ]
    workers = [_worker(worker, state, now_s) for worker in collector.workers.values()]
    totals = totals_of(scenarios, requests.values(), load_s)
    found_well = _found_well(totals, verdict, seen, audited, workers, with_time)
    return {
        "schema": SCHEMA,
        "state": state,
        "started": utc(info.started),
        "as_of": utc(info.started + timedelta(seconds=now_s)),
        "duration_s": round(now_s, 3),
        "seed": info.seed,
        "reproduce": info.reproduce,
        "verdict": _verdict(verdict, workers, notes, _headline(verdict, state, now_s), found_well, _measured(totals)),
        "server": {
            **plain(dict(info.server)),
            "unsent": _unsent(info, collector),
            "batches": server_side.batches(seen),
        },
        "server_side": server_side.section(seen, total, audited),
        "trends": with_time.dump(),
        "client": client(),
        "settings": plain({**info.settings, "goodput": [str(each) for each in info.goodput]}),
        "totals": {**totals, **reconnects_of(total)},
        "arrivals": _arrivals(info, total, intended, rates),
        "capacity": info.capacity.dump() if info.capacity is not None else None,
        "scenarios": scenarios,
        "exceptions": dict(sorted(total.exceptions.items(), key=lambda item: -item[1])),
        "timeline": points,
        "workers": workers,
        "selfcheck": {
            "limits": asdict(info.limits),
            "findings": [{**asdict(finding), "text": str(finding)} for finding in found[:MAX_FINDINGS]],
            "findings_left_out": max(0, len(found) - MAX_FINDINGS),
        },
    }


def _with_time(info: RunInfo, collector: Collector, timeline: Timeline, seen: Seen) -> Trends:
    """What got worse while the run lasted."""
    workers = list(collector.workers.values())
    limits = info.trends if info.capacity is None else replace(info.trends, drift_percent=0.0)  # its load is its own
    return trends(
        limits,
        seen.samples,
        workers,
        timeline.points,
        pool=info.pool and info.pool.filled_by(collector.total, workers),
        left_out=[span for state in workers for span in lateness.busy(state, info.limits)],
        open_loop=bool(info.arrivals),
    )


@cache  # each version is read from a file
def client() -> dict[str, Any]:
    """What ran the test: versions, operating system and CPUs. Nothing that names the machine or its user."""
    versions = {"python": platform.python_version()}
    for package in ("triton-users", "locust", "tritonclient", "gevent", "numpy"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {"versions": versions, "os": f"{platform.system()} {platform.release()}", "cpus": os.cpu_count() or 0}


def _names(info: RunInfo, total: Ledger) -> list[str]:
    """All scenarios, in the order of the descriptions; whatever else was counted comes last."""
    concerned = {*info.weights, *info.asked_by_name, *info.left_out}
    ordered = [name for name in info.descriptions if name in concerned]
    return list(dict.fromkeys([*ordered, *sorted(concerned), *total.names()]))


def _scenario(
    name: str,
    info: RunInfo,
    total: Ledger,
    requests: Row,
    verdict: Verdict,
    evidence: Evidence | None,
    load_s: float,
    running: bool,
) -> dict[str, Any]:
    counts = total.scenarios.get(name, ScenarioCounts())
    allowed = name in info.allow_failure
    if name in info.left_out:
        status, why = "left out", info.left_out[name]
    elif name in verdict.scenarios:
        status, why = ("failed" if counts.runs or requests.requests else "not run"), verdict.scenarios[name]
    elif counts.failed:
        status, why = "failures allowed", "its failures are counted and shown but do not fail the run"
    elif counts.runs or requests.requests:
        status, why = "passed", ""
    else:
        status, why = (
            "not run",
            "no run of it has ended yet" if running else "it was never picked, or skipped each time",
        )
    return {
        "name": name,
        "description": info.descriptions.get(name, "") if name else OUTSIDE,
        "status": status,
        "why": why,
        "notes": _notes(counts, requests),
        "at_fault": name in verdict.scenarios and name not in info.left_out,
        "allowed_to_fail": allowed,
        "weight": info.weights.get(name, 0),
        **counts_of(counts),
        **({} if name else {"failed": requests.failed, "requests": requests.requests}),
        "requests_per_s": round(requests.answered / load_s, 3) if load_s > 0 else 0.0,
        "responses_per_s": responses_per_s(requests, load_s),
        "bytes_sent": requests.sent,
        "bytes_received": requests.received,
        "duration_ms": quantiles_ms(counts.durations),
        "latency_ms": quantiles_ms(requests.latency),
        "measures": measures_of(requests),
        "goodput": goodput_of(requests),
        "rows": [
            row_of(model, row)
            for model, row in sorted(total.rows_of(name).items())
            if row.requests or row.unanswered.counts
        ],
        "evidence": {
            "seen": evidence.seen if evidence else 0,
            "dropped": evidence.dropped if evidence else 0,
            "failures": [*evidence.first, *evidence.last] if evidence else [],
        },
    }


def _arrivals(info: RunInfo, total: Ledger, intended: int, rates: Sequence[tuple[float, str]]) -> dict[str, Any] | None:
    """What became of an open loop's arrivals; None of a closed one."""
    if not info.arrivals:
        return None
    counts = total.arrivals
    return {
        "schedule": info.arrivals,
        "rates": [{"from_s": round(max(0.0, from_s), 3), "rate": rate} for from_s, rate in rates],
        "intended": max(intended, counts.ended),
        "issued": counts.issued,
        "within_1ms": round(counts.prompt / counts.issued, 6) if counts.issued else None,
        "within_300us": round(counts.delay.within(300) / counts.issued, 6) if counts.issued else None,
        "waited_for_a_user": counts.waited,
        "late": counts.late,
        "missed": counts.missed,
        "missed_users_busy": counts.missed_busy,
        "missed_client_slow": counts.missed_slow,
        "delay_ms": quantiles_ms(counts.delay),
    }


def _unsent(info: RunInfo, collector: Collector) -> list[str]:
    """The models of the server that were ready and were never sent a request."""
    sent = {model for (_, model), row in collector.total.rows.items() if row.requests or row.unanswered.total}
    for worker in collector.workers.values():
        sent.update(worker.sent_elsewhere)
    return [model for model in info.server.get("models", ()) if model not in sent]


def _consequences(gone: Sequence[outages.Outage], evidence: Mapping[str, Evidence]) -> frozenset[str]:
    """The scenarios all of whose failures that are known may come of an outage."""
    return frozenset(
        name
        for name, kept in evidence.items()
        if all(any(each.explains(failure["at_s"]) for each in gone) for failure in (*kept.first, *kept.last))
    )


def _first(kept: Evidence) -> str:
    """When a scenario first failed, and why."""
    failure = kept.first[0]
    when = client_limited.hms(max(0.0, failure["at_s"]))
    return f"the first at {when}: {cut(' '.join(failure['reason'].split()), MAX_CAUSE)}"


def _notes(counts: ScenarioCounts, requests: Row) -> list[str]:
    """Why runs were skipped, what became of deferred checks, and what of the requests could not be seen exactly."""
    notes = [
        f"skipped {times:,} times: {reason}"
        for reason, times in sorted(counts.skips.items(), key=lambda item: -item[1])
    ]
    if unchecked(counts_of(counts)):
        notes.append("not checked: it passed without one answer compared with what is right")
    if counts.confirmed or counts.unchecked:
        notes.append(f"{counts.confirmed:,} runs were confirmed later, {counts.unchecked:,} stayed unchecked")
    if requests.by_order:
        notes.append(
            f"the server answered {requests.by_order:,} requests of streams without their id: they are matched by order"
        )
    return notes


def unchecked(scenario: Mapping[str, Any]) -> bool:
    """Whether a scenario of a report had runs that passed, but not one answer that was compared with what is right."""
    return bool(scenario["passed"] and scenario["requests"] and not scenario["answers_checked"])


def _headline(verdict: Verdict, state: State, now_s: float) -> str:
    """The verdict in a few words, in every form of the report."""
    if state == "running":
        return "nothing has failed so far" if verdict.passed else "FAILED so far"
    word = "PASSED" if verdict.passed else "FAILED"
    return word if state == "finished" else f"{word}, interrupted after {client_limited.hms(now_s)}"


def _measured(totals: Mapping[str, Any]) -> str:
    latency = totals["latency_ms"]
    return "" if latency["p99"] is None else f"latency p50 {latency['p50']:.4g} ms, p99 {latency['p99']:.4g} ms"


def _found_well(
    totals: Mapping[str, Any],
    verdict: Verdict,
    seen: Seen,
    audited: Sequence[audit.Audited],
    workers: Sequence[Mapping[str, Any]],
    with_time: Trends,
) -> dict[About, str]:
    """What was found where nothing speaks against it, in a sentence for each question (`alerts`)."""
    checked = totals["answers_checked"]
    right = f"{checked:,} answers were compared with what is right, and none was wrong" if checked else ""
    agrees = audit.in_short(audited)
    measured, held = _measured(totals), f"{len(verdict.checks)} of {len(verdict.checks)} thresholds hold"
    answered = next((source.answered for source in seen.sources if source.answered), 0)
    there = f"the server answered {answered:,} questions, and nothing of it was away or started again"
    return {
        "right": "; ".join(filter(None, (right, agrees))),
        "fast": f"{held}; {measured}" if measured and verdict.checks else "",
        "stable": "; ".join(filter(None, (there, with_time.in_short()))) if answered else "",
        "believable": "no counts are missing, and the client was never the limit" if workers else "",
    }


def _verdict(
    verdict: Verdict,
    workers: list[dict[str, Any]],
    notes: Sequence[str],
    headline: str,
    found_well: Mapping[About, str],
    measured: str,
) -> dict[str, Any]:
    missing = {
        "lost": "worker {} was lost: its last counts came {} into the run, what it did after that is missing",
        "silent": "worker {} is silent: its last counts came {} into the run; it may be dead or cut off",
    }
    unheard = [
        missing[worker["state"]].format(worker["worker"], client_limited.hms(worker["last_seen_s"]))
        for worker in workers
        if worker["state"] in missing
    ]
    about: dict[str, About] = {**verdict.about}
    about.update(dict.fromkeys(unheard, "believable"))
    unjudged: dict[About, str] = {"fast": f"no limit was given (--thresholds); {measured}"} if measured else {}
    made = alerts(verdict.reasons, [*unheard, *verdict.warnings], about, found_well, unjudged)
    return {
        "headline": headline,
        "passed": verdict.passed,
        "exit_code": verdict.exit_code,
        "reasons": list(verdict.reasons),
        "warnings": [*notes, *unheard, *verdict.warnings],
        "alerts": [asdict(alert) for alert in made],
        "thresholds": [_threshold(check) for check in verdict.checks],
    }


def _threshold(check: Check) -> dict[str, Any]:
    """One threshold; `shown` and `result` are its value and outcome in words."""
    return {
        **asdict(check.threshold),
        "text": str(check.threshold),
        "value": check.value,
        "shown": check.shown,
        "passed": check.passed,
        "result": check.result,
        "finding": check.finding,
        "needed": check.sample.needed if check.sample is not None else 0,
    }


def _worker(worker: WorkerState, state: State, now_s: float) -> dict[str, Any]:
    still = "lost" if state != "running" else "silent" if worker.silent_at(now_s) else "reporting"
    return {
        "worker": worker.worker,
        "incarnation": worker.incarnation,
        "state": "finished" if worker.final else still,
        "first_seen_s": round(worker.first_seen_s, 3),
        "last_seen_s": round(worker.last_seen_s, 3),
        "snapshots": worker.merged,
        "snapshots_missed": worker.sequence - worker.merged,
        "runs": sum(counts.runs for counts in worker.ledger.scenarios.values()),
        "requests": sum(counts.requests for counts in worker.ledger.scenarios.values()),
        "event_loop_lag_ms": quantiles_ms(client_limited.event_loop_lag(worker)),
        "windows": [{name: getattr(window, name) for name in _WINDOW} for window in client_limited.windows_of(worker)],
    }


def utc(moment: datetime) -> str:
    """A moment as reports write it: ISO 8601 in UTC, to the second."""
    return moment.astimezone(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
