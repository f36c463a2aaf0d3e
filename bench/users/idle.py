"""Users that do nothing: one that has a connection, and one of Locust's own to compare with."""

from __future__ import annotations

import gevent
from locust import User, task

from bench.users.recorder import CASE
from triton_users.users import TritonGrpcUser

#: Longer than any measurement, in seconds.
LONG_S = 86_400.0


class Connected(TritonGrpcUser):
    """One request, which opens the connection, then silence."""

    weight = CASE["connected"]

    def on_start(self) -> None:
        super().on_start()
        self.client.is_server_live()

    @task
    def idle(self) -> None:
        gevent.sleep(LONG_S)


class Plain(User):
    """Locust's own cost of a user."""

    weight = 1 - CASE["connected"]

    @task
    def idle(self) -> None:
        gevent.sleep(LONG_S)
