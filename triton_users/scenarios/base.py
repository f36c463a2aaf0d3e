"""What a scenario is: it draws a plan, then runs it. Knows a client, ids and a random generator, nothing of Locust."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from triton_users.image_model.tensors import ImageTensors
from triton_users.scenarios.models import REFERENCE_IMAGE_TENSORS
from triton_users.settings import Settings

SENT_ELSEWHERE = "models that other processes sent requests to"
"""Where `Session.shared` has them: model -> (how many requests, None: nobody knows; who sent them)."""


class ScenarioFailure(Exception):
    """The server did what it must not. `evidence` holds the ids and values that show it (plain values only)."""

    def __init__(self, message: str, requests: int = 0, *, excusable: bool = True, **evidence: Any) -> None:
        super().__init__(message)
        self.excusable = excusable
        """Whether it fails nothing where its scenario is allowed to fail."""
        self.requests = requests
        """Inference requests the run had sent."""
        self.evidence = evidence


class Skip(Exception):
    """A constraint forbids the plan now, or what came of it proves nothing about the server. The message says why."""

    def __init__(self, message: str, requests: int = 0) -> None:
        super().__init__(message)
        self.requests = requests
        """Inference requests the run had sent."""


@dataclass(frozen=True)
class Target:
    """The server under test, as asked once before the run; the same on every worker."""

    address: str
    """host:port of its gRPC endpoint, as perf_analyzer takes it."""
    models: frozenset[str]
    """Names of the models that are ready."""
    server_version: str = ""
    authority: str = ""
    """The `:authority` that its ingress routes by; "" for the address."""
    secure: bool = False
    """Whether its gRPC endpoint wants TLS."""
    image: ImageTensors | None = None
    """The tensors of its image model; None where it does not say."""
    image_model_fault: str = ""
    """In what the tensors of its image model are other ones than this project's pictures need; "" in nothing."""
    perf_analyzer: tuple[str, ...] = ()
    """Command of perf_analyzer; empty when it cannot run here."""
    perf_analyzer_env: tuple[tuple[str, str], ...] = ()
    """Environment variables that command needs on top of ours."""
    perf_analyzer_remedy: str = ""
    """Why perf_analyzer cannot run here and what to do about it."""

    @property
    def image_tensors(self) -> ImageTensors:
        """Of its image model; the reference's where it does not say."""
        return self.image or REFERENCE_IMAGE_TENSORS


class Client(Protocol):
    """What a scenario needs of a client: tritonclient's InferenceServerClient, and to say which errors it provokes."""

    def infer(self, model_name: str, inputs: list[Any], **kwargs: Any) -> Any: ...
    def start_stream(self, callback: Callable[..., None], **kwargs: Any) -> None: ...
    def async_stream_infer(self, model_name: str, inputs: list[Any], **kwargs: Any) -> None: ...
    def stop_stream(self, cancel_requests: bool = False) -> None: ...
    def drain_stream(self) -> None: ...
    def is_server_live(self, **kwargs: Any) -> bool: ...
    def is_server_ready(self, **kwargs: Any) -> bool: ...
    def get_model_repository_index(self, **kwargs: Any) -> Any: ...
    def get_inference_statistics(self, model_name: str, **kwargs: Any) -> Any: ...
    def expect_error(self, matches: Callable[[Exception], bool]) -> Any:
        """A context manager: inside it, errors that match are wanted; Locust's statistics count them as successes."""
        ...

    @property
    def channel(self) -> Any:
        """The `grpc.Channel` underneath, for a request that tritonclient has no method for."""
        ...

    def close(self) -> None: ...


class Signals(Protocol):
    """Where a scenario tells what it saw; the plugin turns each call into an event and a count."""

    def deadline_exceeded(self, *, model: str, expected: bool, elapsed_s: float, limit_s: float) -> None: ...
    def sequence_validation_failure(
        self, *, model: str, correlation_id: int | str, step: int, expected: Any, got: Any, steps: list[Any]
    ) -> None: ...
    def deferred_checks_settled(self, *, confirmed: int = 0, unchecked: int = 0) -> None:
        """Checks of the server's later behaviour, put off by earlier runs, came out well, or will never be made."""
        ...


