"""Snapshots from workers to the master: whatever the network does to them, the counts are those that were made."""

import copy

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triton_users.ledger import Collector, Ledger, Recorder
from triton_users.ledger.evidence import KEPT_FIRST, KEPT_LAST, Evidence
from triton_users.ledger.recorder import FORMAT

scenarios = st.sampled_from(["SequenceValid", "Timeout", "ResNet"])
microseconds = st.integers(0, 10_000_000)
events = st.one_of(
    st.tuples(st.just("run"), scenarios, st.sampled_from(["passed", "failed", "skipped"]), microseconds),
    st.tuples(st.just("request"), scenarios, st.sampled_from(["a", "b"]), microseconds),
    st.tuples(st.just("error"), scenarios, st.sampled_from(["gone", "late 5"]), microseconds),
    st.tuples(st.just("deadline"), scenarios, st.booleans(), microseconds),
    st.tuples(st.just("sequence"), scenarios, st.none(), microseconds),
    st.tuples(st.just("deferred checks"), scenarios, st.integers(1, 3), microseconds),
)


def happen(recorder: Recorder, event) -> None:
    kind, scenario, what, value = event
    if kind == "run":
        recorder.run_finished(scenario, what, value % 20, value, "because 5")
        if what == "failed":
            recorder.failure(scenario, float(value), "wrong", {"got": value})
    elif kind == "request":
        recorder.row(scenario, what).record(value, value // 10, 100, 50)
    elif kind == "error":
        recorder.row(scenario, "a").record_error(what, 100, 0)
    elif kind == "deadline":
        recorder.deadline_exceeded(scenario, what)
    elif kind == "deferred checks":
        recorder.deferred_checks_settled(scenario, confirmed=what, unchecked=value % 5)
    else:
        recorder.sequence_failure(scenario)


def travelled(snapshot):
    return msgpack.unpackb(msgpack.packb(snapshot))


@given(
    made=st.lists(st.tuples(st.integers(0, 2), st.none() | events), max_size=60),
    fate=st.randoms(use_true_random=False),
)
def test_lost_late_and_repeated_snapshots_of_three_workers_give_what_one_place_would_have_counted(made, fate) -> None:
    """In `made`, an event happens on a worker, or (None) the worker takes a snapshot there."""
    workers = [Recorder(f"worker-{number}", "run") for number in range(3)]
    one_place = Recorder("alone", "run")
    sent = []
    for number, event in made:
        if event is None:
            sent.append(travelled(workers[number].snapshot(at_s=1.0)))
        else:
            happen(workers[number], event)
            happen(one_place, event)
    sent = [snapshot for snapshot in sent for _ in range(fate.choice([0, 1, 1, 2]))]
    sent += [travelled(worker.snapshot(at_s=2.0, final=True)) for worker in workers]
    fate.shuffle(sent)

    collector = Collector("run")
    changes = Ledger()
    for number, snapshot in enumerate(sent):
        change = collector.merge(snapshot, now_s=float(number))
        if change is not None:
            changes.add(change.counted)

    assert collector.total == one_place.ledger
    assert changes == one_place.ledger
    assert not collector.lost()
    for name, evidence in collector.evidence().items():
        assert evidence.seen == one_place.ledger.scenarios[name].failed
        assert len(evidence.first) + len(evidence.last) == min(evidence.seen, KEPT_FIRST + KEPT_LAST)


def test_a_repeated_snapshot_and_an_older_one_bring_nothing() -> None:
    recorder, collector = Recorder("w", "run"), Collector("run")
    recorder.run_finished("S", "passed", 3, 10)
    first = recorder.snapshot(1.0)
    recorder.run_finished("S", "passed", 3, 10)
    second = recorder.snapshot(2.0)
    assert collector.merge(second, 5.0) is not None
    assert collector.merge(second, 6.0) is None
    assert collector.merge(first, 7.0) is None
    assert collector.total.scenarios["S"].runs == 2
    state = collector.workers[("w", recorder.incarnation)]
    assert (state.sequence, state.merged, state.last_seen_s) == (2, 1, 5.0)


def test_a_change_covers_the_time_between_two_snapshots_by_the_workers_clock() -> None:
    recorder, collector = Recorder("w", "run"), Collector("run")
    assert collector.merge(recorder.snapshot(3.0), 15.0).span_s == 3.0
    recorder.snapshot(6.0)
    assert collector.merge(recorder.snapshot(9.0), 22.0).span_s == 6.0


def test_a_late_workers_failures_are_told_in_seconds_of_the_run() -> None:
    recorder, collector = Recorder("w", "run"), Collector("run")
    collector.merge(recorder.snapshot(1.0), 101.5)
    collector.merge(recorder.snapshot(4.0), 104.0)
    recorder.failure("S", 5.0, "wrong", {})
    collector.merge(recorder.snapshot(7.0), 108.0)
    assert collector.evidence()["S"].first[0]["at_s"] == 105.0


def test_a_worker_that_reports_after_its_last_count_stays_final_until_it_counts_again() -> None:
    recorder, collector = Recorder("w", "run"), Collector("run")
    recorder.run_finished("S", "passed", 1, 10)
    collector.merge(recorder.snapshot(1.0, final=True), 1.0)
    collector.merge(recorder.snapshot(4.0), 4.0)
    assert not collector.lost()
    recorder.run_finished("S", "passed", 1, 10)
    collector.merge(recorder.snapshot(7.0), 7.0)
    assert [state.worker for state in collector.lost()] == ["w"]


def test_a_worker_that_comes_back_as_a_new_process_is_counted_beside_its_former_self() -> None:
    collector = Collector("run")
    for _ in range(2):
        recorder = Recorder("w", "run")
        recorder.run_finished("S", "passed", 1, 10)
        collector.merge(recorder.snapshot(1.0), 1.0)
    assert collector.total.scenarios["S"].runs == 2
    assert len(collector.workers) == 2


def test_a_worker_that_never_said_it_was_done_is_lost_with_the_time_of_its_last_snapshot() -> None:
    collector = Collector("run")
    killed, fine = Recorder("killed", "run"), Recorder("fine", "run")
    collector.merge(killed.snapshot(1.0), 3.0)
    collector.merge(fine.snapshot(1.0), 4.0)
    collector.merge(fine.snapshot(9.0, final=True), 12.0)
    assert [(state.worker, state.last_seen_s) for state in collector.lost()] == [("killed", 3.0)]


def test_after_a_reset_snapshots_of_the_former_run_bring_nothing() -> None:
    recorder, collector = Recorder("w", "one"), Collector("one")
    row = recorder.row("S", "m")
    row.record(5, 1, 1, 1)
    late = recorder.snapshot(1.0)
    recorder.reset("two")
    collector.reset("two")
    row.record(7, 1, 1, 1)
    assert collector.merge(late, 1.0) is None
    assert collector.merge(recorder.snapshot(2.0), 2.0) is not None
    assert collector.total.row("S", "m").latency.sum_us == 7


def test_gauges_are_summed_over_workers_that_still_run() -> None:
    collector = Collector("run")
    for name, final, at_s in (("a", False, 11.0), ("b", False, 12.0), ("ended", True, 12.0), ("silent", False, 1.0)):
        recorder = Recorder(name, "run")
        collector.merge(recorder.snapshot(at_s, final=final, gauges={"users": 4, "open_sequences": 2}), at_s)
    assert collector.gauges(12.0) == {"users": 8, "open_sequences": 4}


@pytest.mark.parametrize("key", ["worker", "sequence", "ledger", "evidence", "gauges", "at_s", "format"])
@pytest.mark.parametrize("value", [None, [1], {"scenarios": {"S": [1]}, "rows": [[1]]}])
def test_a_snapshot_that_cannot_be_read_changes_nothing_and_is_told(key, value) -> None:
    recorder, collector = Recorder("w", "run"), Collector("run")
    recorder.run_finished("S", "passed", 1, 10)
    broken = copy.deepcopy(recorder.snapshot(1.0)) | {key: value}
    if key != "worker":
        assert collector.merge(broken, 1.0) is None
        assert sum(collector.refused.values()) == 1
        assert collector.total == Ledger()
    assert collector.merge(recorder.snapshot(2.0), 2.0) is not None


def test_a_worker_of_another_version_is_told_by_name() -> None:
    collector = Collector("run")
    collector.merge(Recorder("old-one", "run").snapshot(1.0) | {"format": 99}, 1.0)
    assert list(collector.refused) == [f"worker old-one sends ledger format 99, not {FORMAT} as here"]


def test_evidence_travels_once_while_nothing_new_happens_and_again_at_the_end() -> None:
    recorder = Recorder("w", "run")
    recorder.failure("S", 1.0, "wrong", {"model": "m", "steps": [("START", 1, 1, 2)]})
    assert recorder.snapshot(1.0)["evidence"]["S"][0] == 1
    assert recorder.snapshot(2.0)["evidence"] == {}
    assert recorder.snapshot(3.0, final=True)["evidence"]["S"][0] == 1


def test_evidence_keeps_the_first_and_the_last_failures_and_counts_the_rest() -> None:
    evidence = Evidence()
    for number in range(100):
        evidence.keep({"at_s": float(number)})
    assert [failure["at_s"] for failure in evidence.first] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert [failure["at_s"] for failure in evidence.last] == [95.0, 96.0, 97.0, 98.0, 99.0]
    assert evidence.dropped == 90


def test_evidence_of_two_workers_is_told_in_the_order_of_time() -> None:
    one, other = Evidence(), Evidence()
    for number in range(10):
        (one if number % 2 else other).keep({"at_s": float(number)})
    merged = Evidence.together([one, other])
    assert [failure["at_s"] for failure in [*merged.first, *merged.last]] == [float(number) for number in range(10)]
    assert merged.seen == 10
