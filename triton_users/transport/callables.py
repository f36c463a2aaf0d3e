"""The part of `grpc.Channel` that makes the four kinds of call, and its end; knows no connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import grpc

from triton_users.transport.call import Call
from triton_users.transport.errors import CallError, cancelled
from triton_users.transport.method import Method
from triton_users.transport.stream_callables import StreamStream, StreamUnary, UnaryStream
from triton_users.transport.unary import UnaryUnary

CLOSED: Final = cancelled("Channel closed!")


class Callables(grpc.Channel):  # type: ignore[misc]  # grpc has no type information
    """The part of `grpc.Channel` that makes calls; who inherits it is their `CallChannel`."""

    #: Given a method's path and what calls it, gives what is handed out in its place. For the kinds that have as many
    #: requests as responses; set it before callables are made.
    intercept: Callable[[str, Any], Any] | None = None

    #: When it was closed, in perf_counter seconds; None while it is not.
    _closed_s: float | None

    def raise_if_closed(self) -> None:
        if self._closed_s is not None:
            raise ValueError("Cannot invoke RPC on closed channel!")

    def _refuse_if_closed(self, call: Call) -> None:
        """CallError for a call that was made before the close and had not got so far, ValueError for a later one."""
        if self._closed_s is not None and call.called_s < self._closed_s:
            raise CallError(CLOSED)
        self.raise_if_closed()

    def _method(self, path: str, serializer: Any, deserializer: Any) -> Method:
        raise NotImplementedError

    def unary_unary(
        self,
        method: str,
        request_serializer: Callable[[Any], Any] | None = None,
        response_deserializer: Callable[[bytes], Any] | None = None,
        _registered_method: bool = False,
    ) -> Any:
        made = UnaryUnary(self, self._method(method, request_serializer, response_deserializer))
        return made if self.intercept is None else self.intercept(method, made)

    def unary_stream(
        self,
        method: str,
        request_serializer: Callable[[Any], Any] | None = None,
        response_deserializer: Callable[[bytes], Any] | None = None,
        _registered_method: bool = False,
    ) -> UnaryStream:
        return UnaryStream(self, self._method(method, request_serializer, response_deserializer))

    def stream_unary(
        self,
        method: str,
        request_serializer: Callable[[Any], Any] | None = None,
        response_deserializer: Callable[[bytes], Any] | None = None,
        _registered_method: bool = False,
    ) -> StreamUnary:
        return StreamUnary(self, self._method(method, request_serializer, response_deserializer))

    def stream_stream(
        self,
        method: str,
        request_serializer: Callable[[Any], Any] | None = None,
        response_deserializer: Callable[[bytes], Any] | None = None,
        _registered_method: bool = False,
    ) -> Any:
        made = StreamStream(self, self._method(method, request_serializer, response_deserializer))
        return made if self.intercept is None else self.intercept(method, made)
