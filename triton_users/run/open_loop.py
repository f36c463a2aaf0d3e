"""A node with users in an open loop: hands its share of the arrivals to its users. Knows no rate by itself."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import gevent

from triton_users.arrivals.dispatcher import Arrival, Dispatcher
from triton_users.arrivals.settings import ArrivalSettings
from triton_users.arrivals.timetable import Timetable
from triton_users.ledger import ArrivalCounts
from triton_users.locust_compat.open_loop import start_tasks_on_arrival, start_tasks_one_after_the_other
from triton_users.run.alarm import make_alarm
from triton_users.run.pace import Order, parts_of, shares_of, trace_of
from triton_users.run.trace_names import names_of
from triton_users.settings import UsageError
from triton_users.system.timer import clock_id
from triton_users.transport import together_of


class OpenLoop:
    """One node's, for one run. Made before its users start; nothing arrives until the first order."""

    def __init__(self, settings: ArrivalSettings, worker: str, counts: ArrivalCounts, trace: str) -> None:
        """`counts`: where arrivals are counted. `trace`: the digest of the master's; "" where it has none.

        Raises UsageError when this machine does not have the same one.
        """
        self._worker = worker
        self._trace = trace_of(settings)
        if self._trace is not None and self._trace.digest != trace:
            raise UsageError(f"arrivals: {settings.arrivals.text} is another file here than on the master")
        self._names: dict[type, dict[str, Callable[..., Any]]] = {}
        self._zero_s = math.inf
        self._timetable = Timetable()
        self._hub = gevent.get_hub()
        self._together = together_of(self._hub)
        several = self._trace is not None and any(model or name for model, name in self._trace.names)
        self._dispatcher: Dispatcher[Any] = Dispatcher(
            self._timetable,
            counts,
            wait_s=settings.arrival_wait_s,
            clock=self.now_s,
            alarm=lambda at_s: self._alarm.set(at_s + self._zero_s),
            named=self._trace.name if several and self._trace is not None else None,
            can=lambda user, model: not model or model in self._tasks(user),
        )
        self._alarm = make_alarm(self._run)

    def _run(self) -> None:
        self._together.begin()
        try:
            self._dispatcher.run()
        finally:
            self._together.end()

    def now_s(self) -> float:
        """Seconds of the cluster; before the first order minus infinity."""
        return time.perf_counter() - self._zero_s

    @property
    def named(self) -> Sequence[tuple[str, str]]:
        """Each pair of model and input in the trace (`trace_names.check`)."""
        return self._trace.names if self._trace is not None else ()

    @property
    def idle(self) -> int:
        """How many users wait for an arrival."""
        return self._dispatcher.idle

    def start(self) -> None:
        """From here on users wait for arrivals."""
        start_tasks_on_arrival(self._arrive, self._dispatcher.withdraw, _concerns)

    def follow(self, order: Order) -> None:
        """Take over what the master sent."""
        first, self._zero_s = self._zero_s == math.inf, min(self._zero_s, _zero_s(order))
        shares = shares_of(order, self._worker)
        from_s = now_s = self.now_s()
        if first:  # what was due while it was on its way is this worker's all the same
            from_s = min([now_s, *(share.from_s for share in shares if share.any)])
        self._dispatcher.expire()
        self._timetable.change(max(0.0, from_s), parts_of(order, self._trace), shares)
        self._dispatcher.changed()

    def gauges(self, users: Iterable[Any]) -> dict[str, int]:
        """How many of these users are at a task, and for how long the oldest arrival has waited for one, in ms."""
        waits_s = self.now_s() - self._timetable.next_s
        return {
            "in_flight": sum(_concerns(user) for user in users) - self._dispatcher.idle,
            "arrival_waits_ms": int(1e3 * waits_s) if 0 < waits_s < math.inf else 0,
        }

    def expire(self) -> None:
        """Count what has waited for too long, before counts are told."""
        if self._zero_s < math.inf:
            self._dispatcher.expire()

    def stop(self) -> None:
        """Nothing arrives any more. Safe to call twice."""
        self.expire()
        self._dispatcher.stop()
        self._alarm.close()

    def close(self) -> None:
        """Users run one task after the other again."""
        self.stop()
        start_tasks_one_after_the_other()

    def _arrive(self, user: Any) -> Callable[..., Any] | None:
        """Wait, as this user, for an arrival; the task that it names, if it does."""
        rpc_events = getattr(user, "rpc_events", None)
        if rpc_events is not None:
            rpc_events.intended_s = None  # the run before sent no request of its own
        arrival = self._dispatcher.take_due(user)
        if arrival is None:
            arrival = self._wait_for_one(user)
        user.arrival = arrival
        if rpc_events is not None:
            rpc_events.open_loop, rpc_events.intended_s = True, arrival.due_s + self._zero_s
        return self._tasks(user).get(arrival.model) if arrival.model else None

    def _wait_for_one(self, user: Any) -> Arrival:
        self._dispatcher.offer(user, gevent.getcurrent().switch)
        try:
            arrival: Arrival = self._hub.switch()
        except BaseException:
            self._dispatcher.withdraw(user)
            raise
        return arrival

    def _tasks(self, user: Any) -> dict[str, Callable[..., Any]]:
        """What a trace can name: a class's tasks, and the model that it puts under load."""
        kind = type(user)
        found = self._names.get(kind)
        if found is None:
            found = self._names[kind] = names_of(kind)
        return found


def _zero_s(order: Order) -> float:
    """When the cluster's clock showed 0, by this process's own.

    On the master's machine they are one clock. Elsewhere it was so late or earlier, by what the order was under way:
    of several orders the earliest is right.
    """
    clock = clock_id()
    if clock and clock == order["clock"]:
        return float(order["zero_s"])
    return time.perf_counter() - float(order["elapsed_s"])


def _concerns(user: Any) -> bool:
    return bool(getattr(user, "takes_arrivals", True))
