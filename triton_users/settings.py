"""What a run does and how it reaches the server: every tunable constant, declared once (`triton_users.options`).

Knows nothing of Locust or of command lines.
"""

from __future__ import annotations

import base64
import binascii
import math
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial

from triton_users.declaration import UsageError as UsageError
from triton_users.declaration import check, lines, names, option, shown

TRIALS = ("custom", "custom_nobatch", "onnx", "onnx_nobatch", "plan", "plan_nobatch", "libtorch")
"""Model families of Triton's own tests; a sequence model is called `{trial}_sequence_{int32|float32}`."""

DEFAULT_WEIGHTS: Mapping[str, int] = {
    "SequenceValid": 295,
    "SequenceValidValid": 68,
    "SequenceValidNoEnd": 68,
    "SequenceNoEnd": 62,
    "SequenceNoStart": 7,
    "Timeout": 60,
    "ResNet": 80,
    "Crashing": 60,
    "PerfAnalyzer": 300,
}
"""The nine scenarios and how often each is picked, out of 1000 (`qa/L0_long_running_stress/stress.py`)."""

SCENARIOS = tuple(DEFAULT_WEIGHTS)


def _weights(text: str) -> dict[str, int]:
    weights = dict(DEFAULT_WEIGHTS)
    for part in names(text):
        name, equals, number = part.partition("=")
        if not equals or not number.strip().isdecimal():
            raise UsageError(f"weights: {part!r} is not NAME=WEIGHT with a whole number, for instance Timeout=60")
        weights[name.strip()] = int(number)
    return weights


IMAGE_MODEL = "resnet_v1_50"
"""The image model of Triton's own test, and of the folder models/."""

IMAGE_PRESETS = ("reference", "inception", "caffe", "torchvision", "unit", "raw")
"""The ways to prepare pictures that have a name (`image_model.preprocessing.PRESETS`)."""


def _of_colours(name: str, text: str) -> tuple[float, ...]:
    """Three numbers, or one for all three colours; nothing where none is given."""
    try:
        numbers = tuple(float(part) for part in names(text))
    except ValueError:
        numbers = (math.nan,)
    if len(numbers) not in (0, 1, 3) or not all(map(math.isfinite, numbers)):
        raise UsageError(f"{name}: {shown(text)} is not one number, or three for red, green and blue: 123,117,104")
    return numbers * 3 if len(numbers) == 1 else numbers


def _size(text: str) -> tuple[int, ...]:
    parts = text.lower().split("x")
    if not text.strip():
        return ()
    if len(parts) != 2 or not all(part.strip().isdecimal() and 0 < int(part) <= 8192 for part in parts):
        raise UsageError(f"image-size: {shown(text)} is not HEIGHTxWIDTH, each from 1 to 8192, for instance 224x224")
    return int(parts[0]), int(parts[1])


def _models(text: str) -> dict[str, int]:
    weights: dict[str, int] = {}
    for part in names(text):
        name, equals, number = (each.strip() for each in part.partition("="))
        if not name or (equals and not number.isdecimal()):
            raise UsageError(f"models: {part!r} is not NAME or NAME=WEIGHT with a whole number, for instance bert=3")
        if name in weights:
            raise UsageError(f"models: {name} is there twice")
        weights[name] = int(number) if equals else 1
    return weights


