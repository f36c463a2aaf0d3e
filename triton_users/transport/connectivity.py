"""The channel's connectivity as subscribers see it; knows nothing of connections."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import gevent
from grpc import ChannelConnectivity


class Connectivity:
    """A state and its subscribers. Each callback gets every change in order, in a greenlet that is not the hub."""

    def __init__(self) -> None:
        self.state = ChannelConnectivity.IDLE
        self._callbacks: list[Callable[[ChannelConnectivity], Any]] = []
        self._eager: list[Callable[[ChannelConnectivity], Any]] = []
        self._undelivered: list[tuple[Callable[[ChannelConnectivity], Any], ChannelConnectivity]] = []
        self._delivering = False

    @property
    def wanted(self) -> bool:
        """Whether a subscriber wants a connection that no call has asked for."""
        return bool(self._eager)

    def subscribe(self, callback: Callable[[ChannelConnectivity], Any], eager: bool) -> None:
        """Tell `callback` the state now and at each change; an eager one wants it to become READY."""
        self._callbacks.append(callback)
        if eager:
            self._eager.append(callback)
        self._deliver([(callback, self.state)])

    def unsubscribe(self, callback: Callable[[ChannelConnectivity], Any]) -> None:
        """No effect for a callback that is not subscribed."""
        self._callbacks = [known for known in self._callbacks if known != callback]
        self._eager = [known for known in self._eager if known != callback]
        self._undelivered = [item for item in self._undelivered if item[0] != callback]

    def change(self, state: ChannelConnectivity) -> None:
        """Move to `state`; SHUTDOWN is final."""
        if state is not self.state and self.state is not ChannelConnectivity.SHUTDOWN:
            self.state = state
            self._deliver([(callback, state) for callback in self._callbacks])

    def _deliver(self, items: list[tuple[Callable[[ChannelConnectivity], Any], ChannelConnectivity]]) -> None:
        self._undelivered += items
        if self._undelivered and not self._delivering:
            self._delivering = True
            gevent.spawn(self._run)

    def _run(self) -> None:
        try:
            while self._undelivered:
                callback, state = self._undelivered.pop(0)
                try:
                    callback(state)
                except Exception:  # noqa: BLE001  # whatever the subscriber's code raises
                    traceback.print_exc()
        finally:
            self._delivering = False
