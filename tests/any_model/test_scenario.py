"""A model's scenario against a real Triton that serves models of every kind: what it sends, compares and finds."""

import json
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.any_model.repository import DATATYPES
from triton_users.client.describe import describe
from triton_users.inputs.checks import Tolerance
from triton_users.inputs.data import InputData, Step, StepList, tensor
from triton_users.inputs.datatypes import encode, from_values
from triton_users.inputs.load import load
from triton_users.inputs.model import ModelSpec
from triton_users.inputs.pool import RequestPool
from triton_users.inputs.random_data import random_data
from triton_users.scenarios.base import ScenarioFailure, Session, Target
from triton_users.scenarios.model_load import ModelLoad, ModelPlan, for_model, pool_key
from triton_users.settings import Settings

pytestmark = pytest.mark.triton


def scenario(client: Any, spec: ModelSpec, data: InputData, batch_size: int = 1) -> ModelLoad:
    session = Session(
        settings=Settings(seed=1, request_timeout_ms=5000, sequence_timeout_ms=5000),
        target=Target(address="", models=frozenset({spec.name})),
        client=client,
        connect=lambda: client,
        signals=None,  # type: ignore[arg-type]  # it tells nothing
        correlation_ids=range(2**50, 2**50 + 2**20),
        scratch=Path(),
        clock=time.monotonic,
        sleep=time.sleep,
        shared={pool_key(spec.name): RequestPool(spec, data, batch_size)},
    )
    return for_model(spec)(session)


def answered_as_sent(data: InputData, spec: ModelSpec) -> StepList:
    """The same steps; the answer must be what was sent."""
    steps = [data.step(0, index) for index in range(min(20, data.streams[0]))]
    out = spec.outputs[0]
    return StepList([[Step(s.inputs, {"OUT": tensor(out, s.inputs["IN"].raw, s.inputs["IN"].shape)}) for s in steps]])


def ints(spec: ModelSpec, name: str, *values: int, shape: tuple[int, ...] | None = None) -> Any:
    found = spec.input(name) or spec.output(name)
    assert found is not None
    return tensor(found, encode(from_values(values, "INT32"), "INT32"), shape, responses=True)


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("datatype", DATATYPES)
def test_every_datatype_comes_back_as_it_was_sent(client: Any, datatype: str, batch_size: int) -> None:
    spec = describe(client, f"echo_{datatype.lower()}", 5)
    played = scenario(client, spec, answered_as_sent(random_data(spec, 1), spec), batch_size)
    draw = random.Random(1)
    for _ in range(10):
        assert played.run(played.plan(draw)) == 1
    assert played.checked == 10


def test_an_open_shape_is_resolved_by_an_option(client: Any) -> None:
    spec = describe(client, "open_shape", 5).with_shapes({"IN": (5, 2)})
    played = scenario(client, spec, answered_as_sent(random_data(spec, 1), spec))
    assert played.run(ModelPlan(0, 0)) == 1


def test_an_optional_input_may_be_sent_or_not(client: Any) -> None:
    spec = describe(client, "sum", 5)
    plain = Step({"IN": ints(spec, "IN", 1, 2, 3, 4)}, {"OUT": ints(spec, "OUT", 2, 4, 6, 8)})
    more = Step({**plain.inputs, "MORE": ints(spec, "MORE", 9, 9, 9, 9)}, {"OUT": ints(spec, "OUT", 11, 13, 15, 17)})
    played = scenario(client, spec, StepList([[plain, more]]))
    assert [played.run(ModelPlan(0, first)) for first in (0, 1)] == [1, 1]
    assert played.checked == 2


def test_random_data_have_an_optional_input_in_part_of_the_requests(client: Any) -> None:
    spec = describe(client, "sum", 5)
    data, out = random_data(spec, 1), spec.outputs[0]

    def doubled(step: Step) -> Step:
        total = 2 * step.inputs["IN"].values + (step.inputs["MORE"].values if "MORE" in step.inputs else 0)
        return Step(step.inputs, {"OUT": tensor(out, total.astype("<i4").tobytes(), (4,))})

    streams = [[doubled(data.step(stream, i)) for i in range(n)] for stream, n in enumerate(data.streams)]
    played, draw = scenario(client, spec, StepList(streams), batch_size=4), random.Random(1)
    plans = [played.plan(draw) for _ in range(20)]
    assert {"MORE" in streams[plan.stream][plan.first].inputs for plan in plans} == {True, False}
    assert sum(map(played.run, plans)) == played.checked == 20


