"""Batches as a server counts them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from tritonclient.utils import InferenceServerException

from tests.scenarios.real import open_session
from triton_users import server
from triton_users.scenarios.sequence_valid import BurstPlan, SequenceValid
from triton_users.witness import batches


def test_what_was_counted_in_between_is_told_by_size() -> None:
    earlier = {"busy": {1: 10, 2: 3}, "idle": {1: 5}}
    later = {"busy": {2: 7, 1: 10, 4: 1}, "idle": {1: 5}, "new": {32: 2}}
    assert batches.since(later, earlier) == {"busy": {2: 4, 4: 1}, "new": {32: 2}}


def test_a_server_that_was_started_again_counts_from_its_start() -> None:
    assert batches.since({"m": {1: 4, 2: 9}}, {"m": {1: 10, 2: 3}}) == {"m": {1: 4, 2: 9}}


def test_versions_of_a_model_are_counted_together() -> None:
    def version(size: int, executions: int) -> SimpleNamespace:
        infer = SimpleNamespace(count=executions)
        return SimpleNamespace(name="m", batch_stats=[SimpleNamespace(batch_size=size, compute_infer=infer)])

    told = SimpleNamespace(model_stats=[version(2, 3), version(2, 4)])
    client = SimpleNamespace(get_inference_statistics=lambda **_: told)
    assert batches.count(client, 1.0) == {"m": {2: 7}}


def test_a_server_that_does_not_say_has_counted_nothing() -> None:
    def refuse(**_: Any) -> Any:
        raise InferenceServerException("not served here", "StatusCode.UNIMPLEMENTED")

    assert batches.count(SimpleNamespace(get_inference_statistics=refuse), 1.0) == {}


@pytest.mark.triton
def test_a_burst_fills_its_batches(triton: server.EmbeddedTriton, tmp_path: Any) -> None:
    model = "custom_sequence_int32"
    with open_session(triton, tmp_path) as session:
        before = batches.count(session.client, 10.0)
        SequenceValid(session).run(BurstPlan(model, tuple(range(11, 19)), (tuple(range(20)),) * 8))
        (counted,) = batches.since(batches.count(session.client, 10.0), before).values()
    assert counted.get(1, 0) + 2 * counted[2] >= 160, "each request, and what the batcher puts into empty slots"
    assert counted[2] > counted.get(1, 0)
