"""The identity request as a model under load, under the plugin, at a rate or one after the other."""

from __future__ import annotations

import json
import os
from typing import Any

from locust import between, constant, events

from triton_users.model_user import TritonModelUser
from triton_users.options import add_options
from triton_users.plugin import install

CASE: dict[str, Any] = json.loads(os.environ["BENCH_CASE"])

events.init_command_line_parser.add_listener(add_options)
events.init.add_listener(lambda environment, **_: install(environment))


class Identity(TritonModelUser):
    model = CASE["model"]
    shapes = {CASE["input"]: (CASE["floats"],)}  # noqa: RUF012  # as users write it
    connections = CASE["connections"]
    # Random, since users with an even pace that began together go on together: several at a time cost less each.
    wait_time = between(0, 2 * CASE["users"] / CASE["paced"]) if CASE["paced"] else constant(0)

    def on_start(self) -> None:
        super().on_start()
        self.client.is_server_live()  # its connection is there before the first arrival
