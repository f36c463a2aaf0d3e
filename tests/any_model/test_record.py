"""`triton-users record`: golden answers of a trusted server, as our own validation and perf_analyzer take them."""

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.any_model.commands import perf_analyzer
from tests.any_model.test_kserve import kserve
from tests.end_to_end.locust_process import Ended, Locust
from triton_users.server import EmbeddedTriton

pytestmark = pytest.mark.triton


def record(host: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "triton_users", "record", "-H", host, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=90)


def validate(host: str, folder: Path, golden: str, *arguments: str) -> Ended:
    """A run on the golden file of one model, whose name the file has."""
    model = Path(golden).stem
    options = ["-H", host, "--models", model, "--input-data", f"{model}={golden}", "-u", "2", "-t", "3s"]
    return Locust(folder, *options, *arguments).ended()


def test_answers_are_accepted_of_the_same_server_by_us_and_by_perf_analyzer(
    any_triton: EmbeddedTriton, tmp_path: Path
) -> None:
    golden, host = tmp_path / "sum.json", f"grpc://{any_triton.grpc_url}"
    (tmp_path / "in.json").write_text(json.dumps({"data": [{"IN": [1, 2, 3, 4]}, {"IN": [5, 6, 7, 8]}]}))
    recorded = record(host, "--models", "sum", "--input-data", f"sum={tmp_path / 'in.json'}", "-o", str(golden))
    assert recorded.returncode == 0, recorded.stderr
    assert recorded.stdout.startswith(f"{golden}: 2 steps of sum with the server's answers; perf_analyzer -m sum ")
    measured = perf_analyzer(any_triton, "sum", [golden])
    assert measured.returncode == 0, measured.stdout + measured.stderr
    assert "match" not in measured.stdout + measured.stderr
    ended = validate(host, tmp_path, "sum.json")
    assert ended.exit_code == 0, ended.output
    scenario = ended.scenario("sum")
    assert scenario["answers_checked"] == scenario["requests"] > 0


def test_a_server_with_one_wrong_element_fails_by_us_and_by_perf_analyzer(
    any_triton: EmbeddedTriton, tmp_path: Path
) -> None:
    golden, host = tmp_path / "echo_fp32.json", f"grpc://{any_triton.grpc_url}"
    assert record(host, "--models", "echo_fp32", "-o", str(golden)).returncode == 0
    content = json.loads(golden.read_text())
    for step in content["validation_data"]:  # as if another server had made them: the second element is 0.0
        step["OUT"]["content"] = [0.0 if i == 1 else value for i, value in enumerate(values_of(step["OUT"]))]
    golden.write_text(json.dumps(content))
    ended = validate(host, tmp_path, "echo_fp32.json")
    assert ended.exit_code == 1, ended.output
    assert "OUT[1] is " in ended.report["verdict"]["reasons"][0]
    assert "1 of 3 elements differ" in ended.report["verdict"]["reasons"][0]
    assert perf_analyzer(any_triton, "echo_fp32", [golden]).returncode != 0


def values_of(tensor: Any) -> list[float]:
    return [float(value) for value in np.frombuffer(base64.b64decode(tensor["content"]["b64"]), "<f4")]


@pytest.mark.parametrize("model", ["echo_bytes", "accumulate", "repeat", "open_shape"])
def test_every_kind_of_model_is_recorded_and_accepted(any_triton: EmbeddedTriton, tmp_path: Path, model: str) -> None:
    host = f"grpc://{any_triton.grpc_url}"
    shape = ["--shape", "open_shape:IN=3,2"] if model == "open_shape" else []
    few = ["--value-range", "repeat=0..5"] if model == "repeat" else []
    recorded = record(host, "--models", model, *shape, *few, "-o", str(tmp_path / f"{model}.json"))
    assert recorded.returncode == 0, recorded.stderr
    assert ("not for perf_analyzer: " in recorded.stdout) == (model in ("repeat", "open_shape"))
    ended = validate(host, tmp_path, f"{model}.json")
    assert ended.exit_code == 0, ended.output
    scenario = ended.scenario(model)
    assert scenario["answers_checked"] == scenario["requests"] > 0


def test_what_is_answered_in_two_ways_is_not_recorded(any_triton: EmbeddedTriton, tmp_path: Path) -> None:
    recorded = record(f"grpc://{any_triton.grpc_url}", "--models", "seldom_wrong", "-o", str(tmp_path / "a.json"))
    assert recorded.returncode == 2
    assert "the same request was answered in two ways, so no answer is the right one: OUT[3] is" in recorded.stderr
    assert not list(tmp_path.iterdir())


def test_several_models_are_a_folder_with_a_file_each(any_triton: EmbeddedTriton, tmp_path: Path) -> None:
    host = f"grpc://{any_triton.grpc_url}"
    recorded = record(host, "--models", "sum,echo_bool", "-o", str(tmp_path / "golden"))
    assert recorded.returncode == 0, recorded.stderr
    assert sorted(file.name for file in (tmp_path / "golden").iterdir()) == ["echo_bool.json", "sum.json"]
    refused = record(host, "--models", "sum,echo_bool", "-o", str(tmp_path / "golden.json"))
    assert "2 models need a folder, for a file each" in refused.stderr


def test_a_server_that_is_no_triton_is_recorded_as_well(tmp_path: Path) -> None:
    with kserve("typed") as host:
        recorded = record(host, "--models", "double", "--shape", "double:IN=1,4", "-o", str(tmp_path / "double.jsonl"))
        assert recorded.returncode == 0, recorded.stderr
        ended = validate(host, tmp_path, "double.jsonl")
    assert ended.exit_code == 0, ended.output
    assert ended.scenario("double")["answers_checked"] == ended.scenario("double")["requests"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-o", "a.json"), "no model is named; add for instance --models bert"),
        (("-o", "a.txt", "--models", "sum"), "-o a.txt: name a .json or a .jsonl"),
        (("-o", "a.json", "--models", "nobody"), "the server does not describe the model 'nobody'"),
        (("-o", "a.json", "--models", "open_shape"), '--shape "open_shape:IN=1,2"'),
        (("-o", "a.jsonl", "--models", "accumulate"), "JSON lines hold no sequences"),
    ],
)
def test_what_cannot_be_recorded_is_one_clear_error(
    any_triton: EmbeddedTriton, arguments: tuple[str, ...], message: str
) -> None:
    ended = record(f"grpc://{any_triton.grpc_url}", *arguments)
    assert ended.returncode == 2
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr
