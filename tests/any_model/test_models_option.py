"""`--models`: models as scenarios with no line of Python, judged and shown as the nine are."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.any_model.commands import locust_on
from tests.end_to_end.locust_process import Ended, Locust
from triton_users.server import EmbeddedTriton

pytestmark = pytest.mark.triton

RIGHT = {"data": [{"IN": [1, 2, 3, 4]}], "validation_data": [{"OUT": [2, 4, 6, 8]}]}
WRONG = {**RIGHT, "validation_data": [{"OUT": [2, 4, 6, 9]}]}


def run(triton: EmbeddedTriton, folder: Path, *arguments: str, **data: Any) -> Ended:
    for name, content in data.items():
        (folder / f"{name}.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return Locust(folder, "-H", f"grpc://{triton.grpc_url}", "-t", "4s", "-u", "2", "-r", "2", *arguments).ended()


def names(ended: Ended) -> list[str]:
    return [scenario["name"] for scenario in ended.report["scenarios"]]


def test_models_run_alone_each_with_its_own_line_its_weight_and_its_thresholds(
    any_triton: EmbeddedTriton, tmp_path: Path
) -> None:
    ended = run(any_triton, tmp_path, "--models", "sum=3,echo_bytes", "--input-data", "sum=sum.json",
                "--thresholds", "sum:p50_ms<5000,echo_bytes:runs>=1", sum=RIGHT)  # fmt: skip
    assert ended.exit_code == 0, ended.output
    assert names(ended) == ["sum", "echo_bytes"]
    sums, texts = (ended.scenario(name) for name in names(ended))
    assert (sums["status"], sums["weight"], texts["weight"]) == ("passed", 3, 1)
    assert sums["runs"] > texts["runs"] > 0
    assert sums["answers_checked"] == sums["requests"]
    assert ended.report["settings"]["input_data"] == {"sum": ["sum.json"]}
    assert "--models sum=3,echo_bytes --input-data sum=sum.json" in ended.report["reproduce"]
    junit = next(tmp_path.glob("reports/*/junit.xml")).read_text()
    assert 'name="sum"' in junit
    assert 'name="echo_bytes"' in junit


def test_a_wrong_answer_fails_the_run_with_its_place_unless_its_model_may_fail(
    any_triton: EmbeddedTriton, tmp_path: Path
) -> None:
    arguments = ("--models", "sum,echo_bytes", "--input-data", "sum=sum.json")
    ended = run(any_triton, tmp_path, *arguments, sum=WRONG)
    assert ended.exit_code == 1, ended.output
    (reason,) = ended.report["verdict"]["reasons"]
    assert "sum" in reason
    assert "OUT[3] is 8, not 9" in reason
    assert ended.scenario("sum")["evidence"]["failures"][0]["record"]["evidence"]["index"] == [3]
    (tmp_path / "allowed").mkdir()
    allowed = run(any_triton, tmp_path / "allowed", *arguments, "--allow-failure", "sum", sum=WRONG)
    assert allowed.exit_code == 0, allowed.output
    assert allowed.scenario("sum")["status"] == "failures allowed"


def test_the_best_classes_are_asked_for_and_compared_by_label_or_score(
    any_triton: EmbeddedTriton, tmp_path: Path
) -> None:
    steps = [{"IN": [0.1, 0.7, 0.2]}, {"IN": [0.5, 0.1, 0.4]}]
    right = {"data": steps, "validation_data": [{"OUT": ["DOG", "OWL"]}, {"OUT": ["0.5:0:CAT", "2"]}]}
    options = ("--models", "scores", "--input-data", "scores=scores.json", "--class-count", "scores=2")
    ended = run(any_triton, tmp_path, *options, "--model-batch-size", "scores=2", scores=right)
    assert ended.exit_code == 0, ended.output
    assert ended.scenario("scores")["answers_checked"] == ended.scenario("scores")["requests"] > 0
    (tmp_path / "wrong").mkdir()
    wrong = {**right, "validation_data": [{"OUT": ["CAT", "OWL"]}, {"OUT": ["CAT", "OWL"]}]}
    ended = run(any_triton, tmp_path / "wrong", *options, scores=wrong)
    assert ended.exit_code == 1, ended.output
    assert "OUT[0] is '0.700000:1:DOG', not 'CAT'" in ended.report["verdict"]["reasons"][0]


def test_tags_choose_among_the_models(any_triton: EmbeddedTriton, tmp_path: Path) -> None:
    arguments = ("--models", "sum,echo_bytes", "--input-data", "sum=sum.json")
    ended = run(any_triton, tmp_path, *arguments, "--tags", "echo_bytes", sum=RIGHT)
    assert ended.exit_code == 0, ended.output
    assert names(ended) == ["echo_bytes"]


def test_all_that_cannot_be_resolved_is_one_error_before_any_load(any_triton: EmbeddedTriton, tmp_path: Path) -> None:
    ended = run(any_triton, tmp_path, "--models", "open_shape,nobody,sum,echo_fp32", "--input-data", "sum=sum.json",
                "--model-batch-size", "echo_fp32=5,echo_fp16=2", sum={"data": [{"IN": [1]}]})  # fmt: skip
    assert ended.exit_code == 2, ended.output
    for told in (
        'add the sizes, for instance --shape "open_shape:IN=1,2"',
        "--models nobody: the server does not describe the model 'nobody'",
        "sum.json: data[0]: IN: it has 1 elements, but [4] has 4",
        "the batch size is 5; echo_fp32 takes 1 to 4",
        "model-batch-size: echo_fp16 is none of the models under load; add it: --models",
    ):
        assert told in ended.output
    assert "Traceback" not in ended.output
    assert not list(tmp_path.glob("reports/*"))


def test_what_the_error_says_resolves_it(any_triton: EmbeddedTriton, tmp_path: Path) -> None:
    ended = run(any_triton, tmp_path, "--models", "open_shape", "--shape", "open_shape:IN=1,2")
    assert ended.exit_code == 0, ended.output


def test_a_configuration_file_and_two_workers_do_the_same(any_triton: EmbeddedTriton, tmp_path: Path) -> None:
    (tmp_path / "locust.conf").write_text("models = sum=2,accumulate\ninput-data = sum=sum.json\n")
    ended = run(any_triton, tmp_path, "--processes", "2", "-t", "6s", sum=RIGHT)
    assert ended.exit_code == 0, ended.output
    assert ended.scenario("sum")["answers_checked"] == ended.scenario("sum")["requests"] > 0
    sequences = ended.scenario("accumulate")
    assert sequences["requests"] > sequences["runs"] > 0


def test_models_in_a_run_without_users_that_play_scenarios_are_an_error(
    any_triton: EmbeddedTriton, tmp_path: Path
) -> None:
    mine = (
        "from locust import task\nfrom triton_users.users import TritonGrpcUser\n"
        "class Mine(TritonGrpcUser):\n    @task\n    def nothing(self): pass\n"
    )
    ended = locust_on(f"grpc://{any_triton.grpc_url}", tmp_path, mine, "-t", "1s", "--models", "sum")
    assert ended.exit_code == 2, ended.output
    assert "--models sum: none of the users that run plays scenarios; add the line" in ended.output
