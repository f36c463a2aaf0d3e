"""Several files of one model: their steps are one after the other, and each is known by its file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.inputs.specs import ints, model
from triton_users.inputs.data import Step, StepList, tensor
from triton_users.inputs.datatypes import DataError, decode
from triton_users.inputs.files import FileData
from triton_users.inputs.load import files, load
from triton_users.inputs.model import ModelSpec
from triton_users.settings import UsageError

ONE = ints("IN", 1)
PLAIN = model(ONE, outputs=(ints("OUT", 1),))
SEQUENCES = model(ONE, outputs=(ints("OUT", 1),), sequences=True)


def step(value: int) -> Step:
    return Step({"IN": tensor(ONE, value.to_bytes(4, "little"), (1,))})


def value_of(found: Step) -> int:
    return int(decode(found.inputs["IN"].raw, "INT32")[0])


def everything(data: FileData) -> list[list[int]]:
    return [[value_of(data.step(stream, i)) for i in range(count)] for stream, count in enumerate(data.streams)]


def write(folder: Path, name: str, *values: Any, expected: bool = False) -> Path:
    """A value is a step, a list of them a stream."""

    def entry(value: Any, tensor_name: str) -> Any:
        return [entry(each, tensor_name) for each in value] if isinstance(value, list) else {tensor_name: [value]}

    content = {"data": [entry(value, "IN") for value in values]}
    if expected:
        content["validation_data"] = [entry(value, "OUT") for value in values]
    file = folder / name
    file.write_text(json.dumps(content))
    return file


@given(st.lists(st.lists(st.lists(st.integers(0, 1000), min_size=1), min_size=1, max_size=3), min_size=1, max_size=5))
def test_every_step_of_every_file_is_there_once_in_order_and_says_where_it_stands(
    contents: list[list[list[int]]],
) -> None:
    names = [f"{i}.json" for i in range(len(contents))]
    parts = [StepList([[step(value) for value in stream] for stream in content]) for content in contents]
    data = FileData(list(zip(names, parts, strict=True)), PLAIN)
    plain = [content[0] for content in contents if len(content) == 1]
    several = [stream for content in contents if len(content) > 1 for stream in content]
    joined = [[value for stream in plain for value in stream]] if plain else []
    assert sorted(everything(data)) == sorted([*joined, *several])
    for stream, count in enumerate(data.streams):
        for index in range(count):
            name, _, place = data.place(stream, index).partition(", ")
            part = parts[names.index(name)]
            known = {part.place(s, i): part.step(s, i) for s, n in enumerate(part.streams) for i in range(n)}
            assert known[place] is data.step(stream, index)


def test_files_of_a_stream_each_are_one_stream_as_perf_analyzer_has_it(tmp_path: Path) -> None:
    data = load([write(tmp_path, "a.json", 1, 2), write(tmp_path, "b.json", 3, 4, 5)], PLAIN)
    assert data.streams == (5,)
    assert [value_of(data.step(0, i)) for i in range(5)] == [1, 2, 3, 4, 5]
    assert data.place(0, 3) == f"{tmp_path / 'b.json'}, step 1"


@pytest.mark.parametrize("expected", [True, False])
def test_whole_sequences_of_several_files_stay_sequences(tmp_path: Path, expected: bool) -> None:
    first = write(tmp_path, "a.json", [1, 2], expected=expected)
    second = write(tmp_path, "b.json", [3], [4, 5, 6], expected=expected)
    data = load([first, second], SEQUENCES)
    assert data.streams == (2, 1, 3)
    assert data.whole
    assert data.place(2, 1) == f"{second}, step 1 of stream 1"


def test_a_list_of_steps_with_answers_is_a_sequence_of_its_own(tmp_path: Path) -> None:
    paths = [write(tmp_path, f"{name}.json", 1, 2, expected=True) for name in "ab"]
    assert load(paths, SEQUENCES).streams == (2, 2)


def test_whole_sequences_and_loose_steps_are_not_mixed(tmp_path: Path) -> None:
    paths = [write(tmp_path, "whole.json", [1, 2]), write(tmp_path, "loose.json", 3, 4)]
    with pytest.raises(UsageError, match=r"whole.json holds whole sequences and .*loose.json steps for sequences"):
        load(paths, SEQUENCES)


def test_an_error_names_its_file(tmp_path: Path) -> None:
    fine, wrong = write(tmp_path, "fine.json", 1), tmp_path / "wrong.json"
    wrong.write_text('{"data": [{"IN": [1]}, {"IN": ["x"]}]}')
    with pytest.raises(UsageError, match=r"input data of m: .*wrong.json: data\[1\]: IN: element 0 is 'x'"):
        load([fine, wrong], PLAIN)
    with pytest.raises(UsageError, match=r"input data of m: .*nowhere.json: No such file"):
        load([fine, tmp_path / "nowhere.json"], PLAIN)


def test_a_line_that_is_found_wrong_while_it_is_sent_names_its_file() -> None:
    class Broken(StepList):
        def step(self, stream: int, index: int) -> Step:
            raise DataError(f"step {index}: it is no JSON")

    data = FileData([("a.jsonl", StepList([[step(1)]])), ("b.jsonl", Broken([[step(1), step(2)]]))], PLAIN)
    with pytest.raises(DataError, match=r"b\.jsonl: step 1: it is no JSON"):
        data.step(0, 2)


def test_a_pattern_stands_for_its_files_by_name(tmp_path: Path) -> None:
    for name in ("b.json", "a.json", "c.npz"):
        (tmp_path / name).touch()
    assert files([f"{tmp_path}/*.json"]) == (f"{tmp_path}/a.json", f"{tmp_path}/b.json")
    assert files(["given.json", f"{tmp_path}/c*"]) == ("given.json", f"{tmp_path}/c.npz")
    (tmp_path / "odd[1].json").touch()
    assert files([f"{tmp_path}/odd[1].json"]) == (f"{tmp_path}/odd[1].json",), "a name that is there is no pattern"
    with pytest.raises(UsageError, match=r"no file has a name like .*\*\.jsonl"):
        files([f"{tmp_path}/*.jsonl"])


def test_a_file_that_has_changed_is_read_again_with_the_others(tmp_path: Path) -> None:
    paths = [write(tmp_path, "a.json", 1), write(tmp_path, "b.json", 2)]
    spec: ModelSpec = model(ONE, outputs=(ints("OUT", 1),))
    assert load(paths, spec) is load(paths, spec)
    write(tmp_path, "b.json", 2, 3)
    assert load(paths, spec).streams == (3,)
