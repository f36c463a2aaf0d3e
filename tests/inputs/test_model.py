"""What is read from a model's metadata and configuration, and what must be told to resolve it."""

import shlex
from argparse import Namespace
from ast import literal_eval

import pytest
from tritonclient.grpc import model_config_pb2, service_pb2

from tests.inputs.specs import ints, model
from triton_users.declaration import read
from triton_users.inputs.datatypes import DataError
from triton_users.inputs.model import TensorSpec, example_options, example_shapes, from_server
from triton_users.inputs.options import ModelSettings
from triton_users.settings import UsageError


def metadata(**shapes: tuple[str, list[int]]) -> service_pb2.ModelMetadataResponse:
    message = service_pb2.ModelMetadataResponse(name="m")
    for name, (datatype, shape) in shapes.items():
        side = message.outputs if name.startswith("OUT") else message.inputs
        side.add(name=name, datatype=datatype, shape=shape)
    return message


def test_the_batch_dimension_is_left_out_where_there_is_one() -> None:
    described = metadata(IN=("FP32", [-1, 3, 224, 224]), OUT=("FP32", [-1, 1000]))
    batched = from_server(described, model_config_pb2.ModelConfig(name="m", max_batch_size=32))
    assert (batched.inputs[0].shape, batched.outputs[0].shape) == ((3, 224, 224), (1000,))
    plain = from_server(described, model_config_pb2.ModelConfig(name="m"))
    assert plain.inputs[0].shape == (-1, 3, 224, 224)


def test_a_configuration_tells_of_options_labels_sequences_and_streams() -> None:
    config = model_config_pb2.ModelConfig(name="m")
    config.input.add(name="IN", optional=True)
    config.output.add(name="OUT", label_filename="labels.txt")
    config.sequence_batching.SetInParent()
    config.model_transaction_policy.decoupled = True
    spec = from_server(metadata(IN=("INT64", [1]), OUT=("FP32", [10])), config)
    assert spec.inputs[0].optional
    assert spec.outputs[0].labels
    assert spec.sequences
    assert spec.decoupled


def test_an_ensemble_names_its_steps() -> None:
    config = model_config_pb2.ModelConfig(name="m")
    for name in ("first", "second"):
        config.ensemble_scheduling.step.add(model_name=name)
    assert from_server(metadata(IN=("INT64", [1])), config).steps == ("first", "second")


def test_a_server_without_configurations_still_describes_its_models() -> None:
    spec = from_server(metadata(IN=("BYTES", [-1, 1]), OUT=("BYTES", [-1])), None)
    assert spec.inputs == (TensorSpec("IN", "BYTES", (-1, 1)),)
    assert not spec.sequences
    assert spec.max_batch_size == 0


def test_a_datatype_that_nobody_knows_is_named() -> None:
    with pytest.raises(DataError, match="m: IN is of the datatype 'FP4'"):
        from_server(metadata(IN=("FP4", [1])), None)


def test_sizes_are_open_where_the_server_leaves_them_so_in_an_input_that_must_be_sent() -> None:
    ids = TensorSpec("ids", "INT64", (-1, 2))
    optional = TensorSpec("x", "FP32", (-1,), optional=True)
    assert model(ids, ints(), optional).unresolved == (ids,)


def test_the_examples_of_shapes_resolve_them_in_python_and_as_an_option() -> None:
    spec = model(TensorSpec("ids", "INT64", (-1, 2)), TensorSpec("x", "FP32", (-1,)))
    assert spec.with_shapes(literal_eval(example_shapes(spec))).unresolved == ()
    flag, text = shlex.split(example_options(spec))
    assert flag == "--shape"
    given = read(ModelSettings, Namespace(shape=text)).shape
    assert spec.with_shapes(given["m"]).unresolved == ()


def test_classes_are_texts_in_the_place_of_the_values_of_outputs_that_have_labels() -> None:
    scores, other = TensorSpec("OUT", "FP32", (1000,), labels=True), TensorSpec("X", "FP32", (1,))
    asked = model(ints(), outputs=(scores, other)).with_classes(3)
    assert asked.outputs == (TensorSpec("OUT", "BYTES", (3,), labels=True, classes=3), other)
    assert model(ints(), outputs=(other,)).with_classes(2).outputs[0].classes == 2
    assert model(ints(), outputs=(scores,)).with_classes(0).outputs == (scores,)


def test_a_shape_that_the_model_does_not_take_is_named() -> None:
    spec = model(TensorSpec("ids", "INT64", (-1, 2)))
    with pytest.raises(UsageError, match=r"shapes: \[1,3\] does not fit ids of m: the model takes \[-1,2\]"):
        spec.with_shapes({"ids": (1, 3)})
    with pytest.raises(UsageError, match="m has no input x; it has ids"):
        spec.with_shapes({"x": (1,)})


def test_data_may_have_any_shape_that_the_model_takes_whatever_the_user_chose_for_those_that_have_none() -> None:
    (spec,) = model(TensorSpec("ids", "INT64", (-1, 2))).with_shapes({"ids": (3, 2)}).inputs
    assert spec.shape == (3, 2)
    assert spec.admits((3, 2))
    assert spec.admits((5, 2))
    assert not spec.admits((3, 1))
