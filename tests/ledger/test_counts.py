"""Counts of scenarios and rows: what is one run, one request, and what happens beyond the bounds."""

import time

import pytest

from triton_users.ledger import MEASURES, Collector, Ledger, Recorder, Row
from triton_users.ledger.counts import MAX_ROWS, MAX_TEXTS, OTHER


def test_the_test_count_is_passed_and_failed_runs_without_skips() -> None:
    recorder = Recorder("w", "run")
    recorder.run_finished("Timeout", "passed", 2, 100_000)
    recorder.run_finished("Timeout", "failed", 1, 100_000, "late")
    recorder.run_finished("Timeout", "skipped", 0, 0, "sequence 5 is open")
    recorder.run_finished("Timeout", "skipped", 0, 0, "sequence 6 is open")
    counts = recorder.ledger.scenarios["Timeout"]
    assert (counts.runs, counts.passed, counts.failed, counts.skipped) == (2, 1, 1, 2)
    assert counts.skips == {"sequence # is open": 2}
    assert counts.durations.total == 2


def test_the_request_count_includes_what_failed_runs_sent() -> None:
    recorder = Recorder("w", "run")
    recorder.run_finished("SequenceValid", "passed", 16, 1)
    recorder.run_finished("SequenceValid", "failed", 3, 1)
    assert recorder.ledger.scenarios["SequenceValid"].requests == 19


def test_answers_that_were_checked_are_counted_of_the_requests() -> None:
    recorder = Recorder("w", "run")
    recorder.run_finished("PerfAnalyzer", "passed", 1000, 1, answers_checked=0)
    recorder.run_finished("PerfAnalyzer", "passed", 40, 1, answers_checked=40)
    counts = recorder.ledger.scenarios["PerfAnalyzer"]
    assert (counts.requests, counts.answers_checked) == (1040, 40)


def test_deadlines_and_sequence_failures_are_counted_apart() -> None:
    recorder = Recorder("w", "run")
    recorder.deadline_exceeded("Timeout", expected=True)
    recorder.deadline_exceeded("Timeout", expected=False)
    recorder.deadline_exceeded("Timeout", expected=True)
    recorder.sequence_failure("Timeout")
    counts = recorder.ledger.scenarios["Timeout"]
    assert (counts.expected_deadlines, counts.unexpected_deadlines, counts.sequence_failures) == (2, 1, 1)


def test_deferred_checks_are_counted_as_confirmed_and_unchecked() -> None:
    recorder = Recorder("w", "run")
    recorder.deferred_checks_settled("SequenceNoEnd", confirmed=3, unchecked=0)
    recorder.deferred_checks_settled("SequenceNoEnd", confirmed=0, unchecked=2)
    loaded = Ledger.load(recorder.ledger.dump()).scenarios["SequenceNoEnd"]
    assert (loaded.confirmed, loaded.unchecked) == (3, 2)


def test_a_failed_request_is_counted_under_its_error_and_has_no_latency() -> None:
    row = Row()
    row.record(500, 10, 100, 90)
    row.record_error("sequence 3 is gone", 100, 0)
    row.record_error("sequence 4 is gone", 100, 0)
    assert (row.requests, row.answered, row.failed, row.errors) == (3, 1, 2, {"sequence # is gone": 2})
    assert (row.sent, row.received, row.latency.max_us) == (300, 90, 500)


def test_a_row_with_errors_only_is_dumped_too() -> None:
    ledger = Ledger()
    ledger.row("S", "m").record_error("gone", 100, 0)
    ledger.row("S", "nothing")
    assert list(Ledger.load(ledger.dump()).rows) == [("S", "m")]


def test_a_request_without_an_answer_is_in_no_other_count() -> None:
    ledger = Ledger()
    ledger.row("S", "m").unanswered.record(17_600_000)
    row = Ledger.load(ledger.dump()).rows["S", "m"]
    assert (row.unanswered.total, row.unanswered.max_us) == (1, 17_600_000)
    assert (row.requests, row.answered, row.failed) == (0, 0, 0)


