"""Failures of a user's own models, played again, shrunk, and as scripts that the healthy models pass."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.any_model.repository import ACCUMULATE, ECHO, REPEAT, SUM, tensor, write
from tests.replay.test_command import exit_code
from triton_users import server
from triton_users.replay.command import main
from triton_users.scenarios.model_load import ModelPlan

pytestmark = pytest.mark.triton

#: Says that it cannot, to every request.
REFUSES = """
    import triton_python_backend_utils as pb

    class TritonPythonModel:
        def execute(self, requests):
            return [pb.InferenceResponse(error=pb.TritonError("no luck today")) for _ in requests]
"""
SEQUENCES = """
    sequence_batching {
      max_sequence_idle_microseconds: 5000000
      control_input [ { name: "START" control [ { kind: CONTROL_SEQUENCE_START int32_false_true: [ 0, 1 ] } ] } ]
    }
"""
#: Model -> its input data, the plan that fails, what the smallest is, and what its script says.
CASES: dict[str, tuple[dict[str, Any], ModelPlan, str, str]] = {
    "sum": (
        {"data": [{"IN": [1, 2, 3, 4]}], "validation_data": [{"OUT": [2, 4, 6, 8]}]},
        ModelPlan(0, 0),
        "1 request",
        "OUT[3] is 9, not 8",
    ),
    "echo_int32": ({"data": [{"IN": [1, 2, 3]}]}, ModelPlan(0, 0), "1 request", "no luck today"),
    "echo_bytes": (
        {"data": [{"IN": ["a", "bc", ""]}], "validation_data": [{"OUT": ["a", "bc", ""]}]},
        ModelPlan(0, 0),
        "1 request",
        "OUT[0] is b'', not b'a'",
    ),
    "repeat": (
        {"data": [{"COUNT": [3]}], "validation_data": [{"OUT": {"content": [0, 1, 2], "shape": [3, 1]}}]},
        ModelPlan(0, 0),
        "1 request",
        "there are more than 3 responses to request 0",
    ),
    "accumulate": (
        {
            "data": [[{"IN": [n]} for n in (5, 6, 7)]],
            "validation_data": [[{"OUT": [n]} for n in (5, 11, 18)]],
        },
        ModelPlan(0, 0, 3, 1),
        "1 request",
        "not 5",
    ),
}


def five(folder: Path, *, healthy: bool) -> Path:
    """The models of CASES, each with a defect where they are not to be healthy."""

    def program(right: str, was: str, now: str) -> str:
        assert was in right
        return right if healthy else right.replace(was, now)

    more = tensor("input", "MORE", "INT32", 4, more="optional: true")
    both = tensor("input", "IN", "INT32", 4) + more + tensor("output", "OUT", "INT32", 4)
    write(folder, "sum", SUM, both, wrong_each=0 if healthy else 1)
    both = tensor("input", "IN", "INT32", 3) + tensor("output", "OUT", "INT32", 3) + "max_batch_size: 4\n"
    write(folder, "echo_int32", ECHO if healthy else REFUSES, both, datatype="INT32")
    both = tensor("input", "IN", "BYTES", 3) + tensor("output", "OUT", "BYTES", 3) + "max_batch_size: 4\n"
    backwards = program(ECHO, "sent.as_numpy()", "sent.as_numpy()[..., ::-1].copy()")
    write(folder, "echo_bytes", backwards, both, datatype="BYTES")
    once_more = program(program(REPEAT, "number < count", "number <= count"), "default=0)", "default=0) + 1")
    both = tensor("input", "COUNT", "INT32", 1) + tensor("output", "OUT", "INT32", 1)
    write(folder, "repeat", once_more, both + "model_transaction_policy { decoupled: true }\n")
    both = tensor("input", "IN", "INT32", 1) + tensor("output", "OUT", "INT32", 1)
    write(folder, "accumulate", program(ACCUMULATE, "0 if started else ", ""), both + SEQUENCES)
    return folder


@pytest.fixture(scope="module")
def defective(tmp_path_factory: pytest.TempPathFactory) -> Iterator[server.EmbeddedTriton]:
    with server.EmbeddedTriton(five(tmp_path_factory.mktemp("defective"), healthy=False), grace_s=0) as running:
        yield running


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[server.EmbeddedTriton]:
    with server.EmbeddedTriton(five(tmp_path_factory.mktemp("healthy"), healthy=True), grace_s=0) as running:
        yield running


@pytest.mark.parametrize("model", CASES)
def test_a_failure_of_a_model_with_data_of_its_own_becomes_a_script_that_the_healthy_model_passes(
    defective: server.EmbeddedTriton,
    healthy: server.EmbeddedTriton,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    model: str,
) -> None:
    data, plan, smallest, told = CASES[model]
    (tmp_path / "data.json").write_text(json.dumps(data))
    record = {"plan": asdict(plan)}
    failure = {"scenario": model, "worker": "local", "at_s": 1.0, "reason": "a wrong answer", "record": record}
    report = {
        "scenarios": [{"evidence": {"failures": [failure]}}],
        "server": {"version": defective.version},
        "reproduce": f"triton-users --models {model} --input-data {model}={tmp_path / 'data.json'}",
    }
    (tmp_path / "report.json").write_text(json.dumps(report))
    words = [
        str(tmp_path / "report.json"),
        "--failure",
        "1",
        "-H",
        f"grpc://{defective.grpc_url}",
        "--time-limit",
        "30",
    ]
    script = tmp_path / "bug.py"
    code = main([*words, "--minimise", "--script", str(script)])
    output = capsys.readouterr()
    assert code == 1, output
    assert f"Smallest that fails: {model}, {smallest}, alone" in output.out
    assert told in output.out
    assert exit_code(script, defective)[0] == 1
    assert exit_code(script, healthy) == (0, "not seen in 20 rounds\n")
