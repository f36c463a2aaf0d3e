"""`triton-users record -H grpc://HOST:PORT --models NAME -o FILE`: writes what a server that is trusted answers.

The file is perf_analyzer's JSON with validation_data: later runs, and perf_analyzer, compare a server's answers to it.
"""

from __future__ import annotations

import random
import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
from tritonclient.utils import InferenceServerException

from triton_users.client.client import TritonClient
from triton_users.client.encoded import EncodedRequest, encoded_infer, infer_on_a_stream_of_its_own
from triton_users.client.stream_requests import end_of
from triton_users.declaration import EXIT_USAGE, declared, read
from triton_users.inputs.answers import mismatch, outputs_of
from triton_users.inputs.data import InputData, Step
from triton_users.inputs.datatypes import DataError
from triton_users.inputs.golden import GoldenFile, expected_of, not_for_perf_analyzer
from triton_users.inputs.model import ModelSpec
from triton_users.inputs.options import ModelSettings
from triton_users.inputs.requests import PreparedRequest
from triton_users.inputs.traffic import ModelTraffic
from triton_users.options import add_option
from triton_users.run.models import settle
from triton_users.run.server_state import client_for
from triton_users.settings import ConnectionSettings, Settings, UsageError

ANSWER_LIMIT_S = 60.0
"""How long the server may take for each answer, in seconds: a first request may have to warm a model up."""
CONNECT_LIMIT_S = 10.0
LEFT_OUT = ("model_batch_size", "class_count")
"""Options of models that recording has no use for: it sends one step at a time and writes whole outputs."""

Responses = Sequence[Any]
"""The ModelInferResponses to one request."""


def main(arguments: Sequence[str]) -> int:
    """Write the files and return the exit code: 2 when not all of them could be."""
    options = _parser().parse_args(arguments)
    try:
        connection, settings = read(ConnectionSettings, options), read(Settings, options)
        if not settings.models:
            raise UsageError("no model is named; add for instance --models bert")
        models = settle(options.host, connection, settings, read(ModelSettings, options), ())
        client = client_for(options.host, connection, CONNECT_LIMIT_S)
        try:
            for traffic, path in zip(models, _paths(options.output, models), strict=True):
                data = traffic.data(settings.seed)
                steps = _record(client, traffic, data, path)
                print(_said(traffic.spec, data, path, steps), flush=True)
        finally:
            client.close()
    except (
        ValueError,
        OSError,
        InferenceServerException,
    ) as error:  # a mistake in an option or the data is a ValueError
        sys.stderr.write(f"triton-users: error: {error}\n")
        return EXIT_USAGE
    return 0


def _parser() -> ArgumentParser:
    says = "Records what a server that is trusted answers, as input data that later runs compare answers with."
    parser = ArgumentParser(prog="triton-users record", description=says)
    parser.add_argument("-H", "--host", required=True, help="The server, for instance grpc://127.0.0.1:8001.")
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        type=Path,
        help="The file to write: a .json, which perf_analyzer reads too, or a .jsonl. With several models the folder "
        "for a MODEL.json each.",
    )
    own = [declared(Settings)[name] for name in ("models", "seed")]
    sent = [option for name, option in declared(ModelSettings).items() if name not in LEFT_OUT]
    for option in (*own, *sent, *declared(ConnectionSettings).values()):
        add_option(parser, option)
    return parser


def _paths(output: Path, models: Sequence[ModelTraffic]) -> list[Path]:
    if len(models) == 1 and not output.is_dir():
        if output.suffix not in (".json", ".jsonl"):
            raise UsageError(f"-o {output}: name a .json or a .jsonl")
        return [output]
    if output.suffix in (".json", ".jsonl"):
        raise UsageError(f"-o {output}: {len(models)} models need a folder, for a file each")
    output.mkdir(parents=True, exist_ok=True)
    return [output / f"{each.name}.json" for each in models]


