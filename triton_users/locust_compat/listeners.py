"""The order in which listeners of one event are called. Knows no event in particular."""

from __future__ import annotations

from collections.abc import Callable

from locust.event import EventHook


def listen_before_those_already_there(hook: EventHook, listener: Callable[..., None]) -> None:
    """Call `listener` before all listeners that the event has by now.

    An EventHook only appends, and Locust's own listeners come first: by the time that ours is called, Locust has added
    up a worker's report that must not count. Seen in 2.46 and 2.47. Can go when a listener can be given a place.
    """
    hook._handlers.insert(0, listener)