@pytest.mark.parametrize("batch_size", [1, 4])
def test_an_ensemble_is_a_model_like_others(client: Any, batch_size: int) -> None:
    spec = describe(client, "quadruple", 5)
    assert spec.steps == ("sum", "sum")
    step = Step({"IN": ints(spec, "IN", 1, 2, 3, 4)}, {"OUT": ints(spec, "OUT", 4, 8, 12, 16)})
    played = scenario(client, spec, StepList([[step]]), batch_size)
    assert played.run(ModelPlan(0, 0)) == played.checked == 1


def test_a_failure_says_which_step_of_which_file_was_sent(client: Any, tmp_path: Path) -> None:
    def file(name: str, *answers: list[int]) -> Path:
        content = {
            "data": [{"IN": [1, 2, 3, 4]}] * len(answers),
            "validation_data": [{"OUT": each} for each in answers],
        }
        (tmp_path / name).write_text(json.dumps(content))
        return tmp_path / name

    spec, right = describe(client, "sum", 5), [2, 4, 6, 8]
    data = load([file("a.json", right, right), file("b.json", right, [2, 4, 6, 9])], spec)
    played = scenario(client, spec, data)
    with pytest.raises(ScenarioFailure) as raised:
        played.run(ModelPlan(0, 3))
    assert raised.value.evidence["input_data"] == f"{tmp_path / 'b.json'}, step 1"


def test_a_failure_in_a_sequence_says_which_of_its_steps_it_was(client: Any) -> None:
    spec = describe(client, "accumulate", 5)
    sums = [(5, 5), (6, 11), (7, 19)]
    steps = [Step({"IN": ints(spec, "IN", value)}, {"OUT": ints(spec, "OUT", total)}) for value, total in sums]
    played = scenario(client, spec, StepList([steps[:1], steps]))
    with pytest.raises(ScenarioFailure, match=r"OUT\[0\] is 18, not 19") as raised:
        played.run(ModelPlan(1, 0, 3, 77))
    assert raised.value.evidence["request_of_sequence"] == 2
    assert raised.value.evidence["input_data"] == "step 2 of stream 1"


def test_one_wrong_element_in_a_hundred_answers_is_found_with_its_place(client: Any) -> None:
    spec = describe(client, "seldom_wrong", 5)
    step = Step({"IN": ints(spec, "IN", 1, 2, 3, 4)}, {"OUT": ints(spec, "OUT", 2, 4, 6, 8)})
    played = scenario(client, spec, StepList([[step]]))
    for _ in range(99):
        played.run(ModelPlan(0, 0))
    wrong = r"a wrong answer: OUT\[3\] is 9, not 8; 1 of 4 elements differ"
    with pytest.raises(ScenarioFailure, match=wrong) as raised:
        played.run(ModelPlan(0, 0))
    assert raised.value.evidence["index"] == [3]
    assert played.checked == 100


def test_a_wrong_answer_within_a_batch_is_found(client: Any) -> None:
    spec = describe(client, "sum", 5)
    right = Step({"IN": ints(spec, "IN", 1, 2, 3, 4)}, {"OUT": ints(spec, "OUT", 2, 4, 6, 8)})
    wrong = Step(right.inputs, {"OUT": ints(spec, "OUT", 2, 4, 6, 9)})
    played = scenario(client, spec, StepList([[right, right, wrong, right]]), batch_size=4)
    with pytest.raises(ScenarioFailure, match=r"OUT\[3\] is 8, not 9"):
        played.run(ModelPlan(0, 0))


@pytest.mark.parametrize("count", [0, 1, 8, 200])
def test_a_decoupled_model_answers_any_number_of_times_and_each_response_is_compared(client: Any, count: int) -> None:
    spec = describe(client, "repeat", 5)
    expected = ints(spec, "OUT", *range(count), shape=(count, 1))
    played = scenario(client, spec, StepList([[Step({"COUNT": ints(spec, "COUNT", count)}, {"OUT": expected})]]))
    for _ in range(3):
        assert played.run(ModelPlan(0, 0)) == 1
    assert played.checked == 3 * count


@pytest.mark.parametrize(
    ("wanted", "message"), [(2, "more than the 2 responses"), (4, "3 responses to request 1, not 4")]
)
def test_another_number_of_responses_is_a_failure(client: Any, wanted: int, message: str) -> None:
    spec = describe(client, "repeat", 5)
    expected = ints(spec, "OUT", *range(wanted), shape=(wanted, 1))
    played = scenario(client, spec, StepList([[Step({"COUNT": ints(spec, "COUNT", 3)}, {"OUT": expected})]]))
    with pytest.raises(ScenarioFailure, match=message):
        played.run(ModelPlan(0, 0))


