"""What perf_analyzer can be asked to do: a command line for each option, and what its output says. Runs nothing."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from triton_users.scenarios.base import Target
from triton_users.scenarios.models import IdentityModel, identity_models
from triton_users.scenarios.sequence_models import SequenceModel, expected_answers, sequence_models
from triton_users.settings import Settings

MAX_CONCURRENCY = 4
LOW_QUEUE_US = 10_000
"""Under this "Server Queue" the device has room: one request more at a time."""
HIGH_QUEUE_US = 100_000
"""Over this it has too much: one less."""

STABLE_PERCENT = 999_999
"""Deviation at which perf_analyzer still calls a measurement stable: it measures a busy server, which never is."""

IDENTITY_LENGTH = 16

_WRONG = re.compile(r".{,100}(had error: |[Ee]rror: |doesn't match|[Ff]ailed to |cannot open|unable to ).*")
MAX_DECISIVE = 400
"""Characters of the line that says what went wrong."""


@dataclass(frozen=True)
class PerfOption:
    """One model, one way."""

    model: str
    arguments: tuple[str, ...] = ()
    """Arguments of its own."""
    sequence: SequenceModel | None = None
    """Set for sequence models."""
    identity: IdentityModel | None = None
    """Set for identity models."""
    with_data: bool = False
    """Whether it sends data of ours, and for sequence models compares the answers with ours."""

    @property
    def name(self) -> str:
        return f"{self.model} with data" if self.with_data else self.model


def options(target: Target, settings: Settings) -> tuple[PerfOption, ...]:
    """Everything perf_analyzer can do with the models that are ready, in a fixed order."""
    found = list(image_options(target, settings))
    sequences = sequence_models(settings.trials, target.models)
    identities = identity_models(settings.trials, target.models)
    for with_data in (False, True):
        found += [PerfOption(model.name, sequence=model, with_data=with_data) for model in sequences]
        found += [
            PerfOption(model.name, ("--shape", f"{model.input}:{IDENTITY_LENGTH}"), identity=model, with_data=with_data)
            for model in identities
        ]
    return tuple(found)


def image_options(target: Target, settings: Settings) -> tuple[PerfOption, ...]:
    """The image model in batches; nothing when it is not ready."""
    if settings.image_model not in target.models or target.image_model_fault:
        return ()
    tensors = target.image_tensors
    batch = tensors.batch(settings.batch_size)
    own = (batch,) if tensors.batched and not tensors.declared else ()
    shape = ",".join(map(str, (*own, *tensors.shape)))
    sizes = ("--shape", f"{tensors.input}:{shape}") if tensors.open or own else ()
    return (PerfOption(settings.image_model, (*(("-b", str(batch)) if tensors.declared else ()), *sizes)),)


def input_data(option: PerfOption, values: tuple[int, ...]) -> str:
    """The `--input-data` JSON of an option with data.

    For a sequence model the values are one sequence, and `validation_data` say what must be answered. For an identity
    model each value is the start of one tensor. Its answers cannot be validated: perf_analyzer (2.51) refuses
    validation data for an output of variable size, whatever shapes it is told.
    """
    if option.sequence is None:
        assert option.identity is not None
        tensors = (
            {"content": [float(value + place) for place in range(IDENTITY_LENGTH)], "shape": [IDENTITY_LENGTH]}
            for value in values
        )
        return json.dumps({"data": [{option.identity.input: tensor} for tensor in tensors]})
    model = option.sequence
    answers = expected_answers(values, model.datatype, model.accumulates)
    sent = values if model.datatype == "INT32" else map(float, values)  # perf_analyzer takes no 5 for 5.0
    return json.dumps(
        {
            "data": [[{model.input: [value]} for value in sent]],
            "validation_data": [[{model.output: [answer]} for answer in answers]],
        }
    )


def arguments(
    option: PerfOption, *, address: str, concurrency: int, ids: range, csv_file: str, data_file: str
) -> list[str]:
    """perf_analyzer's arguments.

    Streaming always, so that requests are handled in order, as in Triton's own test. It measures three windows, each a
    second long or more, until it holds a request: windows of a fixed time fail on a healthy server that is busy, with
    "No valid requests recorded within time interval".
    """
    listed = ["-m", option.model, "-u", address, "-i", "grpc", "--streaming", "-f", csv_file]
    listed += ["--concurrency-range", f"{concurrency}:{concurrency}:1"]
    listed += ["--measurement-mode", "count_windows", "--measurement-request-count", "1"]
    listed += ["-s", str(STABLE_PERCENT), *option.arguments]
    if option.sequence is not None:
        listed += ["--sequence-id-range", f"{ids.start}:{ids.stop}"]
    if option.with_data:
        listed += ["--input-data", data_file]
    return listed


def request_count(output: str) -> int | None:
    """How many requests perf_analyzer made, from its standard output; None when it does not say."""
    counts: Sequence[str] = re.findall(r"^\s*Request count: ([0-9]+)", output, re.MULTILINE)
    return sum(map(int, counts)) if counts else None


def decisive(output: str) -> str:
    """The first line of perf_analyzer's output that says what went wrong, ending in "; "; "" where none does.

    It stands in the middle of the output, below the options and above what perf_analyzer says of every failed run.
    """
    found = _WRONG.search(output)
    return f"{found[0].strip()[:MAX_DECISIVE]}; " if found else ""


def server_queue_us(report: str) -> int | None:
    """The "Server Queue" of a report in CSV, in microseconds; None when it has none."""
    for row in csv.DictReader(io.StringIO(report)):
        text = row.get("Server Queue") or ""
        return int(text) if text.isdecimal() else None
    return None


def next_concurrency(concurrency: int, queue_us: int | None) -> int:
    """The concurrency of the option's next run, in [1, MAX_CONCURRENCY]."""
    if queue_us is None:
        return concurrency
    if queue_us < LOW_QUEUE_US:
        return min(concurrency + 1, MAX_CONCURRENCY)
    if queue_us > HIGH_QUEUE_US:
        return max(concurrency - 1, 1)
    return concurrency
