"""A call that runs in a greenlet of its own, seen as a `grpc.Future` and `grpc.Call`; knows not what it does."""

from __future__ import annotations

import traceback as traceback_module
from collections.abc import Callable
from types import TracebackType
from typing import Any

import gevent
import grpc
from gevent.event import Event

from triton_users.transport.call import Call
from triton_users.transport.errors import CallError, Outcome, cancelled, interrupted
from triton_users.transport.metadata import Metadata
from triton_users.transport.status import conclude, headers_meaning


class CallFuture(grpc.Future, grpc.Call):  # type: ignore[misc]  # grpc has no type information
    """The result to come of `run`, which drives `call`. Callbacks run in the call's greenlet, after its end."""

    def __init__(self, call: Call, run: Callable[[], Any]) -> None:
        self._call = call
        self._callbacks: list[Callable[[], Any]] = []
        self._finished = Event()
        self._result: Any = None
        self._error: CallError | None = None
        gevent.spawn(self._run, run)

    def _run(self, run: Callable[[], Any]) -> None:
        try:
            self._result = run()
        except CallError as exc:
            self._error = exc
        except BaseException as exc:  # noqa: BLE001  # it is the future's result, whatever it is
            self._error = interrupted(exc)
        finally:
            self._finished.set()
            callbacks, self._callbacks = self._callbacks, []
            for callback in callbacks:
                call_back(callback)

    # grpc.Future

    def cancel(self) -> bool:
        return self._call.end(cancelled("Locally cancelled by application!"))

    def cancelled(self) -> bool:
        return self._error is not None and self._error.code() is grpc.StatusCode.CANCELLED

    def running(self) -> bool:
        return not self._finished.is_set()

    def done(self) -> bool:
        return bool(self._finished.is_set())

    def _wait(self, timeout: float | None) -> None:
        if not self._finished.wait(timeout):
            raise grpc.FutureTimeoutError
        if self.cancelled():
            raise grpc.FutureCancelledError

    def result(self, timeout: float | None = None) -> Any:
        self._wait(timeout)
        if self._error is not None:
            raise self._error
        return self._result

    def exception(self, timeout: float | None = None) -> CallError | None:
        self._wait(timeout)
        return self._error

    def traceback(self, timeout: float | None = None) -> TracebackType | None:
        self._wait(timeout)
        return None if self._error is None else self._error.__traceback__

    def add_done_callback(self, fn: Callable[[CallFuture], Any]) -> None:
        if not self.add_callback(lambda: fn(self)):
            call_back(lambda: fn(self))

    # grpc.Call

    def add_callback(self, callback: Callable[[], Any]) -> bool:
        if self._finished.is_set():
            return False
        self._callbacks.append(callback)
        return True

    def is_active(self) -> bool:
        return not self._finished.is_set()

    def time_remaining(self) -> float | None:
        return self._call.time_left()

    def _outcome(self) -> Outcome:
        self._finished.wait()
        if self._error is not None:
            return self._error.outcome
        assert self._call.stream is not None
        return conclude(self._call.stream)

    def code(self) -> grpc.StatusCode:
        return self._outcome().code

    def details(self) -> str:
        return self._outcome().details

    def debug_error_string(self) -> str:
        return self._outcome().debug

    def initial_metadata(self) -> Metadata:
        stream = self._call.stream
        if stream is not None and stream.headers is not None and stream.headers is not stream.trailers:
            return headers_meaning(stream.headers).metadata
        return self._outcome().initial_metadata

    def trailing_metadata(self) -> Metadata:
        return self._outcome().trailing_metadata


def call_back(callback: Callable[[], Any]) -> None:
    """Run a user's callback; what it raises is printed, as `grpc` logs it, and ends nothing."""
    try:
        callback()
    except Exception:  # noqa: BLE001  # whatever the user's code raises
        traceback_module.print_exc()