@dataclass(frozen=True)
class Settings:
    """One run's constants. `check()` raises UsageError on the first value that cannot be used."""

    seed: int = option(
        0,
        "Seed of the plan: the same seed gives the same scenarios, models, ids, lengths and values. 0 draws one.",
        low=0,
        high=2**63 - 1,
    )
    scenarios: tuple[str, ...] = option(
        "",
        "Run only these, comma separated; one that cannot run is then an error. Empty: all that can run, none where "
        "models are given.",
        choices=SCENARIOS,
        read=names,
    )
    models: Mapping[str, int] = option(
        "",
        "Models of the server to put under load, comma separated, with how often each is picked (else 1), for instance "
        "bert=3,densenet. They run beside the scenarios that are named, whose weights are 1000 together, else alone.",
        read=_models,
    )
    weights: Mapping[str, int] = option(
        "",
        "How often each scenario is picked, for instance SequenceValid=295,Timeout=0; others keep their own.",
        choices=SCENARIOS,
        read=_weights,
    )
    trials: tuple[str, ...] = option(
        ",".join(TRIALS),
        "Model families that sequence and identity scenarios pick from, comma separated; those whose models are not "
        "loaded are left out.",
        choices=TRIALS,
        read=names,
    )
    sequence_length_mean: float = option(
        16.0, "Mean number of requests in a sequence.", unit="requests", low=1, high=100_000
    )
    sequence_length_stdev: float = option(
        8.0,
        "Standard deviation of the number of requests in a sequence; a length is never under 1.",
        unit="requests",
        low=0,
        high=100_000,
        label="sequence length standard deviation",
    )
    sequence_timeout_ms: int = option(
        25_000, "Limit for a whole sequence, waiting for a slot included.", unit="ms", low=1, high=3_600_000
    )
    reference_datatypes: bool = option(
        False,
        "One sequence model a trial, FP32 for plan and INT32 for others, as Triton's own test; else all there are.",
    )
    pause_share: float = option(
        0.1,
        "Share of the sequences that pause between two requests, for up to 0.8 of the idle limit.",
        unit="of the sequences",
        low=0,
        high=1,
    )
    burst_share: float = option(
        0.5,
        "Share of SequenceValid's runs on models that batch that send several sequences at the same time.",
        unit="of the runs",
        low=0,
        high=1,
    )
    burst_sequences: int = option(
        8,
        "Sequences in such a burst; it fills batches of up to as many.",
        unit="sequences",
        low=2,
        high=64,
        label="number of sequences in a burst",
    )
    deferred_check_wait_s: float = option(
        0.0,
        "How long a stopping user may wait for the checks that its runs put off; 0: not at all.",
        unit="s",
        low=0,
        high=3600,
    )
    request_timeout_ms: int = option(
        25_000,
        "Limit for any other single request; up to four times as long while the server's statistics show it at work on "
        "others.",
        unit="ms",
        low=1,
        high=3_600_000,
    )
    deadline_ms: int = option(100, "Client deadline of the Timeout scenario.", unit="ms", low=1, high=60_000)
    deadline_tolerance_ms: int = option(
        100, "How much later than its deadline the Timeout scenario's request may end.", unit="ms", low=1, high=60_000
    )
    deadline_tensor_mib: int = option(
        1024,
        "Size of the Timeout scenario's FP32 tensor; gRPC's and Triton's limit for a message is 2048.",
        unit="MiB",
        low=1,
        high=2047,
    )
    batch_size: int = option(
        32,
        "Pictures in one request to the image model; fewer where it takes no so many.",
        unit="pictures",
        low=1,
        high=1024,
    )
    pictures: str = option(
        "",
        "Folder of pictures for an image model of your own: labels.csv with lines FILE,LABEL, or a sub-folder for each "
        "label. Empty: the folder pictures beside TRITON_USERS_RESNET, else this project's drawings.",
    )
    image_model: str = option(
        IMAGE_MODEL, "The image model that ResNet sends pictures to: any classifier, with --pictures that it knows."
    )
    image_preset: str = option(
        "reference",
        "How pictures are prepared: as for the reference's ResNet (minus 123,117,104), for Inception and MobileNet (-1 "
        "to 1), Caffe's networks (BGR, minus their means), torchvision (cropped, normalised), 0 to 1, or 0 to 255.",
        choices=IMAGE_PRESETS,
    )
    image_mean: tuple[float, ...] = option(
        "",
        "What is subtracted from red, green and blue (0 to 255), in place of the preset's, for instance 123,117,104.",
        read=partial(_of_colours, "image-mean"),
    )
    image_scale: tuple[float, ...] = option(
        "",
        "What each of them is multiplied with after that, in place of the preset's, for instance 0.0078125.",
        read=partial(_of_colours, "image-scale"),
    )
    image_channels: str = option(
        "", "In which order the colours are sent, in place of the preset's.", choices=("", "RGB", "BGR")
    )
    image_filter: str = option(
        "",
        "How pictures are resized, in place of the preset's.",
        choices=("", "nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"),
    )
    image_crop: float = option(
        -1.0,
        "How much of a picture's shorter side the model sees, of its middle, in place of the preset's; 0: the whole "
        "picture, stretched; -1: the preset's.",
        unit="of the side",
        low=-1,
        high=1,
    )
    image_size: tuple[int, ...] = option(
        "", "HEIGHTxWIDTH of the pictures for a model that takes any, else 224x224.", read=_size
    )
    image_layout: str = option(
        "", "Order of the input's dimensions, where its shape does not say.", choices=("", "NHWC", "NCHW")
    )
    image_input: str = option("", "Its input, where it has several.")
    image_output: str = option("", "Its output with the classes, where it has several.")
    image_top_k: int = option(
        1, "A picture is right when its label is among so many best classes.", unit="classes", low=1, high=1000
    )
    idle_limit_s: float = option(
        7.0,
        "The sequence models' max_sequence_idle_microseconds: after it an open sequence is forgotten.",
        unit="s",
        low=0.001,
        high=3600,
    )
    idle_margin_s: float = option(
        3.0,
        "How long after the idle limit the server may still hold an open sequence.",
        unit="s",
        low=0.001,
        high=3600,
    )
    load_users: int = option(
        0,
        "How many of the users only run perf_analyzer on the image model, to keep the device busy.",
        unit="users",
        low=0,
        high=10_000,
        label="number of load users",
    )
    allow_failure: tuple[str, ...] = option(
        "PerfAnalyzer",
        "Scenarios and models whose failures are counted and shown but do not fail the run, comma separated.",
        read=names,
    )
    perf_analyzer_timeout_s: float = option(
        120.0,
        "Limit for one run of perf_analyzer; then it is killed and the run is a failure.",
        unit="s",
        low=1,
        high=86_400,
        label="perf_analyzer timeout",
    )

    def check(self, own_models: Collection[str] = ()) -> None:
        """Raise UsageError for the first setting that cannot be used.

        `own_models`: models that users of a locustfile put under load, beside those of `models`.
        """
        check(self)
        for name in self.models:
            if name in SCENARIOS:
                raise UsageError(f"models: {name} is the name of a scenario; a model of that name needs another one")
        known = [*self.names, *(each for each in own_models if each not in self.models)]
        for name in self.allow_failure:
            if name not in known:
                raise UsageError(f"allow-failure: there is no {name!r}; it must be one of: {', '.join(known)}")
        if not self.trials:
            raise UsageError(f"no trial is selected; name one or more of: {', '.join(TRIALS)}")
        for name, weight in (*self.weights.items(), *self.models.items()):
            if not 0 <= weight <= 100_000:
                raise UsageError(f"the weight of {name} is {weight}; it must be from 0 to 100000")
        for name in self.asked_by_name:
            if not self.weight_of(name):
                raise UsageError(f"{name} is asked for by name but its weight is 0; give it a weight of 1 or more")
        if not any(map(self.weight_of, self.names)):
            raise UsageError("every scenario has weight 0, so there is nothing to run; give one a weight of 1 or more")

    @property
    def names(self) -> tuple[str, ...]:
        """Every scenario that this run can have, in the order of its report: the nine, then its models."""
        return (*SCENARIOS, *self.models)

    @property
    def asked_by_name(self) -> tuple[str, ...]:
        """Those that must run: one that cannot is an error."""
        return (*self.scenarios, *(name for name, weight in self.models.items() if weight))

    def weight_of(self, scenario: str) -> int:
        """The scenario's weight in this run; 0 when it was not selected."""
        if scenario in self.models:
            return self.models[scenario]
        if (self.scenarios or self.models) and scenario not in self.scenarios:
            return 0
        return self.weights.get(scenario, DEFAULT_WEIGHTS[scenario])


