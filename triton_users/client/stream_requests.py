"""Which request of a stream each response belongs to, and when a request is over. Knows no socket, no clock, no Locust.

A response belongs to the request whose id it carries. Triton says with each one, in the parameter
`triton_final_response`, whether it is its request's last; the last of a decoupled model may be empty, and is then no
response but the end. A server that does not say so (KServe's protocol has no such parameter) ends a request with its
first response. An error without that parameter ends its request: Triton refused it before a model saw it.
Source: Triton's docs/user_guide/decoupled_models.md and extension_parameters; seen on Triton 2.51.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass

ENDED_KEPT = 256
"""Ids of requests that are over, kept to tell a late answer from one to nothing. Picked arbitrarily."""


@dataclass(slots=True, eq=False)
class StreamedCall:
    """One request in a stream, and what came for it."""

    request_id: str
    model: str
    sent_bytes: int
    sent_s: float
    first_s: float = 0.0
    """When the first response with outputs came; only when there were `responses`."""
    last_s: float = 0.0
    """When the newest response came, the empty last one included."""
    answered_s: float = 0.0
    """When the newest response with outputs came; only when there were `responses`."""
    responses: int = 0
    """Responses with outputs."""
    received_bytes: int = 0
    error: str = ""
    """The first error that came for it."""
    by_order: bool = False
    """Whether a response without an id was taken for its own, because it was the oldest that waited."""

    @property
    def latency_s(self) -> float:
        """From its sending to the last response with outputs, or to the end when there was none."""
        return (self.answered_s if self.responses else self.last_s) - self.sent_s


@dataclass(frozen=True, slots=True)
class Stray:
    """A response that belongs to no request that waits."""

    request_id: str
    model: str
    """The model of the request that was over, "" when no such request is known."""
    what: str


class StreamRequests:
    """The requests of one stream that wait."""

    __slots__ = ("_by_id", "_ended", "_waiting")

    def __init__(self) -> None:
        self._waiting: OrderedDict[int, StreamedCall] = OrderedDict()
        """By identity, oldest first."""
        self._by_id: dict[str, deque[StreamedCall]] = {}
        """Several where the user gave several requests one id: the oldest is answered first."""
        self._ended: OrderedDict[str, str] = OrderedDict()
        """Id -> model of the newest requests that are over."""

    def __len__(self) -> int:
        return len(self._waiting)

    def sent(self, request_id: str, model: str, sent_bytes: int, at_s: float) -> StreamedCall:
        """A request left."""
        call = StreamedCall(request_id, model, sent_bytes, at_s)
        self._waiting[id(call)] = call
        self._by_id.setdefault(request_id, deque()).append(call)
        return call

    def received(
        self, request_id: str, at_s: float, size: int, *, outputs: int, final: bool | None, error: str = ""
    ) -> StreamedCall | Stray:
        """The request that this response belongs to, or why it belongs to none; `is_over` tells whether it is over.

        `final`: the parameter `triton_final_response`, None when there is none.
        """
        call = self._owner(request_id)
        if call is None:
            model = self._ended.get(request_id, "")
            late = request_id in self._ended
            return Stray(request_id, model, "an answer after the final one" if late else "an answer to no request")
        call.last_s = at_s
        call.received_bytes += size
        call.by_order |= not request_id and bool(call.request_id)
        if error:
            call.error = call.error or error
        elif outputs or final is None:
            call.responses += 1
            call.answered_s = at_s
            if call.responses == 1:
                call.first_s = at_s
        if final or final is None:
            self._end(call)
        return call

    def is_over(self, call: StreamedCall) -> bool:
        """Whether nothing more may come for it."""
        return id(call) not in self._waiting

    def waiting(self) -> tuple[StreamedCall, ...]:
        """Those that still wait, oldest first."""
        return tuple(self._waiting.values())

    def _owner(self, request_id: str) -> StreamedCall | None:
        if request_id:
            calls = self._by_id.get(request_id)
            return calls[0] if calls else None
        return next(iter(self._waiting.values()), None)

    def _end(self, call: StreamedCall) -> None:
        del self._waiting[id(call)]
        calls = self._by_id[call.request_id]
        calls.remove(call)
        if not calls:
            del self._by_id[call.request_id]
        self._ended[call.request_id] = call.model
        self._ended.move_to_end(call.request_id)
        if len(self._ended) > ENDED_KEPT:
            self._ended.popitem(last=False)
