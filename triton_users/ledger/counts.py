"""The values of the ledger: what is counted for each scenario and for each of its rows. Plain, mergeable, no clock.

Every class here has the same verbs: `add` another one, `since` an earlier state of itself, `dump`, `load`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from triton_users.ledger.answers import Answers
from triton_users.ledger.arrivals import ArrivalCounts
from triton_users.ledger.histogram import Histogram
from triton_users.ledger.measures import MEASURES
from triton_users.ledger.plain import normalise

MAX_TEXTS = 50
"""Different skip reasons or error texts counted by name; further ones are counted together under OTHER."""
MAX_ROWS = 1_000
"""Different rows of one ledger; further ones are counted together as the row (OTHER, OTHER)."""
OTHER = "(other)"
"""Holds the counts of what has no place of its own: totals stay exact, a name beyond the bound is not kept."""

Measures = Mapping[str, Iterable[int] | Histogram]
"""One request's values by measure."""

_SCENARIO_INTEGERS = (
    "passed",
    "failed",
    "unexcused",
    "requests",
    "answers_checked",
    "expected_deadlines",
    "unexpected_deadlines",
    "sequence_failures",
    "confirmed",
    "unchecked",
)
_ROW_INTEGERS = ("sent", "received", "judged", "good", "by_order")
_ROW_HISTOGRAMS = ("latency", "queue_time", "unanswered")


def count_text(counts: dict[str, int], text: str, number: int = 1) -> None:
    """Add to a text's count, or to OTHER's when `counts` is full."""
    if text not in counts and len(counts) >= MAX_TEXTS:
        text = OTHER
    counts[text] = counts.get(text, 0) + number


def _texts_since(newer: Mapping[str, int], older: Mapping[str, int]) -> dict[str, int]:
    return {text: n - older.get(text, 0) for text, n in newer.items() if n != older.get(text, 0)}


@dataclass(slots=True)
class ScenarioCounts:
    """What the runs of one scenario came to."""

    passed: int = 0
    """Runs that ended as they must."""
    failed: int = 0
    """Runs that ended in a failure."""
    unexcused: int = 0
    """Those of the failed ones that are failures even where the scenario is allowed to fail."""
    requests: int = 0
    """Request count: inference requests sent by all runs, also failed and skipped ones; one per ModelInfer message."""
    answers_checked: int = 0
    """Of the requests of passed runs, those whose answer was compared with what is right, by us or by perf_analyzer."""
    expected_deadlines: int = 0
    """Deadlines that fired where the scenario is there to provoke them, in time."""
    unexpected_deadlines: int = 0
    """Deadlines that fired anywhere else, or late."""
    sequence_failures: int = 0
    """Responses that were not what the model of the sequence says."""
    confirmed: int = 0
    """Passed runs whose check of the server's later behaviour was made and came out well."""
    unchecked: int = 0
    """Passed runs whose check proved nothing or was never made: their user stopped before its time came."""
    skips: dict[str, int] = field(default_factory=dict)
    """Why a run was not made -> how often; not part of `runs`."""
    durations: Histogram = field(default_factory=Histogram)
    """How long each run took, in microseconds, passed and failed ones."""

    @property
    def runs(self) -> int:
        """Test count: runs that came to an end, passed or failed. Skipped ones are not among them."""
        return self.passed + self.failed

    @property
    def skipped(self) -> int:
        """Runs that a constraint forbade."""
        return sum(self.skips.values())

    def add(self, other: ScenarioCounts) -> None:
        """Count everything that `other` has counted."""
        for name in _SCENARIO_INTEGERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for reason, number in other.skips.items():
            count_text(self.skips, reason, number)
        self.durations.add(other.durations)

    def since(self, older: ScenarioCounts) -> ScenarioCounts:
        """What was counted after `older`, an earlier state of this."""
        newer = ScenarioCounts(
            skips=_texts_since(self.skips, older.skips), durations=self.durations.since(older.durations)
        )
        for name in _SCENARIO_INTEGERS:
            setattr(newer, name, getattr(self, name) - getattr(older, name))
        return newer

    def dump(self) -> list[Any]:
        """Plain values, in the order of the fields."""
        return [*(getattr(self, name) for name in _SCENARIO_INTEGERS), dict(self.skips), self.durations.dump()]

    @classmethod
    def load(cls, dumped: list[Any]) -> ScenarioCounts:
        """The counts that were dumped. Raises ValueError when they are none."""
        *integers, skips, durations = dumped
        if len(integers) != len(_SCENARIO_INTEGERS):
            raise ValueError(f"a scenario is dumped as {len(_SCENARIO_INTEGERS) + 2} values; seen: {len(dumped)}")
        loaded = cls(skips=dict(skips), durations=Histogram.load(durations))
        for name, value in zip(_SCENARIO_INTEGERS, integers, strict=True):
            setattr(loaded, name, int(value))
        return loaded


