"""What a run's options make of a model, and how that travels to the workers."""

from argparse import Namespace
from pathlib import Path

import msgpack
import pytest

from tests.inputs.specs import ints, model
from triton_users.declaration import read
from triton_users.inputs import load as load_module
from triton_users.inputs.checks import Tolerance
from triton_users.inputs.load import forget, load
from triton_users.inputs.model import TensorSpec
from triton_users.inputs.options import ModelSettings
from triton_users.inputs.random_data import Ranges
from triton_users.inputs.traffic import ModelTraffic, traffic_of
from triton_users.settings import UsageError

IDS, TEXT = TensorSpec("ids", "INT64", (-1,)), TensorSpec("text", "BYTES", (1,))
SCORES, LABEL = TensorSpec("scores", "FP32", (10,), labels=True), TensorSpec("label", "FP32", (1,))
SPEC = model(IDS, TEXT, outputs=(SCORES, LABEL), max_batch_size=8)


def traffic(**given: str) -> ModelTraffic:
    return traffic_of(SPEC, read(ModelSettings, Namespace(**given)))


EVERYTHING = {
    "input_data": "m=m.json",
    "shape": "m:ids=4",
    "model_batch_size": "m=8",
    "value_range": "m:ids=0.5..9.5",
    "bytes_length": "m=3",
    "rtol": "m=0.1,m:label=0.2",
    "atol": "m:label=0.5",
}


MORE = TensorSpec("more", "FP32", (3,), optional=True)
OPEN = TensorSpec("open", "FP32", (-1,), optional=True)


def optional(text: str) -> tuple[str, ...] | None:
    spec = model(IDS, MORE, OPEN)
    return traffic_of(spec, read(ModelSettings, Namespace(optional_inputs=text, shape="m:ids=4"))).optional


def test_optional_inputs_are_chosen_by_name() -> None:
    assert optional("m=more") == ("more",)
    assert optional("m=none") == ()
    assert optional("") is None
    with pytest.raises(UsageError, match="m has no optional input 'ids'; it has more, open"):
        optional("m=ids")
    with pytest.raises(UsageError, match=r"the size of open FP32 \[-1\] optional is open; give its shape too"):
        optional("m=open")


def test_without_options_a_model_is_sent_single_steps_of_small_random_values() -> None:
    assert traffic() == ModelTraffic(SPEC)


def test_each_option_reaches_the_model_and_an_entry_for_a_tensor_goes_before_that_for_all() -> None:
    found = traffic(**EVERYTHING)
    assert found.spec == SPEC.with_shapes({"ids": (4,)})
    assert (found.input_data, found.batch_size) == (("m.json",), 8)
    assert found.ranges == {"ids": Ranges((1, 9), (0.5, 9.5), 3), "text": Ranges(bytes_length=3)}
    assert found.tolerances == {"scores": Tolerance(0.1, 0.0), "label": Tolerance(0.2, 0.5)}


def test_a_shape_for_a_model_is_for_all_its_open_inputs() -> None:
    assert traffic(shape="m=7").spec.inputs[0].shape == (7,)


def test_options_of_other_models_change_nothing() -> None:
    assert traffic(**{name: text.replace("m", "n") for name, text in EVERYTHING.items()}) == ModelTraffic(SPEC)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"shape": "m:idz=4"}, "m has no input idz; it has ids, text"),
        ({"shape": "m:ids=4,4"}, r"\[4,4\] does not fit ids of m"),
        ({"model_batch_size": "m=9"}, "the batch size is 9; m takes 1 to 8"),
        ({"value_range": "m:scores=0..1"}, "value-range: it has no input 'scores'; it has ids, text"),
        ({"value_range": "m:ids=0.2..0.8"}, "0.2..0.8 has no whole number, and ids INT64"),
        ({"bytes_length": "m:words=4"}, "bytes-length: it has no input 'words'"),
        ({"rtol": "m:ids=0.1"}, "rtol: it has no output 'ids'; it has scores, label"),
    ],
)
def test_what_the_model_does_not_admit_is_named(given: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        traffic(**given)


@pytest.mark.parametrize("given", [{}, EVERYTHING, {"class_count": "m=3"}])
def test_it_travels_whole(given: dict[str, str]) -> None:
    made = traffic(**given)
    assert ModelTraffic.unpack(msgpack.loads(msgpack.dumps(made.pack()))) == made


def test_a_file_is_read_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[Path] = []
    real = load_module.read_json
    monkeypatch.setattr(load_module, "read_json", lambda path, spec: reads.append(path) or real(path, spec))
    path, spec = tmp_path / "m.json", model(ints())
    path.write_text('{"data": [{"IN": [1, 2, 3, 4]}]}')
    assert load([path], spec) is load([path], spec)
    path.write_text('{"data": [{"IN": [1, 2, 3, 4]}, {"IN": [5, 6, 7, 8]}]}')
    assert load([path], spec).streams == (2,)
    assert len(reads) == 2
    load([path], model(ints(), max_batch_size=2))
    forget(but={"m"})
    load([path], model(ints(), max_batch_size=2))
    assert len(reads) == 3
    forget()
    load([path], spec)
    assert len(reads) == 4