def test_an_error_in_the_middle_of_an_answer_is_a_failure_and_the_next_run_is_undisturbed(client: Any) -> None:
    spec = describe(client, "repeat", 5)
    broken, fine = (Step({"COUNT": ints(spec, "COUNT", count)}) for count in (-1, 2))
    played = scenario(client, spec, StepList([[broken, fine]]))
    with pytest.raises(ScenarioFailure, match="broke in the middle"):
        played.run(ModelPlan(0, 0))
    assert played.run(ModelPlan(0, 1)) == 1


def letters(spec: ModelSpec, text: str) -> Step:
    def of(side: Any, values: Any, datatype: str, *shape: int) -> Any:
        return tensor(side, encode(from_values(values, datatype), datatype), shape, responses=side.name != "TEXT")

    numbers = [list(range(1000))] * len(text)
    expected = {
        "LETTER": of(spec.output("LETTER"), list(text), "BYTES", len(text), 1),
        "NUMBERS": of(spec.output("NUMBERS"), np.ravel(numbers).tolist(), "INT32", len(text), 1000),
    }
    return Step({"TEXT": of(spec.input("TEXT"), [text], "BYTES", 1)}, expected)


def test_the_texts_of_each_response_are_compared(client: Any) -> None:
    spec = describe(client, "letters", 5)
    played = scenario(client, spec, StepList([[letters(spec, "every")]]))
    assert played.run(ModelPlan(0, 0)) == 1
    assert played.checked == 5


def test_one_wrong_element_of_a_thousand_in_the_middle_of_a_stream_is_found(client: Any) -> None:
    spec = describe(client, "letters", 5)
    played = scenario(client, spec, StepList([[letters(spec, "so! many")]]))
    with pytest.raises(ScenarioFailure, match=r"NUMBERS\[700\] is 701, not 700; 1 of 1,000 elements differ") as raised:
        played.run(ModelPlan(0, 0))
    assert raised.value.evidence["index"] == [700]


def test_a_sequence_is_sent_in_order_with_its_start_and_end_and_every_sum_is_compared(client: Any) -> None:
    spec = describe(client, "accumulate", 5)
    values = [5, 7, -3, 11]
    steps = [
        Step({"IN": ints(spec, "IN", value)}, {"OUT": ints(spec, "OUT", int(np.sum(values[: i + 1])))})
        for i, value in enumerate(values)
    ]
    played = scenario(client, spec, StepList([steps, steps]))
    draw = random.Random(3)
    for _ in range(5):
        plan = played.plan(draw)
        assert (plan.first, plan.length) == (0, 4)
        assert played.run(plan) == 4
    assert played.checked == 20


def test_a_wrong_sum_comes_with_its_correlation_id(client: Any) -> None:
    spec = describe(client, "accumulate", 5)
    steps = [Step({"IN": ints(spec, "IN", 5)}, {"OUT": ints(spec, "OUT", 6)})]
    played = scenario(client, spec, StepList([steps, steps]))
    plan = played.plan(random.Random(3))
    with pytest.raises(ScenarioFailure, match=r"OUT\[0\] is 5, not 6") as raised:
        played.run(plan)
    assert raised.value.evidence["correlation_id"] == 2**50 + plan.offset


def test_a_sequence_without_data_of_the_users_own_has_the_length_of_the_other_scenarios(client: Any) -> None:
    spec = describe(client, "accumulate", 5)
    played = scenario(client, spec, random_data(spec, 1))
    draw = random.Random(3)
    plans = [played.plan(draw) for _ in range(50)]
    assert len({plan.length for plan in plans}) > 5
    assert len({plan.offset for plan in plans}) == 50
    assert played.run(plans[0]) == plans[0].length
    assert played.checked == 0


def test_a_tolerance_is_for_the_output_that_it_names(client: Any) -> None:
    spec = describe(client, "echo_fp32", 5)
    sent = tensor(spec.inputs[0], encode(from_values([1.0, 2.0, 3.0], "FP32"), "FP32"), None)
    near = tensor(spec.outputs[0], encode(from_values([1.0, 2.0, 3.1], "FP32"), "FP32"), None)
    played = scenario(client, spec, StepList([[Step({"IN": sent}, {"OUT": near})]]))
    with pytest.raises(ScenarioFailure, match=r"OUT\[2\] is 3\.0, not 3\.09"):
        played.run(ModelPlan(0, 0))
    type(played).tolerances = {"OUT": Tolerance(atol=0.2)}
    assert played.run(ModelPlan(0, 0)) == 1
