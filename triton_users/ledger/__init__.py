"""What happened, counted: plain values that record, merge, dump and load. Knows no Locust, no sockets, no clock.

Three parts, in the order the numbers travel:

* `Recorder`, one on each node that has users, takes the counts in (the hot path) and gives snapshots.
* `Collector`, one on the master (or in a local run beside the recorder), merges snapshots of any number of workers.
* `Ledger` is the value itself: `Recorder.ledger` holds one node's, `Collector.total` everybody's.

    recorder = Recorder(worker=runner.client_id, epoch=epoch)     # on each node; the same on all, new per run and reset
    row = recorder.row("SequenceValid", "custom_sequence_int32")  # look it up once, keep it, also across reset()
    row.record(latency_us=850, queue_time_us=12, sent=120, received=90)
    row.measure({"first_response": [600], "responses": [1]})
    row.record_error("StatusCode.UNAVAILABLE: ...", sent=120, received=0)
    recorder.run_finished("SequenceValid", "passed", requests=16, duration_us=14_000)
    recorder.failure("SequenceValid", at_s=12.5, reason="...", record={...})
    data["ledger"] = recorder.snapshot(at_s=elapsed())            # final=True for the last one

    collector = Collector(epoch=epoch)
    change = collector.merge(data["ledger"], now_s=elapsed())     # None: seen before, or of another epoch
    collector.total.scenarios["SequenceValid"].runs

**Why snapshots, not differences.** A snapshot carries all its worker has counted in this epoch, so the master takes the
newest of each worker and nothing else matters: one that arrives twice, late or never changes no count as long as a
later one arrives. `Change` is the difference to the one before, for the time line.

**Test count and request count.** Triton's own stress test leaves failed runs out of its "Test Count" and adds pictures,
steps and requests up as its "Request Count". Here:

* the *test count* (`ScenarioCounts.runs`) is the number of runs that came to an end, passed or failed; a run that was
  skipped because a constraint forbade it is not one, it is counted under `skipped`;
* the *request count* (`ScenarioCounts.requests`) is the number of inference requests that those runs sent, failed runs
  included: one for each ModelInfer message, whatever its batch; a perf_analyzer run adds what it says it sent.
"""

from triton_users.ledger.answers import Answers
from triton_users.ledger.arrivals import ArrivalCounts
from triton_users.ledger.collector import Change, Collector, WorkerState
from triton_users.ledger.counts import Ledger, Measures, Row, ScenarioCounts
from triton_users.ledger.histogram import Histogram
from triton_users.ledger.measures import MEASURES
from triton_users.ledger.plain import normalise, plain
from triton_users.ledger.recorder import Recorder

__all__ = [
    "MEASURES",
    "Answers",
    "ArrivalCounts",
    "Change",
    "Collector",
    "Histogram",
    "Ledger",
    "Measures",
    "Recorder",
    "Row",
    "ScenarioCounts",
    "WorkerState",
    "normalise",
    "plain",
]