_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_PRINTABLE = re.compile(r"[\x20-\x7e]*")


def _headers(text: str) -> tuple[tuple[str, str | bytes], ...]:
    """gRPC metadata of lines `NAME: VALUE`: names in lower case; values, bytes where the name ends in -bin.

    No message has a value in it, since that may be a secret.
    """
    found: list[tuple[str, str | bytes]] = []
    for number, line in enumerate(lines(text), 1):
        name, colon, value = line.partition(":")
        name = name.strip().lower()
        if not colon or not name:
            raise UsageError(
                f"grpc-header: number {number} is not NAME: VALUE, for instance 'authorization: Bearer ${{TOKEN}}'"
            )
        for variable in _VARIABLE.findall(value):
            if variable not in os.environ:
                raise UsageError(
                    f"grpc-header: {name} takes the environment variable {variable}, which is not set here; each "
                    "worker takes its own"
                )
        value = _VARIABLE.sub(lambda match: os.environ[match[1]], value).strip()
        if not _PRINTABLE.fullmatch(value):
            raise UsageError(
                f"grpc-header: the value of {name} is not printable ASCII; give bytes as base64, under a name that "
                "ends in -bin"
            )
        try:
            found.append((name, base64.b64decode(value, validate=True) if name.endswith("-bin") else value))
        except binascii.Error:
            raise UsageError(f"grpc-header: the value of {name}, whose name ends in -bin, is no base64") from None
    return tuple(found)


