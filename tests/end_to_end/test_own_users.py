"""A locustfile of people's own users is judged as strictly as the scenarios are."""

from pathlib import Path

import pytest

from tests.end_to_end.locust_process import ROOT, Ended, Locust
from triton_users.server import EmbeddedTriton

pytestmark = pytest.mark.triton

MODEL = "custom_nobatch_zero_1_float32"
LOCUSTFILE = """
import numpy as np
from locust import constant, events, task
from tritonclient.grpc import InferInput

from triton_users.options import add_options
from triton_users.plugin import install
from triton_users.stress import TritonStressUser
from triton_users.users import TritonGrpcUser

events.init_command_line_parser.add_listener(add_options)
events.init.add_listener(lambda environment, **_: install(environment))


class Mine(TritonGrpcUser):
    wait_time = constant(0.05)

    def on_start(self):
        self.tensor = InferInput("INPUT0", [16], "FP32").set_data_from_numpy(np.zeros(16, np.float32))

    @task
    def infer(self):
        answer = self.client.infer("%s", [self.tensor])
        %s


class Stress(TritonStressUser):
    pass
"""


def run(
    triton: EmbeddedTriton, folder: Path, *arguments: str, model: str = MODEL, then: str = "pass", task: str = ""
) -> Ended:
    """`task`: one in place of the file's own."""
    locustfile = folder / "mine.py"
    text = LOCUSTFILE % (model, then)
    if task:
        before, after = text.index("    @task"), text.index("\n\nclass Stress")
        text = text[:before] + task + text[after:]
    locustfile.write_text(text)
    options = ["-H", f"grpc://{triton.grpc_url}", "-t", "3s", "-u", "2", "-r", "2"]
    return Locust(folder, *options, *arguments, locustfile=locustfile).ended()


def test_healthy_requests_pass_and_a_threshold_may_name_the_model(triton: EmbeddedTriton, tmp_path: Path) -> None:
    ended = run(triton, tmp_path, "Mine", "--thresholds", f"{MODEL}:p50_ms<5000,failure_ratio<0.01")
    assert ended.exit_code == 0, ended.output
    assert [check["passed"] for check in ended.report["verdict"]["thresholds"]] == [True, True]


def test_requests_that_fail_fail_the_run(triton: EmbeddedTriton, tmp_path: Path) -> None:
    ended = run(triton, tmp_path, "Mine", model="nobody")
    assert ended.exit_code == 1, ended.output
    (reason,) = ended.report["verdict"]["reasons"]
    assert reason.startswith("requests to nobody: ")
    assert "unknown model" in reason
    own = ended.scenario("")
    assert (own["status"], own["at_fault"]) == ("failed", True)
    assert own["failed"] == own["requests"] > 0


def test_an_assertion_that_does_not_hold_fails_the_run(triton: EmbeddedTriton, tmp_path: Path) -> None:
    ended = run(triton, tmp_path, "Mine", then='assert answer is None, "wrong answer"')
    assert ended.exit_code == 1, ended.output
    (reason,) = ended.report["verdict"]["reasons"]
    assert reason.startswith("users' code raised AssertionError: wrong answer")
    assert "Mine raised AssertionError: wrong answer" in ended.output


PAGE_CHECK = """    @task
    def infer(self):
        with self.client.catch_response() as response:
            answer = self.client.infer("custom_nobatch_zero_1_float32", [self.tensor]).as_numpy("OUTPUT0")
            if answer.any():
                response.failure("zeros did not come back", got=answer.tolist())
"""


def test_a_check_of_the_user_s_own_is_one_failed_row_with_its_evidence(triton: EmbeddedTriton, tmp_path: Path) -> None:
    ended = run(triton, tmp_path, "Mine", task=PAGE_CHECK.replace("if answer.any()", "if not answer.any()"))
    assert ended.exit_code == 1, ended.output
    (reason,) = ended.report["verdict"]["reasons"]
    assert reason.startswith(f"requests to {MODEL}: ")
    assert "zeros did not come back" in reason
    own = ended.scenario("")
    assert own["failed"] == own["requests"] > 0
    (first, *_) = own["evidence"]["failures"]
    assert first["record"]["model"] == first["record"]["request"] == MODEL
    assert first["record"]["method"] == "ModelInfer"
    assert first["record"]["message"] == "zeros did not come back"
    assert first["record"]["evidence"] == {"got": [0.0] * 16}


def test_the_check_in_the_page_passes_where_the_answer_is_right(triton: EmbeddedTriton, tmp_path: Path) -> None:
    ended = run(triton, tmp_path, "Mine", task=PAGE_CHECK)
    assert ended.exit_code == 0, ended.output
    assert PAGE_CHECK in (ROOT / "docs" / "own_users.md").read_text()


def test_scenarios_that_pass_do_not_hide_own_requests_that_fail(triton: EmbeddedTriton, tmp_path: Path) -> None:
    ended = run(triton, tmp_path, "--scenarios", "SequenceValid", model="nobody")
    assert ended.exit_code == 1, ended.output
    assert ended.scenario("SequenceValid")["status"] == "passed"
    assert ended.scenario("")["status"] == "failed"


def test_a_threshold_of_a_model_that_the_server_lacks_is_a_mistake(triton: EmbeddedTriton, tmp_path: Path) -> None:
    ended = run(triton, tmp_path, "Mine", "--thresholds", "bret:p99_ms<50")
    assert ended.exit_code == 2
    assert "there is no scenario 'bret', and no such model on the server" in ended.output