@dataclass(slots=True)
class Row:
    """The requests of one scenario to one model."""

    errors: dict[str, int] = field(default_factory=dict)
    """Normalised error text -> how many requests ended with it."""
    sent: int = 0
    """Bytes sent."""
    received: int = 0
    """Bytes received."""
    latency: Histogram = field(default_factory=Histogram)
    """From just before a request's bytes go to the socket until its last byte is parsed; of answered requests only."""
    queue_time: Histogram = field(default_factory=Histogram)
    """Queue time: from the call until its bytes go to the socket. The client's own share, not in `latency`."""
    unanswered: Histogram = field(default_factory=Histogram)
    """How long requests had waited that nobody waits for any more: their user stopped. In no other count."""
    measures: dict[str, Histogram] = field(default_factory=dict)
    """Measure -> its values, of answered requests only; `MEASURES` has the names. Most rows have none."""
    judged: int = 0
    """Requests that were held against limits of the user's own, failed ones included."""
    good: int = 0
    """Those of them for which all of these limits held."""
    by_order: int = 0
    """Requests whose responses had no id, so that they were matched by their order in the stream."""

    @property
    def answered(self) -> int:
        """Requests that ended as wanted; an error that a scenario provokes is an answer."""
        return self.latency.total

    @property
    def requests(self) -> int:
        """Requests that ended, well or badly."""
        return self.answered + self.failed

    @property
    def failed(self) -> int:
        """Requests that ended with an error nobody wanted."""
        return sum(self.errors.values())

    def record(self, latency_us: int, queue_time_us: int, sent: int, received: int) -> None:
        """Count one request that was answered. This is the hot path."""
        self.sent += sent
        self.received += received
        self.latency.record(latency_us)
        self.queue_time.record(queue_time_us)

    def record_elsewhere(self, latency_us: int, received: int) -> None:
        """Count one request that was answered over another client, which tells nothing of its queue time."""
        self.received += received
        self.latency.record(latency_us)

    def measure(self, measures: Measures) -> None:
        """Take in an answered request's values by measure: microseconds, or numbers of things."""
        for name, values in measures.items():
            histogram = self.measures.get(name) or self._histogram(name)
            if isinstance(values, Histogram):
                histogram.add(values)
            else:
                for value in values:
                    histogram.record(value)

    def _histogram(self, measure: str) -> Histogram:
        found = self.measures.get(measure)
        if found is None:
            if measure not in MEASURES:
                raise ValueError(f"there is no measure {measure!r}; there are {', '.join(MEASURES)}")
            found = self.measures[measure] = Histogram()
        return found

    def record_error(self, message: str, sent: int, received: int) -> None:
        """Count one request that ended with an error; texts that differ in numbers only are counted together.

        Its latency is not recorded: a refused connection takes microseconds and a silent server a whole timeout, and
        neither says how fast an answer is.
        """
        self.sent += sent
        self.received += received
        count_text(self.errors, normalise(message))

    def add(self, other: Row) -> None:
        """Count everything that `other` has counted."""
        for text, number in other.errors.items():
            count_text(self.errors, text, number)
        for name in _ROW_INTEGERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in _ROW_HISTOGRAMS:
            getattr(self, name).add(getattr(other, name))
        for name, histogram in other.measures.items():
            self._histogram(name).add(histogram)

    @classmethod
    def together(cls, rows: Iterable[Row]) -> Row:
        """All of them as one."""
        sum_of = cls()
        for row in rows:
            sum_of.add(row)
        return sum_of

    def since(self, older: Row) -> Row:
        """What was counted after `older`, an earlier state of this."""
        newer = Row(_texts_since(self.errors, older.errors))
        for name in _ROW_INTEGERS:
            setattr(newer, name, getattr(self, name) - getattr(older, name))
        for name in _ROW_HISTOGRAMS:
            setattr(newer, name, getattr(self, name).since(getattr(older, name)))
        nothing = Histogram()
        for name, histogram in self.measures.items():
            if histogram != (before := older.measures.get(name, nothing)):
                newer.measures[name] = histogram.since(before)
        return newer

    def clear(self) -> None:
        """Forget everything, in place, so that who holds this row can go on recording."""
        self.errors.clear()
        self.measures.clear()
        for name in _ROW_INTEGERS:
            setattr(self, name, 0)
        for name in _ROW_HISTOGRAMS:
            getattr(self, name).clear()

    def dump(self) -> list[Any]:
        """Plain values: errors, measures, integers, histograms."""
        return [
            dict(self.errors),
            {name: histogram.dump() for name, histogram in self.measures.items()},
            *(getattr(self, name) for name in _ROW_INTEGERS),
            *(getattr(self, name).dump() for name in _ROW_HISTOGRAMS),
        ]

    @classmethod
    def load(cls, dumped: list[Any]) -> Row:
        """The row that was dumped. Raises ValueError when it is none."""
        wanted = 2 + len(_ROW_INTEGERS) + len(_ROW_HISTOGRAMS)
        if len(dumped) != wanted:
            raise ValueError(f"a row is dumped as {wanted} values; seen: {len(dumped)}")
        errors, measures, *values = dumped
        loaded = cls(dict(errors))
        for name, value in zip(_ROW_INTEGERS, values, strict=False):
            setattr(loaded, name, int(value))
        for name, value in zip(_ROW_HISTOGRAMS, values[len(_ROW_INTEGERS) :], strict=True):
            setattr(loaded, name, Histogram.load(value))
        for name, value in measures.items():
            loaded._histogram(name).add(Histogram.load(value))
        return loaded


