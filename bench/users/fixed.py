"""The identity request as in ours.py, in a run with the plugin: counted and judged as a scenario is."""

from __future__ import annotations

from locust import events

from bench.users.ours import Ours
from bench.users.recorder import listen
from triton_users.options import add_options
from triton_users.plugin import install

__all__ = ["Ours"]

listen(events.init_command_line_parser, add_options)
listen(events.init, lambda environment, **_kwargs: install(environment))