@dataclass
class Session:
    """One user's side of a run: what lives as long as the user does."""

    settings: Settings
    target: Target
    client: Client
    """The user's own connection."""
    connect: Callable[[], Client]
    """Opens one more connection to the same server; the caller closes it."""
    signals: Signals
    correlation_ids: range
    """The block of ids that belongs to this user alone (1,048,576 of them)."""
    scratch: Path
    """A folder of this process for files of its own; removed at the end of the run."""
    clock: Callable[[], float]
    """Seconds, monotonic."""
    sleep: Callable[[float], None]
    state: dict[str, Any] = field(default_factory=dict)
    """What scenarios of this user share, by name (for instance which sequences are open)."""
    headers: tuple[tuple[str, str | bytes], ...] = field(default=(), repr=False)
    """gRPC metadata that every request to the server carries; `client` sends it by itself. Secrets: never shown."""
    shared: dict[str, Any] = field(default_factory=dict)
    """What all users of this process share, by name (for instance prepared pictures): one dict for all of them."""

    def sent_elsewhere(self, model: str, who: str, requests: int | None = None) -> None:
        """Note that others than `client`, whose requests are counted, send this model requests on our behalf.

        `who` they are, for people. `requests`: how many at most; None where nobody knows.
        """
        sent = self.shared.setdefault(SENT_ELSEWHERE, {})
        so_far, by = sent.get(model, (0, who))
        if requests is None or so_far is None:
            sent[model] = (None, who if so_far is not None else by)
        else:
            sent[model] = (so_far + requests, who)


class Scenario(ABC):
    """One traffic shape. An instance belongs to one user."""

    name: ClassVar[str]
    description: ClassVar[str]
    """One line, as the report shows it."""
    waits_for_a_slot: ClassVar[bool] = False
    """Whether its requests may wait for a sequence's slot, for up to the idle limit and its margin."""

    def __init__(self, session: Session) -> None:
        self.session = session

    @classmethod
    def prepare(cls, shared: dict[str, Any], target: Target, settings: Settings) -> None:
        """Make what all users of the process share (`Session.shared`), before the first of them starts.

        Whatever takes long belongs here: in the middle of a run it would hold up every other user.
        """
        return

    @classmethod
    @abstractmethod
    def unavailable(cls, target: Target, settings: Settings) -> str:
        """Why it cannot run against this server and what to do about it, without its name; "" when it can."""

    @abstractmethod
    def plan(self, draw: random.Random) -> Any:
        """Decide everything that is random: models, ids, lengths, values. Sends nothing.

        Depends on nothing but `draw`, the settings and the target, so that a seed gives the same plan again.
        Returns a frozen dataclass of plain values (`dataclasses.asdict` of it goes into a failure's record).
        """

    def plan_for(self, entry: str, draw: random.Random) -> Any:
        """As `plan`, for an entry of its input data that a trace names; it is of no use to one that has none."""
        return self.plan(draw)

    @abstractmethod
    def run(self, plan: Any) -> int:
        """Carry the plan out and return the number of inference requests sent.

        Raises Skip when a constraint forbids it, ScenarioFailure (or the client's InferenceServerException) on failure.
        """

    def answers_checked(self, plan: Any, requests: int) -> int:
        """Of the requests of a run that passed, how many had an answer that was compared with what is right."""
        return requests

    def next_deferred(self) -> tuple[Any, float] | None:
        """The next check that an earlier run put off: that run's plan, and when it is due on the session's clock."""
        return None

    def check_deferred(self) -> int:
        """Make that check and return the number of inference requests sent; ScenarioFailure when the server fails it.

        `run` makes those that are due by itself; this is for a user that stops and may wait for the last ones.
        """
        raise NotImplementedError("it puts no checks off")

    def close(self) -> None:  # noqa: B027 - most scenarios keep nothing open
        """End everything this scenario still has open, within two seconds. Called once, when the user stops."""
