"""The exceptions that leave the channel, and the finished call that they carry; knows no HTTP/2 and no sockets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc

from triton_users.transport.metadata import Metadata


class TransportError(Exception):
    """Base of this package's own exceptions."""


class TargetError(TransportError, ValueError):
    """A target that names no server: the caller's mistake."""


class UnsupportedError(TransportError, NotImplementedError):
    """A feature of `grpc.Channel` that this channel does not have; the message names it and what to use instead."""


class WrongThreadError(TransportError, RuntimeError):
    """The channel was used from another thread than the one that made it: the caller's mistake."""


class ConnectFailure(TransportError):
    """A connection could not be made; the message says why."""


class ConnectionLost(TransportError):
    """An established connection ended; the message says why."""


class MessageFault(TransportError):
    """The server sent a gRPC message that cannot be accepted; `code` is the status that it gives the call."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class Outcome:
    """How a call ended: status, text, metadata. A plain value; treat it as frozen."""

    __slots__ = ("code", "debug", "details", "initial_metadata", "local", "trailing_metadata")

    def __init__(
        self,
        code: grpc.StatusCode,
        details: str,
        initial_metadata: Metadata = (),
        trailing_metadata: Metadata = (),
        debug: str = "",
        local: bool = False,
    ) -> None:
        self.code = code
        self.details = details
        self.initial_metadata = initial_metadata
        self.trailing_metadata = trailing_metadata
        #: What happened below gRPC, for people.
        self.debug = debug
        #: Whether this client ended the call (cancel, close, deadline), neither the server nor the connection.
        self.local = local


def cancelled(why: str) -> Outcome:
    """How a call ends that this client cancels."""
    return Outcome(grpc.StatusCode.CANCELLED, why, local=True)


class FinishedCall(grpc.Call):  # type: ignore[misc]  # grpc has no type information
    """The `grpc.Call` of a call that is over."""

    def __init__(self, outcome: Outcome, elapsed_s: float | None = None) -> None:
        self.outcome = outcome
        #: From the call to the last byte of its answer, in seconds; None where nobody looked.
        self.elapsed_s = elapsed_s

    def code(self) -> grpc.StatusCode:
        return self.outcome.code

    def details(self) -> str:
        return self.outcome.details

    def initial_metadata(self) -> Metadata:
        return self.outcome.initial_metadata

    def trailing_metadata(self) -> Metadata:
        return self.outcome.trailing_metadata

    def debug_error_string(self) -> str:
        return self.outcome.debug

    def is_active(self) -> bool:
        return False

    def time_remaining(self) -> float | None:
        return None

    def cancel(self) -> bool:
        return False

    def add_callback(self, callback: Callable[[], Any]) -> bool:
        return False


class CallError(grpc.RpcError, FinishedCall):  # type: ignore[misc]  # grpc has no type information
    """A call that did not end with OK: raise it, or ask it what a `grpc.Call` knows."""

    def __init__(self, outcome: Outcome) -> None:
        grpc.RpcError.__init__(self, outcome.code, outcome.details)
        FinishedCall.__init__(self, outcome)

    def __str__(self) -> str:
        return f"{self.outcome.code.name}: {self.outcome.details}"

    def __repr__(self) -> str:
        return f"CallError({self.outcome.code.name}, {self.outcome.details!r})"


def interrupted(exc: BaseException) -> CallError:
    """What observers get when `exc`, which is not ours, ended a call; its `__cause__` is `exc`.

    CANCELLED if it was thrown into the greenlet (GreenletExit, gevent.Timeout, KeyboardInterrupt), INTERNAL if it is an
    error of the caller's own code.
    """
    if isinstance(exc, Exception):
        error = CallError(Outcome(grpc.StatusCode.INTERNAL, f"the caller's code raised {exc!r}"))
    else:
        error = CallError(cancelled(f"the caller was interrupted by {exc!r}"))
    error.__cause__ = exc
    return error
