"""The options that say what the models of a run are sent. Each has one text for all models; no server is known here."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from triton_users.declaration import UsageError, option, shown
from triton_users.inputs.model import Shape


def entries(text: str) -> Iterator[str]:
    """The entries of a list in which a value may have commas: each NAME=VALUE goes on to the comma before the next."""
    entry = ""
    for part in text.replace("\n", ",").split(","):
        if "=" in part and entry:
            yield entry.strip()
            entry = part
        else:
            entry = f"{entry},{part}" if entry else part
    if entry.strip(" ,"):
        yield entry.strip()


def _split(name: str, entry: str, example: str) -> tuple[str, str]:
    key, equals, value = entry.rstrip(", ").partition("=")
    if not equals or not key.strip() or not value.strip():
        raise UsageError(f"{name}: {shown(entry)} cannot be read; write for instance {example}")
    return key.strip(), value.strip()


def _of_models(name: str, example: str, convert: Callable[[str], Any], text: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for entry in entries(text):
        model, value = _split(name, entry, example)
        if model in found:
            raise UsageError(f"{name}: {model} is there twice")
        found[model] = _converted(name, entry, example, convert, value)
    return found


def _lists_of_models(name: str, example: str, text: str) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for entry in entries(text):
        model, value = _split(name, entry, example)
        found[model] = (*found.get(model, ()), *filter(None, map(str.strip, value.split(","))))
    return found


def _of_tensors(name: str, example: str, convert: Callable[[str], Any], text: str) -> dict[str, Any]:
    found: dict[str, dict[str, Any]] = {}
    for entry in entries(text):
        key, value = _split(name, entry, example)
        model, _, tensor = key.partition(":")
        if tensor in found.setdefault(model, {}):
            raise UsageError(f"{name}: {key} is there twice")
        found[model][tensor] = _converted(name, entry, example, convert, value)
    return found


def _converted(name: str, entry: str, example: str, convert: Callable[[str], Any], value: str) -> Any:
    try:
        return convert(value)
    except ValueError as error:
        why = f": {error}" if isinstance(error, UsageError) else ""
        raise UsageError(f"{name}: {shown(entry)} cannot be read{why}; write for instance {example}") from None


def _shape(text: str) -> Shape:
    sizes = tuple(int(size) for size in text.split(","))
    if min(sizes) < 0:
        raise UsageError("a size is a whole number from 0")
    return sizes


def _count(text: str) -> int:
    if int(text) < 1:
        raise UsageError("it must be 1 or more")
    return int(text)


def _range(text: str) -> tuple[float, float]:
    low, dots, high = text.partition("..")
    if not dots or not -math.inf < float(low) <= float(high) < math.inf:
        raise UsageError("a range is LOW..HIGH, both included")
    return float(low), float(high)


def _difference(text: str) -> float:
    if not 0 <= float(text) < math.inf:
        raise UsageError("a difference is a number from 0")
    return float(text)


@dataclass(frozen=True)
class ModelSettings:
    """What the models of `Settings.models` are sent, and how their answers are judged.

    By model; where an entry may speak of one input or output, by that in turn, with "" for all of them.
    """

    input_data: Mapping[str, tuple[str, ...]] = option(
        "",
        "Input data of models: perf_analyzer's JSON, a .jsonl with a step a line, an .npz or a directory of raw files, "
        "for instance bert=bert.json; several, or a pattern: bert=a.json,more/*.json. Each worker reads them by these "
        "names. A model without has random data.",
        read=partial(_lists_of_models, "input-data", "bert=bert.json"),
    )
    optional_inputs: Mapping[str, tuple[str, ...]] = option(
        "",
        "Which of a model's optional inputs part of its random data has; else each whose size is known, for instance "
        "bert=mask,bias, or bert=none.",
        read=partial(_lists_of_models, "optional-inputs", "bert=mask,bias"),
    )
    shape: Mapping[str, Mapping[str, Shape]] = option(
        "",
        "Sizes of inputs that the server leaves open, without the batch dimension, for instance "
        "bert:input_ids=128,bert:image=3,224,224.",
        read=partial(_of_tensors, "shape", "bert:input_ids=128,bert:image=3,224,224", _shape),
    )
    model_batch_size: Mapping[str, int] = option(
        "",
        "How many consecutive steps of its data one request of a model carries (else 1), for instance "
        "bert=8,densenet=4.",
        read=partial(_of_models, "model-batch-size", "bert=8,densenet=4", _count),
    )
    value_range: Mapping[str, Mapping[str, tuple[float, float]]] = option(
        "",
        "Lowest and highest value of random data, of a model or of one input of it; else integers are 0 to 100 and "
        "floats 0 to 1, for instance bert=0..30000,bert:attention_mask=0..1.",
        read=partial(_of_tensors, "value-range", "bert=0..30000,bert:attention_mask=0..1", _range),
    )
    bytes_length: Mapping[str, Mapping[str, int]] = option(
        "",
        "Bytes in an element of random data of the datatype BYTES, else 16, for instance bert:text=200.",
        read=partial(_of_tensors, "bytes-length", "bert:text=200", _count),
    )
    rtol: Mapping[str, Mapping[str, float]] = option(
        "",
        "By how much a float may differ from the expected one, relative to that, of a model or of one output of it; "
        "see also --atol, for instance bert:logits=0.001.",
        read=partial(_of_tensors, "rtol", "bert:logits=0.001", _difference),
    )
    atol: Mapping[str, Mapping[str, float]] = option(
        "",
        "By how much it may differ beside --rtol; where only one of the two is given the other is 0, for instance "
        "bert:logits=0.00001.",
        read=partial(_of_tensors, "atol", "bert:logits=0.00001", _difference),
    )
    class_count: Mapping[str, int] = option(
        "",
        "How many classes to ask for of outputs that have labels, in place of their scores, for instance densenet=3.",
        read=partial(_of_models, "class-count", "densenet=3", _count),
    )

    def named(self) -> Mapping[str, set[str]]:
        """Option -> the models that it names."""
        return {name.replace("_", "-"): set(value) for name, value in vars(self).items()}
