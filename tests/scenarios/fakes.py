"""A client that answers by itself, a clock that is moved by hand, and signals that are kept."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

from triton_users.scenarios.base import Session, Target
from triton_users.scenarios.correlation_ids import id_block
from triton_users.settings import Settings

SEQUENCE_MODELS = ("custom_sequence_int32", "custom_nobatch_sequence_int32")
ALL_MODELS = frozenset(
    (*SEQUENCE_MODELS, "custom_nobatch_zero_1_float32", "custom_zero_1_float32", "custom_executing", "resnet_v1_50")
)


@dataclass
class Request:
    """What a scenario asked for."""

    model: str
    array: np.ndarray
    sequence_id: int = 0
    start: bool = False
    end: bool = False
    request_id: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def value(self) -> Any:
        return self.array.reshape(-1)[0].item()


class Result:
    """What tritonclient calls an InferResult."""

    def __init__(self, array: np.ndarray | None, request_id: str = "") -> None:
        self.array = array
        self.request_id = request_id

    def as_numpy(self, name: str) -> np.ndarray | None:
        return self.array

    def get_response(self) -> SimpleNamespace:
        return SimpleNamespace(id=self.request_id)


class Silent(Exception):
    """What a server raises that gives no answer at all."""


Answer = Callable[[Request], Any]


class Accumulators:
    """Healthy sequence models with an idle limit, and the identity model."""

    def __init__(self, clock: Callable[[], float], idle_limit_s: float = 7.0) -> None:
        self.clock = clock
        self.idle_limit_s = idle_limit_s
        self.sums: dict[tuple[str, int], tuple[Any, float]] = {}

    def __call__(self, request: Request) -> Any:
        if "zero" in request.model:
            return request.array
        key = (request.model, request.sequence_id)
        total, last = self.sums.get(key, (None, 0.0))
        if request.start:
            total = 0
        elif total is None or self.clock() - last > self.idle_limit_s:
            return start_error(request)
        total = request.value + total
        self.sums[key] = (total, self.clock())
        if request.end:
            del self.sums[key]
        return np.full_like(request.array, total)


def start_error(request: Request) -> InferenceServerException:
    return InferenceServerException(
        f"inference request for sequence {request.sequence_id} to model '{request.model}' must specify the START flag "
        "on the first request of the sequence"
    )


def status_error(status: str, text: str = "said the server") -> InferenceServerException:
    return InferenceServerException(text, status=f"StatusCode.{status}")


class FakeClient:
    """tritonclient's InferenceServerClient as far as scenarios use it. Every answer comes at once, from `answer`."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self.streams_open = 0
        self.streams_started = 0
        self.stop_error: InferenceServerException | None = None
        self.unary_error: InferenceServerException | None = None
        self.unary_calls = 0
        self.channel: Any = None
        self.expected: list[bool] = []
        self.statistics: Callable[[], tuple[int, float]] = lambda: (0, 0.0)
        """How many requests the model has ended, and how long they took together, in seconds."""
        self.on_stream_request: Callable[[], None] = lambda: None

    def infer(self, model: str, inputs: list[Any], **kwargs: Any) -> Result:
        assert kwargs.pop("client_timeout") > 0, "every request has a limit"
        self.unary_calls += 1
        if self.unary_error is not None:
            raise self.unary_error
        request = self._request(model, inputs, kwargs)
        answer = self._answered(request)
        if isinstance(answer, InferenceServerException):
            raise answer
        return Result(answer)

    def start_stream(self, callback: Callable[..., None], **kwargs: Any) -> None:
        assert kwargs["stream_timeout"] > 0, "every stream has a limit"
        self.callback = callback
        self.streams_open += 1
        self.streams_started += 1

    def async_stream_infer(self, model: str, inputs: list[Any], **kwargs: Any) -> None:
        self.on_stream_request()
        request = self._request(model, inputs, kwargs)
        try:
            answer = self._answered(request)
        except Silent:
            return
        if isinstance(answer, InferenceServerException):
            self.callback(result=None, error=answer)
        elif isinstance(answer, Result):
            self.callback(result=answer, error=None)
        else:
            self.callback(result=Result(answer, request.request_id), error=None)

    def drain_stream(self) -> None:
        self.stop_stream()

    def stop_stream(self, cancel_requests: bool = False) -> None:
        if self.streams_open:
            self.streams_open -= 1
            if not cancel_requests and self.stop_error is not None:
                self.callback(result=None, error=self.stop_error)

    @contextmanager
    def expect_error(self, matches: Callable[[Exception], bool]) -> Iterator[None]:
        try:
            yield
        except Exception as exc:
            self.expected.append(matches(exc))
            raise

    def get_inference_statistics(self, model_name: str, **kwargs: Any) -> SimpleNamespace:
        assert kwargs["client_timeout"] > 0, "every request has a limit"
        count, seconds = self.statistics()
        success, fail = SimpleNamespace(count=count, ns=int(seconds * 1e9)), SimpleNamespace(count=0, ns=0)
        compute = SimpleNamespace(count=count, ns=success.ns // 10)
        stats = SimpleNamespace(success=success, fail=fail, compute_infer=compute)
        return SimpleNamespace(
            model_stats=[SimpleNamespace(inference_stats=stats, execution_count=count, last_inference=count)]
        )

    def is_server_live(self, **kwargs: Any) -> bool:
        return True

    def is_server_ready(self, **kwargs: Any) -> bool:
        return True

    def close(self) -> None:
        pass

    def _answered(self, request: Request) -> Any:
        self.requests.append(request)
        return self.answer(request)

    def _request(self, model: str, inputs: list[Any], kwargs: dict[str, Any]) -> Request:
        (tensor,) = inputs
        array = np.frombuffer(tensor._get_content(), triton_to_np_dtype(tensor.datatype()))
        return Request(
            model,
            array.reshape(tuple(tensor.shape())),
            kwargs.pop("sequence_id", 0),
            kwargs.pop("sequence_start", False),
            kwargs.pop("sequence_end", False),
            kwargs.pop("request_id", ""),
            kwargs,
        )


class FakeClock:
    """Seconds that pass only when told to, or by sleeping."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Signals:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.deadlines: list[dict[str, Any]] = []
        self.validations: list[dict[str, Any]] = []
        self.confirmed = self.unchecked = 0

    def deadline_exceeded(self, **told: Any) -> None:
        self.deadlines.append(told)

    def sequence_validation_failure(self, **told: Any) -> None:
        self.validations.append(told)

    def deferred_checks_settled(self, *, confirmed: int = 0, unchecked: int = 0) -> None:
        self.confirmed += confirmed
        self.unchecked += unchecked


def make_session(
    client: Any = None,
    *,
    models: frozenset[str] = ALL_MODELS,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    scratch: Path = Path("/nonexistent"),
    target: Target | None = None,
    connect: Callable[[], Any] | None = None,
    **settings: Any,
) -> Session:
    return Session(
        settings=Settings(seed=1, **settings),
        target=dataclasses.replace(target or Target(address="127.0.0.1:1", models=frozenset()), models=models),
        client=client,
        connect=connect or (lambda: client),
        signals=Signals(),
        correlation_ids=id_block(7, 0, 0),
        scratch=scratch,
        clock=clock,
        sleep=sleep,
    )
