"""What became of the arrivals of an open loop, as one node saw it. Plain, mergeable, no clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from triton_users.ledger.histogram import Histogram

PROMPT_US = 1_000
"""An arrival that was issued within so many microseconds was issued in time."""

_INTEGERS = ("prompt", "waited", "late", "missed_busy", "missed_slow")


@dataclass(slots=True)
class ArrivalCounts:
    """Arrivals that were issued or missed; those that still wait for a user are in none of these."""

    prompt: int = 0
    """Issued in time (PROMPT_US)."""
    waited: int = 0
    """Issued later, since all users were busy when they were due."""
    late: int = 0
    """Issued later though a user was free: the client was too slow."""
    missed_busy: int = 0
    """Never issued: no user became free in time."""
    missed_slow: int = 0
    """Never issued though a user was free: the client stood still for too long."""
    delay: Histogram = field(default_factory=Histogram)
    """How long after its time a user began with each that was issued, in microseconds."""

    @property
    def issued(self) -> int:
        return self.prompt + self.waited + self.late

    @property
    def missed(self) -> int:
        return self.missed_busy + self.missed_slow

    @property
    def ended(self) -> int:
        """Those of which is known what became of them."""
        return self.issued + self.missed

    def issue(self, delay_us: int, *, free: bool) -> None:
        """Count one that is issued now; `free`: a user was, when it was due. This is the hot path."""
        if delay_us <= PROMPT_US:
            self.prompt += 1
        elif free:
            self.late += 1
        else:
            self.waited += 1
        self.delay.record(delay_us)

    def add(self, other: ArrivalCounts) -> None:
        """Count everything that `other` has counted."""
        for name in _INTEGERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.delay.add(other.delay)

    def since(self, older: ArrivalCounts) -> ArrivalCounts:
        """What was counted after `older`, an earlier state of this."""
        newer = ArrivalCounts(delay=self.delay.since(older.delay))
        for name in _INTEGERS:
            setattr(newer, name, getattr(self, name) - getattr(older, name))
        return newer

    def clear(self) -> None:
        """Forget everything, in place."""
        for name in _INTEGERS:
            setattr(self, name, 0)
        self.delay.clear()

    def dump(self) -> list[Any]:
        """Plain values, in the order of the fields."""
        return [*(getattr(self, name) for name in _INTEGERS), self.delay.dump()]

    @classmethod
    def load(cls, dumped: Sequence[Any]) -> ArrivalCounts:
        """The counts that were dumped. Raises ValueError when they are none."""
        if len(dumped) != len(_INTEGERS) + 1:
            raise ValueError(f"arrivals are dumped as {len(_INTEGERS) + 1} values; seen: {len(dumped)}")
        *integers, delay = dumped
        loaded = cls(delay=Histogram.load(delay))
        for name, value in zip(_INTEGERS, integers, strict=True):
            setattr(loaded, name, int(value))
        return loaded
