"""Which request of a stream each response belongs to, and when a request is over. Knows no socket, no clock, no Locust.

A response belongs to the request whose id it carries. Triton says with each one, in the parameter
`triton_final_response`, whether it is its request's last; the last of a decoupled model may be empty, and is then no
response but the end. A server that does not say so (KServe's protocol has no such parameter) ends a request with its
first response. An error without that parameter ends its request: Triton refused it before a model saw it.
Source: Triton's docs/user_guide/decoupled_models.md and extension_parameters; seen on Triton 2.51.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from triton_users.ledger import Histogram

ENDED_KEPT = 256
"""Ids of requests that are over, kept to tell a late answer from one to nothing. Picked arbitrarily."""

FINAL = "triton_final_response"
WANTS_FINAL = "triton_enable_empty_final_response"

AFTER_THE_LAST = "an answer after the final one"
AFTER_AN_UNMARKED = "a further answer from a server that does not say which is the final one"
TO_NOTHING = "an answer to no request"


class StreamedCall:
    """One request in a stream, and what came for it. What is the same for most is the class's until it changes."""

    users_id: str
    """What its user gave it."""
    wants_end: bool = True
    """Whether its user asked for an empty final response, too."""
    sent_s: float | None = None
    """When it left; None while it waits to be sent."""
    sent_bytes: int = 0
    first_s: float = 0.0
    """When the first response came; only when there were `responses`."""
    last_s: float = 0.0
    """When the newest response came, the empty last one included."""
    answered_s: float = 0.0
    """When the newest response came that is none of errors and empty ends; only when there were `responses`."""
    responses: int = 0
    """Responses that are none of errors and empty ends."""
    gaps: Histogram | None = None
    """Between those, in microseconds; None while there are fewer than two."""
    received_bytes: int = 0
    error: str = ""
    """The first error that came for it."""
    by_order: bool = False
    """Whether a response without an id was taken for its own, because it was the oldest that waited."""
    over: bool = False
    """Whether nothing more may come for it."""
    ended_empty: bool = False
    """Whether its end was no response of its own."""
    note: Any = None
    """The observer's own."""
    after: StreamedCall | None = None
    """The next one that waits and has the same id."""

    def __init__(self, request_id: str, model: str) -> None:
        self.request_id = self.users_id = request_id
        """What it has on the wire."""
        self.model = model

    @property
    def ended_s(self) -> float:
        """When its last response came, or its end when there was none."""
        return self.answered_s if self.responses else self.last_s


@dataclass(frozen=True, slots=True)
class Stray:
    """A response that belongs to no request that waits."""

    request_id: str
    model: str
    """The model of the request that was over, "" when no such request is known."""
    what: str

    def __str__(self) -> str:
        return f"{self.what}: a response with the id {self.request_id!r}"


class StreamRequests:
    """The requests of one stream that wait."""

    __slots__ = ("_by_id", "_ended", "_made", "newest", "taken", "traced")

    def __init__(self) -> None:
        self.taken = 0
        """Requests that were taken in."""
        self.newest: StreamedCall | Stray | None = None
        """What the newest response belongs to."""
        self.traced: Any = None
        """The observer's own: the stream's spans, None where there are none."""
        self._by_id: dict[str, StreamedCall] = {}
        """Those that wait, oldest first. Where several were sent past `ask` with one id, each knows the one after."""
        self._ended: deque[tuple[str, str, str]] = deque(maxlen=ENDED_KEPT)
        """Id and model of the newest requests that are over, and what a further answer to them is."""
        self._made = 0

    def ask(self, request: Any) -> StreamedCall:
        """Take a ModelInferRequest in that is about to be sent; it gets an id of its own and asks for its end.

        The user's id stays unless it has none, or one that another request has which waits.
        """
        users_id, wire_id = request.id, request.id
        while not wire_id or wire_id in self._by_id:
            self._made += 1
            wire_id = f"{users_id}#{self._made}"
        wants_end = request.parameters[WANTS_FINAL]  # made when there is none
        call = self.add(wire_id, request.model_name)
        call.users_id, call.wants_end = users_id, wants_end.bool_param
        if wire_id != users_id:
            request.id = wire_id
        wants_end.bool_param = True
        return call

    def add(self, request_id: str, model: str) -> StreamedCall:
        """Take a request in that has an id of its own and is about to be sent."""
        self.taken += 1
        call = StreamedCall(request_id, model)
        last = self._by_id.setdefault(request_id, call)
        if last is not call:
            while last.after is not None:
                last = last.after
            last.after = call
        return call

    def sent(self, request_id: str, model: str, sent_bytes: int, at_s: float) -> StreamedCall:
        """A request left, one that was taken in before or another."""
        call = self._by_id.get(request_id)
        while call is not None and call.sent_s is not None:
            call = call.after
        if call is None:
            call = self.add(request_id, model)
        call.sent_s, call.sent_bytes = at_s, sent_bytes
        return call

    def received(
        self, request_id: str, at_s: float, size: int, *, empty: bool, final: bool | None, error: str = ""
    ) -> StreamedCall | Stray:
        """The request that this response belongs to, or why it belongs to none.

        `empty`: it is no response, at most the end. `final`: the parameter `triton_final_response`, None without one.
        """
        call = self._owner(request_id)
        if call is None:
            known = next((each[1:] for each in reversed(self._ended) if each[0] == request_id), ("", TO_NOTHING))
            self.newest = stray = Stray(request_id, *known)
            return stray
        self.newest = call
        call.received_bytes += size
        if not request_id and call.request_id:
            call.by_order = True
        if error:
            call.error = call.error or error
        elif not empty:
            call.responses += 1
            if call.responses == 1:
                call.first_s = at_s
            else:
                if call.gaps is None:
                    call.gaps = Histogram()
                call.gaps.record(int((at_s - call.answered_s) * 1e6))
            call.answered_s = at_s
        call.last_s = at_s
        if final is not False:
            call.ended_empty = empty and not error
            self._end(call, AFTER_AN_UNMARKED if final is None and not error else AFTER_THE_LAST)
        return call

    def waiting(self) -> tuple[StreamedCall, ...]:
        """Those that still wait, oldest first, but for those of one id, which stand together."""
        found = []
        for first in self._by_id.values():
            call: StreamedCall | None = first
            while call is not None:
                found.append(call)
                call = call.after
        return tuple(found)

    def _owner(self, request_id: str) -> StreamedCall | None:
        if request_id:
            return self._by_id.get(request_id)
        return next(iter(self._by_id.values()), None)

    def _end(self, call: StreamedCall, what_more_is: str) -> None:
        call.over = True
        if call.after is None:
            del self._by_id[call.request_id]
        else:
            self._by_id[call.request_id] = call.after
        self._ended.append((call.request_id, call.model, what_more_is))


def end_of(response: Any) -> tuple[bool, bool | None]:
    """Whether a ModelInferResponse of a stream is empty, and what it says of being final.

    An empty one has no outputs and, unlike a response that a model made without any, no version of a model.
    """
    parameter = response.parameters.get(FINAL)
    final = None if parameter is None else parameter.bool_param
    return bool(final) and not response.outputs and not response.model_version, final
