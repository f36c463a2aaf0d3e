"""Which models a scenario finds among those that are ready, and what their tensors are called."""

from __future__ import annotations

import pytest

from triton_users.scenarios.models import SLOW_MODEL, identity_models
from triton_users.scenarios.sequence_models import sequence_models
from triton_users.settings import TRIALS


@pytest.mark.parametrize(
    ("trial", "name", "input_name", "output_name", "shape", "accumulates"),
    [
        ("custom", "custom_sequence_int32", "INPUT", "OUTPUT", (1, 1), True),
        ("custom_nobatch", "custom_nobatch_sequence_int32", "INPUT", "OUTPUT", (1,), True),
        ("onnx", "onnx_sequence_int32", "INPUT", "OUTPUT", (1, 1), False),
        ("onnx_nobatch", "onnx_nobatch_sequence_int32", "INPUT", "OUTPUT", (1,), False),
        ("plan", "plan_sequence_float32", "INPUT", "OUTPUT", (1, 1), False),
        ("plan_nobatch", "plan_nobatch_sequence_float32", "INPUT", "OUTPUT", (1,), False),
        ("libtorch", "libtorch_sequence_int32", "INPUT__0", "OUTPUT__0", (1, 1), False),
    ],
)
def test_each_trial_has_a_sequence_model_of_the_references_type(
    trial: str, name: str, input_name: str, output_name: str, shape: tuple[int, ...], accumulates: bool
) -> None:
    both = {f"{trial}_sequence_int32", f"{trial}_sequence_float32"}
    (model,) = sequence_models([trial], both, reference_datatypes=True)
    assert (model.name, model.input, model.output, model.shape, model.accumulates) == (
        name, input_name, output_name, shape, accumulates
    )  # fmt: skip
    assert model.datatype == ("FP32" if "plan" in trial else "INT32")


def test_the_other_type_stands_in_for_one_that_is_not_ready() -> None:
    (model,) = sequence_models(TRIALS, ["custom_sequence_float32"], reference_datatypes=True)
    assert (model.name, model.datatype) == ("custom_sequence_float32", "FP32")


def test_models_that_are_not_ready_are_left_out() -> None:
    assert sequence_models(TRIALS, ["resnet_v1_50"]) == ()
    assert identity_models(TRIALS, ["resnet_v1_50"]) == ()


def test_the_slow_model_is_not_one_that_answers_at_once() -> None:
    models = identity_models(TRIALS, [SLOW_MODEL, "custom_nobatch_zero_1_float32", "libtorch_zero_1_float32"])
    assert [(m.name, m.input, m.output, m.shape(16)) for m in models] == [
        ("custom_nobatch_zero_1_float32", "INPUT0", "OUTPUT0", (16,)),
        ("libtorch_zero_1_float32", "INPUT__0", "OUTPUT__0", (1, 16)),
    ]


def test_every_sequence_model_that_is_ready_is_found_of_both_types() -> None:
    ready = ["custom_sequence_int32", "custom_sequence_float32", "onnx_sequence_int32"]
    assert [model.name for model in sequence_models(["custom", "plan"], ready)] == ready[:2]
