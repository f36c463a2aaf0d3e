"""What a server counts for its models, as plain values."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.scenarios.real import open_session
from triton_users import server
from triton_users.scenarios.sequence_valid import BurstPlan, SequenceValid
from triton_users.witness import statistics
from triton_users.witness.statistics import ModelCounts


def test_what_was_counted_in_between_is_told_by_size_of_batch() -> None:
    later, earlier = (
        ModelCounts(success=30, batches={2: 7, 1: 10, 4: 1}),
        ModelCounts(success=13, batches={1: 10, 2: 3}),
    )

    assert later.since(earlier) == ModelCounts(success=17, batches={2: 4, 4: 1})


def test_counts_of_two_stretches_are_those_of_both() -> None:
    first, second = ModelCounts(success=3, queue_ns=5, batches={1: 3}), ModelCounts(success=4, batches={1: 1, 8: 2})

    assert first.plus(second) == ModelCounts(success=7, queue_ns=5, batches={1: 4, 8: 2})


def test_versions_of_a_model_are_counted_together() -> None:
    def version(size: int, executions: int) -> SimpleNamespace:
        some = SimpleNamespace(count=executions, ns=1000)
        stats = dict.fromkeys(("success", "fail", "queue", "compute_input", "compute_infer", "compute_output"), some)
        stats |= {"cache_hit": some, "cache_miss": some}
        batch = SimpleNamespace(batch_size=size, compute_infer=some)
        return SimpleNamespace(
            name="m",
            inference_count=size * executions,
            execution_count=executions,
            inference_stats=SimpleNamespace(**stats),
            batch_stats=[batch],
        )

    told = SimpleNamespace(model_stats=[version(2, 3), version(2, 4)])
    client = SimpleNamespace(get_inference_statistics=lambda **_: told)
    counted = statistics.read(client, 1.0)["m"]

    assert (counted.success, counted.inferences, counted.queue_ns) == (7, 14, 2000)
    assert counted.batches == {2: 7}


@pytest.mark.triton
def test_a_burst_fills_its_batches(triton: server.EmbeddedTriton, tmp_path: Any) -> None:
    model = "custom_sequence_int32"
    with open_session(triton, tmp_path) as session:
        before = statistics.read(session.client, 10.0)[model]
        SequenceValid(session).run(BurstPlan(model, tuple(range(11, 19)), (tuple(range(20)),) * 8))
        counted = statistics.read(session.client, 10.0)[model].since(before)
    batches = counted.batches
    assert batches.get(1, 0) + 2 * batches[2] >= 160, "each request, and what the batcher puts into empty slots"
    assert batches[2] > batches.get(1, 0)
    assert counted.success == 160, "what the batcher puts into empty slots is no request"
