"""The real perf_analyzer and we read the same files alike, and count the same requests."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from tests.any_model.commands import perf_analyzer
from tests.any_model.test_scenario import scenario
from tests.transport.support import wait_until
from triton_users.client.describe import describe
from triton_users.inputs.load import load
from triton_users.scenarios.perf_options import request_count
from triton_users.server import EmbeddedTriton

pytestmark = pytest.mark.triton

#: Model -> a file for it, with answers that are right, and what else perf_analyzer must be told.
FILES: dict[str, tuple[Any, list[str]]] = {
    "sum": (
        {
            "data": [{"IN": [1, 2, 3, 4]}, {"IN": [5, 6, 7, 8], "MORE": [1, 1, 1, 1]}],
            "validation_data": [{"OUT": [2, 4, 6, 8]}, {"OUT": [11, 13, 15, 17]}],
        },
        [],
    ),
    "echo_bytes": (
        {
            "data": [{"IN": {"content": ["one", "two", ""], "shape": [3]}}],
            "validation_data": [{"OUT": ["one", "two", ""]}],
        },
        [],
    ),
    "open_shape": (
        {"data": [{"IN": {"content": [1.5, 2.5], "shape": [1, 2]}}, {"IN": {"content": [1.5] * 6, "shape": [3, 2]}}]},
        [],
    ),
    "accumulate": (
        {
            "data": [[{"IN": [3]}, {"IN": [4]}, {"IN": [5]}], [{"IN": [1]}, {"IN": [1]}, {"IN": [1]}]],
            "validation_data": [
                [{"OUT": [3]}, {"OUT": [7]}, {"OUT": [12]}],
                [{"OUT": [1]}, {"OUT": [2]}, {"OUT": [3]}],
            ],
        },
        ["--streaming"],
    ),
}


def executed(client: Any, model: str) -> int:
    """Requests that the server says it has answered."""
    (statistics,) = client.get_inference_statistics(model).model_stats
    return int(statistics.inference_stats.success.count)


@pytest.mark.parametrize("model", FILES)
def test_the_same_file_is_read_alike_and_its_requests_are_counted_alike(
    any_triton: EmbeddedTriton, client: Any, tmp_path: Path, model: str
) -> None:
    content, arguments = FILES[model]
    file = tmp_path / "data.json"
    file.write_text(json.dumps(content))
    spec = describe(client, model, 5)
    data = load([file], spec)
    before = executed(client, model)
    played, draw = scenario(client, spec, data), random.Random(1)
    sent = sum(played.run(played.plan(draw)) for _ in range(10))
    wait_until(lambda: executed(client, model) - before >= sent)  # Triton counts a request after it has answered it
    after = executed(client, model)
    assert after - before == sent >= 10
    assert (played.checked == sent) == ("validation_data" in content)

    ended = perf_analyzer(any_triton, model, [file], *arguments)
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0, said
    read = re.search(r"read data for ([0-9]+) stream/streams(?: with ([0-9]+) step/steps)?", said)
    assert read is not None, said
    assert int(read[1]) == len(data.streams)
    assert read[2] is None or int(read[2]) == data.streams[0]
    counted = request_count(said)
    assert counted is not None
    assert counted > 0
    wait_until(lambda: executed(client, model) - after >= counted)


@pytest.mark.parametrize(("model", "nested"), [("sum", False), ("accumulate", True)])
def test_several_files_are_the_same_streams_to_both(
    any_triton: EmbeddedTriton, client: Any, tmp_path: Path, model: str, nested: bool
) -> None:
    files = []
    for name, steps in (("a", 2), ("b", 3)):
        data: list[Any] = [{"IN": [1] * (1 if nested else 4)}] * steps
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(json.dumps({"data": [data, data] if nested else data}))
    streams = tuple(load(files, describe(client, model, 5)).streams)
    ended = perf_analyzer(any_triton, model, files, *(["--streaming"] if nested else []))
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0, said
    if nested:
        assert streams == (2, 2, 3, 3)
        assert "read data for 4 stream/streams." in said
    else:
        assert streams == (5,)
        assert "read data for 1 stream/streams with 5 step/steps." in said