@dataclass(slots=True)
class Ledger:
    """Everything counted in one place: a node's, or all nodes' together."""

    scenarios: dict[str, ScenarioCounts] = field(default_factory=dict)
    """Scenario -> what its runs came to."""
    rows: dict[tuple[str, str], Row] = field(default_factory=dict)
    """(scenario, model) -> its requests; for an RPC that names no model, its method in the model's place."""
    reconnects: dict[str, int] = field(default_factory=dict)
    """Why a connection took no more calls -> how often one was made again for that."""
    exceptions: dict[str, int] = field(default_factory=dict)
    """What users' code outside of any scenario raised, normalised -> how often."""
    arrivals: ArrivalCounts = field(default_factory=ArrivalCounts)
    """What became of the arrivals of an open loop."""
    answers: dict[str, Answers] = field(default_factory=dict)
    """Model -> what became of the inference requests to it."""

    def scenario(self, name: str) -> ScenarioCounts:
        """The scenario's counts, made when it has none yet."""
        found = self.scenarios.get(name)
        if found is None:
            found = self.scenarios[name] = ScenarioCounts()
        return found

    def row(self, scenario: str, model: str) -> Row:
        """The row of this scenario and model, made when there is none yet."""
        found = self.rows.get((scenario, model))
        if found is None:
            key = (scenario, model) if len(self.rows) < MAX_ROWS else (OTHER, OTHER)
            found = self.rows.setdefault(key, Row())
        return found

    def answers_of(self, model: str) -> Answers:
        """What became of the requests to this model, made when there is nothing yet."""
        found = self.answers.get(model)
        if found is None:
            found = self.answers.setdefault(model if len(self.answers) < MAX_ROWS else OTHER, Answers())
        return found

    def rows_of(self, scenario: str) -> dict[str, Row]:
        """Model -> row, of one scenario."""
        return {model: row for (name, model), row in self.rows.items() if name == scenario}

    def requests_of(self, scenario: str) -> Row:
        """All rows of one scenario together."""
        return Row.together(self.rows_of(scenario).values())

    def queue_times(self) -> Histogram:
        """The queue times of all rows together."""
        together = Histogram()
        for row in self.rows.values():
            together.add(row.queue_time)
        return together

    def names(self) -> list[str]:
        """Every scenario with a count, in the order of first sight; "" for what is of none."""
        outside = [""] if self.exceptions else []
        return list(dict.fromkeys([*self.scenarios, *(scenario for scenario, _ in self.rows), *outside]))

    def add(self, other: Ledger) -> None:
        """Count everything that `other` has counted."""
        for name, counts in other.scenarios.items():
            self.scenario(name).add(counts)
        for (scenario, model), row in other.rows.items():
            self.row(scenario, model).add(row)
        for reason, number in other.reconnects.items():
            count_text(self.reconnects, reason, number)
        for text, number in other.exceptions.items():
            count_text(self.exceptions, text, number)
        self.arrivals.add(other.arrivals)
        for model, answers in other.answers.items():
            self.answers_of(model).add(answers)

    def since(self, older: Ledger) -> Ledger:
        """What was counted after `older`, an earlier state of this; without what has not changed."""
        nothing, no_requests = ScenarioCounts(), Row()
        newer = Ledger(
            reconnects=_texts_since(self.reconnects, older.reconnects),
            exceptions=_texts_since(self.exceptions, older.exceptions),
            arrivals=self.arrivals.since(older.arrivals),
            answers={
                model: answers.since(older.answers.get(model, Answers())) for model, answers in self.answers.items()
            },
        )
        for name, counts in self.scenarios.items():
            if counts != (before := older.scenarios.get(name, nothing)):
                newer.scenarios[name] = counts.since(before)
        for key, row in self.rows.items():
            if row != (earlier := older.rows.get(key, no_requests)):
                newer.rows[key] = row.since(earlier)
        return newer

    def clear(self) -> None:
        """Forget everything; rows stay, empty, for those who hold them."""
        self.scenarios.clear()
        self.reconnects.clear()
        self.exceptions.clear()
        self.arrivals.clear()
        self.answers.clear()
        for row in self.rows.values():
            row.clear()

    def dump(self) -> dict[str, Any]:
        """Plain values for msgpack or JSON; what has counted nothing is left out."""
        return {
            "scenarios": {name: counts.dump() for name, counts in self.scenarios.items()},
            "rows": [[*key, *row.dump()] for key, row in self.rows.items() if row.requests or row.unanswered.counts],
            "reconnects": dict(self.reconnects),
            "exceptions": dict(self.exceptions),
            "arrivals": self.arrivals.dump() if self.arrivals.ended else [],
            "answers": {model: [answers.answered, answers.unknown] for model, answers in self.answers.items()},
        }

    @classmethod
    def load(cls, dumped: Mapping[str, Any]) -> Ledger:
        """The ledger that was dumped. Raises ValueError, TypeError or KeyError when it is none."""
        return cls(
            {name: ScenarioCounts.load(counts) for name, counts in dumped["scenarios"].items()},
            {(scenario, model): Row.load(row) for scenario, model, *row in dumped["rows"]},
            {str(reason): int(number) for reason, number in dumped["reconnects"].items()},
            {str(text): int(number) for text, number in dumped["exceptions"].items()},
            ArrivalCounts.load(dumped["arrivals"]) if dumped["arrivals"] else ArrivalCounts(),
            {str(model): Answers(int(a), int(unknown)) for model, (a, unknown) in dumped["answers"].items()},
        )
