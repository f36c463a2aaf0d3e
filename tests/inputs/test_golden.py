"""Golden answers: what is written is what our reader reads, and a write that fails leaves the older file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.inputs.specs import ints, model
from triton_users.inputs.answers import Output
from triton_users.inputs.data import Step, tensor
from triton_users.inputs.datatypes import DataError, encode
from triton_users.inputs.golden import GoldenFile, expected_of, not_for_perf_analyzer
from triton_users.inputs.load import load
from triton_users.inputs.model import ModelSpec, TensorSpec

TEXT, OUT = TensorSpec("TEXT", "BYTES", (-1,)), TensorSpec("OUT", "FP32", (-1, 2))
MODEL = model(ints(), TEXT, outputs=(OUT,))
SPANS = st.lists(st.lists(st.binary(max_size=6), max_size=3), min_size=1, max_size=4)


def step(texts: list[bytes], spec: ModelSpec = MODEL) -> Step:
    array = np.empty(len(texts), dtype=object)
    array[:] = texts
    values = np.array([[len(text), float("nan")] for text in texts], "<f4")
    return Step(
        {"IN": tensor(spec.inputs[0], bytes(16), None), "TEXT": tensor(TEXT, encode(array, "BYTES"), (len(texts),))},
        {"OUT": tensor(OUT, values.tobytes(), (len(texts), 2))},
    )


def write(file: Path, streams: list[list[Step]], *, several: bool) -> None:
    with GoldenFile(file, streams=several) as golden:
        for steps in streams:
            for index, each in enumerate(steps):
                golden.add(each, stream_begins=index == 0)


@given(SPANS, SPANS, st.sampled_from(["steps.json", "sequences.json", "steps.jsonl"]))
def test_what_is_written_is_read_again_bit_by_bit(
    tmp_path_factory: Any, one: list[list[bytes]], other: list[list[bytes]], name: str
) -> None:
    file = tmp_path_factory.mktemp("again") / name
    several = name == "sequences.json"
    streams = [list(map(step, one)), list(map(step, other))] if several else [list(map(step, one))]
    write(file, streams, several=several)
    again = load([file], MODEL)
    assert list(again.streams) == [len(steps) for steps in streams]
    assert again.whole
    for stream, steps in enumerate(streams):
        assert [again.step(stream, index) for index in range(len(steps))] == steps


def test_a_single_sequence_stays_one(tmp_path: Path) -> None:
    write(tmp_path / "one.json", [[step([b"a"]), step([b"b"])]], several=True)
    assert (tmp_path / "one.json").read_text().startswith('{"data": [\n[{"IN"')
    assert load([tmp_path / "one.json"], MODEL).whole


def test_a_recording_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "golden.json"
    file.write_text("older")
    unreadable = iter([step([b"a"])])
    with pytest.raises(StopIteration):
        write_all(file, unreadable)
    assert file.read_text() == "older"
    assert list(tmp_path.iterdir()) == [file]


def write_all(file: Path, steps: Iterator[Step]) -> None:
    with GoldenFile(file, streams=False) as golden:
        while True:
            golden.add(next(steps), stream_begins=golden.steps == 0)


def test_json_lines_hold_no_sequences() -> None:
    with pytest.raises(DataError, match="hold no sequences"):
        GoldenFile(Path("a.jsonl"), streams=True)


def answer(*shape: int, datatype: str = "INT32") -> dict[str, Output]:
    return {"OUT": Output(datatype, shape, bytes(4 * int(np.prod(shape))))}


def test_responses_of_a_decoupled_model_are_counted_in_the_first_dimension() -> None:
    spec = model(ints(), outputs=(ints("OUT", 2),), decoupled=True)
    assert [expected_of(spec, [answer(2)] * count)["OUT"].shape for count in (0, 1, 3)] == [(0, 2), (1, 2), (3, 2)]
    with pytest.raises(DataError, match=r"OUT is missing in 1 of 2 responses"):
        expected_of(spec, [answer(2), {}])


def test_responses_that_cannot_be_written_as_one_tensor_are_refused() -> None:
    spec = model(ints(), outputs=(TensorSpec("OUT", "INT32", (-1,)),), decoupled=True)
    with pytest.raises(DataError, match=r"OUT has the shapes \[2\] and \[3\] in responses to one request"):
        expected_of(spec, [answer(3), answer(2)])


@pytest.mark.parametrize("given_", [answer(2, 1, datatype="FP32"), answer(3, 1)])
def test_an_answer_that_is_not_the_models_is_refused(given_: dict[str, Output]) -> None:
    spec = model(ints(), outputs=(ints("OUT", 2),))
    with pytest.raises(DataError, match=r"OUT was answered as \w+ \[\d,1\], but the model has OUT INT32 \[2\]"):
        expected_of(spec, [given_])


def test_what_perf_analyzer_cannot_use_is_said() -> None:
    plain = model(ints(), outputs=(ints("OUT"),))
    assert not_for_perf_analyzer(plain, (3,), Path("a.json")) == ""
    assert "reads no JSON lines" in not_for_perf_analyzer(plain, (3,), Path("a.jsonl"))
    assert "differ in length" in not_for_perf_analyzer(plain, (3, 4), Path("a.json"))
    assert "of open size (OUT)" in not_for_perf_analyzer(MODEL, (3,), Path("a.json"))
    decoupled = model(ints(), outputs=(ints("OUT"),), decoupled=True)
    assert "any number" in not_for_perf_analyzer(decoupled, (3,), Path("a.json"))
