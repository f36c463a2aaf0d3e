"""What models are sent, as a person writes it: one text for all models, whose values may have commas themselves."""

from argparse import Namespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triton_users.declaration import UsageError, read
from triton_users.inputs.options import ModelSettings, entries


def settings(**given: str) -> ModelSettings:
    return read(ModelSettings, Namespace(**given))


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"input_data": "bert=a.json, densenet = b/c"}, {"bert": ("a.json",), "densenet": ("b/c",)}),
        ({"input_data": "bert=/a.json, b.json,d=c"}, {"bert": ("/a.json", "b.json"), "d": ("c",)}),
        ({"input_data": "bert=b.json,d=c,bert=a/*.json"}, {"bert": ("b.json", "a/*.json"), "d": ("c",)}),
        ({"input_data": "bert=a.json\nd=c"}, {"bert": ("a.json",), "d": ("c",)}),
        ({"optional_inputs": "bert=mask,bias,d=none"}, {"bert": ("mask", "bias"), "d": ("none",)}),
        ({"shape": "bert:ids=1,128,bert:x=2,d:y=3"}, {"bert": {"ids": (1, 128), "x": (2,)}, "d": {"y": (3,)}}),
        ({"shape": "bert=128"}, {"bert": {"": (128,)}}),
        ({"shape": "tf:input:0=128"}, {"tf": {"input:0": (128,)}}),
        ({"model_batch_size": "bert=8"}, {"bert": 8}),
        ({"value_range": "bert=-5..30000,bert:mask=0..1"}, {"bert": {"": (-5, 30000), "mask": (0, 1)}}),
        ({"value_range": "bert=-1e-3..0.5"}, {"bert": {"": (-0.001, 0.5)}}),
        ({"bytes_length": "bert:text=200"}, {"bert": {"text": 200}}),
        ({"rtol": "bert:logits=1e-3"}, {"bert": {"logits": 0.001}}),
        ({"class_count": "densenet=3"}, {"densenet": 3}),
    ],
)
def test_an_option_is_read_by_model_and_tensor(given: dict[str, str], wanted: Any) -> None:
    (name,) = given
    assert getattr(settings(**given), name) == wanted


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"input_data": "bert.json"}, "input-data: 'bert.json' cannot be read; write for instance bert=bert.json"),
        ({"input_data": "=a"}, "input-data: '=a' cannot be read"),
        ({"input_data": "bert="}, "input-data: 'bert=' cannot be read"),
        ({"class_count": "bert=1,bert=2"}, "class-count: bert is there twice"),
        ({"shape": "bert:ids=1,x"}, "shape: 'bert:ids=1,x' cannot be read; write for instance bert:input_ids=128"),
        ({"shape": "bert:ids=-1"}, "shape: 'bert:ids=-1' cannot be read: a size is a whole number from 0"),
        ({"shape": "bert:ids=1,bert:ids=2"}, "shape: bert:ids is there twice"),
        ({"model_batch_size": "bert=0"}, "model-batch-size: 'bert=0' cannot be read: it must be 1 or more"),
        ({"value_range": "bert=5"}, "value-range: 'bert=5' cannot be read: a range is LOW..HIGH"),
        ({"value_range": "bert=5..1"}, "value-range: 'bert=5..1' cannot be read: a range is LOW..HIGH"),
        ({"value_range": "bert=nan..1"}, "a range is LOW..HIGH"),
        ({"rtol": "bert=-1"}, "rtol: 'bert=-1' cannot be read: a difference is a number from 0"),
        ({"atol": "bert=nan"}, "a difference is a number from 0"),
        ({"class_count": "densenet=three"}, "class-count: 'densenet=three' cannot be read; write for instance"),
    ],
)
def test_what_cannot_be_read_is_named_with_an_example(given: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        settings(**given)
    assert message in str(raised.value)


VALUES = st.lists(st.text("ab/.1 ", min_size=1, max_size=4).filter(str.strip), min_size=1, max_size=3).map(",".join)


@given(st.dictionaries(st.text("mn:", min_size=1, max_size=4), VALUES, max_size=4))
def test_values_with_commas_come_back_as_they_were_written(written: dict[str, str]) -> None:
    text = ",".join(f"{name}={value}" for name, value in written.items())
    assert [entry.split("=", 1)[1].strip() for entry in entries(text)] == [value.strip() for value in written.values()]
