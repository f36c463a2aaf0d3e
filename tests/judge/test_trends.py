"""The leak and drift verdicts out of what a run sampled: of the server, of its stubs, of our own workers."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from triton_users.judge.trends import Pool, TrendLimits, Trends, answered, server_memories, trends, worker_memories
from triton_users.ledger import Ledger, WorkerState
from triton_users.ledger.timeline import Point, Slice
from triton_users.server import EmbeddedTriton
from triton_users.witness.processes import ProcessTree
from triton_users.witness.series import Key, Samples

POOL = Pool(256, 1.1)


def sampled(stub_mib_per_hour: float = 0.0, server_mib_per_hour: float = 0.0, hours: float = 1.0) -> Samples:
    """An embedded server with two stubs, of which that of "b" grows; 100 requests a second to each."""
    samples = Samples()
    draw = np.random.default_rng(4)
    for t in np.arange(0.0, 3600 * hours, 5.0):
        samples.add(
            float(t),
            {
                Key("memory", "MiB"): 900.0,
                Key("server_memory", "MiB"): 500 + server_mib_per_hour * t / 3600 + draw.normal(0, 0.1),
                Key("stub_memory", "MiB", "a"): 100 + draw.normal(0, 0.1),
                Key("stub_memory", "MiB", "b"): 100 + stub_mib_per_hour * t / 3600 + draw.normal(0, 0.1),
                Key("success", "", "a"): 100.0 * t,
                Key("success", "", "b"): 100.0 * t,
            },
        )
    return samples


def worker(mib_per_hour: float) -> WorkerState:
    windows = [[t, t + 5.0, 1.0, 20.0, 0.0, 0.0, 150 + mib_per_hour * t / 3600, 0.0] for t in np.arange(0, 3600, 5.0)]
    state = WorkerState("w1", "incarnation", first_seen_s=0.0, last_seen_s=3600.0, began_s=0.0)
    state.selfcheck = {"windows": windows}
    return state


def test_a_stub_that_leaks_is_found_and_its_model_named() -> None:
    (reason,) = trends(TrendLimits(), sampled(stub_mib_per_hour=200), [], [], pool=POOL).reasons()
    assert reason.startswith("leak: the memory of the stub of b grows by ")
    assert reason.endswith("the requests to b explain it")


def test_a_healthy_hour_has_an_answer_for_each_process_and_no_reason() -> None:
    found = trends(TrendLimits(), sampled(), [], [], pool=POOL)
    assert found.reasons() == []
    assert {each.name: each.answer for each in found.leaks} == dict.fromkeys(
        ("the server", "the stub of a", "the stub of b"), "none seen"
    )


def test_the_pool_of_an_embedded_server_enters_the_verdict_with_its_size() -> None:
    samples = sampled(server_mib_per_hour=300)
    found = next(each for each in trends(TrendLimits(), samples, [], [], pool=POOL).leaks if each.name == "the server")
    assert found.answer == "too short to say"
    assert "may be the rest of what it may keep; it took 29" in str(found)
    assert str(found).endswith(
        "of the 486 MiB that any process may take and keep, its pool of 256 request states of up to 1.1 MiB among them"
    )
    assert trends(TrendLimits(), samples, [], []).reasons()


def test_the_pool_may_keep_the_largest_requests_of_the_run_and_those_that_other_programs_sent() -> None:
    total = Ledger()
    total.row("ResNet", "images").record(1, 1, 6 * 2**20, 100)
    total.row("Timeout", "zeros").record(1, 1, 16, 16)
    elsewhere = WorkerState("w", "incarnation", first_seen_s=0.0, last_seen_s=1.0, began_s=0.0)
    known = replace(elsewhere, sent_elsewhere={"zeros": (5, "perf_analyzer")})
    unknown = replace(elsewhere, sent_elsewhere={"other": (5, "perf_analyzer")})
    pool = Pool(256, 1.1, largest_mib=18.4)

    assert pool.filled_by(Ledger(), []).mib == pytest.approx(1.5 * 281.6)
    assert pool.filled_by(total, [known]).mib == 1.5 * 256 * 6
    assert pool.filled_by(total, [unknown]).mib == pytest.approx(1.5 * 256 * 18.4)


def test_a_worker_of_ours_that_leaks_is_found() -> None:
    points = [Point(60.0 * i, 60.0 * (i + 1), {"S": Slice(requests=100.0)}) for i in range(60)]
    found = trends(TrendLimits(), Samples(), [worker(300.0)], points)
    (leak,) = found.leaks
    assert leak.name == "worker w1"
    assert leak.answer == "leak"


def test_a_remote_server_is_judged_by_the_memory_in_its_metrics() -> None:
    samples = Samples()
    for t in range(10):
        samples.add(float(t), {Key("memory", "MiB", "replica:8002"): 100.0})
    assert [each.name for each in server_memories(samples)] == ["the server replica:8002"]


def test_a_limit_of_nothing_turns_a_verdict_off() -> None:
    off = trends(TrendLimits(leak_mib_per_hour=0, drift_percent=0), sampled(stub_mib_per_hour=200), [worker(1e4)], [])
    assert off == Trends([], [])


def test_a_counter_that_begins_anew_goes_on_and_gaps_keep_the_last_value() -> None:
    samples = Samples()
    for t, value in enumerate([10.0, 20.0, math.nan, 5.0, 7.0]):
        samples.add(float(t), {Key("success", "", "m"): value} if not math.isnan(value) else {Key("x"): 1.0})
    assert list(answered(samples, []).answered["m"]) == [10, 20, 20, 25, 27]


def test_memory_of_workers_is_in_seconds_of_the_run() -> None:
    state = worker(0.0)
    (memory,) = worker_memories([state])
    assert memory.times_s[0] == 5.0
    assert memory.mib[0] == 150.0


@pytest.mark.triton
def test_a_model_that_keeps_64_kib_of_each_request_is_found_on_a_real_server() -> None:
    """With a clock that runs 60 times as fast: a minute each second."""
    from tritonclient.grpc import InferenceServerClient, InferInput

    defect = Path(__file__).parents[1] / "defective_models" / "keeps_64_kib"
    name = "custom_nobatch_zero_1_float32"
    samples = Samples()
    with EmbeddedTriton(defect, grace_s=0) as triton:
        tree, client = ProcessTree(triton.pid), InferenceServerClient(triton.grpc_url)
        tensor = InferInput("INPUT0", [4], "FP32").set_data_from_numpy(np.zeros(4, np.float32))
        for number in range(3_000):
            client.infer(name, [tensor])
            if number % 20 == 0:
                samples.add(number / 5, {**tree.read(number / 5), Key("success", "", name): float(number + 1)})
        client.close()
    found = {each.name: each for each in trends(TrendLimits(), samples, [], [], pool=POOL).leaks}
    assert found[f"the stub of {name}"].answer == "leak"
    assert found[f"the stub of {name}"].models == (name,)
    assert found[f"the stub of {name}"].per_request_kib.value == pytest.approx(64, rel=0.1)
    assert found["the server"].answer != "leak"
