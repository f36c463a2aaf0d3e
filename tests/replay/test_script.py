"""The scripts: each compiles, needs tritonclient and numpy alone, and says where it comes from."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.scenarios.fakes import ALL_MODELS
from triton_users.replay.case import Case, Play
from triton_users.replay.script import Facts, Patience, Tried, write
from triton_users.scenarios.resnet import Gallery
from triton_users.settings import Settings, UsageError

INT32 = "custom_sequence_int32"
PAUSE = {"before": 1, "share": 0.5}
PLAYS = {
    "a sequence": Play("SequenceValid", {"model": INT32, "id_offset": 1, "sequences": [[5, 6]], "pauses": [PAUSE]}),
    "a burst": Play("SequenceValid", {"model": INT32, "id_offsets": [11, 12], "sequences": [[5], [6, 7]]}),
    "two sequences": Play(
        "SequenceValidValid", {"model": INT32, "id_offset": 1, "sequences": [[1], [2]], "pauses": []}
    ),
    "one that stays open": Play(
        "SequenceNoEnd", {"model": INT32, "id_offset": 99, "sequences": [[1]], "pauses": [None]}
    ),
    "no start": Play("SequenceNoStart", {"model": INT32, "id_offset": 1, "value": 1}),
    "an identity": Play("Identity", {"model": "custom_nobatch_zero_1_float32", "start": 5, "count": 3}),
    "pictures": Play("ResNet", {"pictures": [1]}),
    "a crash": Play("Crashing", {"signal": "SIGKILL", "id_offset": 99, "delay_s": 0.0, "values": [1, 2]}),
}


def facts(**changes: Any) -> Facts:
    values = {
        "reason": 'SequenceValid: answer 1 is 17, not 5: """caf\xe9 \\ ',
        "server": "Triton 2.51.0",
        "address": "127.0.0.1:8001",
        "command": "triton-users --headless -u 8 --seed 7",
        "configuration": lambda model: {"name": model, "max_batch_size": 2, "backend": "python"},
        "models": ALL_MODELS,
    }
    return Facts(**{**values, **changes})


def written(folder: Path, case: Case, **changes: Any) -> str:
    gallery = Gallery(np.zeros((3, 4, 4, 3), np.float32), ("VULTURE", "PIZZA", "CUP"))
    path, *_ = write(folder / "bug.py", case, Patience(20, 30), facts(**changes), Settings(seed=1), gallery)
    return path.read_text()


@pytest.mark.parametrize("what", PLAYS)
@pytest.mark.parametrize("partners", [(), tuple(PLAYS.values())[:2]])
def test_it_compiles_and_needs_tritonclient_and_numpy_alone(
    tmp_path: Path, what: str, partners: tuple[Play, ...]
) -> None:
    tree = ast.parse(written(tmp_path, Case(PLAYS[what], partners)))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported - set(sys.stdlib_module_names) <= {"tritonclient", "numpy"}
    defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    ours = {"send", "refused", "wait", "identity", "classify", "crash", "doomed", "keep_busy", "server", "tensor"}
    assert called & ours <= defined, "what it calls is there"


def test_its_head_says_what_is_wrong_on_what_and_where_it_was_found(tmp_path: Path) -> None:
    head = ast.get_docstring(ast.parse(written(tmp_path, Case(PLAYS["a sequence"]))))
    assert head is not None
    for told in ("answer 1 is 17, not 5", "Triton 2.51.0", "-u 8 --seed 7", f"Configuration of {INT32}", "HOST:PORT"):
        assert told in head
    assert '"max_batch_size": 2' in head


def test_a_page_is_enough_for_a_sequence(tmp_path: Path) -> None:
    assert len(written(tmp_path, Case(PLAYS["a sequence"])).splitlines()) < 125


CLIENT_THAT_HANGS = """
import time

class InferInput:
    def __init__(self, *_):
        pass

    def set_data_from_numpy(self, sent):
        self.sent = sent
        return self

    def as_numpy(self, _):
        return self.sent

class InferenceServerClient:
    def __init__(self, _):
        pass

    def is_server_live(self, **_):
        return True

    def infer(self, _, inputs, **__):
        return inputs[0]

    def __del__(self):
        time.sleep(1000)
"""


@pytest.mark.parametrize(("answered", "code"), [("self.sent", 0), ("self.sent + 1", 1), ("1 / 0", 1)])
def test_it_ends_although_the_client_s_channel_does_not_close(tmp_path: Path, answered: str, code: int) -> None:
    """grpcio hangs there in 1 of 40 ends of Python."""
    written(tmp_path, Case(PLAYS["an identity"]))
    fakes = {
        "__init__": "",
        "grpc": CLIENT_THAT_HANGS.replace("return self.sent", f"return {answered}"),
        "utils": "class InferenceServerException(Exception): pass",
    }
    (tmp_path / "tritonclient").mkdir()
    for name, text in fakes.items():
        (tmp_path / "tritonclient" / f"{name}.py").write_text(text)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "bug.py")],
        env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert ("ZeroDivisionError" in done.stderr) == ("/" in answered)


def test_pictures_lie_beside_it(tmp_path: Path) -> None:
    written(tmp_path, Case(PLAYS["pictures"]))
    with np.load(tmp_path / "bug.npz") as data:
        assert list(data["labels"]) == ["PIZZA"]
        assert data["pictures"].shape == (1, 4, 4, 3)


@pytest.mark.parametrize(
    ("play", "told"),
    [
        (
            Play("PerfAnalyzer", {"option": "m", "values": [1]}),
            "no script of a failure of PerfAnalyzer: perf_analyzer is",
        ),
        (Play("Timeout", {"model": "m", "afterwards": 1, "checks": 0}), "larger than tritonclient can send in time"),
        (Play("bert", {"stream": 0, "first": 0, "length": 1}), "its model is not under load here"),
        (Play("SequenceNoStart", {"model": "onnx_sequence_int32", "id_offset": 1, "value": 1}), "is not ready"),
    ],
)
def test_what_there_is_no_script_of_is_said(tmp_path: Path, play: Play, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        written(tmp_path, Case(play))


def test_its_patience_is_that_of_its_slowest_run_and_more() -> None:
    assert Patience.after([Tried(1, "round 3: wrong", 0.5)]) == Patience(20, 20)
    assert Patience.after([Tried(1, "round 3: wrong", 0.5), Tried(1, "round 200: wrong", 9.0)]) == Patience(1200, 54)


@pytest.mark.parametrize(
    ("tried", "seen"),
    [
        (Tried(1, "round 3: wrong", 0.5), True),
        (Tried(0, "not seen in 20 rounds", 9.0), False),
        (Tried(1, "Traceback (most recent call last):\n  ...\nImportError: no", 0.5), False),
        (Tried(2, "no Triton answers at 127.0.0.1:1: no", 0.5), False),
    ],
)
def test_a_script_that_breaks_has_not_seen_the_defect_though_python_ends_with_1_then(tried: Tried, seen: bool) -> None:
    assert tried.seen is seen
