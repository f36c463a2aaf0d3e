"""TritonModelUser: a few lines of Python put a model under load, and its run is judged like the nine scenarios."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.any_model.commands import locust_on
from tests.end_to_end.locust_process import ROOT, Ended
from triton_users.server import EmbeddedTriton

pytestmark = pytest.mark.triton

OWN_DATA = """
class Sum(TritonModelUser):
    model = "sum"
    input_data = "sum.json"
"""

RIGHT = {"data": [{"IN": [1, 2, 3, 4]}], "validation_data": [{"OUT": [2, 4, 6, 8]}]}


def run(triton: EmbeddedTriton, folder: Path, users: str, *arguments: str, data: Any = None) -> Ended:
    if data is not None:
        (folder / "sum.json").write_text(data if isinstance(data, str) else json.dumps(data))
    return locust_on(f"grpc://{triton.grpc_url}", folder, users, *arguments)


def test_right_answers_pass_and_each_was_checked(any_triton: EmbeddedTriton, tmp_path: Path) -> None:
    ended = run(any_triton, tmp_path, OWN_DATA, "--thresholds", "sum:p50_ms<5000", data=RIGHT)
    assert ended.exit_code == 0, ended.output
    scenario = ended.scenario("sum")
    assert scenario["status"] == "passed"
    assert scenario["answers_checked"] == scenario["requests"] > 0
    assert scenario["description"] == "requests of IN INT32 [4], MORE INT32 [4] optional"


def test_a_wrong_answer_fails_the_run_with_its_place(any_triton: EmbeddedTriton, tmp_path: Path) -> None:
    wrong = {**RIGHT, "validation_data": [{"OUT": [2, 4, 6, 9]}]}
    ended = run(any_triton, tmp_path, OWN_DATA, data=wrong)
    assert ended.exit_code == 1, ended.output
    assert "OUT[3] is 8, not 9" in ended.report["verdict"]["reasons"][0]
    record = ended.scenario("sum")["evidence"]["failures"][0]["record"]
    assert record["evidence"]["index"] == [3]


def test_without_data_random_requests_are_sent_and_the_report_says_that_nothing_was_checked(
    any_triton: EmbeddedTriton, tmp_path: Path
) -> None:
    users = 'class Texts(TritonModelUser):\n    model = "echo_bytes"\n    batch_size = 4\n'
    ended = run(any_triton, tmp_path, users)
    assert ended.exit_code == 0, ended.output
    assert ended.scenario("echo_bytes")["answers_checked"] == 0


def test_the_same_seed_plans_the_same_requests(any_triton: EmbeddedTriton, tmp_path: Path) -> None:
    plans = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        wrong = {"data": [{"IN": [i] * 4} for i in range(50)], "validation_data": [{"OUT": [-1] * 4}] * 50}
        ended = run(any_triton, tmp_path / name, OWN_DATA, "-u", "1", "--seed", "7", data=wrong)
        plans.append([f["record"]["plan"] for f in ended.scenario("sum")["evidence"]["failures"][:3]])
    assert plans[0] == plans[1]


@pytest.mark.parametrize(
    ("users", "data", "message"),
    [
        (OWN_DATA, "{", "sum.json: it is no JSON"),
        (OWN_DATA, {"data": [{"IN": [1]}]}, "data[0]: IN: it has 1 elements, but [4] has 4"),
        (OWN_DATA, None, "sum.json: No such file"),
        ('class A(TritonModelUser):\n    model = "nobody"\n', None, "does not describe the model 'nobody'"),
        ("class A(TritonModelUser):\n    pass\n", None, "A names no model"),
        ('class A(TritonModelUser):\n    model = "open_shape"\n', None, "shapes = {'IN': (1, 2)}"),
        ('class A(TritonModelUser):\n    model = "sum"\n    batch_size = 5\n', None, "sum takes 1 to 4"),
    ],
)
def test_what_cannot_be_used_is_one_clear_error_and_nothing_starts(
    any_triton: EmbeddedTriton, tmp_path: Path, users: str, data: Any, message: str
) -> None:
    ended = run(any_triton, tmp_path, users, data=data)
    assert ended.exit_code == 2, ended.output
    assert message in ended.output
    assert "Traceback" not in ended.output
    assert not list(tmp_path.glob("reports/*"))


def test_requests_and_checks_may_be_the_users_own_code(any_triton: EmbeddedTriton, tmp_path: Path) -> None:
    users = """
class Mine(TritonModelUser):
    model = "sum"

    def make_request(self, draw):
        return {"IN": np.array([draw.randrange(100) for _ in range(4)], np.int32)}

    def check(self, inputs, outputs):
        assert (outputs["OUT"] == 2 * inputs["IN"]).all(), f"{inputs} became {outputs}"
        assert outputs["OUT"].max() < 150, "a large one"
"""
    ended = run(any_triton, tmp_path, users)
    assert ended.exit_code == 1, ended.output
    failures = ended.scenario("sum")["evidence"]["failures"]
    assert {failure["reason"] for failure in failures} == {"a wrong answer: a large one"}
    assert ended.scenario("sum")["passed"] > 0


def test_sequences_and_workers_of_a_cluster_do_the_same(any_triton: EmbeddedTriton, tmp_path: Path) -> None:
    users = 'class Sums(TritonModelUser):\n    model = "accumulate"\n'
    ended = run(any_triton, tmp_path, users, "--processes", "2", "-t", "6s")
    assert ended.exit_code == 0, ended.output
    scenario = ended.scenario("accumulate")
    assert scenario["requests"] > scenario["runs"] > 0


def test_the_lines_in_the_readme_are_these() -> None:
    assert OWN_DATA.strip().replace("Sum", "Bert").replace("sum", "bert") in (ROOT / "README.md").read_text()