@dataclass(frozen=True)
class ConnectionSettings:
    """How users reach the server, those of the scenarios and a locustfile's own alike."""

    connections: int = option(
        0,
        "How many connections the users of each worker share, many streams on each. 0: one for each user.",
        unit="connections",
        low=0,
        high=100_000,
        label="number of shared connections",
    )
    grpc_authority: str = option(
        "", "The :authority that requests carry, by which an ingress routes. Empty: the host's name and port."
    )
    grpc_header: tuple[tuple[str, str | bytes], ...] = option(
        "",
        "NAME: VALUE, sent with every RPC, those before and beside the load included; ${NAME} in a value is that "
        "environment variable, for secrets. No report and no log has the value, and the web form lacks it.",
        read=_headers,
        repeated=True,
        secret=True,
    )
    grpc_root_certificates: str = option("", "PEM file of the authorities to trust with grpcs://. Empty: the system's.")
    grpc_private_key: str = option("", "PEM file of the client's private key (mutual TLS).")
    grpc_certificate_chain: str = option("", "PEM file of the client's certificate (mutual TLS).")
    grpc_server_name: str = option("", "Name the server's certificate must carry. Empty: that of the host.")
    grpc_insecure: bool = option(False, "With grpcs://, do not check the certificate.")


def _addresses(text: str) -> tuple[str, ...]:
    found = names(text)
    for each in found:
        if not re.fullmatch(r"https?://[^/\s]+/\S*", each):
            raise UsageError(
                f"metrics-url: {each!r} is no address of metrics, such as http://triton.example:8002/metrics"
            )
    return found


@dataclass(frozen=True)
class WitnessSettings:
    """Where else the server is asked what it does."""

    metrics_url: tuple[str, ...] = option(
        "",
        "Address of the server's metrics, http://HOST:8002/metrics; of several replicas one each, comma separated. The "
        "embedded server's are known.",
        read=_addresses,
    )


@dataclass(frozen=True)
class ReportSettings:
    """Where reports go."""

    report_dir: str = option("reports", "Folder for reports; each run makes a folder of its own in it.")
