"""The stress test as `locust` picks it up, with each process counting its own greenlets now and then."""

from __future__ import annotations

import gc
import json
import os
import time
from pathlib import Path

import gevent
import greenlet
from locust import events
from locust.env import Environment

from bench.users.recorder import CASE, listen
from locustfile import *  # noqa: F403  # the users and listeners of the project's own locustfile

#: Seconds between two counts; each walks the whole heap, which holds the hub for some ten milliseconds.
INTERVAL_S = 60.0


def count(environment: Environment, **_kwargs: object) -> None:
    """Start counting in this process, whether it is the master or a worker."""
    path = Path(CASE["folder"]) / f"greenlets-{os.getpid()}.jsonl"

    def loop() -> None:
        with path.open("a") as file:
            while True:
                gevent.sleep(INTERVAL_S)
                alive = sum(1 for each in gc.get_objects() if isinstance(each, greenlet.greenlet) and not each.dead)
                file.write(json.dumps({"time_s": time.time(), "greenlets": alive}) + "\n")
                file.flush()

    gevent.spawn(loop)


listen(events.init, count)
