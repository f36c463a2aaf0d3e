"""Answers of a model that takes longer than is waited for are not compared, and that is said."""

from __future__ import annotations

from typing import Any

import pytest

from triton_users.client.client import TritonClient
from triton_users.compare import answers
from triton_users.server import EmbeddedTriton

pytestmark = pytest.mark.triton


def test_a_model_that_does_not_answer_in_time_is_left_out_with_its_reason(
    triton: EmbeddedTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any) -> Any:
        with TritonClient(f"grpc://{triton.grpc_url}") as client:
            answers.encoded_infer(client.channel)(request, timeout=1e-4)

    request = answers.EncodedRequest("custom_nobatch_zero_1_float32", "1", b"")
    monkeypatch.setattr(answers, "_differences", never)
    with TritonClient(f"grpc://{triton.grpc_url}") as client:
        found = answers.compare_answers(client, client, 1)
    assert found["compared"] == 0
    assert any(
        note.startswith("the answers of custom_nobatch_zero_1_float32 were not compared: ")
        and "DEADLINE_EXCEEDED" in note
        for note in found["notes"]
    ), found["notes"]
