"""Defects that need others beside the run that failed: the smallest set that still shows it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.replay.defects import DEFECTS
from triton_users import server
from triton_users.replay import command
from triton_users.replay.command import main

MODEL = "custom_sequence_int32"
#: What goes wrong -> a line of the model that swaps answers in one of 200 batches, and what stands there instead.
DEFECTIVE = {
    "answers swapped inside a batch": ("self._batches % 200 == 0", "self._batches % 2 == 0"),
    "state leaks between interleaved sequences": (
        "        return self._response(total.reshape(values.shape))",
        "        leaked = getattr(self, '_last', key) != key and not flag(request, 'START')\n"
        "        self._last = key\n"
        "        return self._response((total + leaked).astype(total.dtype).reshape(values.shape))",
    ),
}


def sequence(model: str, *values: int) -> dict[str, object]:
    plan = {"model": model, "id_offset": 7, "sequences": [values], "pauses": [None]}
    return {"scenario": "SequenceValid", "plan": plan}


@pytest.mark.triton
@pytest.mark.parametrize("defect", DEFECTIVE)
def test_of_all_that_went_on_beside_it_one_other_sequence_of_the_model_is_left(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    defect: str,
) -> None:
    monkeypatch.setattr(command, "ALONE_SHARE", 0.05)
    line, instead = DEFECTIVE[defect]
    models = Path(shutil.copytree(DEFECTS / "swaps_in_batches", tmp_path / "models"))
    program = models / MODEL / "1" / "model.py"
    assert line in program.read_text()
    program.write_text(program.read_text().replace("% 200", "% 10**9").replace(line.replace("200", "10**9"), instead))
    configuration = models / MODEL / "config.pbtxt"
    # With two instances the third sequence is not in the batches of the first.
    one_instance = re.sub(r"count: \d+", "count: 1", configuration.read_text())
    configuration.write_text(one_instance)
    beside = [sequence(MODEL, 3, 1, 4), sequence(MODEL, 1, 5, 9, 2, 6), sequence(MODEL, 5, 3)]
    record = {**sequence(MODEL, 2, 7, 1, 8, 2, 8), "under_way": beside}
    failure = {**record, "worker": "local", "at_s": 1.0, "reason": "answer 2 is 9, not 10", "record": record}
    report = {"scenarios": [{"evidence": {"failures": [failure]}}], "server": {}, "reproduce": ""}
    (tmp_path / "report.json").write_text(json.dumps(report))
    with server.EmbeddedTriton(models, grace_s=0) as defective:
        words = [str(tmp_path / "report.json"), "--failure", "1", "-H", f"grpc://{defective.grpc_url}"]
        assert main([*words, "--time-limit", "60", "--minimise"]) == 1
        said = capsys.readouterr().out
        assert "Not seen alone in 3 s. Playing" in said
        smallest = said.partition("Smallest that fails: ")[2].partition(" (")[0]
        assert smallest.partition("; beside it ")[2].count("SequenceValid") == 1, said