def test_error_texts_beyond_the_bound_are_counted_together() -> None:
    row = Row()
    for number in range(MAX_TEXTS + 30):
        row.record_error("e" + "x" * number, 0, 0)
    assert row.failed == MAX_TEXTS + 30
    assert len(row.errors) == MAX_TEXTS + 1
    assert row.errors[OTHER] == 30


def test_rows_beyond_the_bound_are_counted_together() -> None:
    ledger = Ledger()
    for number in range(MAX_ROWS + 5):
        ledger.row("S", f"m{number}").record(1, 1, 0, 0)
    assert ledger.row(OTHER, OTHER).requests == 5
    assert sum(row.requests for row in ledger.rows.values()) == MAX_ROWS + 5


def test_all_rows_of_a_scenario_make_its_requests() -> None:
    ledger = Ledger()
    ledger.row("S", "a").record(10, 1, 5, 6)
    ledger.row("S", "b").record(1000, 1, 5, 6)
    ledger.row("T", "a").record(9, 1, 5, 6)
    together = ledger.requests_of("S")
    assert (together.requests, together.sent, together.latency.max_us) == (2, 10, 1000)
    assert ledger.names() == ["S", "T"]


def streamed(row: Row, first_us: int, *between_us: int) -> None:
    row.record(first_us + sum(between_us), 10, 100, 90)
    row.measure({"first_response": [first_us], "inter_response": between_us, "responses": [1 + len(between_us)]})


def test_a_rows_measures_travel_merge_and_are_told_apart_by_time() -> None:
    recorder, collector = Recorder("w", "run"), Collector("run")
    row = recorder.row("S", "m")
    streamed(row, 100, 20, 30)
    row.judged, row.good, row.by_order = 3, 2, 1
    collector.merge(recorder.snapshot(1.0), 1.0)
    streamed(row, 4000)
    change = collector.merge(recorder.snapshot(2.0), 2.0)
    assert change is not None
    newer, total = change.counted.rows["S", "m"], collector.total.rows["S", "m"]
    assert {name: histogram.total for name, histogram in newer.measures.items()} == {
        "first_response": 1,
        "responses": 1,
    }
    assert newer.measures["first_response"].max_us == 4000
    assert (newer.judged, newer.good, newer.by_order) == (0, 0, 0)
    assert total == row
    assert total.measures["inter_response"].sum_us == 50
    assert (total.judged, total.good, total.by_order) == (3, 2, 1)


def test_a_row_that_is_cleared_has_no_measures() -> None:
    recorder = Recorder("w", "run")
    row = recorder.row("S", "m")
    streamed(row, 100)
    row.judged = row.good = row.by_order = 1
    recorder.reset("another")
    assert row == Row()


def test_there_is_a_bounded_number_of_measures() -> None:
    row = Row()
    row.measure({name: [1] for name in MEASURES})
    with pytest.raises(ValueError, match="no measure 'tokens'; there are first_response, "):
        row.measure({"tokens": [1]})
    assert list(row.measures) == list(MEASURES)


def test_recording_a_request_costs_little() -> None:
    """The goal is 2 us; ten times that allows for a busy machine."""
    row = Row()
    best = min(_time_of_1000(row) for _ in range(20))
    assert best < 20e-6 * 1000


def _time_of_1000(row: Row) -> float:
    start = time.perf_counter()
    for value in range(1000):
        row.record(value * 37, 15, 100, 90)
    return time.perf_counter() - start


def test_reconnects_are_counted_by_reason_and_travel() -> None:
    recorder = Recorder("w", "run")
    recorder.reconnected("GOAWAY NO_ERROR, last stream 17")
    earlier = Ledger.load(recorder.ledger.dump())
    recorder.reconnected("GOAWAY NO_ERROR, last stream 23")
    recorder.reconnected("the server closed the connection")
    assert recorder.ledger.reconnects == {"GOAWAY NO_ERROR, last stream #": 2, "the server closed the connection": 1}
    newer = Ledger.load(recorder.ledger.dump()).since(earlier)
    assert newer.reconnects == {"GOAWAY NO_ERROR, last stream #": 1, "the server closed the connection": 1}
    earlier.add(newer)
    assert earlier.reconnects == recorder.ledger.reconnects
    recorder.reset("another")
    assert recorder.ledger.reconnects == {}
