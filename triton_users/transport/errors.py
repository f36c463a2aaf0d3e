"""The exceptions that leave the channel, and the finished state of a call that they carry; knows no HTTP/2 and no sockets."""

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

    __slots__ = ("code", "debug", "details", "initial_metadata", "trailing_metadata", "unprocessed")

    def __init__(
        self,
        code: grpc.StatusCode,
        details: str,
        initial_metadata: Metadata = (),
        trailing_metadata: Metadata = (),
        debug: str = "",
        unprocessed: bool = False,
    ) -> None:
        self.code = code
        self.details = details
        self.initial_metadata = initial_metadata
        self.trailing_metadata = trailing_metadata
        #: What happened below gRPC, for people.
        self.debug = debug
        #: Whether the server is known to have done nothing for it, so that it may be sent again.
        self.unprocessed = unprocessed


class FinishedCall(grpc.Call):  # type: ignore[misc]  # grpc has no type information
    """The `grpc.Call` of a call that is over."""

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome

    def code(self) -> grpc.StatusCode:
        return self._outcome.code

    def details(self) -> str:
        return self._outcome.details

    def initial_metadata(self) -> Metadata:
        return self._outcome.initial_metadata

    def trailing_metadata(self) -> Metadata:
        return self._outcome.trailing_metadata

    def debug_error_string(self) -> str:
        return self._outcome.debug

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
        return f"{self._outcome.code.name}: {self._outcome.details}"

    def __repr__(self) -> str:
        return f"CallError({self._outcome.code.name}, {self._outcome.details!r})"
