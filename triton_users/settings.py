"""What a run does: every tunable constant of the scenarios, checked; knows nothing of Locust or of command lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

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


class UsageError(ValueError):
    """The user asked for something that cannot be: the message says what, the value seen and what would be right.

    The command ends with exit code 2.
    """


@dataclass(frozen=True)
class Settings:
    """One run's constants. `check()` raises UsageError on the first value that cannot be used."""

    seed: int
    """The plan's seed, 1 to 2**63 - 1: the same seed gives the same scenarios, models, ids, lengths and values."""

    scenarios: tuple[str, ...] = ()
    """Scenarios asked for by name; one that cannot run is then an error. Empty: all nine, those that can run."""

    weights: Mapping[str, int] = field(default_factory=lambda: dict(DEFAULT_WEIGHTS))
    """How often each scenario is picked, relative to the others; 0 leaves it out."""

    trials: tuple[str, ...] = TRIALS
    """Model families a sequence or identity scenario may pick; those whose models are not loaded are left out."""

    sequence_length_mean: float = 16.0
    """Mean number of requests in a sequence."""

    sequence_length_stdev: float = 8.0
    """Standard deviation of the number of requests in a sequence; a length is never under 1."""

    sequence_timeout_ms: int = 25_000
    """Limit for a whole sequence, its waiting for a slot included, in milliseconds."""

    request_timeout_ms: int = 25_000
    """Limit for any other single request, in milliseconds."""

    deadline_ms: int = 100
    """Client deadline of the Timeout scenario, in milliseconds."""

    deadline_tolerance_ms: int = 100
    """How much later than `deadline_ms` the deadline may fire before it counts as late, in milliseconds."""

    deadline_tensor_mib: int = 1024
    """Size of the Timeout scenario's FP32 tensor, in MiB; under 2048, gRPC's and Triton's limit for a message."""

    batch_size: int = 32
    """Pictures in one request to the image model."""

    idle_limit_s: float = 7.0
    """The sequence models' `max_sequence_idle_microseconds`, in seconds: after it an open sequence is forgotten."""

    idle_margin_s: float = 3.0
    """How long after the idle limit the server may still hold an open sequence, in seconds."""

    connections: int = 0
    """How many connections the users of each worker share; 0: each has one of its own."""

    load_users: int = 0
    """Users that only run the image option of PerfAnalyzer, to keep the device busy."""

    allow_failure: tuple[str, ...] = ("PerfAnalyzer",)
    """Scenarios whose failures are counted and shown but do not fail the run."""

    perf_analyzer_timeout_s: float = 120.0
    """Limit for one run of perf_analyzer, in seconds; then it is killed and the run is a failure."""

    def check(self) -> None:
        """Raise UsageError for the first setting that cannot be used."""
        if not 0 < self.seed < 2**63:
            raise UsageError(f"the seed is {self.seed}; it must be a whole number from 1 to 2**63 - 1")
        known = tuple(DEFAULT_WEIGHTS)
        _check_names("scenarios", self.scenarios, known)
        _check_names("weights", self.weights, known)
        _check_names("allow-failure", self.allow_failure, known)
        _check_names("trials", self.trials, TRIALS)
        if not self.trials:
            raise UsageError(f"no trial is selected; name one or more of: {', '.join(TRIALS)}")
        for name, weight in self.weights.items():
            if not 0 <= weight <= 100_000:
                raise UsageError(f"the weight of {name} is {weight}; it must be a whole number from 0 to 100000")
        for name in self.scenarios:
            if not self.weight_of(name):
                raise UsageError(f"{name} is asked for by name but its weight is 0; give it a weight of 1 or more")
        if not any(self.weight_of(name) for name in (self.scenarios or known)):
            raise UsageError("every scenario has weight 0, so there is nothing to run; give one a weight of 1 or more")
        for label, value, low, high, unit in (
            ("sequence length mean", self.sequence_length_mean, 1, 100_000, "requests"),
            ("sequence length standard deviation", self.sequence_length_stdev, 0, 100_000, "requests"),
            ("sequence timeout", self.sequence_timeout_ms, 1, 3_600_000, "ms"),
            ("request timeout", self.request_timeout_ms, 1, 3_600_000, "ms"),
            ("deadline", self.deadline_ms, 1, 60_000, "ms"),
            ("deadline tolerance", self.deadline_tolerance_ms, 1, 60_000, "ms"),
            ("deadline tensor", self.deadline_tensor_mib, 1, 2047, "MiB"),
            ("batch size", self.batch_size, 1, 1024, "pictures"),
            ("idle limit", self.idle_limit_s, 0.001, 3600, "s"),
            ("idle margin", self.idle_margin_s, 0.001, 3600, "s"),
            ("number of shared connections", self.connections, 0, 100_000, "connections"),
            ("number of load users", self.load_users, 0, 10_000, "users"),
            ("perf_analyzer timeout", self.perf_analyzer_timeout_s, 1, 86_400, "s"),
        ):
            if not low <= value <= high:  # also refuses NaN
                raise UsageError(f"the {label} is {value:g} {unit}; it must be from {low:g} to {high:g} {unit}")

    def weight_of(self, scenario: str) -> int:
        """The scenario's weight in this run; 0 when it was not selected."""
        if self.scenarios and scenario not in self.scenarios:
            return 0
        return self.weights.get(scenario, DEFAULT_WEIGHTS[scenario])


def _check_names(option: str, seen: Iterable[str], known: Iterable[str]) -> None:
    for name in seen:
        if name not in known:
            raise UsageError(f"{option}: there is no {name!r}; it must be one of: {', '.join(known)}")
