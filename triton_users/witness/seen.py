"""All that was seen of a server over a run, as one value: what the report and the verdict are given. Judges nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from triton_users.witness.counting import Restart
from triton_users.witness.processes import Death
from triton_users.witness.series import Samples
from triton_users.witness.statistics import Statistics


@dataclass(frozen=True)
class Source:
    """Where something was asked."""

    name: str
    """For instance "ModelStatistics"."""
    answered: int
    """How often it answered."""
    missing: str = ""
    """What of it is missing, and how to have it; "" where it answered to the last."""


@dataclass(frozen=True)
class Absence:
    """A model that was ready, was not, and was again. Times are seconds of the run."""

    model: str
    from_s: float
    to_s: float
    state: str
    """What the server said of it meanwhile."""


@dataclass(frozen=True)
class Seen:
    """What was seen. Times are seconds of the run."""

    samples: Samples = field(default_factory=Samples)
    sources: Sequence[Source] = ()
    models: Statistics = field(default_factory=dict)
    """Model -> what the server counted over the run."""
    failures: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Model -> reason -> requests that the server counted as failed, where its metrics say so."""
    restarts: Sequence[Restart] = ()
    deaths: Sequence[Death] = ()
    steps: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Ensemble -> the models of its steps, in their order; one that has two steps is there twice."""
    interrupted: bool = False
    """Whether the connection over which the server was asked was lost: requests may be missing in its counts."""
    whole: bool = True
    """Whether all servers behind the address are known to have been asked: it is a process of ours, or their metrics
    were given. Else a balancer may give this connection another server than those of the users."""
    unauditable: str = ""
    """Why nothing can be said of whose requests the server counted; "" where its counts are whole."""