def _said(model: ModelSpec, data: InputData, path: Path, steps: int) -> str:
    text = f"{path}: {steps:,} {'step' if steps == 1 else 'steps'} of {model.name} with the server's answers"
    if why := not_for_perf_analyzer(model, data.streams if data.whole else (), path):
        return f"{text}; not for perf_analyzer: {why}"
    return f"{text}; perf_analyzer -m {model.name} -i grpc --input-data {path}"


def _record(client: TritonClient, traffic: ModelTraffic, data: InputData, path: Path) -> int:
    """Ask for everything twice: what the server answers in two ways cannot be expected of another one."""
    model = traffic.spec
    asker = _Asker(client, model)
    several = model.sequences or (data.whole and len(data.streams) > 1)
    with GoldenFile(path, streams=several) as file:
        for stream, _ in enumerate(data.streams):
            steps = _steps(data, stream)
            if not model.sequences:
                for index, step in enumerate(steps):
                    _write(file, traffic, step, _place(stream, index), asker.one(step), asker.one(step), index == 0)
                continue
            sequence = list(steps)
            for index, asked in enumerate(zip(sequence, asker.all(sequence), asker.all(sequence), strict=True)):
                step, first, again = asked
                _write(file, traffic, step, _place(stream, index), first, again, index == 0)
        return file.steps


def _steps(data: InputData, stream: int) -> Iterator[Step]:
    return (data.step(stream, index) for index in range(data.streams[stream]))


def _place(stream: int, index: int) -> str:
    return f"step {index} of stream {stream}"


def _write(
    file: GoldenFile, traffic: ModelTraffic, step: Step, place: str, first: Responses, again: Responses, begins: bool
) -> None:
    model = traffic.spec
    try:
        golden = Step(step.inputs, expected_of(model, [outputs_of(each) for each in first]))
        if len(again) != len(first):
            raise DataError(f"{len(first)} responses the first time and {len(again)} the second")
        for number, response in enumerate(again):
            batched = bool(model.max_batch_size)
            if wrong := mismatch([golden], response, batched=batched, number=number, tolerances=traffic.tolerances):
                raise DataError(
                    f"the same request was answered in two ways, so no answer is the right one: {wrong}; give --rtol "
                    "or --atol where that is as it should be"
                )
    except DataError as error:
        raise UsageError(f"{model.name}, {place}: {error}") from None
    file.add(golden, stream_begins=begins)


class _Asker:
    """Sends the steps of one model and returns what came."""

    def __init__(self, client: TritonClient, model: ModelSpec) -> None:
        self._channel, self._model = client.channel, model
        self._infer = encoded_infer(client.channel)

    def one(self, step: Step) -> Responses:
        """The responses to a step that stands alone."""
        request = PreparedRequest(self._model, [step])
        return self._ask(request.encode("1"))

    def all(self, steps: Sequence[Step]) -> list[Responses]:
        """The responses to each step of one sequence."""
        correlation_id = random.SystemRandom().randrange(1, 2**63)  # nobody else's on this server
        last = len(steps) - 1
        return [
            self._ask(
                PreparedRequest(self._model, [step]).encode_in_sequence(
                    "1", correlation_id, start=index == 0, end=index == last
                )
            )
            for index, step in enumerate(steps)
        ]

    def _ask(self, encoded: bytes) -> Responses:
        request = EncodedRequest(self._model.name, "1", encoded)
        try:
            if not self._model.decoupled:
                return [self._infer(request, timeout=ANSWER_LIMIT_S)]
            messages = infer_on_a_stream_of_its_own(self._channel, request, ANSWER_LIMIT_S)
        except grpc.RpcError as error:
            raise UsageError(f"{self._model.name}: the server did not answer: {error}") from error
        for message in messages:
            if message.error_message:
                raise UsageError(f"{self._model.name}: the server answered with an error: {message.error_message}")
        return [message.infer_response for message in messages if not end_of(message.infer_response)[0]]
