"""The options of an open loop."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from triton_users.arrivals.rate import EXAMPLE, Rate, parse_rate
from triton_users.arrivals.schedule import Even, Renewal, Schedule, Trace
from triton_users.arrivals.trace import TraceFile
from triton_users.declaration import UsageError, option, shown

CONSTANT, POISSON, GAMMA = "constant", "poisson", "gamma:"


@dataclass(frozen=True)
class Kind:
    """What `--arrivals` says."""

    text: str = CONSTANT
    shape: float | None = None
    """Of the Gamma distribution of the distances; None: they are all alike, or those of a trace."""
    trace: Path | None = None


def parse_kind(text: str) -> Kind:
    """What a person wrote. Raises UsageError for what is none; a file is looked at later."""
    text = text.strip()
    if text in (CONSTANT, ""):
        return Kind()
    if text == POISSON:
        return Kind(text, shape=1.0)
    if not text.startswith(GAMMA):
        return Kind(text, trace=Path(text))
    try:
        shape = float(text.removeprefix(GAMMA))
    except ValueError:
        shape = 0.0
    if not 0.01 <= shape <= 1e6:
        raise UsageError(
            f"arrivals: {shown(text)}: gamma needs a shape from 0.01 to 1000000, for instance gamma:0.5 for bursts; "
            "gamma:1 is poisson, and the higher it is the more even they are"
        )
    return Kind(text, shape=shape)


@dataclass(frozen=True)
class ArrivalSettings:
    """Whether and how users start their tasks when arrivals are due (an open loop)."""

    rate: Rate | None = option(
        "",
        "Arrivals a second of all workers together: a task of some user starts when one is due, whatever became of "
        "those before, and latencies count from that moment. The number of users is then the most that can be under "
        f"way. Phases are comma separated, {EXAMPLE}. Empty: users run one task after the other.",
        read=parse_rate,
    )
    arrivals: Kind = option(
        CONSTANT,
        "Distances between arrivals: constant, poisson, gamma:K (K under 1 is more bursty than poisson), or a file of "
        "times to replay, a line TIME[,MODEL[,INPUT]] each, then without a rate.",
        read=parse_kind,
    )
    trace_speed: float = option(
        1.0, "How many times as fast a file of arrivals is replayed.", unit="times", low=0.001, high=1_000_000
    )
    arrival_wait_s: float = option(
        10.0,
        "How long an arrival may wait for a free user, its clock running; past that it is missed, and counted as that.",
        unit="s",
        low=0.001,
        high=3600,
        label="wait of an arrival",
    )
    fail_on_missed_rate: bool = option(False, "Fail the run when the rate was not kept.")

    @property
    def open(self) -> bool:
        """Whether arrivals start tasks."""
        return self.rate is not None or self.arrivals.trace is not None

    @property
    def described(self) -> str:
        """What arrives, in words; "" when users start by themselves."""
        if self.rate is not None:
            return f"{self.rate.text} a second, {self.arrivals.text}"
        speed = "" if self.trace_speed == 1 else f", {self.trace_speed:g} times as fast"
        return f"as in {self.arrivals.text}{speed}" if self.open else ""

    def check(self) -> None:
        """Raise UsageError for settings that contradict each other."""
        if self.rate is not None and self.arrivals.trace is not None:
            raise UsageError(
                f"rate: a rate of {self.rate.text} and the times in {self.arrivals.text} cannot both say when arrivals "
                "are due; leave one of them out"
            )
        if not self.open and self.arrivals.text != CONSTANT:
            raise UsageError(f"arrivals: {self.arrivals.text} needs a rate; write it as --rate, {EXAMPLE}")


@dataclass(frozen=True)
class Arrivals:
    """What makes a schedule: everything that a worker must know to compute the same one."""

    kind: Kind = field(default_factory=Kind)
    rate: Rate | None = None
    seed: tuple[int, ...] = (0,)
    trace: TraceFile | None = None

    def schedule(self) -> Schedule:
        """The schedule, from its first arrival."""
        if self.trace is not None:
            return Trace(self.trace.times_s)
        assert self.rate is not None
        if self.kind.shape is None:
            return Even(self.rate)
        return Renewal(self.rate, self.kind.shape, self.seed, by_lot=self.kind.shape == 1.0)
